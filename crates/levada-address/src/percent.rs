//! Percent-encoding: how a byte that the grammar needs for itself stands in an address.

use std::borrow::Cow;
use std::fmt::{self, Write as _};
use std::ops::Range;

use crate::Fault;
use crate::error::Wrong;

/// A `%` without two hexadecimal digits behind it. `Display` says how to mend that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PercentError {
    /// Where the `%` stands, in bytes.
    pub place: usize,
}

impl fmt::Display for PercentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("two hexadecimal digits follow `%`; for `%` itself write `%25`")
    }
}

impl std::error::Error for PercentError {}

impl From<PercentError> for Wrong {
    fn from(error: PercentError) -> Self {
        let range = error.place..error.place + 1;
        Self::new(range, Fault::PercentDigits).hint(error.to_string())
    }
}

/// The bytes that `raw` stands for: `%XX` is one byte, all else is itself (`+` too).
///
/// ```
/// use levada_address::percent;
///
/// assert_eq!(*percent::decode("My%20token")?, *b"My token");
/// assert_eq!(percent::decode("100%").unwrap_err().place, 3);
/// # Ok::<(), percent::PercentError>(())
/// ```
///
/// Source: RFC 3986 section 2.1.
///
/// # Errors
///
/// [`PercentError`].
pub fn decode(raw: &str) -> Result<Cow<'_, [u8]>, PercentError> {
    let bytes = raw.as_bytes();
    if !bytes.contains(&b'%') {
        return Ok(Cow::Borrowed(bytes));
    }
    let digit = |at: usize| bytes.get(at).copied().and_then(hex);
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        if byte != b'%' {
            decoded.push(byte);
            at += 1;
            continue;
        }
        let (Some(high), Some(low)) = (digit(at + 1), digit(at + 2)) else {
            return Err(PercentError { place: at });
        };
        decoded.push(high << 4 | low);
        at += 3;
    }
    Ok(Cow::Owned(decoded))
}

fn hex(byte: u8) -> Option<u8> {
    // A hexadecimal digit is below 16.
    char::from(byte).to_digit(16).map(|digit| digit as u8)
}

/// Where in `raw` the bytes stand that [`decode`] turned into `decoded`.
pub(crate) fn raw_range(raw: &str, decoded: &Range<usize>) -> Range<usize> {
    let bytes = raw.as_bytes();
    let place = |wanted: usize| {
        let mut at = 0;
        for _ in 0..wanted {
            at += if bytes.get(at) == Some(&b'%') { 3 } else { 1 };
        }
        at.min(bytes.len())
    };
    place(decoded.start)..place(decoded.end)
}

/// Writes `bytes` so that [`decode`] gives them back. Encoded are the ASCII bytes of `reserved`,
/// `%`, `#`, spaces, control characters and all that is not UTF-8.
pub(crate) fn encode(bytes: &[u8], reserved: &[u8], out: &mut String) {
    for chunk in bytes.utf8_chunks() {
        for char in chunk.valid().chars() {
            let plain = !char.is_control()
                && !matches!(char, '%' | '#' | ' ')
                && !reserved.iter().any(|&byte| char::from(byte) == char);
            if plain {
                out.push(char);
            } else {
                encode_all(char.encode_utf8(&mut [0; 4]).as_bytes(), out);
            }
        }
        encode_all(chunk.invalid(), out);
    }
}

/// Writes each of `bytes` as `%XX`.
pub(crate) fn encode_all(bytes: &[u8], out: &mut String) {
    for byte in bytes {
        // Writing to a String cannot fail.
        let _ = write!(out, "%{byte:02X}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_encoded_is_decoded() {
        let all: Vec<u8> = (0..=255).collect();
        let mut raw = String::new();
        encode(&all, b"&?", &mut raw);
        assert_eq!(*decode(&raw).unwrap(), all);
        assert!(!raw.contains(['&', '?', '#', ' ', '\n', '\u{7f}']));
        assert!(raw.contains("~%7F%80"));
    }

    #[test]
    fn a_fault_is_found_behind_encoded_bytes() {
        assert_eq!(raw_range("a%20bč%2x", &(0..2)), 0..4);
        assert_eq!(raw_range("a%20bč", &(3..5)), 5..7);
        for (raw, at) in [("%", 0), ("a%2", 1), ("%20%zz", 3), ("%č", 0), ("%+1", 0)] {
            assert_eq!(decode(raw).unwrap_err().place, at, "{raw}");
        }
    }
}
