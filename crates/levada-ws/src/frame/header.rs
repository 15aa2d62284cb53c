//! A frame's header: 2 to 14 bytes (RFC 6455 §5.2).

use core::ops::Deref;

use super::Opcode;
use crate::Violation;

/// The longest header: two bytes, eight of length, four of masking key.
pub const MAX_HEADER: usize = 14;

/// In the first byte of a message's first frame: the message is compressed (RFC 7692 section 6).
const COMPRESSED: u8 = 0x40;

/// In the place of a length: two bytes of length follow.
const TWO_BYTES: u8 = 0x7e;
/// In the place of a length: eight bytes of length follow.
const EIGHT_BYTES: u8 = 0x7f;

/// What a frame says before its payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Whether the frame completes its message.
    pub fin: bool,
    /// Whether it begins a message that is compressed.
    pub compressed: bool,
    /// The frame's kind.
    pub opcode: Opcode,
    /// The masking key, if there is one.
    pub mask: Option<[u8; 4]>,
    /// The payload's length in bytes, below 2^63.
    pub len: u64,
}

/// What the reader of a header knows before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expect {
    /// Whether the sender masks: true when it is a client.
    pub masked: bool,
    /// Whether a message is under way.
    pub in_message: bool,
    /// Whether a message may be compressed, as both ends have agreed.
    pub compression: bool,
}

impl Header {
    /// Reads a header from the beginning of `bytes`, together with its length in bytes, or `None`
    /// when more bytes are needed. Every check is made as soon as its bytes are there.
    ///
    /// # Errors
    ///
    /// The [`Violation`] that the header commits, in the order of its bytes.
    pub fn parse(bytes: &[u8], expect: Expect) -> Result<Option<(Self, usize)>, Violation> {
        let [first, rest @ ..] = bytes else { return Ok(None) };
        let fin = first & 0x80 != 0;
        let bits = first & 0x0f;
        // The bit of the extension means something at the beginning of a message alone.
        let begins_message = matches!(bits, 1 | 2);
        let compressed = first & COMPRESSED != 0 && expect.compression && begins_message;
        let reserved = first & if compressed { 0x70 & !COMPRESSED } else { 0x70 };
        if reserved != 0 {
            return Err(Violation::ReservedBits(reserved >> 4));
        }
        let opcode = Opcode::from_bits(bits).ok_or(Violation::ReservedOpcode(bits))?;
        match opcode {
            Opcode::Continuation if !expect.in_message => {
                return Err(Violation::ContinuationWithoutStart);
            }
            Opcode::Text | Opcode::Binary if expect.in_message => {
                return Err(Violation::MessageInsideMessage);
            }
            Opcode::Close | Opcode::Ping | Opcode::Pong if !fin => {
                return Err(Violation::ControlFragmented);
            }
            _ => {}
        }

        let [second, rest @ ..] = rest else { return Ok(None) };
        match (second & 0x80 != 0, expect.masked) {
            (false, true) => return Err(Violation::Unmasked),
            (true, false) => return Err(Violation::Masked),
            _ => {}
        }
        let short = second & 0x7f;
        if opcode.is_control() && short > 125 {
            return Err(Violation::ControlTooLong);
        }
        let (len, rest) = match short {
            TWO_BYTES => {
                let Some((len, rest)) = rest.split_first_chunk() else { return Ok(None) };
                (u64::from(u16::from_be_bytes(*len)), rest)
            }
            EIGHT_BYTES => {
                let Some((len, rest)) = rest.split_first_chunk() else { return Ok(None) };
                (u64::from_be_bytes(*len), rest)
            }
            short => (u64::from(short), rest),
        };
        if len >> 63 != 0 {
            return Err(Violation::LengthTopBit);
        }
        if (short == TWO_BYTES && len < 126) || (short == EIGHT_BYTES && u16::try_from(len).is_ok())
        {
            return Err(Violation::LengthNotMinimal);
        }
        let (mask, rest) = if expect.masked {
            let Some((key, rest)) = rest.split_first_chunk() else { return Ok(None) };
            (Some(*key), rest)
        } else {
            (None, rest)
        };
        Ok(Some((Self { fin, compressed, opcode, mask, len }, bytes.len() - rest.len())))
    }

    /// The header on the wire, its length in the shortest form.
    pub fn encode(&self) -> HeaderBytes {
        let mut bytes = HeaderBytes { bytes: [0; MAX_HEADER], len: 0 };
        let masked = if self.mask.is_some() { 0x80 } else { 0 };
        let compressed = if self.compressed { COMPRESSED } else { 0 };
        bytes.push(&[u8::from(self.fin) << 7 | compressed | self.opcode as u8]);
        if self.len < 126 {
            bytes.push(&[masked | self.len as u8]);
        } else if let Ok(len) = u16::try_from(self.len) {
            bytes.push(&[masked | TWO_BYTES]);
            bytes.push(&len.to_be_bytes());
        } else {
            bytes.push(&[masked | EIGHT_BYTES]);
            bytes.push(&self.len.to_be_bytes());
        }
        if let Some(key) = self.mask {
            bytes.push(&key);
        }
        bytes
    }

    /// The bytes that a header takes for a payload of `len` bytes: 2 to 14.
    pub fn wire_len(len: usize, masked: bool) -> usize {
        let length = match len {
            0..126 => 0,
            126..65_536 => 2,
            _ => 8,
        };
        2 + length + if masked { 4 } else { 0 }
    }
}

/// An encoded header; dereferences to its 2 to 14 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeaderBytes {
    bytes: [u8; MAX_HEADER],
    len: u8,
}

impl HeaderBytes {
    fn push(&mut self, more: &[u8]) {
        let start = usize::from(self.len);
        self.bytes[start..start + more.len()].copy_from_slice(more);
        self.len += more.len() as u8;
    }
}

impl Deref for HeaderBytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FROM_SERVER: Expect = Expect { masked: false, in_message: false, compression: false };
    const FROM_CLIENT: Expect = Expect { masked: true, ..FROM_SERVER };

    /// The checks of §1.6 that concern one header, each with the fewest bytes that show it.
    #[test]
    fn s1_6_every_violation_of_a_header_is_found_at_its_byte() {
        let inside = Expect { in_message: true, ..FROM_SERVER };
        let compressing = Expect { compression: true, ..FROM_SERVER };
        let compressing_inside = Expect { in_message: true, ..compressing };
        let cases: &[(&[u8], Expect, Violation)] = &[
            (&[0xc2], FROM_SERVER, Violation::ReservedBits(0b100)),
            (&[0xa2], FROM_SERVER, Violation::ReservedBits(0b010)),
            (&[0x92], FROM_SERVER, Violation::ReservedBits(0b001)),
            (&[0xe2], compressing, Violation::ReservedBits(0b010)),
            (&[0xd1], compressing, Violation::ReservedBits(0b001)),
            (&[0xc9], compressing, Violation::ReservedBits(0b100)),
            (&[0xc0], compressing_inside, Violation::ReservedBits(0b100)),
            (&[0x83], FROM_SERVER, Violation::ReservedOpcode(3)),
            (&[0x87], FROM_SERVER, Violation::ReservedOpcode(7)),
            (&[0x8b], FROM_SERVER, Violation::ReservedOpcode(11)),
            (&[0x8f], FROM_SERVER, Violation::ReservedOpcode(15)),
            (&[0x09], FROM_SERVER, Violation::ControlFragmented),
            (&[0x08], inside, Violation::ControlFragmented),
            (&[0x80], FROM_SERVER, Violation::ContinuationWithoutStart),
            (&[0x81], inside, Violation::MessageInsideMessage),
            (&[0x02], inside, Violation::MessageInsideMessage),
            (&[0x82, 0x00], FROM_CLIENT, Violation::Unmasked),
            (&[0x82, 0x80], FROM_SERVER, Violation::Masked),
            (&[0x89, 126], FROM_SERVER, Violation::ControlTooLong),
            (&[0x88, 127], FROM_SERVER, Violation::ControlTooLong),
            (&[0x82, 126, 0, 125], FROM_SERVER, Violation::LengthNotMinimal),
            (&[0x82, 127, 0, 0, 0, 0, 0, 0, 255, 255], FROM_SERVER, Violation::LengthNotMinimal),
            (&[0x82, 127, 128, 0, 0, 0, 0, 0, 0, 0], FROM_SERVER, Violation::LengthTopBit),
        ];
        for &(bytes, expect, violation) in cases {
            assert_eq!(Header::parse(bytes, expect), Err(violation), "{bytes:?}");
            let sooner = &bytes[..bytes.len() - 1];
            assert_eq!(Header::parse(sooner, expect), Ok(None), "{sooner:?}");
        }
    }

    #[test]
    fn s1_6_a_header_survives_every_length_and_every_cut() {
        let lens = [0, 1, 125, 126, 127, 65_535, 65_536, u64::from(u32::MAX), (1 << 63) - 1];
        for len in lens {
            let compressing = Expect { compression: true, ..FROM_CLIENT };
            for expect in [FROM_SERVER, FROM_CLIENT, compressing] {
                let mask = expect.masked.then_some([1, 2, 3, 4]);
                let compressed = expect.compression;
                let header = Header { fin: true, compressed, opcode: Opcode::Binary, mask, len };
                let bytes = header.encode();
                assert_eq!(Header::parse(&bytes, expect), Ok(Some((header, bytes.len()))));
                assert_eq!(bytes.len(), Header::wire_len(len as usize, expect.masked));
                for cut in 0..bytes.len() {
                    assert_eq!(Header::parse(&bytes[..cut], expect), Ok(None));
                }
            }
        }
    }
}
