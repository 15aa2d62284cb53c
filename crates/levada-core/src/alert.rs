//! TLS alert descriptions (RFC 8446 section 6, RFC 5246 section 7.2).

use core::fmt;

/// The description of a TLS alert: the number on the wire, with its name in the standards.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct AlertDescription(pub u8);

macro_rules! alerts {
    ($($name:ident = $number:literal,)*) => {
        impl AlertDescription {
            $(#[doc = concat!("Alert ", stringify!($number), ".")]
            pub const $name: Self = Self($number);)*

            /// Every alert that a standard names.
            pub const NAMED: &[Self] = &[$(Self::$name),*];

            const fn constant_name(self) -> Option<&'static str> {
                match self.0 {
                    $($number => Some(stringify!($name)),)*
                    _ => None,
                }
            }
        }
    };
}

alerts! {
    CLOSE_NOTIFY = 0,
    UNEXPECTED_MESSAGE = 10,
    BAD_RECORD_MAC = 20,
    DECRYPTION_FAILED = 21,
    RECORD_OVERFLOW = 22,
    DECOMPRESSION_FAILURE = 30,
    HANDSHAKE_FAILURE = 40,
    NO_CERTIFICATE = 41,
    BAD_CERTIFICATE = 42,
    UNSUPPORTED_CERTIFICATE = 43,
    CERTIFICATE_REVOKED = 44,
    CERTIFICATE_EXPIRED = 45,
    CERTIFICATE_UNKNOWN = 46,
    ILLEGAL_PARAMETER = 47,
    UNKNOWN_CA = 48,
    ACCESS_DENIED = 49,
    DECODE_ERROR = 50,
    DECRYPT_ERROR = 51,
    TOO_MANY_CIDS_REQUESTED = 52,
    EXPORT_RESTRICTION = 60,
    PROTOCOL_VERSION = 70,
    INSUFFICIENT_SECURITY = 71,
    INTERNAL_ERROR = 80,
    INAPPROPRIATE_FALLBACK = 86,
    USER_CANCELED = 90,
    NO_RENEGOTIATION = 100,
    MISSING_EXTENSION = 109,
    UNSUPPORTED_EXTENSION = 110,
    CERTIFICATE_UNOBTAINABLE = 111,
    UNRECOGNIZED_NAME = 112,
    BAD_CERTIFICATE_STATUS_RESPONSE = 113,
    BAD_CERTIFICATE_HASH_VALUE = 114,
    UNKNOWN_PSK_IDENTITY = 115,
    CERTIFICATE_REQUIRED = 116,
    NO_APPLICATION_PROTOCOL = 120,
    ECH_REQUIRED = 121,
}

impl fmt::Display for AlertDescription {
    /// The standards' spelling with the number: `handshake_failure (40)`, or `alert 200`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(name) = self.constant_name() else { return write!(f, "alert {}", self.0) };
        for letter in name.chars() {
            fmt::Write::write_char(f, letter.to_ascii_lowercase())?;
        }
        write!(f, " ({})", self.0)
    }
}

impl fmt::Debug for AlertDescription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(feature = "serde")]
impl serde::Serialize for AlertDescription {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn alerts_are_shown_as_the_standards_spell_them() {
        assert_eq!(AlertDescription::HANDSHAKE_FAILURE.to_string(), "handshake_failure (40)");
        assert_eq!(AlertDescription(116), AlertDescription::CERTIFICATE_REQUIRED);
        assert_eq!(AlertDescription(200).to_string(), "alert 200");
    }
}
