//! WebSockets over HTTP/2 (RFC 8441): each is a stream of a connection, opened by an extended CONNECT.
//!
//! The connection is a [`Socket`](crate::Socket), plain or under TLS, in the hands of hyper. The one
//! task that drives it ([`link`]) is the only one that a stream of ours has: HTTP/2 has to read for all
//! its streams, whoever of them is asleep. Each stream is the carrier ([`exchange`]) of a socket of its
//! own, and above that all is as over HTTP/1.1: the rules, the opening handshake's life, the frames.
//!
//! [`client`] opens one stream on a connection of its own, [`server`] hands out as many as its clients
//! ask for.

pub(crate) mod client;
mod exchange;
mod link;
pub(crate) mod server;

use std::time::Duration;

/// Bytes that a peer may send on one stream before they are read: what a stream that is not read costs.
const STREAM_WINDOW: u32 = 256 * 1024;

/// Streams at once on one connection that we accept.
const STREAMS: u32 = 100;

/// Bytes that a peer may send on all streams of a connection: enough for each to be left unread while
/// the others go on.
const CONNECTION_WINDOW: u32 = STREAMS * STREAM_WINDOW;

/// Bytes of one stream that wait for the connection.
const SEND_BUFFER: usize = 256 * 1024;

/// How long a connection without streams may take to end once it is to.
const LINGER: Duration = Duration::from_secs(2);

/// The name of HTTP/2 in ALPN (RFC 9113 section 3.2).
const ALPN: &str = "h2";

/// The fact that tells that HTTP/2 carries a WebSocket.
pub(crate) const VERSION: &str = "2";

/// The header fields of a head, as levada-ws reads them.
fn fields(headers: &hyper::HeaderMap) -> impl Iterator<Item = (&str, &[u8])> {
    headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes()))
}

#[cfg(test)]
mod tests;
