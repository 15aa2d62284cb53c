//! The bytes that are sent in bulk: a stream without end, in which every place looks different from
//! its surroundings, so that lost, doubled and swapped pieces are found.

use std::io;
use std::sync::LazyLock;

/// After so many bytes the stream begins again. It has no factor in common with the sizes of
/// buffers and records, so that the loss of a whole number of those moves the pattern.
const PERIOD: usize = 251 * 257;

/// The most that [`Pattern::next`] gives at a time.
pub(crate) const CHUNK: usize = 256 * 1024;

static BYTES: LazyLock<Vec<u8>> = LazyLock::new(|| {
    // Xorshift: good enough to tell places apart, and the same on both ends.
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let period: Vec<u8> = (0..PERIOD)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_be_bytes()[0]
        })
        .collect();
    period.iter().copied().cycle().take(PERIOD + CHUNK).collect()
});

/// A place in the stream.
#[derive(Debug, Default)]
pub(crate) struct Pattern {
    place: usize,
}

impl Pattern {
    /// The next bytes of the stream, at most `most` of them; [`advance`](Self::advance) leaves them
    /// behind.
    pub(crate) fn next(&self, most: u64) -> &'static [u8] {
        let length = usize::try_from(most).unwrap_or(CHUNK).min(CHUNK);
        &BYTES[self.place..self.place + length]
    }

    pub(crate) fn advance(&mut self, bytes: usize) {
        self.place = (self.place + bytes) % PERIOD;
    }

    /// Takes the next bytes that came.
    ///
    /// # Errors
    ///
    /// `InvalidData` when they are not those of the stream.
    pub(crate) fn check(&mut self, came: &[u8]) -> io::Result<()> {
        for piece in came.chunks(CHUNK) {
            if self.next(piece.len() as u64) != piece {
                let what = "bytes are lost, doubled or changed on the way";
                return Err(io::Error::new(io::ErrorKind::InvalidData, what));
            }
            self.advance(piece.len());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn begin(bytes: usize) -> Vec<u8> {
        let mut pattern = Pattern::default();
        let mut sent = Vec::new();
        while sent.len() < bytes {
            let next = pattern.next((bytes - sent.len()) as u64);
            sent.extend(next);
            pattern.advance(next.len());
        }
        sent
    }

    #[test]
    fn what_is_sent_is_what_is_checked() {
        let sent = begin(3 * CHUNK + 7);
        for step in [1000, 16_384, CHUNK, 2 * CHUNK] {
            let mut pattern = Pattern::default();
            sent.chunks(step).for_each(|piece| pattern.check(piece).unwrap());
        }
    }

    #[test]
    fn a_lost_piece_is_found() {
        let sent = begin(3 * CHUNK);
        for lost in [1, 1024, 16_384, 65_536, CHUNK] {
            let mut pattern = Pattern::default();
            pattern.check(&sent[..5000]).unwrap();
            pattern.check(&sent[5000 + lost..]).unwrap_err();
        }
    }
}
