//! What the routes have read, and reading it again while they run.

use std::time::SystemTime;

use levada::{Binder, Dialer, SetupError};

use crate::door::shown;
use crate::log::{Log, Record};
use crate::prepared::Prepared;

/// The files behind all routes.
#[derive(Debug)]
pub(crate) struct Files(Vec<Route>);

/// Those of one route. Its listener and its streams go by the same binder and dialer.
#[derive(Debug)]
struct Route {
    binder: Binder,
    dialer: Dialer,
    on: String,
    to: String,
    place: String,
}

impl Files {
    pub(crate) fn of(routes: &[Prepared]) -> Self {
        let route = |route: &Prepared| Route {
            binder: route.binder.clone(),
            dialer: route.dialer.clone(),
            on: shown(&route.listen, None),
            to: shown(&route.to, None),
            place: route.place.clone(),
        };
        Self(routes.iter().map(route).collect())
    }

    /// Reads all of it again, for the next handshakes: all, or nothing where anything is wrong.
    pub(crate) fn reload(&mut self, log: &Log) {
        match self.reread() {
            Ok(newer) => {
                for (route, (binder, dialer)) in self.0.iter_mut().zip(newer) {
                    route.binder.replace(binder);
                    route.dialer.replace(dialer);
                }
                log.tell(&Record::Reloaded);
                self.warn(log);
            }
            Err(error) => log.tell(&Record::NotReloaded { error: &error }),
        }
    }

    fn reread(&self) -> Result<Vec<(Binder, Dialer)>, String> {
        let both = |route: &Route| Ok((route.binder.reread()?, route.dialer.reread()?));
        let reread =
            |route| both(route).map_err(|error: SetupError| format!("{}: {error}", route.place));
        self.0.iter().map(reread).collect()
    }

    /// Tells of identities that peers will not like.
    pub(crate) fn warn(&self, log: &Log) {
        let now = SystemTime::now();
        for Route { binder, dialer, on, to, .. } in &self.0 {
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
