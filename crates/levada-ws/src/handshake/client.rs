//! The client's side: sends one request, reads one response.

use alloc::borrow::ToOwned;
use alloc::string::String;
use alloc::vec::Vec;

use super::field::{Field, Fields};
use super::head::{Head, HeadError};
use super::{Limits, Offer, Progress, Rejection, accept_of, key_of};
#[cfg(feature = "deflate")]
use crate::deflate::Params;

/// Renders the request and reads the server's response as it arrives. Holds at most
/// [`Limits::bytes`] of the latter.
#[derive(Clone, Debug)]
pub struct ClientHandshake {
    offer: Offer,
    key: String,
    head: Head,
    limits: Limits,
}

/// A server's acceptance: the WebSocket is open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    subprotocol: Option<String>,
    #[cfg(feature = "deflate")]
    deflate: Option<Params>,
    fields: Fields,
}

impl ClientHandshake {
    /// A handshake that has sent nothing. The nonce is to be random and never used again
    /// (RFC 6455 §4.1).
    pub fn new(offer: Offer, nonce: [u8; 16], limits: Limits) -> Self {
        Self { offer, key: key_of(nonce), head: Head::new(limits.bytes), limits }
    }

    /// The request to send.
    pub fn request(&self) -> Vec<u8> {
        self.offer.render(&self.key)
    }

    /// Takes bytes up to the end of the response's head.
    ///
    /// # Errors
    ///
    /// Why the response does not open a WebSocket; end the connection.
    pub fn handle_wire(&mut self, wire: &[u8]) -> Result<Progress<Response>, Rejection> {
        let (consumed, complete) = self.head.push(wire).map_err(|error| match error {
            HeadError::TooLong => Rejection::HeadTooLong,
            HeadError::BadByte => Rejection::BadHead,
        })?;
        let head = complete.then(|| self.read()).transpose()?;
        Ok(Progress { consumed, head })
    }

    /// The carrier's end before the response's.
    pub fn handle_eof(&self) -> Rejection {
        Rejection::Truncated
    }

    fn read(&self) -> Result<Response, Rejection> {
        let mut headers = alloc::vec![httparse::EMPTY_HEADER; self.limits.fields];
        let mut response = httparse::Response::new(&mut headers);
        match response.parse(self.head.bytes()) {
            Ok(httparse::Status::Complete(len)) if len == self.head.bytes().len() => {}
            Err(httparse::Error::TooManyHeaders) => return Err(Rejection::TooManyFields),
            Ok(_) | Err(_) => return Err(Rejection::BadHead),
        }
        let fields = Fields::new(response.headers);
        if response.version != Some(1) {
            return Err(Rejection::HttpVersion);
        }
        match response.code {
            Some(101) => {}
            Some(status) => return Err(Rejection::Status { status, fields: fields.0 }),
            None => return Err(Rejection::BadHead),
        }
        if !fields.lists("upgrade", "websocket") {
            return Err(Rejection::Upgrade);
        }
        if !fields.lists("connection", "upgrade") {
            return Err(Rejection::Connection);
        }
        let accept = fields.single("sec-websocket-accept").ok().flatten();
        if accept.ok_or(Rejection::AcceptMissing)? != accept_of(&self.key) {
            return Err(Rejection::AcceptWrong);
        }
        Response::agreed(&self.offer, fields)
    }
}

impl Response {
    /// The response to an extended CONNECT (RFC 8441 §5), whose fields an HTTP/2 codec has read.
    ///
    /// # Errors
    ///
    /// Why it does not open a WebSocket; end the stream.
    pub fn from_extended_connect<'a>(
        offer: &Offer,
        status: u16,
        fields: impl IntoIterator<Item = (&'a str, &'a [u8])>,
    ) -> Result<Self, Rejection> {
        let fields = Fields::read(fields);
        match status {
            200..=299 => Self::agreed(offer, fields),
            _ => Err(Rejection::Status { status, fields: fields.0 }),
        }
    }

    /// An acceptance, if it names nothing that was not offered.
    fn agreed(offer: &Offer, fields: Fields) -> Result<Self, Rejection> {
        let mut extensions = fields.list("sec-websocket-extensions");
        #[cfg(feature = "deflate")]
        let deflate = match extensions.next() {
            Some(extension) => {
                let unasked = || Rejection::Extension(extension.to_owned());
                Some(offer.agreed(extension).ok_or_else(unasked)?)
            }
            None => None,
        };
        if let Some(extension) = extensions.next() {
            return Err(Rejection::Extension(extension.to_owned()));
        }
        drop(extensions);
        let mut chosen = fields.list("sec-websocket-protocol");
        let subprotocol = chosen.next().map(ToOwned::to_owned);
        let unasked = subprotocol.as_deref().filter(|name| !offer.offers(name));
        if let Some(name) = chosen.next().or(unasked) {
            return Err(Rejection::Subprotocol(name.to_owned()));
        }
        drop(chosen);
        Ok(Self {
            subprotocol,
            #[cfg(feature = "deflate")]
            deflate,
            fields,
        })
    }

    /// The subprotocol that the server chose; `None` when it speaks none of those offered.
    pub fn subprotocol(&self) -> Option<&str> {
        self.subprotocol.as_deref()
    }

    /// How messages are compressed from now on; `None` when they are not.
    #[cfg(feature = "deflate")]
    pub fn deflate(&self) -> Option<Params> {
        self.deflate
    }

    /// All header fields, in their order.
    pub fn fields(&self) -> &[Field] {
        &self.fields.0
    }
}
