//! The opening handshake, both roles (RFC 6455 §4).
//!
//! A server reads a [`Request`] with [`ServerHandshake`], lets its [`Rules`] judge it (or decides
//! by itself, for as long as it likes), and sends what [`Request::accept`] or
//! [`Refusal::to_response`] renders. A client sends the request of [`ClientHandshake`] and reads
//! the [`Response`].
//!
//! Neither takes a byte behind the head: `consumed` says where it ends, and what stands behind it
//! is the first of the connection.

mod client;
mod field;
mod head;
mod offer;
mod origin;
mod page;
mod refusal;
mod rejection;
mod request;
mod rules;
mod server;

use alloc::string::String;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
pub use client::{ClientHandshake, Response};
pub use field::{Field, FieldError, is_token};
pub use offer::{Offer, OfferError};
pub use origin::{OriginPattern, OriginPatternError, Origins, OwnOrigin};
pub use page::Page;
pub use refusal::Refusal;
pub use rejection::Rejection;
pub use request::{Answer, AnswerError, Request};
pub use rules::{Paths, Rules};
pub use server::ServerHandshake;
use sha1::{Digest as _, Sha1};

/// How much of a peer's head is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The head in bytes, its last empty line included. A handshake never holds more of it.
    pub bytes: usize,
    /// The header fields.
    pub fields: usize,
}

impl Default for Limits {
    /// 8 KiB and 64 fields.
    fn default() -> Self {
        Self { bytes: 8 * 1024, fields: 64 }
    }
}

/// How far a handshake went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress<T> {
    /// How many of the bytes given belong to the head. What stands behind it is not touched.
    pub consumed: usize,
    /// The head, when it is complete. When it is `None`, all bytes were consumed.
    pub head: Option<T>,
}

/// The Sec-WebSocket-Accept that proves that a Sec-WebSocket-Key was read (RFC 6455 §4.2.2).
pub fn accept_of(key: &str) -> String {
    let mut sha1 = Sha1::new();
    sha1.update(key.as_bytes());
    sha1.update(b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    BASE64.encode(sha1.finalize())
}

/// The Sec-WebSocket-Key of a nonce.
fn key_of(nonce: [u8; 16]) -> String {
    BASE64.encode(nonce)
}

/// Whether `key` is 16 bytes in base64.
fn is_key(key: &str) -> bool {
    BASE64.decode(key).is_ok_and(|nonce| nonce.len() == 16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_accept_of_the_rfc_example() {
        assert_eq!(accept_of("dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        assert_eq!(key_of(*b"the sample nonce"), "dGhlIHNhbXBsZSBub25jZQ==");
        assert!(is_key("dGhlIHNhbXBsZSBub25jZQ=="));
        assert!(!is_key("dGhlIHNhbXBsZSBub25jZQ"));
        assert!(!is_key("dGhlIHNhbXBsZQ=="));
    }
}
