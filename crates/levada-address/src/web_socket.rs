//! What an address says about a WebSocket.

use std::path::PathBuf;
use std::time::Duration;

use crate::address::Part;
use crate::{
    Address, AddressError, Deflate, Endpoint, Fault, Host, Http, Scheme, Value, ValueFault,
};

/// How to open a WebSocket to a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectWebSocket {
    /// The host as the request names it, with its port unless that is the scheme's own.
    pub host: String,
    /// The target of the request: a path, and a query if it has one.
    pub path: String,
    /// The Origin to name.
    pub origin: Option<String>,
    /// The subprotocols to offer, the preferred one first.
    pub subprotocols: Vec<String>,
    /// The file with more header fields, one `Name: value` a line.
    pub header_file: Option<PathBuf>,
    /// The version of HTTP that carries it: never `Auto` without TLS.
    pub http: Http,
    /// Whether text is taken as bytes.
    pub text_as_bytes: bool,
    /// Whether and how messages are compressed, where the server does it too.
    pub deflate: Deflate,
    /// How long nothing may come before the peer is pinged, and then for as long again before it
    /// counts as gone.
    pub ping: Option<Duration>,
}

/// How a listener opens WebSockets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenWebSocket {
    /// The only path that is served; `None` for every one.
    pub path: Option<String>,
    /// The Origins that browsers may come from; `None` for every one. Who names no Origin, and so is
    /// no browser, may come in any case.
    pub origins: Option<Vec<String>>,
    /// The subprotocols that are spoken, the preferred one first.
    pub subprotocols: Vec<String>,
    /// The versions of HTTP that carry them.
    pub http: Http,
    /// Whether text is taken as bytes.
    pub text_as_bytes: bool,
    /// Whether and how messages are compressed, where the client does it too.
    pub deflate: Deflate,
    /// How long nothing may come before the peer is pinged, and then for as long again before it
    /// counts as gone.
    pub ping: Option<Duration>,
}

impl Address {
    pub(crate) fn connect_web_socket(&self) -> Result<Option<ConnectWebSocket>, AddressError> {
        if !self.scheme().is_web_socket() {
            return Ok(None);
        }
        let options = self.options();
        let own_port = if self.scheme() == Scheme::Wss { 443 } else { 80 };
        let host = match self.endpoint() {
            Endpoint::Tcp { host: Some(host), port } if *port == own_port => host.to_string(),
            Endpoint::Tcp { host: Some(host), port } => format!("{host}:{port}"),
            _ => Host::Name("localhost".to_owned()).to_string(),
        };
        let origin = options.get("origin").map(ToString::to_string);
        if origin.as_ref().is_some_and(|origin| origin == "any" || origin.contains('*')) {
            let hint = "name the one that the request is to have";
            return Err(self.wrong(Part::Word("origin"), ValueFault::NotOneOrigin, Some(hint)));
        }
        Ok(Some(ConnectWebSocket {
            host,
            path: options.get("path").map_or_else(|| "/".to_owned(), ToString::to_string),
            origin,
            subprotocols: self.subprotocols().unwrap_or_default(),
            header_file: options.path("header-file"),
            http: match self.http() {
                // Nothing is there to negotiate it.
                Http::Auto if self.scheme() != Scheme::Wss => Http::V1,
                http => http,
            },
            text_as_bytes: self.text_as_bytes(),
            deflate: self.deflate(),
            ping: options.time_limit("ping").duration(),
        }))
    }

    pub(crate) fn listen_web_socket(&self) -> Result<Option<ListenWebSocket>, AddressError> {
        if !self.scheme().is_web_socket() {
            return Ok(None);
        }
        let options = self.options();
        let path = options.get("path").map(ToString::to_string);
        if path.as_ref().is_some_and(|path| path.contains('?')) {
            let hint = "clients may send any query";
            return Err(self.wrong(Part::Word("path"), Fault::Query, Some(hint)));
        }
        let origins: Vec<_> = options.values("origin").map(ToString::to_string).collect();
        let any = origins.iter().any(|origin| origin == "any");
        Ok(Some(ListenWebSocket {
            path,
            origins: (!any).then_some(origins),
            subprotocols: self.subprotocols().unwrap_or_else(|| vec!["binary".to_owned()]),
            http: self.http(),
            text_as_bytes: self.text_as_bytes(),
            deflate: self.deflate(),
            ping: options.time_limit("ping").duration(),
        }))
    }

    fn http(&self) -> Http {
        match self.options().get("http") {
            Some(Value::Http(http)) => *http,
            _ => Http::default(),
        }
    }

    /// The application protocols of TLS, the preferred one first: those that HTTP needs, or those of
    /// the address.
    pub(crate) fn alpn(&self) -> Result<Vec<Vec<u8>>, AddressError> {
        let alpn = self.options().alpn();
        let needed: &[&[u8]] = match self.http() {
            Http::V1 => return Ok(alpn),
            Http::V2 => &[b"h2"],
            Http::Auto => &[b"h2", b"http/1.1"],
        };
        if alpn.is_empty() {
            return Ok(needed.iter().map(|name| name.to_vec()).collect());
        }
        let fault = Fault::OptionsContradict("http", "alpn");
        Err(self.wrong(Part::Word("http"), fault, Some("leave `alpn` away: `http` chooses it")))
    }

    fn subprotocols(&self) -> Option<Vec<String>> {
        match self.options().get("subprotocol") {
            Some(Value::Subprotocols(names)) => Some(names.clone()),
            _ => None,
        }
    }

    fn text_as_bytes(&self) -> bool {
        self.options().switch("text-as-bytes")
    }

    fn deflate(&self) -> Deflate {
        match self.options().get("deflate") {
            Some(Value::Deflate(deflate)) => *deflate,
            _ => Deflate::Off,
        }
    }
}
