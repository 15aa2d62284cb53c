//! What one certificate says of its holder.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::net::IpAddr;

use crate::text::OneLine;

/// A certificate that one end of a session has shown. What cannot be read is a fact too, and no
/// reason to end anything: whether it is good enough is for the verification to say.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "snake_case"))]
pub enum ShownCertificate {
    /// It is not a certificate of RFC 5280 section 4.1, or one of the fields told here is malformed.
    Unreadable {
        /// Its length in bytes.
        bytes: usize,
    },
    /// What it says. In JSON it stands for itself, without the variant's name around it.
    #[cfg_attr(feature = "serde", serde(untagged))]
    Read(CertificateFacts),
}

impl ShownCertificate {
    /// What it says, where it can be read.
    pub const fn read(&self) -> Option<&CertificateFacts> {
        match self {
            Self::Read(facts) => Some(facts),
            Self::Unreadable { .. } => None,
        }
    }
}

/// What one certificate says (RFC 5280 section 4.1). Its text was chosen by whoever made it, so all
/// that is not printable is escaped, and each text fits into one line of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct CertificateFacts {
    /// Whose it is (RFC 5280 section 4.1.2.6), written as in RFC 4514: `CN=host.example,O=Example`.
    /// Empty where only the names tell. What is not printable is escaped as RFC 4514 section 2.4
    /// allows, by the hex pairs of its UTF-8: `\0A`.
    pub subject: String,
    /// Who issued it (RFC 5280 section 4.1.2.4), written in the same way.
    pub issuer: String,
    /// For whom it is: the first [`MOST_NAMES`](Self::MOST_NAMES) subject alternative names (RFC 5280
    /// section 4.2.1.6), in its order.
    pub names: Vec<SubjectName>,
    /// How many more names it has.
    pub more_names: usize,
    /// From when on it is valid (RFC 5280 section 4.1.2.5), in seconds since 1970-01-01 UTC.
    pub not_before: i64,
    /// Until when it is valid, that second included, in seconds since 1970-01-01 UTC; a certificate
    /// "without end" has 253402300799 here.
    pub not_after: i64,
    /// Its serial number (RFC 5280 section 4.1.2.2): the octets in upper-case hexadecimal, as OpenSSL
    /// prints them.
    pub serial: String,
    /// The pin of its public key: the SHA-256 of the SubjectPublicKeyInfo in base64 (`pin-sha256`,
    /// RFC 7469 section 2.4).
    pub spki_pin: String,
    /// Whether it may issue others: `cA` of its basic constraints (RFC 5280 section 4.2.1.9).
    pub is_ca: bool,
}

impl CertificateFacts {
    /// No more names of one certificate are told: there may be tens of thousands.
    pub const MOST_NAMES: usize = 100;
}

/// A subject alternative name (RFC 5280 section 4.2.1.6). Texts are ASCII there; what is not
/// printable ASCII, and the backslash, is escaped as in Rust.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "snake_case"))]
pub enum SubjectName {
    /// A host's name, or a wildcard for one (`dNSName`).
    Dns(String),
    /// An address (`iPAddress`).
    Ip(IpAddr),
    /// A URI (`uniformResourceIdentifier`), such as a SPIFFE ID.
    Uri(String),
    /// A mailbox (`rfc822Name`).
    Email(String),
    /// Any other name.
    Other {
        /// Its kind, as RFC 5280 calls it: `directoryName`, `otherName`, `registeredID`,
        /// `x400Address`, `ediPartyName`; or `iPAddress` where it has no address's length.
        kind: &'static str,
        /// A directory name as in RFC 4514, a registered ID in dotted decimals, else `#` and the
        /// bytes of the value in hexadecimal.
        value: String,
    },
}

/// With its kind before it, in one line: `DNS:host.example`.
impl fmt::Display for SubjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dns(name) => write!(f, "DNS:{}", OneLine(name)),
            Self::Ip(address) => write!(f, "IP:{address}"),
            Self::Uri(uri) => write!(f, "URI:{}", OneLine(uri)),
            Self::Email(mailbox) => write!(f, "email:{}", OneLine(mailbox)),
            Self::Other { kind, value } => write!(f, "{kind}:{}", OneLine(value)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn names_are_shown_with_their_kind_in_one_line() {
        let names = [
            (SubjectName::Dns("*.host.example".into()), "DNS:*.host.example"),
            (SubjectName::Ip([192, 0, 2, 7].into()), "IP:192.0.2.7"),
            (SubjectName::Uri("spiffe://a.example/b".into()), "URI:spiffe://a.example/b"),
            (SubjectName::Email("a@b.example\r\nx".into()), "email:a@b.example\\r\\nx"),
            (
                SubjectName::Other { kind: "directoryName", value: "CN=x".into() },
                "directoryName:CN=x",
            ),
        ];
        for (name, words) in names {
            assert_eq!(name.to_string(), words);
        }
    }
}
