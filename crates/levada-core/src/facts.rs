//! What is known about one stream.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use core::fmt;
use core::net::SocketAddr;
use core::time::Duration;

use crate::certificate::{CertificateFacts, ShownCertificate};
use crate::checks::Checks;
use crate::kernel_tls::KernelTls;
use crate::lifecycle::{Party, Role};
use crate::text::OneLine;

/// Everything that is known about one stream so far. A fact that is set does not change any more,
/// but for the counters, which grow.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Facts {
    /// Which end we are of the transport: who called whom.
    pub role: Option<Role>,
    /// The peer's name as it was asked for, where it was given by name; through a proxy, its address too.
    pub host: Option<String>,
    /// The proxy that stands between, as `http://host:port` or `https://host:port`.
    pub proxy: Option<String>,
    /// Our address.
    pub local: Option<Endpoint>,
    /// The peer's address; the proxy's, where one stands between.
    pub peer: Option<Endpoint>,
    /// Why nothing encrypts the bytes; `None` where something does.
    pub plain: Option<WhyPlain>,
    /// What TLS agreed on, from the moment it is known; of the last session, where there was more than
    /// one, and still there when TLS was taken off again (see [`plain`](Self::plain)).
    pub tls: Option<Box<TlsFacts>>,
    /// What the opening handshake of a WebSocket agreed on; `None` before, where there is none, and
    /// where somebody else has made it.
    pub web_socket: Option<Box<WebSocketFacts>>,
    /// The version of HTTP that a WebSocket was asked for by, `1.1` or `2`.
    pub http: Option<&'static str>,
    /// Whether the kernel does the records of TLS, from the end of the handshake on; `None` where nobody
    /// has asked for it.
    pub kernel_tls: Option<KernelTls>,
    /// Who said goodbye first.
    pub first_goodbye: Option<Party>,
    /// Bytes so far.
    pub bytes: Bytes,
    /// How long each phase took.
    pub times: Times,
}

/// The address of one end of a transport.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// A TCP address.
    Ip(SocketAddr),
    /// A Unix socket's path, empty for an unnamed one; an abstract name begins with `@`.
    Unix(String),
    /// A pipe in this process's memory.
    Memory,
    /// Standard input and output.
    Stdio,
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(address) => write!(f, "{address}"),
            Self::Unix(path) if path.is_empty() => f.write_str("unix:(unnamed)"),
            Self::Unix(path) => write!(f, "unix:{}", OneLine(path)),
            Self::Memory => f.write_str("memory"),
            Self::Stdio => f.write_str("stdio"),
        }
    }
}

#[cfg(feature = "serde")]
impl serde::Serialize for Endpoint {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Why a stream is plain: absence of encryption has a reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "snake_case"))]
pub enum WhyPlain {
    /// No encryption was asked for.
    Disabled,
    /// The client spoke no TLS, and that is allowed here by name.
    Fallback,
    /// The owner has taken TLS off.
    EndTls,
    /// The client's TLS is handed on as it came: whoever gets the bytes ends it.
    PassThrough,
}

/// What the opening handshake of a WebSocket agreed on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct WebSocketFacts {
    /// The subprotocol (RFC 6455 section 1.9).
    pub subprotocol: Option<String>,
    /// How messages are compressed, as the server's answer has it (RFC 7692 section 7.1), such as
    /// `permessage-deflate; server_no_context_takeover`; `None` where they are not.
    pub extension: Option<String>,
}

/// What a TLS handshake agreed on, and who met in it. Cheap to clone.
///
/// Certificates are read when somebody asks, and at the end of the stream: nothing on the way of the
/// data pays for it, and a stream that nobody asks holds none of this.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct TlsFacts {
    /// The protocol version, `1.2` or `1.3`.
    pub version: Option<&'static str>,
    /// The cipher suite's name in the IANA registry.
    pub suite: Option<String>,
    /// The key exchange group's name in the IANA registry.
    pub group: Option<String>,
    /// The application protocol agreed on (RFC 7301), bytes outside printable ASCII escaped.
    pub alpn: Option<String>,
    /// The server name asked for (RFC 6066 section 3): by us as client, by the peer as server.
    pub sni: Option<String>,
    /// The name or address that the peer's certificate was found to be for (RFC 9525), as client.
    /// [`Facts::host`] is where we wanted to go: the two may differ by configuration.
    pub verified_name: Option<String>,
    /// Whether the session was resumed (RFC 8446 section 2.2, RFC 5077): no certificates are shown
    /// then, and the peer's are those of the first session.
    pub resumed: Option<bool>,
    /// Who we are to the peer: the certificate that we chose to show. As client only where the server
    /// has asked for one in this handshake, so never on a resumed session.
    pub identity: Option<Arc<ShownCertificate>>,
    /// As client: whether the server has asked for a certificate of ours in this handshake (RFC 8446
    /// section 4.3.2, RFC 5246 section 7.4.4), whether or not we had one to show.
    pub identity_asked: bool,
    /// How far the peer's certificates were verified; `None` until that is known.
    pub verification: Option<Verification>,
    /// What each check of the peer's certificates found; `None` where none was made: nothing was shown
    /// or asked for yet, or the session was resumed, for which they had passed before.
    pub checks: Option<Arc<Checks>>,
    /// How many certificates the peer showed, its own included; 0 where it showed none.
    pub peer_certificates: usize,
    /// The first [`MOST_CERTIFICATES`](Self::MOST_CERTIFICATES) of them, in the peer's order: its own
    /// first, the issuers that it sends behind it (RFC 8446 section 4.4.2). That is what was sent, not
    /// the path to an anchor that verification found. They are told when they are refused, too.
    pub peer_chain: Arc<[ShownCertificate]>,
    /// What the OCSP response says that the server has stapled to its certificate (RFC 6066 section
    /// 8), as client; never on a resumed session. It is told, not verified.
    pub staple: Option<Staple>,
}

impl TlsFacts {
    /// No more certificates of a chain are told. Paths that verification takes are shorter.
    pub const MOST_CERTIFICATES: usize = 8;

    /// What the peer's own certificate says, if it showed one that can be read.
    pub fn peer_certificate(&self) -> Option<&CertificateFacts> {
        self.peer_chain.first().and_then(ShownCertificate::read)
    }
}

/// What a stapled OCSP response says (RFC 6960 section 4.2.1) of the first certificate in it. Its
/// signature is not verified: these are the server's words, for whoever looks for a fault.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Staple {
    /// How long it is.
    pub bytes: usize,
    /// What it says.
    pub status: StapleStatus,
    /// The certificate's serial number, as [`CertificateFacts::serial`] tells it.
    pub serial: Option<String>,
    /// As of when that is so, in seconds since 1970-01-01 UTC.
    pub this_update: Option<i64>,
    /// When there will be news at the latest, in seconds since 1970-01-01 UTC.
    pub next_update: Option<i64>,
}

/// What a stapled OCSP response says of the certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "snake_case"))]
pub enum StapleStatus {
    /// It is not revoked.
    Good,
    /// It is revoked.
    Revoked,
    /// The responder does not know it.
    Unknown,
    /// The responder gave no answer, only an error.
    NoAnswer,
    /// It is no OCSP response that can be read.
    Unreadable,
}

/// How far the peer's certificates were verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "snake_case"))]
pub enum Verification {
    /// They are valid and lead to an anchor (RFC 5280 section 6), and a server's are for the name.
    Verified,
    /// The peer is known by a pin alone: no authority and no name was asked for.
    Pinned,
    /// They were taken unseen, or although something is wrong with them ([`TlsFacts::checks`] tells
    /// what), by a setting named `danger`: nobody knows who the peer is.
    Danger,
    /// They were refused; the ending says why.
    Refused,
    /// The peer showed none: a client may be nobody.
    Anonymous,
}

/// Bytes that passed, by side of the layers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Bytes {
    /// Plain bytes handed to the reader.
    pub read: u64,
    /// Plain bytes accepted from the writer.
    pub written: u64,
    /// Bytes that came from the transport.
    pub wire_read: u64,
    /// Bytes that the transport took.
    pub wire_written: u64,
    /// Plain bytes that arrived and that nobody read, because the owner only waited for the end.
    pub discarded: u64,
}

/// How long each phase took; `None` for one that did not happen or is not over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Times {
    /// Looking up the name.
    #[cfg_attr(feature = "serde", serde(serialize_with = "milliseconds"))]
    pub lookup: Option<Duration>,
    /// Connecting the transport.
    #[cfg_attr(feature = "serde", serde(serialize_with = "milliseconds"))]
    pub connect: Option<Duration>,
    /// The opening handshake.
    #[cfg_attr(feature = "serde", serde(serialize_with = "milliseconds"))]
    pub handshake: Option<Duration>,
    /// The whole life.
    #[cfg_attr(feature = "serde", serde(serialize_with = "milliseconds"))]
    pub total: Option<Duration>,
}

/// Writes a duration as milliseconds with three decimals.
#[cfg(feature = "serde")]
#[expect(clippy::ref_option, reason = "serde calls it with a reference to the field")]
fn milliseconds<S: serde::Serializer>(
    time: &Option<Duration>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match time {
        Some(time) =>
        {
            #[expect(clippy::cast_precision_loss, reason = "exact for the first 285 years")]
            serializer.serialize_f64(time.as_micros() as f64 / 1000.0)
        }
        None => serializer.serialize_none(),
    }
}
