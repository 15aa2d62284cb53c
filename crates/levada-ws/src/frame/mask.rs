//! Masking: the payload of a client's frame, XORed with a key of four bytes (RFC 6455 §5.3).

use core::ops::Range;

/// What is masked on its way within a buffer, at a time: the widest registers, several of them.
const BLOCK: usize = 64;

/// Where masking keys come from: one call a frame that a client sends.
///
/// The keys must be unpredictable (RFC 6455 §10.3); a server never asks for one.
pub type MaskKeys<'a> = dyn FnMut() -> [u8; 4] + 'a;

/// A masking key that remembers how far into the payload it is.
///
/// Masking and unmasking are the same operation. A payload may be masked in pieces of any size; the
/// loops go word by word, so that the compiler uses the widest registers there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mask {
    /// Turned so that its first byte belongs to the next byte of the payload.
    key: [u8; 4],
}

impl Mask {
    /// The mask of a payload's first byte.
    pub fn new(key: [u8; 4]) -> Self {
        Self { key }
    }

    /// Masks the next piece of the payload in place.
    pub fn apply(&mut self, piece: &mut [u8]) {
        let word = self.word();
        let (words, tail) = piece.as_chunks_mut::<8>();
        for bytes in words {
            *bytes = (u64::from_ne_bytes(*bytes) ^ word).to_ne_bytes();
        }
        for (byte, key) in tail.iter_mut().zip(word.to_ne_bytes()) {
            *byte ^= key;
        }
        self.advance(piece.len());
    }

    /// Masks the next piece of the payload on its way from one buffer to another.
    ///
    /// # Panics
    ///
    /// When the two differ in length.
    pub fn copy(&mut self, from: &[u8], to: &mut [u8]) {
        assert_eq!(from.len(), to.len(), "a piece keeps its length");
        let word = self.word();
        let (from_words, from_tail) = from.as_chunks::<8>();
        let (to_words, to_tail) = to.as_chunks_mut::<8>();
        for (to, from) in to_words.iter_mut().zip(from_words) {
            *to = (u64::from_ne_bytes(*from) ^ word).to_ne_bytes();
        }
        for ((to, from), key) in to_tail.iter_mut().zip(from_tail).zip(word.to_ne_bytes()) {
            *to = from ^ key;
        }
        self.advance(from.len());
    }

    /// Masks the next piece of the payload on its way towards the beginning of the buffer that it stands
    /// in: to `to`, which is not behind its own beginning.
    ///
    /// # Panics
    ///
    /// When it is, and when the piece is not within the buffer.
    pub fn shift(&mut self, buffer: &mut [u8], piece: Range<usize>, to: usize) {
        let gap = piece.start.checked_sub(to).expect("a piece moves to the beginning");
        let len = piece.len();
        let window = &mut buffer[to..piece.end];
        let word = self.word();
        let mut at = 0;
        while let Some(from) = window[at + gap..].first_chunk::<BLOCK>() {
            let mut block = *from;
            for bytes in block.as_chunks_mut::<8>().0 {
                *bytes = (u64::from_ne_bytes(*bytes) ^ word).to_ne_bytes();
            }
            window[at..at + BLOCK].copy_from_slice(&block);
            at += BLOCK;
        }
        for (index, key) in (at..len).zip(word.to_ne_bytes().into_iter().cycle()) {
            window[index] = window[index + gap] ^ key;
        }
        self.advance(len);
    }

    /// Goes on behind so many bytes that somebody else masks.
    pub(super) fn skip(&mut self, len: usize) {
        self.advance(len);
    }

    fn word(self) -> u64 {
        let [a, b, c, d] = self.key;
        u64::from_ne_bytes([a, b, c, d, a, b, c, d])
    }

    fn advance(&mut self, len: usize) {
        self.key.rotate_left(len % 4);
    }
}

#[cfg(test)]
mod tests {
    use std::vec;
    use std::vec::Vec;

    use super::*;

    #[test]
    fn any_split_masks_like_one_byte_at_a_time() {
        let key = [0x37, 0xfa, 0x21, 0x3d];
        let plain: Vec<u8> = (0..100).collect();
        let wanted: Vec<u8> = plain.iter().enumerate().map(|(i, b)| b ^ key[i % 4]).collect();
        for cut in 0..=plain.len() {
            let (mut in_place, mut copied) = (plain.clone(), vec![0; plain.len()]);
            let (mut a, mut b) = (Mask::new(key), Mask::new(key));
            let (head, tail) = in_place.split_at_mut(cut);
            a.apply(head);
            a.apply(tail);
            b.copy(&plain[..cut], &mut copied[..cut]);
            b.copy(&plain[cut..], &mut copied[cut..]);
            assert_eq!(in_place, wanted);
            assert_eq!(copied, wanted);
            assert_eq!(a, b);
        }
    }

    #[test]
    fn a_piece_is_masked_on_its_way() {
        let key = [0x37, 0xfa, 0x21, 0x3d];
        for len in [0, 1, 63, 64, 65, 200] {
            for gap in [0, 1, 7, 14, 64, 100] {
                for skipped in 0..5 {
                    let plain: Vec<u8> = (0..gap + len).map(|at| at as u8).collect();
                    let (mut moved, mut mask) = (plain.clone(), Mask::new(key));
                    mask.skip(skipped);
                    mask.shift(&mut moved, gap..gap + len, 0);
                    let (mut wanted, mut other) = (plain[gap..].to_vec(), Mask::new(key));
                    other.apply(&mut vec![0; skipped]);
                    other.apply(&mut wanted);
                    assert_eq!(moved[..len], wanted, "{len} bytes over {gap}");
                    assert_eq!(mask, other);
                }
            }
        }
    }
}
