//! A client's request as the server sees it, and the answer that accepts it.

use alloc::borrow::ToOwned;
use alloc::string::String;
#[cfg(feature = "deflate")]
use alloc::string::ToString as _;
use alloc::vec::Vec;
use core::fmt;

use super::field::{Fields, is_token};
use super::{Field, Limits, Refusal, accept_of, is_key};
#[cfg(feature = "deflate")]
use crate::deflate::Params;

/// A request to open a WebSocket, correct in form (RFC 6455 §4.2.1). Whether it is welcome is for
/// [`Rules`](super::Rules) or the application to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    target: String,
    fields: Fields,
    host: String,
    origin: Option<String>,
    subprotocols: Vec<String>,
    /// What proves that its key was read; empty in HTTP/2, which needs no proof.
    accept: String,
}

/// What the server adds to its acceptance.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// The subprotocol chosen among those offered.
    pub subprotocol: Option<String>,
    /// How messages are compressed from now on: [`Request::deflate`] says what the client takes. `None`
    /// is not at all.
    #[cfg(feature = "deflate")]
    pub deflate: Option<Params>,
    /// More header fields.
    pub fields: Vec<Field>,
}

/// An answer that has something in it which the client did not offer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AnswerError {
    /// The subprotocol.
    Subprotocol,
    /// Compression, or this way of it.
    Deflate,
}

impl fmt::Display for AnswerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Subprotocol => "the client did not offer the subprotocol that was chosen",
            Self::Deflate => "the client did not offer to compress messages so",
        })
    }
}

impl core::error::Error for AnswerError {}

impl Request {
    /// Reads a complete head.
    pub(super) fn parse(head: &[u8], limits: Limits) -> Result<Self, Refusal> {
        let mut headers = alloc::vec![httparse::EMPTY_HEADER; limits.fields];
        let mut request = httparse::Request::new(&mut headers);
        match request.parse(head) {
            Ok(httparse::Status::Complete(len)) if len == head.len() => {}
            Err(httparse::Error::TooManyHeaders) => return Err(Refusal::TooManyFields),
            Ok(_) | Err(_) => return Err(Refusal::BadHead),
        }
        let (Some(method), Some(target)) = (request.method, request.path) else {
            return Err(Refusal::BadHead);
        };
        let fields = Fields::new(request.headers);
        if method != "GET" {
            return Err(Refusal::Method);
        }
        if request.version != Some(1) {
            return Err(Refusal::HttpVersion);
        }
        let target = origin_form(target).ok_or(Refusal::Target)?.to_owned();
        let host = fields.single("host").ok().flatten().ok_or(Refusal::Host)?.to_owned();
        let has_length = fields.named("content-length").any(|field| field.value() != b"0");
        if has_length || fields.named("transfer-encoding").next().is_some() {
            return Err(Refusal::Body);
        }
        if !fields.lists("upgrade", "websocket") || !fields.lists("connection", "upgrade") {
            return Err(Refusal::NotAnUpgrade);
        }
        let key = fields.single("sec-websocket-key").ok().flatten().filter(|key| is_key(key));
        let accept = key.map(accept_of);
        let request = Self::asked(target, host, fields)?;
        Ok(Self { accept: accept.ok_or(Refusal::Key)?, ..request })
    }

    /// A request that has come as an extended CONNECT with `websocket` for its `:protocol` (RFC 8441 §5),
    /// and that an HTTP/2 codec has read: its `:path`, its `:authority` and its fields.
    ///
    /// [`accept_fields`](Self::accept_fields) answers it.
    ///
    /// # Errors
    ///
    /// What is wrong with its form; answer with [`Refusal::status`], [`Refusal::fields`] and
    /// [`Refusal::body`].
    pub fn from_extended_connect<'a>(
        path: &str,
        authority: Option<&str>,
        fields: impl IntoIterator<Item = (&'a str, &'a [u8])>,
        limits: Limits,
    ) -> Result<Self, Refusal> {
        let fields = Fields::read(fields);
        if fields.0.len() > limits.fields {
            return Err(Refusal::TooManyFields);
        }
        if !path.starts_with('/') {
            return Err(Refusal::Target);
        }
        let named = fields.single("host").map_err(|_| Refusal::Host)?;
        let host = authority.or(named).ok_or(Refusal::Host)?.to_owned();
        Self::asked(path.to_owned(), host, fields)
    }

    /// What a request asks for, whatever version of HTTP carries it.
    fn asked(target: String, host: String, fields: Fields) -> Result<Self, Refusal> {
        if fields.single("sec-websocket-version") != Ok(Some("13")) {
            return Err(Refusal::Version);
        }
        let origin = fields.single("origin").map_err(|_| Refusal::Origin)?.map(ToOwned::to_owned);
        let mut subprotocols = Vec::new();
        for offered in fields.list("sec-websocket-protocol") {
            if !is_token(offered) || subprotocols.iter().any(|earlier| earlier == offered) {
                return Err(Refusal::Subprotocol);
            }
            subprotocols.push(offered.to_owned());
        }
        let accept = String::new();
        Ok(Self { target, fields, host, origin, subprotocols, accept })
    }

    /// Path and query, such as `/chat?room=1`; never decoded.
    pub fn target(&self) -> &str {
        &self.target
    }

    /// The target without its query.
    pub fn path(&self) -> &str {
        self.target.split_once('?').map_or(&*self.target, |(path, _)| path)
    }

    /// The Host that the client wants, with its port if it named one.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The web page that asks. Absent when the client is no browser.
    pub fn origin(&self) -> Option<&str> {
        self.origin.as_deref()
    }

    /// The subprotocols offered, most wanted first.
    pub fn subprotocols(&self) -> &[String] {
        &self.subprotocols
    }

    /// All header fields, in their order.
    pub fn fields(&self) -> &[Field] {
        &self.fields.0
    }

    /// What a server that wants this makes of the client's offers to compress messages: the first that can
    /// be kept (RFC 7692 section 7.1); `None` where there is none. It is for [`Answer::deflate`].
    #[cfg(feature = "deflate")]
    pub fn deflate(&self, wanted: Params) -> Option<Params> {
        self.fields.list("sec-websocket-extensions").find_map(|offer| wanted.accept(offer))
    }

    /// The header fields of an answer, whatever version of HTTP carries it: with status 200 they are the
    /// response to an extended CONNECT (RFC 8441 §5).
    ///
    /// # Errors
    ///
    /// When the answer has something in it that was not offered.
    pub fn accept_fields(&self, answer: &Answer) -> Result<Vec<Field>, AnswerError> {
        let mut fields = Vec::new();
        if let Some(chosen) = &answer.subprotocol {
            if !self.subprotocols.contains(chosen) {
                return Err(AnswerError::Subprotocol);
            }
            fields.push(Field::raw("Sec-WebSocket-Protocol", chosen.as_str()));
        }
        #[cfg(feature = "deflate")]
        if let Some(agreed) = answer.deflate {
            if self.deflate(agreed) != Some(agreed) {
                return Err(AnswerError::Deflate);
            }
            fields.push(Field::raw("Sec-WebSocket-Extensions", agreed.to_string()));
        }
        fields.extend_from_slice(&answer.fields);
        Ok(fields)
    }

    /// The response by HTTP/1.1 that opens the WebSocket. What the client sends from its first byte on
    /// belongs to the connection.
    ///
    /// # Errors
    ///
    /// When the answer has something in it that was not offered.
    pub fn accept(&self, answer: &Answer) -> Result<Vec<u8>, AnswerError> {
        let mut head = Vec::from(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
              Sec-WebSocket-Accept: ",
        );
        head.extend_from_slice(self.accept.as_bytes());
        head.extend_from_slice(b"\r\n");
        for field in self.accept_fields(answer)? {
            field.render(&mut head);
        }
        head.extend_from_slice(b"\r\n");
        Ok(head)
    }
}

/// Path and query of a target, which may also be an absolute http URI (RFC 6455 §4.2.1).
fn origin_form(target: &str) -> Option<&str> {
    if target.starts_with('/') {
        return Some(target);
    }
    let (scheme, rest) = target.split_once("://")?;
    if !["http", "https", "ws", "wss"].iter().any(|known| scheme.eq_ignore_ascii_case(known)) {
        return None;
    }
    match rest.find(['/', '?']) {
        Some(start) if rest[start..].starts_with('/') => Some(&rest[start..]),
        Some(_) => None,
        None => Some("/"),
    }
}
