//! UTF-8 that arrives in pieces cut anywhere (RFC 6455 §8.1).

use alloc::string::String;
use core::mem;

use crate::Violation;

/// A text that grows piece by piece. Every byte is checked once, as soon as it comes.
#[derive(Clone, Debug, Default)]
pub(super) struct Text {
    whole: String,
    /// The beginning of a character that the next piece completes.
    partial: [u8; 4],
    partial_len: usize,
}

impl Text {
    /// Appends a piece.
    ///
    /// # Errors
    ///
    /// At the first byte that cannot be UTF-8.
    pub(super) fn push(&mut self, mut piece: &[u8]) -> Result<(), Violation> {
        while self.partial_len > 0 {
            let Some((&byte, rest)) = piece.split_first() else { return Ok(()) };
            piece = rest;
            // At most three bytes are held: four are a character or an error.
            self.partial[self.partial_len] = byte;
            self.partial_len += 1;
            match str::from_utf8(&self.partial[..self.partial_len]) {
                Ok(character) => {
                    self.whole.push_str(character);
                    self.partial_len = 0;
                }
                Err(error) if error.error_len().is_none() => {}
                Err(_) => return Err(Violation::TextNotUtf8),
            }
        }
        let (valid, partial) = match str::from_utf8(piece) {
            Ok(valid) => (valid, &[][..]),
            Err(error) if error.error_len().is_none() => {
                let (valid, partial) = piece.split_at(error.valid_up_to());
                (str::from_utf8(valid).map_err(|_| Violation::TextNotUtf8)?, partial)
            }
            Err(_) => return Err(Violation::TextNotUtf8),
        };
        self.whole.push_str(valid);
        self.partial[..partial.len()].copy_from_slice(partial);
        self.partial_len = partial.len();
        Ok(())
    }

    /// Takes the text out and begins a new one.
    ///
    /// # Errors
    ///
    /// When the last character is incomplete.
    pub(super) fn finish(&mut self) -> Result<String, Violation> {
        match mem::take(self) {
            Self { whole, partial_len: 0, .. } => Ok(whole),
            Self { .. } => Err(Violation::TextNotUtf8),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLE: &str = "aé€𝄞\u{10ffff}z";

    #[test]
    fn s8_1_text_may_be_cut_at_any_two_bytes() {
        let bytes = SAMPLE.as_bytes();
        for first in 0..=bytes.len() {
            for second in first..=bytes.len() {
                let mut text = Text::default();
                text.push(&bytes[..first]).unwrap();
                text.push(&bytes[first..second]).unwrap();
                text.push(&bytes[second..]).unwrap();
                assert_eq!(text.finish().unwrap(), SAMPLE);
            }
        }
    }

    #[test]
    fn s8_1_the_first_impossible_byte_fails() {
        // The last byte of each is the one that makes it impossible.
        let cases: [&[u8]; 7] =
            [b"ok\xff", b"\xc0", b"\xe0\x80", b"\xed\xa0", b"\xf0\x80", b"\xf4\x90", b"\xe2\x82A"];
        for case in cases {
            let mut text = Text::default();
            let (last, before) = case.split_last().unwrap();
            text.push(before).unwrap();
            assert_eq!(text.push(&[*last]), Err(Violation::TextNotUtf8), "{case:?}");
        }
        let mut text = Text::default();
        text.push(b"\xe2\x82").unwrap();
        assert_eq!(text.finish(), Err(Violation::TextNotUtf8));
    }
}
