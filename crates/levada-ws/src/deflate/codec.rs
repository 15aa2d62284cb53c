//! Compressing and decompressing the payload of messages (RFC 7692 section 7.2).

use alloc::vec::Vec;
use core::fmt;

use zlib_rs::{Deflate, DeflateFlush, Inflate, InflateFlush, Status};

use super::Params;
use crate::Role;

/// What a sender takes off the end of each message, and a receiver puts there.
const TAIL: [u8; 4] = [0, 0, 0xff, 0xff];

/// The compression level. For text it takes half the time of zlib's own default, 6, and gives a sixteenth
/// more bytes; below 2, what does not shrink would grow by a twentieth.
const LEVEL: i32 = 3;

/// Compressed data that does not decompress.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Corrupt;

impl fmt::Display for Corrupt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("compressed data that does not decompress")
    }
}

impl core::error::Error for Corrupt {}

/// How far a call of an [`Inflater`] went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Inflated {
    /// How many of the compressed bytes are done with.
    pub consumed: usize,
    /// How many bytes of the buffer are filled.
    pub filled: usize,
    /// Whether all that the bytes so far say has been given; else the buffer is full.
    pub is_done: bool,
}

/// Decompresses the messages of the peer, into whatever room there is.
pub struct Inflater {
    /// There while a message is under way, and between two where the window is kept.
    inner: Option<Inflate>,
    keeps_window: bool,
    /// How much of the tail was given, at the end of a message.
    tail: usize,
}

impl Inflater {
    /// For what the peer of `role` sends.
    pub fn new(role: Role, params: Params) -> Self {
        let keeps_window = !match role {
            Role::Client => params.server_no_context_takeover,
            Role::Server => params.client_no_context_takeover,
        };
        Self { inner: None, keeps_window, tail: 0 }
    }

    /// Takes a piece of a message's payload; to be called again with what is left of it until that is
    /// done. `ends_message`: nothing follows the piece in its message.
    ///
    /// # Errors
    ///
    /// When it does not decompress. Nothing can be done with the connection then.
    pub fn inflate(
        &mut self,
        piece: &[u8],
        ends_message: bool,
        out: &mut [u8],
    ) -> Result<Inflated, Corrupt> {
        let (mut consumed, mut filled) = (0, 0);
        loop {
            let is_tail = consumed == piece.len() && ends_message;
            let input = if is_tail { &TAIL[self.tail..] } else { &piece[consumed..] };
            let (read, written, status) = self.step(input, &mut out[filled..])?;
            filled += written;
            if is_tail {
                self.tail += read;
            } else {
                consumed += read;
            }
            let is_full = filled == out.len();
            let is_over =
                if ends_message { self.tail == TAIL.len() } else { consumed == piece.len() };
            // With room left, all that was taken in has been given.
            if is_over && !is_full {
                if ends_message {
                    self.end_message();
                }
                return Ok(Inflated { consumed, filled, is_done: true });
            }
            if is_full {
                return Ok(Inflated { consumed, filled, is_done: false });
            }
            if read == 0 && written == 0 && status != Status::StreamEnd {
                return Err(Corrupt);
            }
        }
    }

    fn step(&mut self, input: &[u8], out: &mut [u8]) -> Result<(usize, usize, Status), Corrupt> {
        // The largest window takes what any other one makes.
        let inner = self.inner.get_or_insert_with(|| Inflate::new(false, 15));
        let before = (inner.total_in(), inner.total_out());
        let status = inner.decompress(input, out, InflateFlush::SyncFlush).map_err(|_| Corrupt)?;
        let read = (inner.total_in() - before.0) as usize;
        let written = (inner.total_out() - before.1) as usize;
        if status == Status::StreamEnd {
            // A sender may end its stream with a message, and begin another one (section 7.2.3.5).
            inner.reset(false);
        }
        Ok((read, written, status))
    }

    fn end_message(&mut self) {
        self.tail = 0;
        if !self.keeps_window {
            self.inner = None;
        }
    }
}

impl fmt::Debug for Inflater {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Inflater")
    }
}

/// Compresses our messages.
pub struct Deflater {
    /// There from the first message on where the window is kept.
    inner: Option<Deflate>,
    window_bits: u8,
    keeps_window: bool,
}

impl Deflater {
    /// For what `role` sends.
    pub fn new(role: Role, params: Params) -> Self {
        let (no_takeover, bits) = match role {
            Role::Client => (params.client_no_context_takeover, params.client_max_window_bits),
            Role::Server => (params.server_no_context_takeover, params.server_max_window_bits),
        };
        Self { inner: None, window_bits: bits.clamp(9, 15), keeps_window: !no_takeover }
    }

    /// Appends the compressed payload of one message to `out`.
    pub fn deflate(&mut self, mut message: &[u8], out: &mut Vec<u8>) {
        let start = out.len();
        let new = || Deflate::new(LEVEL, false, self.window_bits);
        let mut inner = self.inner.take().unwrap_or_else(new);
        loop {
            // What does not shrink grows by a few bytes in each 16 KiB.
            let end = out.len();
            out.resize(end + message.len() + message.len() / 1024 + 64, 0);
            let before = (inner.total_in(), inner.total_out());
            let status = inner.compress(message, &mut out[end..], DeflateFlush::SyncFlush);
            debug_assert!(status.is_ok(), "it has room, and a state of its own");
            message = &message[(inner.total_in() - before.0) as usize..];
            let filled = end + (inner.total_out() - before.1) as usize;
            let is_full = filled == out.len();
            out.truncate(filled);
            if !is_full || status.is_err() {
                break;
            }
        }
        if out[start..].ends_with(&TAIL) {
            out.truncate(out.len() - TAIL.len());
        }
        if out.len() == start {
            // A message of no bytes is an empty block (section 7.2.3.6).
            out.push(0);
        }
        self.inner = self.keeps_window.then_some(inner);
    }
}

impl fmt::Debug for Deflater {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Deflater")
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;

    fn params(no_takeover: bool, bits: u8) -> Params {
        Params {
            server_no_context_takeover: no_takeover,
            client_no_context_takeover: no_takeover,
            server_max_window_bits: bits,
            client_max_window_bits: bits,
        }
    }

    /// All that one message becomes, read in pieces of this size into a buffer of that.
    fn inflated(inflater: &mut Inflater, wire: &[u8], piece: usize, room: usize) -> Vec<u8> {
        let mut out = Vec::new();
        let mut buffer = vec![0; room];
        let count = wire.chunks(piece).count();
        for (index, mut rest) in wire.chunks(piece).enumerate() {
            loop {
                let got = inflater.inflate(rest, index + 1 == count, &mut buffer).unwrap();
                out.extend_from_slice(&buffer[..got.filled]);
                rest = &rest[got.consumed..];
                if got.is_done {
                    break;
                }
            }
        }
        out
    }

    #[test]
    fn what_is_compressed_comes_back_whatever_the_cuts() {
        let noise = (0..9_000_u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 13) as u8);
        let messages = [vec![], vec![7], b"levada ".repeat(6_000), noise.collect(), vec![]];
        for bits in [9, 12, 15] {
            for no_takeover in [false, true] {
                for (piece, room) in [(1, 1000), (1000, 1), (usize::MAX, 1 << 20), (17, 4096)] {
                    let params = params(no_takeover, bits);
                    let mut deflater = Deflater::new(Role::Server, params);
                    let mut inflater = Inflater::new(Role::Client, params);
                    for message in messages.iter().chain(&messages) {
                        let mut wire = Vec::new();
                        deflater.deflate(message, &mut wire);
                        assert!(!wire.is_empty());
                        let back = inflated(&mut inflater, &wire, piece, room);
                        assert!(back == *message, "{} bytes, {bits} bits", message.len());
                    }
                }
            }
        }
    }

    /// The examples of RFC 7692 section 7.2.3.
    #[test]
    fn the_examples_of_the_rfc_are_read() {
        let mut inflater = Inflater::new(Role::Client, Params::default());
        for wire in [
            &[0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00][..],
            // With the window of the one before.
            &[0xf2, 0x00, 0x11, 0x00, 0x00],
            // Without compression.
            &[0x00, 0x05, 0x00, 0xfa, 0xff, 0x48, 0x65, 0x6c, 0x6c, 0x6f, 0x00],
            // A last block (section 7.2.3.4), behind which another message is possible.
            &[0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x00],
            &[0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00],
        ] {
            assert_eq!(inflated(&mut inflater, wire, 2, 3), b"Hello", "{wire:x?}");
        }
    }

    #[test]
    fn what_does_not_decompress_is_an_error() {
        let mut inflater = Inflater::new(Role::Server, Params::default());
        assert_eq!(inflater.inflate(&[0xff; 10], true, &mut [0; 100]), Err(Corrupt));
    }
}
