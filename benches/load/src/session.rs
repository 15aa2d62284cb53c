//! TLS without a socket: rustls' unbuffered client, which opens records where they lie.

use std::io;

use rustls::client::UnbufferedClientConnection;
use rustls::unbuffered::{ConnectionState, EncodeError, UnbufferedStatus};
use rustls::{CommonState, Error, HandshakeKind};
use serde_json::{Value, json};

/// What a record adds to its plaintext, at most: header, inner type and tag.
const OVERHEAD: usize = 32;

/// Plaintext bytes of a full record.
const RECORD: usize = 16 * 1024;

/// Plaintext bytes of an alert.
const ALERT: usize = 2;

pub(crate) struct Session {
    tls: UnbufferedClientConnection,
    peer_has_closed: bool,
}

impl Session {
    pub(crate) fn new(tls: UnbufferedClientConnection) -> Self {
        Self { tls, peer_has_closed: false }
    }

    /// Takes the whole records from the front of `wire` and shows their plaintext to `plain`. What
    /// is to be sent in answer is put behind `out`. The answer is how many bytes are done with.
    pub(crate) fn open(
        &mut self,
        wire: &mut [u8],
        out: &mut Vec<u8>,
        mut plain: impl FnMut(&[u8]) -> io::Result<()>,
    ) -> io::Result<usize> {
        let mut done = 0;
        loop {
            let UnbufferedStatus { mut discard, state, .. } =
                self.tls.process_tls_records(&mut wire[done..]);
            let mut waits = false;
            match state.map_err(io::Error::other)? {
                ConnectionState::ReadTraffic(mut traffic) => {
                    while let Some(record) = traffic.next_record() {
                        let record = record.map_err(io::Error::other)?;
                        discard += record.discard;
                        plain(record.payload)?;
                    }
                }
                ConnectionState::EncodeTlsData(mut data) => {
                    let begin = out.len();
                    if let Err(EncodeError::InsufficientSize(size)) = data.encode(&mut []) {
                        out.resize(begin + size.required_size, 0);
                    }
                    data.encode(&mut out[begin..]).map_err(io::Error::other)?;
                }
                // The caller sends all of `out` before it comes again.
                ConnectionState::TransmitTlsData(data) => data.done(),
                ConnectionState::PeerClosed => self.peer_has_closed = true,
                _ => waits = true,
            }
            done += discard;
            if waits {
                return Ok(done);
            }
        }
    }

    /// Puts `plain` behind `out`, in records.
    pub(crate) fn seal(&mut self, plain: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
        self.write(Some(plain), out)
    }

    /// Puts `close_notify` behind `out`.
    pub(crate) fn close(&mut self, out: &mut Vec<u8>) -> io::Result<()> {
        self.write(None, out)
    }

    fn write(&mut self, plain: Option<&[u8]>, out: &mut Vec<u8>) -> io::Result<()> {
        let UnbufferedStatus { state, .. } = self.tls.process_tls_records(&mut []);
        let ConnectionState::WriteTraffic(mut traffic) = state.map_err(io::Error::other)? else {
            return Err(io::Error::other("TLS cannot send now"));
        };
        let (begin, length) = (out.len(), plain.map_or(ALERT, <[u8]>::len));
        out.resize(begin + length + OVERHEAD * (1 + length / RECORD), 0);
        let room = &mut out[begin..];
        let written = match plain {
            Some(plain) => traffic.encrypt(plain, room),
            None => traffic.queue_close_notify(room),
        };
        out.truncate(begin + written.map_err(io::Error::other)?);
        Ok(())
    }

    pub(crate) fn is_handshaking(&self) -> bool {
        self.tls.is_handshaking()
    }

    pub(crate) fn peer_has_closed(&self) -> bool {
        self.peer_has_closed
    }

    pub(crate) fn is_resumed(&self) -> bool {
        self.tls.handshake_kind() == Some(HandshakeKind::Resumed)
    }

    /// Version, cipher suite and key exchange.
    pub(crate) fn negotiated(&self) -> Value {
        let state: &CommonState = &self.tls;
        let group = state.negotiated_key_exchange_group();
        json!({
            "version": state.protocol_version().map(|version| format!("{version:?}")),
            "suite": state.negotiated_cipher_suite().map(|suite| format!("{:?}", suite.suite())),
            "group": group.map(|group| format!("{:?}", group.name())),
        })
    }
}

/// How a refused configuration is told.
pub(crate) fn wrong(error: Error) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, error)
}
