//! Why a certificate and key cannot be used, and how to mend that.

use std::fmt;

use crate::pem::PemError;

/// Why an [`Identity`](crate::Identity) could not be made. The text says what is wrong and how to
/// mend it; FILE in its commands stands for the file in question.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum IdentityError {
    /// The text is no PEM.
    NotPem,
    /// The PEM text is damaged.
    Damaged(PemError),
    /// It is a PKCS#12 file (`.p12`, `.pfx`).
    Pkcs12,
    /// It is a DER file with neither a certificate nor a private key in it.
    Der,
    /// There is no certificate.
    NoCertificate,
    /// A certificate cannot be read; counted from 1.
    BadCertificate {
        /// Which one.
        number: usize,
        /// What is wrong with it.
        why: String,
    },
    /// There is no private key.
    NoKey,
    /// There are several private keys.
    SeveralKeys(usize),
    /// The private key cannot be used; the text says why.
    BadKey(String),
    /// The private key is encrypted as it was usual before PKCS#8.
    LegacyEncryption,
    /// The private key is encrypted by an algorithm that is not safe or not known.
    UnsupportedEncryption(String),
    /// The private key is encrypted, and there is no passphrase.
    PassphraseMissing,
    /// The passphrase does not decrypt the private key.
    PassphraseWrong,
    /// There is a passphrase, and the private key is not encrypted.
    PassphraseNotNeeded,
    /// The private key belongs to none of the certificates.
    KeyMismatch,
    /// The private key belongs to a certificate that is not the first one; counted from 1.
    LeafNotFirst(usize),
    /// A certificate is not followed by its issuer; counted from 1.
    ChainOrder(usize),
    /// The OCSP response cannot be stapled to the certificate; the text says why.
    BadStaple(&'static str),
    /// Who has the private key does not sign; the text says why.
    SignerFailed(String),
    /// Who signs has another private key than the certificate's.
    SignerMismatch,
}

impl fmt::Display for IdentityError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotPem => f.write_str(
                "this is neither PEM (no line starts with \"-----BEGIN\") nor DER: is it the right file?",
            ),
            Self::Damaged(error) => write!(f, "the PEM is damaged, {error}"),
            Self::Pkcs12 => f.write_str(
                "this is PKCS#12; convert it: openssl pkcs12 -in FILE -out identity.pem",
            ),
            Self::Der => f.write_str(
                "this is DER, with neither a certificate nor a private key in it: is it the right \
                 file?",
            ),
            Self::NoCertificate => f.write_str(
                "there is no certificate (\"BEGIN CERTIFICATE\"): give the certificate chain",
            ),
            Self::BadCertificate { number, why } => {
                write!(f, "certificate {number} cannot be used: {why}")
            }
            Self::NoKey => f.write_str(
                "there is no private key (\"BEGIN PRIVATE KEY\"): add it to the file, or give its own",
            ),
            Self::SeveralKeys(count) => {
                write!(f, "there are {count} private keys: leave only the certificate's")
            }
            Self::BadKey(why) => write!(f, "the private key cannot be used: {why}"),
            Self::LegacyEncryption => f.write_str(
                "the private key is encrypted in an old, weak way (Proc-Type: 4,ENCRYPTED); \
                 convert it: openssl pkcs8 -topk8 -in FILE -out key.pem",
            ),
            Self::UnsupportedEncryption(algorithm) => write!(
                f,
                "the private key is encrypted by {algorithm}; convert it: \
                 openssl pkcs8 -topk8 -v2 aes-256-cbc -v2prf hmacWithSHA256 -in FILE -out key.pem",
            ),
            Self::PassphraseMissing => {
                f.write_str("the private key is encrypted: give its passphrase")
            }
            Self::PassphraseWrong => f.write_str(
                "the passphrase does not decrypt the private key: check it, and that no line end \
                 came with it",
            ),
            Self::PassphraseNotNeeded => {
                f.write_str("the private key is not encrypted: leave the passphrase out")
            }
            Self::KeyMismatch => f.write_str(
                "the private key is not that of the certificate; compare: openssl x509 -in FILE \
                 -noout -pubkey, and openssl pkey -in FILE -pubout",
            ),
            Self::LeafNotFirst(number) => write!(
                f,
                "the private key is that of certificate {number}: put that one first, behind it \
                 its issuer, and so on",
            ),
            Self::BadStaple(why) => write!(
                f,
                "the OCSP response cannot be stapled: {why}; ask the authority anew: openssl ocsp \
                 -issuer CA -cert FILE -url URL -respout RESPONSE",
            ),
            Self::SignerFailed(why) => write!(f, "the private key could not sign: {why}"),
            Self::SignerMismatch => f.write_str(
                "what signs has not the private key of the certificate: name the right one, or the \
                 certificate that belongs to it",
            ),
            Self::ChainOrder(number) => write!(
                f,
                "certificate {number} is not followed by its issuer: put the host's own first, \
                 behind each one its issuer",
            ),
        }
    }
}

impl std::error::Error for IdentityError {}

impl IdentityError {
    /// Whether it is about the private key, or the file with it, and not about the certificates.
    pub const fn is_about_key(&self) -> bool {
        matches!(
            self,
            Self::NoKey
                | Self::SeveralKeys(_)
                | Self::BadKey(_)
                | Self::LegacyEncryption
                | Self::UnsupportedEncryption(_)
                | Self::PassphraseMissing
                | Self::PassphraseWrong
                | Self::PassphraseNotNeeded
                | Self::KeyMismatch
                | Self::SignerFailed(_)
                | Self::SignerMismatch
        )
    }
}

/// What peers will not like about an [`Identity`](crate::Identity) that can be used. Times are seconds
/// since 1970-01-01 UTC.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum IdentityWarning {
    /// Its validity is over.
    Expired {
        /// Whose certificate it is: its first name, or its subject.
        name: String,
        /// When it ended.
        not_after: i64,
    },
    /// Its validity has not begun.
    NotYetValid {
        /// Whose certificate it is: its first name, or its subject.
        name: String,
        /// When it begins.
        not_before: i64,
    },
}

impl fmt::Display for IdentityWarning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Expired { name, .. } => write!(
                f,
                "the certificate of {name} has expired: peers will refuse it until it is renewed"
            ),
            Self::NotYetValid { name, .. } => write!(
                f,
                "the certificate of {name} is not valid yet: peers will refuse it; check this \
                 machine's clock"
            ),
        }
    }
}

impl From<PemError> for IdentityError {
    fn from(error: PemError) -> Self {
        Self::Damaged(error)
    }
}
