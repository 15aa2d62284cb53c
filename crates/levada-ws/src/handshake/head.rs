//! An HTTP/1.1 head that arrives in pieces (RFC 9112 §2).

use alloc::vec::Vec;

/// Why a head cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HeadError {
    /// It is longer than the limit.
    TooLong,
    /// It has a byte that no head may have.
    BadByte,
}

/// The part of a head that has come. Each byte is looked at once, so that a peer that sends one
/// byte at a time costs no more than another.
#[derive(Clone, Debug)]
pub(super) struct Head {
    bytes: Vec<u8>,
    limit: usize,
    /// How many bytes the current line has, its line break apart.
    line: usize,
    /// Whether the last byte was a carriage return.
    after_cr: bool,
}

impl Head {
    /// An empty head of at most `limit` bytes.
    pub(super) fn new(limit: usize) -> Self {
        Self { bytes: Vec::new(), limit, line: 0, after_cr: false }
    }

    /// Takes bytes up to the end of the head; gives how many, and whether the end is among them.
    pub(super) fn push(&mut self, wire: &[u8]) -> Result<(usize, bool), HeadError> {
        for (index, &byte) in wire.iter().enumerate() {
            if self.bytes.len() == self.limit {
                return Err(HeadError::TooLong);
            }
            self.bytes.push(byte);
            match byte {
                b'\n' if self.line == 0 => {
                    if self.bytes.len() > 2 {
                        return Ok((index + 1, true));
                    }
                    // One empty line before the first is no end (RFC 9112 §2.2).
                    self.bytes.clear();
                    self.after_cr = false;
                }
                b'\n' => {
                    self.line = 0;
                    self.after_cr = false;
                }
                _ if self.after_cr => return Err(HeadError::BadByte),
                b'\r' => self.after_cr = true,
                b'\t' | b' '..=b'~' | 0x80.. => self.line += 1,
                _ => return Err(HeadError::BadByte),
            }
        }
        Ok((wire.len(), false))
    }

    /// The bytes that have come.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_is_found_wherever_the_pieces_are_cut() {
        let wire = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n\x82\x00";
        for cut in 0..wire.len() {
            let mut head = Head::new(100);
            let (first, done) = head.push(&wire[..cut]).unwrap();
            let (second, done) = if done { (0, true) } else { head.push(&wire[first..]).unwrap() };
            assert!(done);
            assert_eq!(first + second, wire.len() - 2);
            assert_eq!(head.bytes(), &wire[..wire.len() - 2]);
        }
    }

    #[test]
    fn the_limit_is_exact_and_a_foreign_protocol_is_noticed_at_once() {
        let wire = b"GET / HTTP/1.1\r\n\r\n";
        assert_eq!(Head::new(wire.len()).push(wire), Ok((wire.len(), true)));
        assert_eq!(Head::new(wire.len() - 1).push(wire), Err(HeadError::TooLong));
        // A TLS record, and a line broken by a lone carriage return.
        assert_eq!(Head::new(100).push(b"\x16\x03\x01"), Err(HeadError::BadByte));
        assert_eq!(Head::new(100).push(b"GET /\rx"), Err(HeadError::BadByte));
    }

    #[test]
    fn one_empty_line_before_the_head_is_forgiven() {
        let mut head = Head::new(100);
        assert_eq!(head.push(b"\r\nGET / HTTP/1.1\r\n\r\n"), Ok((20, true)));
        assert!(head.bytes().starts_with(b"GET"));
    }
}
