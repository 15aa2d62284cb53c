//! Files that are read once more while streams run: certificates and keys, and whom targets are
//! verified by.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash as _, Hasher as _};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use levada::{Binder, Dialer, Renewed};
use levada_address::{Address, Value};
use tokio::sync::Notify;
use tokio::time::timeout;

use crate::log::{Log, Record};
use crate::routes::Routes;

/// How often the files are looked at.
const PERIOD: Duration = Duration::from_secs(5);

/// Every route, with what its files are for.
#[derive(Debug)]
pub(crate) struct Reload {
    routes: Vec<Renewable>,
    /// What the files held when they were read last.
    seen: u64,
}

/// A route whose files can be read once more.
#[derive(Debug)]
pub(crate) struct Renewable {
    pub(crate) listen: Address,
    pub(crate) to: Address,
    pub(crate) binder: Binder,
    pub(crate) routes: Arc<Routes>,
    /// Which of the ways it is.
    pub(crate) way: usize,
    pub(crate) place: String,
}

impl Reload {
    pub(crate) fn new(routes: Vec<Renewable>) -> Self {
        let mut reload = Self { routes, seen: 0 };
        reload.seen = reload.look();
        reload
    }

    /// Reads the files whenever they have changed, and each time that it is asked to, for ever.
    pub(crate) async fn whenever(mut self, log: Log, asked: Arc<Notify>) {
        loop {
            let is_asked = timeout(PERIOD, asked.notified()).await.is_ok();
            let reason = if is_asked { "SIGHUP" } else { "changed" };
            // Files and passphrases take their time, which is not the runtime's.
            let work = tokio::task::spawn_blocking(move || {
                let done = (is_asked || self.is_due()).then(|| self.run());
                (self, done)
            });
            let Ok((reload, done)) = work.await else { return };
            self = reload;
            match done {
                Some(Ok(())) => log.tell(&Record::Reloaded { reason }),
                Some(Err(error)) => log.tell(&Record::ReloadFailed { reason, error: &error }),
                None => {}
            }
        }
    }

    /// Whether the files hold something else than when they were read last.
    fn is_due(&self) -> bool {
        self.look() != self.seen
    }

    /// Reads every file once more. Either all of it holds from the next handshake on, or nothing: the
    /// text says why.
    fn run(&mut self) -> Result<(), String> {
        // What is wrong is not tried again before something changes.
        self.seen = self.look();
        let read = self.routes.iter().map(Renewable::read).collect::<Result<Vec<_>, _>>()?;
        for (route, (renewed, dialer)) in self.routes.iter().zip(read) {
            renewed.put_in_place();
            if let Some(way) = route.routes.ways.get(route.way) {
                way.dial_by(dialer);
            }
        }
        Ok(())
    }

    /// A fingerprint of all files.
    fn look(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        for route in &self.routes {
            for path in files(&route.listen).chain(files(&route.to)) {
                // A file that is not there differs from every one that is.
                std::fs::read(path).ok().hash(&mut hasher);
            }
        }
        hasher.finish()
    }
}

impl Renewable {
    fn read(&self) -> Result<(Renewed, Dialer), String> {
        let wrong = |error: levada::SetupError| format!("{}: {error}", self.place);
        Ok((self.binder.read_again().map_err(wrong)?, Dialer::new(&self.to).map_err(wrong)?))
    }
}

/// The files that an address reads.
fn files(address: &Address) -> impl Iterator<Item = PathBuf> {
    address.options().iter().filter_map(|(row, value)| match value {
        Value::Path(path) if row.word != "danger-key-log" => Some(path.clone()),
        _ => None,
    })
}
