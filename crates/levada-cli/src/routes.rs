//! Where the clients of one listener go: each has the first route that is for it.

use std::sync::{Arc, OnceLock};

use levada::ws::{Request, ServerOptions};
use levada::{
    AlertDescription, ClientHello, Dialer, HelloAnswer, Identities, Stream, TlsConfigError,
    TlsServer,
};
use levada_config::When;

/// The routes of one listener, in the order of the configuration.
#[derive(Debug)]
pub(crate) struct Routes {
    /// Where they begin, as the log shows it.
    pub(crate) on: String,
    pub(crate) ways: Vec<Way>,
}

/// One route.
#[derive(Debug)]
pub(crate) struct Way {
    /// Which clients it is for; `None`: every one.
    pub(crate) when: Option<When>,
    /// Who ends the clients' TLS here; `None` hands it on as it comes.
    pub(crate) tls: Option<TlsServer>,
    /// How WebSockets are opened, if they are: these are for the paths of its rules.
    pub(crate) web_socket: Option<ServerOptions>,
    pub(crate) dialer: Dialer,
    /// Where it begins, as the log shows it.
    pub(crate) on: String,
    /// Where it leads, as the log shows it.
    pub(crate) to: String,
}

/// Which way a client goes, once that is known.
#[derive(Debug)]
pub(crate) struct Choice {
    routes: Arc<Routes>,
    chosen: Arc<OnceLock<usize>>,
}

impl Choice {
    /// The way of a `client` that has come: where there are several, its ClientHello decides, or the path
    /// that it asks for.
    pub(crate) fn of(routes: &Arc<Routes>, client: &mut Stream) -> Self {
        let chosen = Arc::new(OnceLock::new());
        match client {
            Stream::Socket(client) if routes.go_by_hello() => {
                let (routes, choose) = (routes.clone(), chosen.clone());
                client.on_hello(move |hello| std::future::ready(routes.answer(&hello, &choose)));
            }
            // Its request does: see `settle`.
            _ if routes.ways.len() > 1 => {}
            _ => {
                // The first try is the only one.
                let _ = chosen.set(0);
            }
        }
        Self { routes: routes.clone(), chosen }
    }

    /// Takes note of what a `client` that is established has asked for.
    pub(crate) fn settle(&self, client: &Stream) {
        let Stream::WebSocket(client) = client else { return };
        let Some(path) = client.request().map(Request::path) else { return };
        if let Some(index) = self.routes.ways.iter().position(|way| way.serves(path)) {
            // It fails where there is one way alone.
            let _ = self.chosen.set(index);
        }
    }

    /// The way, if one is chosen.
    pub(crate) fn way(&self) -> Option<&Way> {
        self.routes.ways.get(*self.chosen.get()?)
    }

    pub(crate) fn on(&self) -> &str {
        self.way().map_or(&self.routes.on, |way| &way.on)
    }
}

impl Way {
    /// Whether WebSockets with this path are its own.
    fn serves(&self, path: &str) -> bool {
        self.web_socket.as_ref().is_some_and(|options| options.rules.paths.contains(path))
    }
}

impl Routes {
    /// Whether it takes a ClientHello to know where a client goes.
    fn go_by_hello(&self) -> bool {
        let open_web_sockets = self.ways.iter().any(|way| way.web_socket.is_some());
        let have_conditions = self.ways.len() > 1 || self.ways.iter().any(|way| way.when.is_some());
        have_conditions && !open_web_sockets
    }

    /// How WebSockets are opened, if they are: by the rules of every way, each for its own paths.
    pub(crate) fn web_socket(&self) -> Option<ServerOptions> {
        let mut all = self.ways.iter().filter_map(|way| way.web_socket.clone());
        let mut first = all.next()?;
        first.rules.others = all.map(|options| options.rules).collect();
        Some(first)
    }

    /// The TLS that clients begin with where it takes a ClientHello to know where they go.
    pub(crate) fn first_tls(&self) -> Result<Option<TlsServer>, TlsConfigError> {
        if !self.go_by_hello() {
            return Ok(None);
        }
        match self.ways.iter().find_map(|way| way.tls.clone()) {
            Some(tls) => Ok(Some(tls)),
            // Every client is handed on, or refused.
            None => TlsServer::builder(Identities::none()).build().map(Some),
        }
    }

    fn answer(&self, hello: &ClientHello, chosen: &OnceLock<usize>) -> HelloAnswer {
        let named =
            |way: &Way| way.when.as_ref().is_none_or(|when| when.has_name(hello.sni.as_deref()));
        let is_for = |way: &Way| {
            named(way) && way.when.as_ref().is_none_or(|when| when.has_protocol(&hello.alpn))
        };
        let Some(index) = self.ways.iter().position(is_for) else {
            return HelloAnswer::Refuse(if !hello.alpn.is_empty() && self.ways.iter().any(named) {
                AlertDescription::NO_APPLICATION_PROTOCOL
            } else {
                AlertDescription::UNRECOGNIZED_NAME
            });
        };
        // The first try is the only one.
        let _ = chosen.set(index);
        match &self.ways[index].tls {
            Some(tls) => HelloAnswer::Server(tls.clone()),
            None => HelloAnswer::PassThrough,
        }
    }
}
