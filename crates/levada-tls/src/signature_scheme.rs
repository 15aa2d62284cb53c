//! Signature schemes by their numbers.

use std::fmt;

use rustls::SignatureScheme as Rustls;

/// A signature scheme: its number in the IANA registry (RFC 8446 section 4.2.3).
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SignatureScheme(pub u16);

macro_rules! schemes {
    ($($(#[$doc:meta])* $name:ident = $number:literal, $text:literal;)*) => {
        impl SignatureScheme {
            $($(#[$doc])* pub const $name: Self = Self($number);)*

            const fn name(self) -> Option<&'static str> {
                match self.0 {
                    $($number => Some($text),)*
                    _ => None,
                }
            }
        }
    };
}

schemes! {
    /// RSA by PKCS#1 v1.5 with SHA-256; in TLS 1.2 alone.
    RSA_PKCS1_SHA256 = 0x0401, "rsa_pkcs1_sha256";
    /// RSA by PKCS#1 v1.5 with SHA-384; in TLS 1.2 alone.
    RSA_PKCS1_SHA384 = 0x0501, "rsa_pkcs1_sha384";
    /// RSA by PKCS#1 v1.5 with SHA-512; in TLS 1.2 alone.
    RSA_PKCS1_SHA512 = 0x0601, "rsa_pkcs1_sha512";
    /// RSA by PSS with SHA-256, the salt as long as the hash.
    RSA_PSS_RSAE_SHA256 = 0x0804, "rsa_pss_rsae_sha256";
    /// RSA by PSS with SHA-384, the salt as long as the hash.
    RSA_PSS_RSAE_SHA384 = 0x0805, "rsa_pss_rsae_sha384";
    /// RSA by PSS with SHA-512, the salt as long as the hash.
    RSA_PSS_RSAE_SHA512 = 0x0806, "rsa_pss_rsae_sha512";
    /// ECDSA over P-256 with SHA-256; the signature in DER.
    ECDSA_SECP256R1_SHA256 = 0x0403, "ecdsa_secp256r1_sha256";
    /// ECDSA over P-384 with SHA-384; the signature in DER.
    ECDSA_SECP384R1_SHA384 = 0x0503, "ecdsa_secp384r1_sha384";
    /// ECDSA over P-521 with SHA-512; the signature in DER.
    ECDSA_SECP521R1_SHA512 = 0x0603, "ecdsa_secp521r1_sha512";
    /// Ed25519.
    ED25519 = 0x0807, "ed25519";
}

impl From<Rustls> for SignatureScheme {
    fn from(scheme: Rustls) -> Self {
        Self(scheme.into())
    }
}

impl fmt::Display for SignatureScheme {
    /// The registry's name, or the number: `ed25519`, `0x0420`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "{:#06x}", self.0),
        }
    }
}

impl fmt::Debug for SignatureScheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schemes_are_shown_as_the_registry_names_them() {
        assert_eq!(SignatureScheme::ED25519.to_string(), "ed25519");
        assert_eq!(SignatureScheme(0x420).to_string(), "0x0420");
        assert_eq!(
            SignatureScheme::from(Rustls::RSA_PSS_SHA256),
            SignatureScheme::RSA_PSS_RSAE_SHA256
        );
    }
}
