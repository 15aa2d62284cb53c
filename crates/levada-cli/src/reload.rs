//! What the routes have read, and reading it again while they run.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash as _, Hasher as _};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use levada::{Binder, Dialer, SetupError};
use levada_address::{Address, Value};

use crate::door::shown;
use crate::log::{Log, Record};
use crate::prepared::Prepared;

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

    /// Reads all of it again, for the next handshakes: all, or nothing where anything is wrong.
    pub(crate) fn reload(&mut self, log: &Log) {
        // What is wrong is not tried again before something changes.
        self.seen = self.fingerprint();
        match self.reread() {
            Ok(newer) => {
                for (route, (binder, dialer)) in self.routes.iter_mut().zip(newer) {
                    route.binder.replace(binder);
                    route.dialer.replace(dialer);
                }
                log.tell(&Record::Reloaded);
                self.warn(log);
            }
            Err(error) => log.tell(&Record::NotReloaded { error: &error }),
        }
    }

    /// Reads all of it again where a file holds something else than when it was read last.
    pub(crate) fn reload_changed(&mut self, log: &Log) {
        if self.fingerprint() != self.seen {
            self.reload(log);
        }
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
