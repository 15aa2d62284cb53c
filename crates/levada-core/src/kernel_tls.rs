//! Whether the kernel does TLS's records, and why not.

use core::fmt;

use crate::os_error::OsError;

/// What became of the wish that the kernel seals and opens the records of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "snake_case"))]
pub enum KernelTls {
    /// It does.
    Armed {
        /// Whether it can go on with new keys (RFC 8446 section 4.6.3), as TLS 1.2 never needs. Where it
        /// cannot, a peer that renews its own ends the stream.
        rekeys: bool,
    },
    /// It does not, and TLS goes on as if nobody had asked.
    Declined(NoKernelTls),
}

/// Why the kernel does not do it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "snake_case"))]
pub enum NoKernelTls {
    /// This kernel has no TLS.
    Unsupported,
    /// The transport is no TCP socket.
    NotTcp,
    /// The connection has ended already, in one direction at least.
    NotConnected,
    /// The kernel does not have the cipher suite, or the version.
    Suite,
    /// Bytes from behind the handshake were read already.
    ReadAhead,
    /// The application has passed a plain socket of its own to the pool.
    PlainSide,
    /// The policy of the pool does not allow it.
    Forbidden,
    /// Another reason of the system's.
    System(OsError),
}

impl KernelTls {
    /// A stable name: `armed`, or that of the reason.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Armed { .. } => "armed",
            Self::Declined(why) => why.code(),
        }
    }
}

impl NoKernelTls {
    /// A stable name.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Unsupported => "unsupported",
            Self::NotTcp => "not_tcp",
            Self::NotConnected => "not_connected",
            Self::Suite => "suite",
            Self::ReadAhead => "read_ahead",
            Self::PlainSide => "plain_side",
            Self::Forbidden => "forbidden",
            Self::System(_) => "system",
        }
    }
}

impl fmt::Display for NoKernelTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unsupported => "this kernel has no TLS: load its module `tls`, if it has one",
            Self::NotTcp => "the kernel does TLS on TCP alone",
            Self::NotConnected => "the connection has begun to end",
            Self::Suite => "this kernel does not have the cipher suite that was agreed on",
            Self::ReadAhead => "bytes from behind the handshake were read already",
            Self::PlainSide => "the application has passed a plain socket of its own",
            Self::Forbidden => "the pool's policy does not allow it",
            Self::System(error) => return write!(f, "the kernel refuses: {error}"),
        })
    }
}

impl fmt::Display for KernelTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Armed { rekeys: true } => f.write_str("by the kernel"),
            Self::Armed { rekeys: false } => {
                f.write_str("by the kernel, which cannot go on with new keys")
            }
            Self::Declined(why) => write!(f, "not by the kernel: {why}"),
        }
    }
}
