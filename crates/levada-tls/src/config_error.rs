//! Why a client or server cannot be set up.

use std::fmt;
use std::time::Duration;

/// Why a [`TlsClient`](crate::TlsClient) or [`TlsServer`](crate::TlsServer) cannot be made.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TlsConfigError {
    /// The lowest version allowed is above the highest.
    NoVersion,
    /// An application protocol's name is empty or longer than 255 bytes (RFC 7301 section 3.1).
    BadAlpn(String),
    /// This machine's trust anchors cannot be used; the text says why.
    Platform(String),
    /// Clients are to be verified by this machine's trust anchors: whoever has a certificate of any
    /// public authority would be let in.
    PlatformForClients,
    /// Keys of tickets cannot change so often, or so seldom.
    TicketPeriod(Duration),
    /// Records cannot be limited to so many bytes.
    RecordSize(usize),
    /// Neither an authority nor a pin is there: nobody could be let in.
    NobodyTrusted,
    /// There are revocation lists, and no authorities that could have made them.
    CrlsWithoutAnchors,
    /// The provider of cryptography failed; the text says how.
    Provider(String),
}

impl fmt::Display for TlsConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoVersion => {
                f.write_str("the lowest TLS version is above the highest: no version is left")
            }
            Self::BadAlpn(name) => write!(
                f,
                "\"{name}\" cannot name an application protocol: its length must be 1 to 255 bytes"
            ),
            Self::Platform(why) => write!(
                f,
                "the trust anchors of this machine cannot be used: {why}; install its CA \
                 certificates, or give anchors of your own"
            ),
            Self::PlatformForClients => f.write_str(
                "clients cannot be verified by the public authorities, which certify anybody: give \
                 the anchors that issue your clients' certificates",
            ),
            Self::TicketPeriod(period) => write!(
                f,
                "keys of tickets cannot change every {period:?}: say from one second to 84 hours"
            ),
            Self::RecordSize(bytes) => {
                write!(f, "records cannot be limited to {bytes} bytes: say from 64 to 16384")
            }
            Self::NobodyTrusted => f.write_str(
                "without an authority nobody is trusted: give anchors, or pin the peer's key",
            ),
            Self::CrlsWithoutAnchors => f.write_str(
                "revocation lists are made by authorities: give the anchors that have made them",
            ),
            Self::Provider(why) => write!(f, "the provider of cryptography failed: {why}"),
        }
    }
}

impl std::error::Error for TlsConfigError {}

/// The names of application protocols as rustls takes them, if all can be sent.
pub(crate) fn alpn_names(
    names: impl IntoIterator<Item = Vec<u8>>,
) -> Result<Vec<Vec<u8>>, TlsConfigError> {
    names
        .into_iter()
        .map(|name| match name.len() {
            1..=255 => Ok(name),
            _ => Err(TlsConfigError::BadAlpn(name.escape_ascii().to_string())),
        })
        .collect()
}
