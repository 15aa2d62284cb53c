//! Messages that are compressed on the wire (RFC 7692).

use alloc::vec::Vec;

use crate::deflate::{Deflater, Inflater, Params};
use crate::{Role, Violation};

/// How much is decompressed at a time, in bytes.
const ROOM: usize = 8 * 1024;

/// Both directions of a connection whose messages are compressed.
#[derive(Debug)]
pub(super) struct Compression {
    inflater: Inflater,
    deflater: Deflater,
    limit: u64,
    /// What the message that is under way has become so far, in bytes.
    len: u64,
}

impl Compression {
    pub(super) fn new(role: Role, agreed: Params, limit: u64) -> Self {
        let (inflater, deflater) = (Inflater::new(role, agreed), Deflater::new(role, agreed));
        Self { inflater, deflater, limit, len: 0 }
    }

    /// Gives what a piece of a message becomes to `take`, bit by bit, up to the limit.
    pub(super) fn inflate(
        &mut self,
        mut piece: &[u8],
        ends_message: bool,
        mut take: impl FnMut(&[u8]) -> Result<(), Violation>,
    ) -> Result<(), Violation> {
        let mut room = [0; ROOM];
        loop {
            let inflated = self.inflater.inflate(piece, ends_message, &mut room);
            let inflated = inflated.map_err(|_| Violation::Corrupt)?;
            self.len += inflated.filled as u64;
            if self.len > self.limit {
                return Err(Violation::MessageTooBig { limit: self.limit });
            }
            take(&room[..inflated.filled])?;
            piece = &piece[inflated.consumed..];
            if inflated.is_done {
                break;
            }
        }
        if ends_message {
            self.len = 0;
        }
        Ok(())
    }

    /// The compressed payload of a message.
    pub(super) fn deflate(&mut self, message: &[u8]) -> Vec<u8> {
        let mut compressed = Vec::new();
        self.deflater.deflate(message, &mut compressed);
        compressed
    }
}
