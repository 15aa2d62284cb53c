//! What we found wrong with the peer, or with ourselves, while a layer ran.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use crate::text::OneLine;

/// The cause of an [`Ending::FatalError`](crate::Ending::FatalError): what was found, with the
/// details that help to mend it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "snake_case"))]
pub enum Fault {
    /// The peer's first bytes are no TLS record.
    NotTls {
        /// What the peer sent, up to 16 bytes of it. Logs show the first word alone, up to 8 bytes: what
        /// follows may be a secret that was meant for another port.
        #[cfg_attr(feature = "serde", serde(serialize_with = "first_word_alone"))]
        first: Vec<u8>,
    },
    /// The peer offers or chose a protocol version older than TLS 1.2.
    OldVersion,
    /// The two ends have no cipher suite, group or signature scheme in common; the text says which.
    NothingInCommon(String),
    /// The two ends have no application protocol in common (RFC 7301).
    NoAlpn,
    /// The peer broke the protocol; the text says how.
    Protocol(String),
    /// A record did not authenticate: it was altered, or the keys differ.
    BadRecord,
    /// The peer's certificate was refused.
    Certificate(CertificateFault),
    /// The peer showed no certificate although one is required.
    NoCertificate,
    /// No identity of ours fits the name that the client asked for; `None`: it asked for none.
    UnknownName(Option<String>),
    /// A rule of ours refused the ClientHello; the name that it asked for, if it did.
    HelloRefused(Option<String>),
    /// What was to decide about the peer did not, or not in time; the text says what.
    Undecided(String),
    /// The opening handshake of WebSocket failed (RFC 6455 section 4); the text says why.
    WsHandshake(String),
    /// The proxy between us and the peer did not connect us.
    Proxy(ProxyFault),
    /// Our private key could not sign; the text says why.
    Signer(String),
    /// Something of ours failed; the text says what.
    Internal(String),
}

/// What a proxy did instead of connecting us (RFC 9110 section 9.3.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "snake_case"))]
pub enum ProxyFault {
    /// It answered with this HTTP status.
    Status(u16),
    /// Its answer is no head of an HTTP/1 response, or too long a one.
    NotHttp,
    /// It hung up before its answer was over.
    Truncated,
}

/// Why a certificate was refused. Times are seconds since 1970-01-01 UTC.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "snake_case"))]
pub enum CertificateFault {
    /// No anchor of ours leads to it.
    UnknownIssuer,
    /// It is for other names.
    WrongName {
        /// The name that we verify.
        wanted: String,
        /// The names that it has.
        presented: Vec<String>,
    },
    /// Its validity period is over.
    Expired {
        /// When it ended.
        not_after: Option<u64>,
        /// The time that it was verified at.
        now: Option<u64>,
    },
    /// Its validity period has not begun.
    NotYetValid {
        /// When it begins.
        not_before: Option<u64>,
        /// The time that it was verified at.
        now: Option<u64>,
    },
    /// Its issuer has revoked it.
    Revoked,
    /// Whether it is revoked cannot be told; the text says why.
    RevocationUnknown(String),
    /// It is a certificate authority's, where an end entity's is needed.
    CaAsEndEntity,
    /// It is not meant for this use (extended key usage, RFC 5280 section 4.2.1.12).
    WrongUsage {
        /// The usage that is needed, such as `serverAuth`; empty where the verifier did not say.
        wanted: String,
        /// The usages that it has.
        presented: Vec<String>,
    },
    /// A signature in the chain, or over the handshake, does not verify.
    BadSignature,
    /// It cannot be read.
    BadEncoding,
    /// Neither it nor its key is pinned.
    NotPinned {
        /// The pin of its key, as a [`Pin`](crate::Pin) is written.
        presented: String,
    },
    /// None of its names is allowed.
    NotAllowed {
        /// The names that it has.
        presented: Vec<String>,
    },
    /// Another reason, in the words of the verifier.
    Other(String),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotTls { first } => {
                write!(f, "the peer does not speak TLS: it begins \"{}\"", first_word(first))
            }
            Self::OldVersion => f.write_str("the peer speaks only SSL 3, TLS 1.0 or TLS 1.1"),
            Self::NothingInCommon(what) => write!(f, "the two ends have no {what} in common"),
            Self::NoAlpn => f.write_str("the two ends have no application protocol in common"),
            Self::Protocol(how) => write!(f, "the peer broke the protocol: {}", OneLine(how)),
            Self::BadRecord => f.write_str("a record from the peer did not authenticate"),
            Self::Certificate(fault) => write!(f, "the peer's certificate was refused: {fault}"),
            Self::NoCertificate => f.write_str("the peer showed no certificate"),
            Self::UnknownName(Some(name)) => {
                write!(f, "no identity for the name \"{}\"", OneLine(name))
            }
            Self::UnknownName(None) => f.write_str("the client asked for no name"),
            Self::HelloRefused(Some(name)) => {
                write!(f, "a rule refuses this client, which asks for \"{}\"", OneLine(name))
            }
            Self::HelloRefused(None) => {
                f.write_str("a rule refuses this client, which asks for no name")
            }
            Self::Undecided(what) => write!(f, "no decision about the peer: {}", OneLine(what)),
            Self::WsHandshake(why) => write!(f, "no WebSocket was opened: {}", OneLine(why)),
            // 401 is a server's word for it, which some proxies say, too.
            Self::Proxy(ProxyFault::Status(status @ (401 | 407))) => {
                write!(f, "the proxy wants other credentials (status {status})")
            }
            Self::Proxy(ProxyFault::Status(status)) => {
                write!(f, "the proxy did not connect us: it answered with status {status}")
            }
            Self::Proxy(ProxyFault::NotHttp) => f.write_str("the proxy does not speak HTTP"),
            Self::Proxy(ProxyFault::Truncated) => {
                f.write_str("the proxy hung up before it answered")
            }
            Self::Signer(why) => write!(f, "the private key could not sign: {}", OneLine(why)),
            Self::Internal(what) => write!(f, "internal error: {what}"),
        }
    }
}

impl fmt::Display for CertificateFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownIssuer => f.write_str("no trusted authority has issued it"),
            Self::WrongName { wanted, presented } => {
                write!(f, "it is not for \"{}\"", OneLine(wanted))?;
                for (index, name) in presented.iter().enumerate() {
                    let mark = if index == 0 { " but for " } else { ", " };
                    write!(f, "{mark}\"{}\"", OneLine(name))?;
                }
                Ok(())
            }
            Self::Expired { .. } => f.write_str("it has expired"),
            Self::NotYetValid { .. } => f.write_str("it is not valid yet"),
            Self::Revoked => f.write_str("its issuer has revoked it"),
            Self::RevocationUnknown(why) => {
                write!(f, "whether it is revoked cannot be told: {}", OneLine(why))
            }
            Self::CaAsEndEntity => {
                f.write_str("it is a certificate authority's, not one for a host or client")
            }
            Self::WrongUsage { wanted, presented } => {
                f.write_str("it is not meant for this use")?;
                if !wanted.is_empty() {
                    write!(f, ": it needs {wanted}")?;
                }
                for (index, usage) in presented.iter().enumerate() {
                    write!(f, "{}{usage}", if index == 0 { " and has " } else { ", " })?;
                }
                Ok(())
            }
            Self::BadSignature => f.write_str("a signature does not verify"),
            Self::BadEncoding => f.write_str("it cannot be read"),
            Self::NotPinned { presented } => {
                write!(f, "it is not pinned: its key is {}", OneLine(presented))
            }
            Self::NotAllowed { presented } if presented.is_empty() => {
                f.write_str("it has no name that could be allowed")
            }
            Self::NotAllowed { presented } => {
                f.write_str("none of its names is allowed: ")?;
                for (index, name) in presented.iter().enumerate() {
                    write!(f, "{}{}", if index == 0 { "" } else { ", " }, OneLine(name))?;
                }
                Ok(())
            }
            Self::Other(why) => OneLine(why).fmt(f),
        }
    }
}

/// The first word of what a peer sent, in printable form.
fn first_word(first: &[u8]) -> impl fmt::Display {
    let first = first.trim_ascii_start();
    let end = first.iter().position(u8::is_ascii_whitespace).unwrap_or(first.len());
    first[..end.min(8)].escape_ascii()
}

#[cfg(feature = "serde")]
fn first_word_alone<S: serde::Serializer>(first: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&first_word(first))
}
