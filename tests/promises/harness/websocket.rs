//! A WebSocket made by hand (RFC 6455), which does what no library lets it do.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};

use levada::ws::accept_of;

use super::PATIENCE;

/// The kinds of frames.
pub(crate) const TEXT: u8 = 1;
pub(crate) const BINARY: u8 = 2;
const CLOSE: u8 = 8;
pub(crate) const PING: u8 = 9;
pub(crate) const PONG: u8 = 10;
/// Beside the kind of a message's first frame: it is compressed (RFC 7692 section 6).
pub(crate) const COMPRESSED: u8 = 0x40;

/// A request as a browser sends it (RFC 6455 section 1.3), with these fields beside.
pub(crate) fn request(path: &str, fields: &str) -> String {
    format!(
        "GET {path} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n{fields}\r\n"
    )
}

/// Whether an end says that messages were compressed as it was asked to.
#[track_caller]
pub(crate) fn assert_compressed(ended: &serde_json::Value, deflate: &str) {
    let extension = &ended["facts"]["web_socket"]["extension"];
    let extension = extension.as_str().unwrap_or("none");
    let (wanted, is_fresh) = match deflate {
        "off" => ("none", false),
        "on" => ("permessage-deflate", false),
        _ => ("permessage-deflate", true),
    };
    assert_eq!(extension.split(';').next(), Some(wanted), "{extension}");
    assert_eq!(extension.contains("server_no_context_takeover"), is_fresh, "{extension}");
}

/// One end of a WebSocket over TCP that is open.
#[derive(Debug)]
pub(crate) struct WebSocket {
    pub(crate) tcp: TcpStream,
    is_client: bool,
    /// The head that the peer has sent.
    pub(crate) head: String,
}

impl WebSocket {
    /// Opens one as a client.
    #[track_caller]
    pub(crate) fn open(server: SocketAddr, path: &str) -> Self {
        Self::open_with(server, path, "")
    }

    /// Opens one as a client, with these fields in its request.
    #[track_caller]
    pub(crate) fn open_with(server: SocketAddr, path: &str, fields: &str) -> Self {
        let tcp = TcpStream::connect(server).unwrap();
        tcp.set_read_timeout(Some(PATIENCE)).unwrap();
        tcp.set_write_timeout(Some(PATIENCE)).unwrap();
        Self::open_on(tcp, path, fields)
    }

    /// The same on a connection that is there.
    #[track_caller]
    pub(crate) fn open_on(mut tcp: TcpStream, path: &str, fields: &str) -> Self {
        tcp.write_all(request(path, fields).as_bytes()).unwrap();
        let head = head(&mut tcp);
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        Self { tcp, is_client: true, head }
    }

    /// Opens one as the server of a client that asks.
    #[track_caller]
    pub(crate) fn accept(tcp: TcpStream) -> Self {
        Self::accept_with(tcp, "")
    }

    /// Opens one as the server of a client that asks, with these fields in its answer.
    #[track_caller]
    pub(crate) fn accept_with(mut tcp: TcpStream, fields: &str) -> Self {
        let head = head(&mut tcp);
        let key = head.lines().find_map(|line| line.strip_prefix("Sec-WebSocket-Key: "));
        let accept = accept_of(key.expect("a request has a key"));
        let answer = format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: {accept}\r\n{fields}\r\n"
        );
        tcp.write_all(answer.as_bytes()).unwrap();
        Self { tcp, is_client: false, head }
    }

    /// Another hand on the same end, for a thread of its own.
    pub(crate) fn another(&self) -> Self {
        let Self { tcp, is_client, head } = self;
        Self { tcp: tcp.try_clone().unwrap(), is_client: *is_client, head: head.clone() }
    }

    /// A frame that is a whole message. A client's mask is of zeros, which leaves the bytes as they are.
    pub(crate) fn frame(&self, kind: u8, payload: &[u8]) -> Vec<u8> {
        let mut frame = self.head(kind, payload.len() as u64);
        frame.extend_from_slice(payload);
        frame
    }

    /// The head of such a frame.
    pub(crate) fn head(&self, kind: u8, len: u64) -> Vec<u8> {
        let mask = if self.is_client { 0x80 } else { 0 };
        let mut head = vec![0x80 | kind];
        match len {
            0..=125 => head.push(mask | len as u8),
            126..=0xffff => {
                head.push(mask | 0x7e);
                head.extend_from_slice(&(len as u16).to_be_bytes());
            }
            _ => {
                head.push(mask | 0x7f);
                head.extend_from_slice(&len.to_be_bytes());
            }
        }
        if self.is_client {
            head.extend_from_slice(&[0; 4]);
        }
        head
    }

    #[track_caller]
    pub(crate) fn send(&mut self, kind: u8, payload: &[u8]) {
        let frame = self.frame(kind, payload);
        self.tcp.write_all(&frame).unwrap();
    }

    /// Sends a Close frame with this code.
    #[track_caller]
    pub(crate) fn close(&mut self, code: u16) {
        self.send(CLOSE, &code.to_be_bytes());
    }

    /// The next frame: its kind, and its payload without the mask.
    #[track_caller]
    pub(crate) fn next(&mut self) -> (u8, Vec<u8>) {
        let mut head = [0; 2];
        self.tcp.read_exact(&mut head).unwrap();
        let len = match head[1] & 0x7f {
            126 => {
                let mut len = [0; 2];
                self.tcp.read_exact(&mut len).unwrap();
                u64::from(u16::from_be_bytes(len))
            }
            127 => {
                let mut len = [0; 8];
                self.tcp.read_exact(&mut len).unwrap();
                u64::from_be_bytes(len)
            }
            len => u64::from(len),
        };
        let mut mask = [0; 4];
        assert_eq!(head[1] & 0x80 != 0, !self.is_client, "clients mask, and servers do not");
        if !self.is_client {
            self.tcp.read_exact(&mut mask).unwrap();
        }
        let mut payload = vec![0; usize::try_from(len).unwrap()];
        self.tcp.read_exact(&mut payload).unwrap();
        payload.iter_mut().zip(mask.iter().cycle()).for_each(|(byte, mask)| *byte ^= mask);
        (head[0] & 0xf, payload)
    }

    /// The data up to the peer's Close frame, and the code of that. Pings are left without an answer.
    #[track_caller]
    pub(crate) fn rest(&mut self) -> (Vec<u8>, Option<u16>) {
        let mut data = Vec::new();
        loop {
            match self.next() {
                (CLOSE, body) => {
                    let code = body.first_chunk().map(|code| u16::from_be_bytes(*code));
                    return (data, code);
                }
                (PING | PONG, _) => {}
                (_, payload) => data.extend_from_slice(&payload),
            }
        }
    }

    /// The data up to so many bytes, as they come.
    #[track_caller]
    pub(crate) fn take(&mut self, count: usize) -> Vec<u8> {
        let mut data = Vec::new();
        while data.len() < count {
            let (kind, payload) = self.next();
            assert!(
                ![CLOSE, TEXT].contains(&kind),
                "a frame of kind {kind} behind {} bytes",
                data.len()
            );
            if kind <= BINARY {
                data.extend_from_slice(&payload);
            }
        }
        data
    }

    /// Waits until the peer has ended the connection: whether it did so in order.
    #[track_caller]
    pub(crate) fn is_ended_in_order(&mut self) -> bool {
        self.tcp.read(&mut [0]).is_ok_and(|count| {
            assert_eq!(count, 0, "something came behind the last frame");
            true
        })
    }
}

/// A head of HTTP, read byte by byte so that nothing behind it is.
#[track_caller]
fn head(tcp: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        tcp.read_exact(&mut byte).unwrap();
        head.extend(byte);
    }
    String::from_utf8(head).unwrap()
}
