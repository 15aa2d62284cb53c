//! What the routes have read, and reading it again while they run.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash as _, Hasher as _};
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use levada::{Binder, Dialer, SetupError};
use levada_address::{Address, Value};
use tokio::task::spawn_blocking;
use tokio::time::interval;

use crate::door::shown;
use crate::log::{Log, Record};
use crate::prepared::Prepared;
use crate::signals::Reloads;

/// How often the files are looked at for changes.
const LOOK: Duration = Duration::from_secs(5);

/// The files behind all routes.
#[derive(Debug)]
pub(crate) struct Files {
    routes: Vec<Route>,
    /// What they held when they were read last.
    seen: u64,
}

/// Those of one route. Its listener and its streams go by the same binder and dialer.
#[derive(Debug)]
struct Route {
    binder: Binder,
    dialer: Dialer,
    on: String,
    to: String,
    paths: Vec<PathBuf>,
    place: String,
}

impl Files {
    pub(crate) fn of(routes: &[Prepared]) -> Self {
        let route = |route: &Prepared| Route {
            binder: route.binder.clone(),
            dialer: route.dialer.clone(),
            on: shown(&route.listen, None),
            to: shown(&route.to, None),
            paths: paths(&route.listen).chain(paths(&route.to)).collect(),
            place: route.place.clone(),
        };
        let mut files = Self { routes: routes.iter().map(route).collect(), seen: 0 };
        files.seen = files.fingerprint();
        files
    }

    /// Reads all of it again, for the next handshakes, whenever it is told to or a file has changed: all,
    /// or nothing where anything is wrong.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it waits for nothing that it has begun.
    pub(crate) async fn watch(mut self, mut reloads: Reloads, log: &Log) {
        let mut look = interval(LOOK);
        loop {
            let told = tokio::select! {
                () = reloads.next() => true,
                _ = look.tick() => false,
            };
            // Files may lie on a disk that is slow, or gone, and tokens may hang.
            let reading = spawn_blocking(move || {
                let newer = self.newer(told);
                (self, newer)
            });
            let newer;
            (self, newer) = match reading.await {
                Ok(read) => read,
                // None was cancelled.
                Err(error) => resume_unwind(error.into_panic()),
            };
            match newer {
                Some(Ok(newer)) => {
                    for (route, (binder, dialer)) in self.routes.iter_mut().zip(newer) {
                        route.binder.replace(binder);
                        route.dialer.replace(dialer);
                    }
                    log.tell(&Record::Reloaded);
                    self.warn(log);
                }
                Some(Err(error)) => log.tell(&Record::NotReloaded { error: &error }),
                None => {}
            }
        }
    }

    /// What is read where it is told to, or a file holds something else than when it was read last. What
    /// is wrong is not read again before something changes.
    fn newer(&mut self, told: bool) -> Option<Result<Vec<(Binder, Dialer)>, String>> {
        let seen = self.fingerprint();
        let is_newer = std::mem::replace(&mut self.seen, seen) != seen;
        (told || is_newer).then(|| self.reread())
    }

    fn fingerprint(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        for path in self.routes.iter().flat_map(|route| &route.paths) {
            // A file that is not there differs from every one that is.
            std::fs::read(path).ok().hash(&mut hasher);
        }
        hasher.finish()
    }

    fn reread(&self) -> Result<Vec<(Binder, Dialer)>, String> {
        let both = |route: &Route| Ok((route.binder.reread()?, route.dialer.reread()?));
        let reread =
            |route| both(route).map_err(|error: SetupError| format!("{}: {error}", route.place));
        self.routes.iter().map(reread).collect()
    }

    /// Tells of identities that peers will not like.
    pub(crate) fn warn(&self, log: &Log) {
        let now = SystemTime::now();
        for Route { binder, dialer, on, to, .. } in &self.routes {
            let ours = binder.identities().iter().map(|identity| (on, identity));
            let theirs = dialer.identity().map(|identity| (to, identity));
            for (of, identity) in ours.chain(theirs) {
                if let Some(warning) = identity.warning(now) {
                    log.tell(&Record::Identity { of, warning: &warning.to_string() });
                }
            }
        }
    }
}

/// The files that an address reads.
fn paths(address: &Address) -> impl Iterator<Item = PathBuf> {
    address.options().iter().filter_map(|(row, value)| match value {
        // What is written to, and who is asked, is not read.
        Value::Path(path) if !["danger-key-log", "signer"].contains(&row.word) => {
            Some(path.clone())
        }
        Value::Key(place) => place.file().map(Path::to_owned),
        _ => None,
    })
}
