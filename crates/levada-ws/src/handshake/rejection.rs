//! Why a client does not take a server's response.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use super::Field;

/// What a client found in the response instead of a WebSocket (RFC 6455 §4.1, RFC 8441 §5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rejection {
    /// The bytes are no HTTP/1.1 response.
    BadHead,
    /// The head is longer than our limit.
    HeadTooLong,
    /// The head has more fields than our limit.
    TooManyFields,
    /// The server answers with HTTP/1.0.
    HttpVersion,
    /// The status is not 101. The body, if any, stands behind the head.
    Status {
        /// The HTTP status.
        status: u16,
        /// The header fields: where to go instead, how to authenticate, when to try again.
        fields: Vec<Field>,
    },
    /// No Upgrade to websocket.
    Upgrade,
    /// No Connection that says upgrade.
    Connection,
    /// No Sec-WebSocket-Accept, or several: the server is no WebSocket server.
    AcceptMissing,
    /// A Sec-WebSocket-Accept that answers some other key: an old response from a cache.
    AcceptWrong,
    /// A subprotocol that we did not offer, or several.
    Subprotocol(String),
    /// An extension, none of which we offered.
    Extension(String),
    /// HTTP/2 was asked for, and the server has not chosen it (ALPN).
    NotHttp2,
    /// The server speaks HTTP/2, but opens nothing by extended CONNECT: it has not sent
    /// SETTINGS_ENABLE_CONNECT_PROTOCOL (RFC 8441 §3).
    NoExtendedConnect,
    /// The carrier ended before the head did.
    Truncated,
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::BadHead => "not an HTTP/1.1 response",
            Self::HeadTooLong => "the response's head is too long",
            Self::TooManyFields => "the response has too many header fields",
            Self::HttpVersion => "the server speaks HTTP/1.0",
            Self::Status { status, .. } => {
                return write!(f, "the server answered with status {status}");
            }
            Self::Upgrade => "the response does not upgrade to websocket",
            Self::Connection => "the response's Connection does not say upgrade",
            Self::AcceptMissing => "the response needs one Sec-WebSocket-Accept",
            Self::AcceptWrong => "the response's Sec-WebSocket-Accept answers another key",
            Self::Subprotocol(name) => {
                return write!(f, "the server chose the subprotocol {name:?}, not on offer");
            }
            Self::Extension(name) => {
                return write!(f, "the server chose the extension {name:?}, not on offer");
            }
            Self::NotHttp2 => "the server did not choose HTTP/2: ask by `http=1.1` or `http=auto`",
            Self::NoExtendedConnect => {
                "the server speaks HTTP/2, but opens no WebSockets over it: ask by `http=1.1` or \
                 `http=auto`"
            }
            Self::Truncated => "the carrier ended inside the response",
        })
    }
}

impl core::error::Error for Rejection {}
