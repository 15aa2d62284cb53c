//! The protocol versions that we speak.

use std::fmt;

use rustls::version::{TLS12, TLS13};
use rustls::{ProtocolVersion, SupportedProtocolVersion};

use crate::config_error::TlsConfigError;

/// A version of TLS. SSL 3, TLS 1.0 and TLS 1.1 are not safe (RFC 8996) and have no name here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TlsVersion {
    /// TLS 1.2 (RFC 5246).
    V1_2,
    /// TLS 1.3 (RFC 8446).
    V1_3,
}

impl TlsVersion {
    /// The version as people write it: `1.2` or `1.3`.
    pub const fn number(self) -> &'static str {
        match self {
            Self::V1_2 => "1.2",
            Self::V1_3 => "1.3",
        }
    }

    pub(crate) const fn of(version: ProtocolVersion) -> Option<Self> {
        match version {
            ProtocolVersion::TLSv1_2 => Some(Self::V1_2),
            ProtocolVersion::TLSv1_3 => Some(Self::V1_3),
            _ => None,
        }
    }
}

impl fmt::Display for TlsVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TLS {}", self.number())
    }
}

/// The versions that one configuration allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Versions {
    pub(crate) min: TlsVersion,
    pub(crate) max: TlsVersion,
}

impl Default for Versions {
    fn default() -> Self {
        Self { min: TlsVersion::V1_2, max: TlsVersion::V1_3 }
    }
}

impl Versions {
    pub(crate) fn for_rustls(
        self,
    ) -> Result<Vec<&'static SupportedProtocolVersion>, TlsConfigError> {
        use TlsVersion::{V1_2, V1_3};
        Ok(match (self.min, self.max) {
            (V1_2, V1_2) => vec![&TLS12],
            (V1_3, V1_3) => vec![&TLS13],
            (V1_2, V1_3) => vec![&TLS13, &TLS12],
            (V1_3, V1_2) => return Err(TlsConfigError::NoVersion),
        })
    }
}

impl fmt::Display for Versions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.min == self.max {
            write!(f, "only {}", self.min)
        } else {
            write!(f, "{} and {}", self.min, self.max.number())
        }
    }
}
