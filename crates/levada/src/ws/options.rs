//! How a WebSocket is to behave, and what its opening handshake asks and answers.

use levada_core::{Deadlines, Facts};
use levada_ws::connection::{CloseReply, Config, Keepalive, TextPolicy};
use levada_ws::frame::SizeLimits;
use levada_ws::handshake::{Limits, Offer, OfferError, Rules};

/// How a [`WsStream`](crate::WsStream) is to behave.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct WsOptions {
    /// What becomes of text: refused with 1003 by default.
    pub text: TextPolicy,
    /// When the peer's Close frame is answered: at once by default.
    pub close_reply: CloseReply,
    /// Own pings, and how long nothing may come after one. Off by default.
    pub keepalive: Option<Keepalive>,
    /// The largest frame and message that are taken, in bytes. No limit by default, since a byte
    /// stream holds neither.
    pub limits: SizeLimits,
    /// Of these `handshake` (10 s), `close` (120 s without a byte either way) and `idle` (off) are
    /// used.
    pub deadlines: Deadlines,
    /// What is known about the carrier: a [`Socket`](crate::Socket)'s
    /// [`facts`](crate::Socket::facts), say. They become part of the stream's own.
    pub facts: Facts,
}

impl WsOptions {
    pub(super) fn config(&self) -> Config {
        let mut config = Config::default();
        config.text = self.text;
        config.close_reply = self.close_reply;
        config.keepalive = self.keepalive;
        config.close_deadline = self.deadlines.close;
        config.limits = self.limits;
        config
    }
}

/// What a client asks for, and how its stream is to behave.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ClientOptions {
    /// The request: host, path, subprotocols, Origin, more header fields.
    pub offer: Offer,
    /// How much of the server's response is taken.
    pub limits: Limits,
    /// How the stream is to behave.
    pub stream: WsOptions,
}

impl ClientOptions {
    /// A request to `host` (with its port, unless it is the default one) for `target` (path and
    /// query, such as `/chat?room=1`).
    ///
    /// # Errors
    ///
    /// When one of them cannot stand in a request.
    pub fn new(host: &str, target: &str) -> Result<Self, OfferError> {
        Offer::new(host, target).map(Self::from)
    }
}

impl From<Offer> for ClientOptions {
    fn from(offer: Offer) -> Self {
        Self { offer, limits: Limits::default(), stream: WsOptions::default() }
    }
}

/// Whom a server lets in, and how its streams are to behave. The default lets everybody in.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct ServerOptions {
    /// The paths, Origins and subprotocols that are welcome.
    pub rules: Rules,
    /// How much of the client's request is taken.
    pub limits: Limits,
    /// How the streams are to behave.
    pub stream: WsOptions,
}
