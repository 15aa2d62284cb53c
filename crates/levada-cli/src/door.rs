//! A listener of `levada serve`, and where it leads.

use std::io;
use std::iter;
use std::sync::Arc;
use std::time::Duration;

use levada::{Endpoint, Listener, SetupError};
use levada_address::Address;
use tokio::sync::watch;
use tokio::time::timeout;

use crate::danger::Danger;
use crate::demo;
use crate::exit::{Stop, fail};
use crate::house::House;
use crate::log::Record;
use crate::plan::{DEVELOPMENT, ServePlan};
use crate::prepared::Prepared;
use crate::routes::{Routes, Way};
use crate::welcome;

/// A listener whose queue gives nothing for this long has none left: the runtime asks the system for
/// news before a timer fires.
const QUEUE_IS_EMPTY: Duration = Duration::from_millis(10);

/// The most that is taken in from one listener's queue after the signal, for clients that never stop
/// to come.
const LAST_CLIENTS: usize = 4096;

/// A listener, and the ways from there. Nobody else holds the listener: with its loop it is closed,
/// though streams are still on their way.
#[derive(Debug)]
pub(crate) struct Door {
    listener: Listener,
    routes: Arc<Routes>,
    dangers: Vec<Danger>,
}

impl Door {
    /// Listens for `first`, and for the `others` that share its listener.
    pub(crate) async fn open(
        first: Prepared,
        others: Vec<Prepared>,
        plan: &ServePlan,
    ) -> Result<Self, CannotOpen> {
        let (listen, binder, place) =
            (first.listen.clone(), first.binder.clone(), first.place.clone());
        let mut dangers = Vec::new();
        let mut ways = Vec::new();
        let mut begin = Vec::new();
        let mut streams = Vec::new();
        for Prepared { listen, to, binder, dialer, when, place, .. } in
            iter::once(first).chain(others)
        {
            let key_logs = binder.open_key_log().and_then(|()| dialer.open_key_log());
            key_logs.map_err(|error| CannotOpen::new(place, error))?;
            dangers.extend([&listen, &to].into_iter().flat_map(Danger::all_of));
            let (tls, web_socket) = (binder.tls().cloned(), binder.web_socket().cloned());
            let (on, to) = (String::new(), shown(&to, None));
            let path =
                listen.options().get("path").map_or_else(|| "/".to_owned(), ToString::to_string);
            streams.push(demo::Stream { path, to: to.clone() });
            ways.push(Way { when, tls, web_socket, dialer, on, to });
            begin.push(listen);
        }
        let mut routes = Routes { on: String::new(), ways };
        let listener = match routes.first_tls() {
            Ok(Some(tls)) => binder.bind_as(tls).await,
            Ok(None) => binder.bind().await,
            Err(error) => Err(error.into()),
        };
        let listener = listener.map_err(|error| CannotOpen { place, error })?;
        let local = listener.local();
        for (way, listen) in routes.ways.iter_mut().zip(&begin) {
            way.on = shown(listen, local.as_ref());
        }
        routes.on = match &*routes.ways {
            [way] => way.on.clone(),
            // Who is for none of them has come to no path.
            _ => without_path(shown(&listen, local.as_ref())),
        };
        let mut listener = listener.limit_handshakes(plan.max_handshakes);
        if let Some(options) = routes.web_socket() {
            listener = listener.web_socket(options);
        }
        if let Some(count) = plan.max_connections_per_address {
            listener = listener.limit_connections_per_address(count);
        }
        if plan.demo {
            listener = listener.web_pages(demo::pages(&streams));
        }
        Ok(Self { listener, routes: Arc::new(routes), dangers })
    }

    /// Where it listens, as the log shows it.
    pub(crate) fn on(&self) -> &str {
        &self.routes.on
    }

    /// What its addresses take away of security.
    pub(crate) fn dangers(&self) -> &[Danger] {
        &self.dangers
    }

    /// What the log says of it: a line for each way.
    pub(crate) fn records(&self) -> impl Iterator<Item = Record<'_>> {
        self.routes.ways.iter().map(|way| Record::Listening { on: &way.on, to: &way.to })
    }

    /// Accepts until it is told to close, and then what has already come, to the end of every connection
    /// that many streams share; whether the listener is sound.
    pub(crate) async fn accept(
        self,
        house: Arc<House>,
        mut closing: watch::Receiver<bool>,
    ) -> bool {
        loop {
            // No room is taken before somebody comes: other listeners may need it first.
            let next = async {
                house.has_room().await;
                self.listener.accept().await
            };
            let accepted = tokio::select! {
                accepted = next => accepted,
                // An error says that nobody can close it any more: the process ends.
                _ = closing.wait_for(|closing| *closing) => break,
            };
            match accepted {
                Ok(client) => house.admit(&self.routes, Box::new(client)).await,
                Err(error) => {
                    let error = error.to_string();
                    house.log.tell(&Record::ListenerBroken { on: &self.routes.on, error: &error });
                    return false;
                }
            }
            if self.opens_once() {
                return true;
            }
        }
        // Who has come before the signal is served, though nobody had opened yet.
        for _ in 0..LAST_CLIENTS {
            match timeout(QUEUE_IS_EMPTY, self.listener.accept()).await {
                Ok(Ok(client)) => house.admit(&self.routes, Box::new(client)).await,
                _ => break,
            }
        }
        let mut closed = self.listener.close();
        while let Some(client) = closed.accept().await {
            house.admit(&self.routes, Box::new(client)).await;
        }
        true
    }

    /// Standard input and output come once.
    fn opens_once(&self) -> bool {
        self.listener.local() == Some(Endpoint::Stdio)
    }
}

/// An address without its options, with the port that the system chose.
pub(crate) fn shown(address: &Address, local: Option<&Endpoint>) -> String {
    if let Some(Endpoint::Ip(local)) = local {
        let path = address.options().get("path").map_or_else(String::new, ToString::to_string);
        return format!("{}://{local}{path}", address.scheme());
    }
    let mut text = address.to_string();
    text.truncate(text.find('?').unwrap_or(text.len()));
    text
}

fn without_path(mut address: String) -> String {
    let host = address.find("://").map_or(address.len(), |at| at + "://".len());
    address.truncate(address[host..].find('/').map_or(address.len(), |path| host + path));
    address
}

/// Why a route cannot be opened.
#[derive(Debug)]
pub(crate) struct CannotOpen {
    place: String,
    pub(crate) error: SetupError,
}

impl CannotOpen {
    /// What is wrong with `place`, in the words of the user.
    pub(crate) fn new(place: impl Into<String>, error: SetupError) -> Self {
        Self { place: place.into(), error }
    }

    pub(crate) fn stop(&self) -> Stop {
        let Self { place, error } = self;
        let hint = match error {
            SetupError::Listen { address, error } => match error.kind() {
                io::ErrorKind::AddrInUse if address.to_string().starts_with(DEVELOPMENT) => {
                    return fail(welcome::port_is_taken());
                }
                io::ErrorKind::AddrInUse => {
                    "\n    something else listens there: stop it (`ss -ltnp` shows it), or choose \
                     another address"
                }
                io::ErrorKind::AddrNotAvailable => "\n    that is no address of this machine",
                io::ErrorKind::PermissionDenied => {
                    "\n    this user may not listen there: ports below 1024 are root's, or take \
                     CAP_NET_BIND_SERVICE"
                }
                _ => "",
            },
            _ => "",
        };
        fail(format!("{place}: {error}{hint}"))
    }
}
