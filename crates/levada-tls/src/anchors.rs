//! Whom we trust: the certificate authorities that a peer's chain must lead to.

use std::fmt;
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;

use crate::certificate_fault::fault_of_rustls;
use crate::config_error::TlsConfigError;
use crate::pem::{self, PemError};

/// Trust anchors. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Anchors(Kind);

#[derive(Clone, Debug)]
enum Kind {
    None,
    Platform,
    Own(Arc<RootCertStore>),
    OwnAndPlatform(Arc<RootCertStore>),
}

impl Anchors {
    /// The authorities that this machine trusts, as its administrator set them up.
    pub const fn platform() -> Self {
        Self(Kind::Platform)
    }

    /// No authority: the peer's own certificate or key is [pinned](crate::PeerRules::pin), and that is
    /// all that makes it the peer. Its name is not asked for then, and it may be self-signed, also as
    /// an authority, as `openssl req -x509` makes it.
    pub const fn none() -> Self {
        Self(Kind::None)
    }

    /// These authorities, and those that this machine trusts, if there are any.
    #[must_use]
    pub fn and_platform(self) -> Self {
        match self.0 {
            Kind::Own(roots) => Self(Kind::OwnAndPlatform(roots)),
            Kind::None | Kind::Platform => Self::platform(),
            both @ Kind::OwnAndPlatform(_) => Self(both),
        }
    }

    /// Whether there is no authority.
    pub(crate) const fn is_none(&self) -> bool {
        matches!(self.0, Kind::None)
    }

    /// Whether those of this machine are among them.
    pub(crate) const fn has_platform(&self) -> bool {
        matches!(self.0, Kind::Platform | Kind::OwnAndPlatform(_))
    }

    /// The authorities; those of the platform are read now.
    pub(crate) fn load(self) -> Result<Arc<RootCertStore>, TlsConfigError> {
        match self.0 {
            Kind::None => Ok(Arc::new(RootCertStore::empty())),
            Kind::Own(roots) => Ok(roots),
            Kind::Platform => platform_roots().map(Arc::new),
            Kind::OwnAndPlatform(own) => {
                let mut roots = platform_roots().unwrap_or_else(|_| RootCertStore::empty());
                roots.extend(own.roots.iter().cloned());
                Ok(Arc::new(roots))
            }
        }
    }

    /// The certificates in the PEM text `text`, and no others. Blocks of other sorts are passed
    /// over.
    ///
    /// # Errors
    ///
    /// [`AnchorsError`] when one of them cannot be read, or when there is none.
    pub fn from_pem(text: &[u8]) -> Result<Self, AnchorsError> {
        let mut roots = RootCertStore::empty();
        for block in pem::blocks(text).map_err(AnchorsError::Damaged)? {
            if block.label != "CERTIFICATE" {
                continue;
            }
            let der = CertificateDer::from(block.der.to_vec());
            roots.add(der).map_err(|error| AnchorsError::BadCertificate {
                line: block.line,
                why: match error {
                    rustls::Error::InvalidCertificate(error) => fault_of_rustls(&error).to_string(),
                    other => other.to_string(),
                },
            })?;
        }
        if roots.is_empty() {
            let lines = text.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()).count();
            return Err(AnchorsError::NoCertificate { lines });
        }
        Ok(Self(Kind::Own(Arc::new(roots))))
    }
}

/// What this machine's administrator trusts. Files of it that cannot be used are passed over, as
/// every other program does, unless nothing is left.
fn platform_roots() -> Result<RootCertStore, TlsConfigError> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        let why = found.errors.first().map_or("there are none".to_owned(), ToString::to_string);
        return Err(TlsConfigError::Platform(why));
    }
    Ok(roots)
}

impl Default for Anchors {
    fn default() -> Self {
        Self::platform()
    }
}

/// Why a PEM text gives no trust anchors.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AnchorsError {
    /// It is damaged.
    Damaged(PemError),
    /// One of its certificates cannot be read.
    BadCertificate {
        /// The number of the line where it begins, from 1.
        line: usize,
        /// What is wrong with it.
        why: String,
    },
    /// It has no certificate.
    NoCertificate {
        /// How many lines it has that are not empty.
        lines: usize,
    },
}

impl fmt::Display for AnchorsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Damaged(error) => write!(f, "the PEM of the trust anchors is damaged, {error}"),
            Self::BadCertificate { line, why } => {
                write!(f, "the trust anchor that begins in line {line} cannot be used: {why}")
            }
            Self::NoCertificate { lines } => write!(
                f,
                "there is no certificate (\"BEGIN CERTIFICATE\") in the {lines} lines of the trust \
                 anchors: is it the right file, and PEM?",
            ),
        }
    }
}

impl std::error::Error for AnchorsError {}
