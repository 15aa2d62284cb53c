//! What was read from the carrier and not delivered.

use std::ops::Range;

use levada_ws::Violation;
use levada_ws::deflate::Inflated;
use levada_ws::frame::Chunk;
use tokio::io::ReadBuf;

use super::room;

/// A caller's buffer from this size on is filled straight; for a smaller one we read and decompress
/// ahead.
pub(super) const DIRECT: usize = 4 * 1024;

/// Wire bytes that were read ahead, at most one read of them or the prefix; the payload that comes next;
/// and of a compressed message what a reader of small pieces has not taken yet.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    bytes: Vec<u8>,
    /// What was decompressed ahead.
    plain: Vec<u8>,
    /// The payload to be delivered next: in `plain` if that holds any, else it stands in `bytes`.
    ready: Range<usize>,
    /// Compressed payload in `bytes`, to be delivered before anything behind it is decoded.
    packed: Option<Packed>,
    /// Where the bytes begin that are not decoded.
    raw: usize,
}

/// What is left of a piece of a compressed message.
#[derive(Debug)]
struct Packed {
    left: Range<usize>,
    ends_message: bool,
}

impl Inbox {
    pub(super) fn new(prefix: Vec<u8>) -> Self {
        Self { bytes: prefix, ..Self::default() }
    }

    /// The payload to be delivered next.
    pub(super) fn ready(&self) -> &[u8] {
        let bytes = if self.plain.is_empty() { &self.bytes } else { &self.plain };
        &bytes[self.ready.clone()]
    }

    /// This much of it was.
    pub(super) fn consume(&mut self, count: usize) {
        self.ready.start += count.min(self.ready.len());
        self.tidy();
    }

    /// Whether payload was decoded that is not delivered, compressed or not.
    pub(super) fn holds_payload(&self) -> bool {
        !self.ready.is_empty() || self.packed.is_some()
    }

    pub(super) fn raw(&mut self) -> &mut [u8] {
        &mut self.bytes[self.raw..]
    }

    pub(super) fn has_raw(&self) -> bool {
        self.raw < self.bytes.len()
    }

    /// So many raw bytes are decoded, and if they held a chunk, its payload comes next.
    pub(super) fn decoded(&mut self, count: usize, chunk: Option<&Chunk>) {
        if let Some(chunk) = chunk {
            let payload = self.raw + chunk.payload.start..self.raw + chunk.payload.end;
            if chunk.compressed {
                let ends_message = chunk.ends_message;
                self.packed = Some(Packed { left: payload, ends_message });
            } else {
                self.ready = payload;
            }
        }
        self.raw += count;
    }

    /// Decompresses what comes next, as much as there is room for: into `direct`, unless that is small.
    /// Gives how much is there now. To be called when nothing is ready.
    ///
    /// # Errors
    ///
    /// That of `inflate`, which gets compressed bytes, whether their message ends with them, and the room.
    pub(super) fn unpack(
        &mut self,
        direct: Option<&mut ReadBuf<'_>>,
        inflate: impl FnOnce(&[u8], bool, &mut [u8]) -> Result<Inflated, Violation>,
    ) -> Result<usize, Violation> {
        let Some(Packed { left, ends_message }) = self.packed.take() else { return Ok(0) };
        let piece = &self.bytes[left.clone()];
        let inflated = match direct.filter(|buf| buf.remaining() >= DIRECT) {
            Some(buf) => {
                let inflated = inflate(piece, ends_message, buf.initialize_unfilled())?;
                buf.advance(inflated.filled);
                inflated
            }
            None => room::with_reading(|room| {
                let inflated = inflate(piece, ends_message, room)?;
                self.plain.extend_from_slice(&room[..inflated.filled]);
                self.ready = 0..inflated.filled;
                Ok(inflated)
            })?,
        };
        if !inflated.is_done {
            let left = left.start + inflated.consumed..left.end;
            self.packed = Some(Packed { left, ends_message });
        }
        self.tidy();
        Ok(inflated.filled)
    }

    /// Takes the bytes that are not decoded.
    pub(super) fn take_raw(&mut self) -> Vec<u8> {
        let raw = self.bytes.split_off(self.raw);
        *self = Self::default();
        raw
    }

    pub(super) fn put(&mut self, wire: &[u8]) {
        self.bytes.extend_from_slice(wire);
    }

    /// An idle connection owns state, not buffers.
    pub(super) fn tidy(&mut self) {
        if !self.ready.is_empty() {
            return;
        }
        self.ready = 0..0;
        self.plain = Vec::new();
        if self.packed.is_none() && !self.has_raw() {
            *self = Self::default();
        }
    }
}
