//! Pins: a peer told by the hash of its key or of its certificate.

use alloc::string::String;
use core::fmt;
use core::str::FromStr;

/// What a peer must show: its key, or its certificate, by the SHA-256 of it.
///
/// ```
/// # use levada_core::Pin;
/// let key: Pin = "spki:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=".parse()?;
/// assert!(matches!(key, Pin::Spki([0xe3, ..])));
/// assert!("sha256//47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=".parse::<Pin>().is_err());
/// # Ok::<(), levada_core::PinError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Pin {
    /// The key: of the SubjectPublicKeyInfo (RFC 7469 section 2.4), so that a renewed certificate
    /// with the same key is still the peer's. Written `spki:` and 44 characters of base64.
    Spki([u8; 32]),
    /// The certificate: of all its bytes. Written `cert:` and 64 hexadecimal digits, between which
    /// colons may stand.
    Certificate([u8; 32]),
}

/// Why a text is no [`Pin`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PinError {
    /// It begins neither with `spki:` nor with `cert:`.
    Kind,
    /// What follows `spki:` is not the base64 of 32 bytes.
    Base64,
    /// What follows `cert:` is not the hexadecimal of 32 bytes.
    Hexadecimal,
}

impl FromStr for Pin {
    type Err = PinError;

    fn from_str(text: &str) -> Result<Self, PinError> {
        if let Some(digits) = text.strip_prefix("spki:") {
            return from_base64(digits.as_bytes()).map(Self::Spki).ok_or(PinError::Base64);
        }
        let digits = text.strip_prefix("cert:").ok_or(PinError::Kind)?;
        from_hexadecimal(digits.as_bytes()).map(Self::Certificate).ok_or(PinError::Hexadecimal)
    }
}

impl fmt::Display for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Spki(hash) => write!(f, "spki:{}", to_base64(hash)),
            Self::Certificate(hash) => {
                f.write_str("cert:")?;
                hash.iter().try_for_each(|byte| write!(f, "{byte:02X}"))
            }
        }
    }
}

/// As it is written.
impl fmt::Debug for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pin({self})")
    }
}

impl fmt::Display for PinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Kind => "a pin begins with `spki:` or `cert:`",
            Self::Base64 => "`spki:` is followed by 44 characters of base64, the SHA-256 of a key",
            Self::Hexadecimal => {
                "`cert:` is followed by 64 hexadecimal digits, the SHA-256 of a certificate"
            }
        })
    }
}

impl core::error::Error for PinError {}

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// The base64 of 32 bytes (RFC 4648 section 4): 43 characters and one `=`. Here, because this crate
/// has no dependencies; pins are public, so it need not be constant in time.
fn to_base64(hash: &[u8; 32]) -> String {
    let mut text = String::with_capacity(44);
    for three in hash.chunks(3) {
        let bits = three.iter().fold(0, |bits, &byte| bits << 8 | u32::from(byte));
        let bits = bits << (8 * (3 - three.len()));
        let letters = (0..=three.len()).map(|at| bits >> (18 - 6 * at) & 63);
        text.extend(letters.map(|value| char::from(ALPHABET[value as usize])));
    }
    text.push('=');
    text
}

fn from_base64(text: &[u8]) -> Option<[u8; 32]> {
    let [letters @ .., b'='] = text else { return None };
    if letters.len() != 43 {
        return None;
    }
    let mut hash = [0; 32];
    let (mut bits, mut count, mut filled) = (0_u32, 0, 0);
    for letter in letters {
        let value = ALPHABET.iter().position(|one| one == letter)?;
        bits = bits << 6 | value as u32;
        count += 6;
        if count >= 8 {
            count -= 8;
            hash[filled] = (bits >> count) as u8;
            filled += 1;
            bits &= (1 << count) - 1;
        }
    }
    // Two bits are left, and only zero is one way to write them.
    (bits == 0).then_some(hash)
}

fn from_hexadecimal(text: &[u8]) -> Option<[u8; 32]> {
    let has_colons = text.contains(&b':');
    let mut pairs = text.chunks(if has_colons { 3 } else { 2 });
    let mut hash = [0; 32];
    for byte in &mut hash {
        let (pair, colon) = pairs.next()?.split_at_checked(2)?;
        if !matches!(colon, [] | [b':']) {
            return None;
        }
        let digit = |at: usize| char::from(pair[at]).to_digit(16);
        *byte = (digit(0)? << 4 | digit(1)?) as u8;
    }
    (pairs.next().is_none() && text.last() != Some(&b':')).then_some(hash)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;
    use alloc::string::ToString;

    #[test]
    fn pins_are_written_as_they_are_read() {
        let hash = core::array::from_fn(|index| (index * 37 + 250) as u8);
        for pin in [Pin::Spki(hash), Pin::Certificate(hash), Pin::Spki([0xff; 32])] {
            assert_eq!(pin.to_string().parse(), Ok(pin));
            assert_eq!(format!("{pin:?}"), format!("Pin({pin})"));
        }
        // By `openssl dgst -sha256 -binary /dev/null | base64` and `openssl x509 -fingerprint`'s form.
        let empty = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";
        let colons = "E3:B0:C4:42:98:FC:1C:14:9A:FB:F4:C8:99:6F:B9:24:\
                      27:AE:41:E4:64:9B:93:4C:A4:95:99:1b:78:52:b8:55";
        let Ok(Pin::Spki(key)) = format!("spki:{empty}").parse() else { panic!("a pin") };
        assert_eq!(format!("cert:{colons}").parse(), Ok(Pin::Certificate(key)));
        let bare = colons.replace(':', "");
        assert_eq!(format!("cert:{bare}").parse(), Ok(Pin::Certificate(key)));
    }

    #[test]
    fn what_is_no_pin_is_told() {
        let zeros = "A".repeat(43);
        let hex = "0".repeat(64);
        for (text, error) in [
            (String::new(), PinError::Kind),
            (format!("{zeros}="), PinError::Kind),
            (format!("SPKI:{zeros}="), PinError::Kind),
            (format!("spki:{zeros}"), PinError::Base64),
            (format!("spki:{zeros}A="), PinError::Base64),
            (format!("spki:{}B=", &zeros[1..]), PinError::Base64),
            (format!("spki:{}-=", &zeros[1..]), PinError::Base64),
            (format!("spki:{hex}"), PinError::Base64),
            (format!("cert:{zeros}="), PinError::Hexadecimal),
            (format!("cert:{hex}0"), PinError::Hexadecimal),
            (format!("cert:{hex}00"), PinError::Hexadecimal),
            (format!("cert:{}", &hex[1..]), PinError::Hexadecimal),
            (format!("cert:{hex}:"), PinError::Hexadecimal),
            (format!("cert:{}", "00:".repeat(32)), PinError::Hexadecimal),
            (format!("cert:{}", "ü".repeat(32)), PinError::Hexadecimal),
        ] {
            assert_eq!(text.parse::<Pin>(), Err(error), "{text}");
        }
    }
}
