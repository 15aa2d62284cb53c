//! Messages that are compressed on the wire (RFC 7692).

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::time::Duration;

use super::Connection;
use crate::deflate::{Deflater, Inflated, Inflater, Params};
use crate::frame::Chunk;
use crate::{Role, Violation};

/// How much of a message that nobody wants is decompressed at a time, in bytes.
const ROOM: usize = 8 * 1024;

/// Both directions of a connection whose messages may be compressed.
#[derive(Debug)]
pub(super) struct Compression {
    inflater: Inflater,
    deflater: Deflater,
}

impl Compression {
    fn new(role: Role, agreed: Params) -> Self {
        Self { inflater: Inflater::new(role, agreed), deflater: Deflater::new(role, agreed) }
    }
}

/// Compression, where both ends have agreed on it.
impl Connection {
    /// Takes compressed messages from now on, and can make them. To be called between the opening
    /// handshake and the first byte behind it.
    pub fn compress(&mut self, agreed: Params) {
        self.decoder.take_compressed();
        self.compression = Some(Box::new(Compression::new(self.role, agreed)));
    }

    /// Whether messages may be compressed.
    pub fn compresses(&self) -> bool {
        self.compression.is_some()
    }

    /// Decompresses a piece of a message that was told as [`compressed`](Chunk::compressed), as much as
    /// there is room for in `out`. To be called again with the rest of the piece until it is done, and
    /// before anything that stands behind the piece is given to [`handle_wire`](Self::handle_wire).
    ///
    /// # Errors
    ///
    /// The violation, when it does not decompress: the connection has failed, as by
    /// [`Event::Violation`](super::Event::Violation).
    pub fn inflate(
        &mut self,
        now: Duration,
        piece: &[u8],
        ends_message: bool,
        out: &mut [u8],
    ) -> Result<Inflated, Violation> {
        let inflated = self.decompress(piece, ends_message, out);
        // One that is over already has its reason.
        if let (Err(violation), true) = (inflated, self.state.reads()) {
            let _ = self.fail(now, violation);
        }
        inflated
    }

    /// As [`inflate`](Self::inflate), but to fail is left to the caller.
    pub(crate) fn decompress(
        &mut self,
        piece: &[u8],
        ends_message: bool,
        out: &mut [u8],
    ) -> Result<Inflated, Violation> {
        match &mut self.compression {
            Some(compression) => {
                let inflated = compression.inflater.inflate(piece, ends_message, out);
                inflated.map_err(|_| Violation::Corrupt)
            }
            // No chunk says that it is compressed.
            None => Ok(Inflated { consumed: piece.len(), filled: 0, is_done: true }),
        }
    }

    /// Appends the compressed payload of one message to `out`, for a frame whose
    /// [header](Self::begin_frame) says that it is [`compressed`](crate::frame::Header::compressed). It
    /// has to be sent, and in order: the messages behind it refer to it. Gives whether it did so: not
    /// where nothing was agreed on, nor where nothing can be written any more.
    pub fn deflate(&mut self, message: &[u8], out: &mut Vec<u8>) -> bool {
        match &mut self.compression {
            Some(compression) if self.state.writes() => {
                compression.deflater.deflate(message, out);
                true
            }
            _ => false,
        }
    }

    /// Takes in a chunk of a message that is refused, whose payload stands in `wire`: what comes behind
    /// may refer to it.
    pub(super) fn pass_over(&mut self, chunk: &Chunk, wire: &[u8]) -> Result<(), Violation> {
        let (mut mask, mut left) = (chunk.mask, &wire[chunk.payload.clone()]);
        let (mut piece, mut room) = ([0; ROOM], [0; ROOM]);
        loop {
            let len = left.len().min(ROOM);
            let ends_message = chunk.ends_message && len == left.len();
            let mut plain = &mut piece[..len];
            match &mut mask {
                Some(mask) => mask.copy(&left[..len], plain),
                None => plain.copy_from_slice(&left[..len]),
            }
            loop {
                let inflated = self.decompress(plain, ends_message, &mut room)?;
                plain = &mut plain[inflated.consumed..];
                if inflated.is_done {
                    break;
                }
            }
            left = &left[len..];
            if left.is_empty() {
                return Ok(());
            }
        }
    }
}
