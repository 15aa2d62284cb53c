//! What a client asks for.

use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use super::Field;
use super::field::{is_token, is_value};
#[cfg(feature = "deflate")]
use crate::deflate::Params;

/// A client's request, checked: whatever it holds can be sent (RFC 6455 §4.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    host: String,
    target: String,
    origin: Option<String>,
    subprotocols: Vec<String>,
    #[cfg(feature = "deflate")]
    deflate: Option<Params>,
    fields: Vec<Field>,
}

/// Why a request cannot be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OfferError {
    /// The host is empty or has a character that no authority may have.
    Host,
    /// The target does not begin with a slash, has a fragment, or has a character that is to be
    /// percent-encoded.
    Target,
    /// The origin has a forbidden character.
    Origin,
    /// A subprotocol is no token.
    Subprotocol,
    /// A subprotocol is offered twice.
    SubprotocolTwice,
}

impl fmt::Display for OfferError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Host => "the host cannot stand in a request",
            Self::Target => "the target cannot stand in a request",
            Self::Origin => "the origin cannot stand in a request",
            Self::Subprotocol => "a subprotocol is no token",
            Self::SubprotocolTwice => "a subprotocol is offered twice",
        })
    }
}

impl core::error::Error for OfferError {}

impl Offer {
    /// A request to `host` (with its port, unless it is the default one) for `target` (path and
    /// query, such as `/chat?room=1`).
    ///
    /// # Errors
    ///
    /// When one of them cannot stand in a request.
    pub fn new(host: &str, target: &str) -> Result<Self, OfferError> {
        let is_host = |byte: u8| byte.is_ascii_graphic() && !b"/?#@\\".contains(&byte);
        if host.is_empty() || !host.bytes().all(is_host) {
            return Err(OfferError::Host);
        }
        let is_target = |byte: u8| byte.is_ascii_graphic() && byte != b'#';
        if !target.starts_with('/') || !target.bytes().all(is_target) {
            return Err(OfferError::Target);
        }
        Ok(Self {
            host: host.to_owned(),
            target: target.to_owned(),
            origin: None,
            subprotocols: Vec::new(),
            #[cfg(feature = "deflate")]
            deflate: None,
            fields: Vec::new(),
        })
    }

    /// Names the Origin on whose behalf we ask, as browsers do.
    ///
    /// # Errors
    ///
    /// When it is empty or has a forbidden character.
    pub fn with_origin(mut self, origin: &str) -> Result<Self, OfferError> {
        if origin.is_empty() || !is_value(origin) {
            return Err(OfferError::Origin);
        }
        self.origin = Some(origin.to_owned());
        Ok(self)
    }

    /// Offers one more subprotocol, less wanted than those before.
    ///
    /// # Errors
    ///
    /// When it is no token, or is offered already.
    pub fn with_subprotocol(mut self, subprotocol: &str) -> Result<Self, OfferError> {
        if !is_token(subprotocol) {
            return Err(OfferError::Subprotocol);
        }
        if self.offers(subprotocol) {
            return Err(OfferError::SubprotocolTwice);
        }
        self.subprotocols.push(subprotocol.to_owned());
        Ok(self)
    }

    /// Offers to compress messages.
    #[cfg(feature = "deflate")]
    #[must_use]
    pub fn with_deflate(mut self, wanted: Params) -> Self {
        self.deflate = Some(wanted);
        self
    }

    /// What a server has made of our offer to compress; `None` where it is none that it could make.
    #[cfg(feature = "deflate")]
    pub(super) fn agreed(&self, extension: &str) -> Option<Params> {
        self.deflate?.agreed(extension)
    }

    /// Adds a header field.
    #[must_use]
    pub fn with_field(mut self, field: Field) -> Self {
        self.fields.push(field);
        self
    }

    /// Whether this subprotocol is offered.
    pub(super) fn offers(&self, subprotocol: &str) -> bool {
        self.subprotocols.iter().any(|offered| offered == subprotocol)
    }

    /// The host, with its port if that was named: the `:authority` of HTTP/2.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Path and query: the `:path` of HTTP/2.
    pub fn target(&self) -> &str {
        &self.target
    }

    /// The header fields that say what is asked for, whatever version of HTTP carries them: with them
    /// and `:protocol`, an extended CONNECT is whole (RFC 8441 §5).
    pub fn fields(&self) -> Vec<Field> {
        let mut fields = Vec::from([Field::raw("Sec-WebSocket-Version", "13")]);
        fields.extend(self.origin.as_deref().map(|origin| Field::raw("Origin", origin)));
        if !self.subprotocols.is_empty() {
            fields.push(Field::raw("Sec-WebSocket-Protocol", self.subprotocols.join(", ")));
        }
        #[cfg(feature = "deflate")]
        if let Some(wanted) = &self.deflate {
            fields.push(Field::raw("Sec-WebSocket-Extensions", wanted.offer()));
        }
        fields.extend_from_slice(&self.fields);
        fields
    }

    /// The head of a request by HTTP/1.1.
    pub(super) fn render(&self, key: &str) -> Vec<u8> {
        let Self { host, target, .. } = self;
        let mut head = format!(
            "GET {target} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Key: {key}\r\n"
        )
        .into_bytes();
        for field in self.fields() {
            field.render(&mut head);
        }
        head.extend_from_slice(b"\r\n");
        head
    }
}
