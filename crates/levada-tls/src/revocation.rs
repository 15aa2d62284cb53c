//! Certificate revocation lists (RFC 5280 section 5).

use std::fmt;
use std::sync::Arc;

use webpki::{CertRevocationList, OwnedCertRevocationList};

use crate::certificate::{RevocationListFacts, read_revocation_list};
use crate::fault::in_words;
use crate::pem::{self, PemError};

/// Revocation lists, of one authority or several. Cheap to clone.
///
/// To use newer ones, make a new client or server of them and
/// [replace](crate::TlsServer::replace) the running one: the next handshake goes by them.
#[derive(Clone, Default)]
pub struct Crls(Vec<Arc<Crl>>);

struct Crl {
    list: CertRevocationList<'static>,
    der: Vec<u8>,
    /// Seconds since 1970-01-01 UTC.
    made: i64,
    next_due: Option<i64>,
}

impl Crls {
    /// The lists in `bytes`: the blocks `X509 CRL` of a PEM text, or one list as DER.
    ///
    /// # Errors
    ///
    /// [`CrlError`] when there is none, or one of them cannot be used.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, CrlError> {
        if bytes.first() == Some(&0x30) && !pem::is_pem(bytes) {
            return Ok(Self(vec![Crl::read(bytes, None)?]));
        }
        let blocks = pem::blocks(bytes).map_err(CrlError::Damaged)?;
        let lists = blocks.iter().filter(|block| block.label == "X509 CRL");
        let mut crls: Vec<_> =
            lists.map(|block| Crl::read(&block.der, Some(block.line))).collect::<Result<_, _>>()?;
        if crls.is_empty() {
            return Err(CrlError::None);
        }
        newest_first(&mut crls);
        Ok(Self(crls))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// When the first of them is outdated, in seconds since 1970-01-01 UTC: a newer one must be there
    /// by then. `None` where none says it.
    pub fn next_due(&self) -> Option<i64> {
        self.0.iter().filter_map(|crl| crl.next_due).min()
    }

    pub(crate) fn add(&mut self, more: Self) {
        self.0.extend(more.0);
        newest_first(&mut self.0);
    }

    /// As webpki takes them.
    pub(crate) fn lists(&self) -> Vec<&CertRevocationList<'static>> {
        self.0.iter().map(|crl| &crl.list).collect()
    }

    pub(crate) fn encodings(&self) -> impl Iterator<Item = &[u8]> {
        self.0.iter().map(|crl| crl.der.as_slice())
    }
}

/// webpki goes by the first list of an issuer.
fn newest_first(crls: &mut [Arc<Crl>]) {
    crls.sort_by_key(|crl| std::cmp::Reverse(crl.made));
}

impl Crl {
    fn read(der: &[u8], line: Option<usize>) -> Result<Arc<Self>, CrlError> {
        let bad = |why: String| CrlError::Bad { line, why };
        let damaged = || "its encoding is damaged, or it is something else".to_owned();
        let facts = read_revocation_list(der).map_err(|_| bad(damaged()))?;
        if facts.is_version_1 {
            return Err(bad(
                "it is of version 1; make one of version 2, as `openssl ca -gencrl` does \
                            with a `crlnumber` in its configuration"
                    .to_owned(),
            ));
        }
        let RevocationListFacts { is_version_1: _, made, next_due } = facts;
        let list = OwnedCertRevocationList::from_der(der);
        let list = list.map_err(|error| bad(in_our_words(&error).unwrap_or_else(damaged)))?;
        Ok(Arc::new(Self { list: list.into(), der: der.to_vec(), made, next_due }))
    }
}

/// What webpki has against a list; `None` where it only cannot read it.
fn in_our_words(error: &webpki::Error) -> Option<String> {
    match error {
        webpki::Error::BadDer | webpki::Error::BadDerTime | webpki::Error::TrailingData(_) => None,
        webpki::Error::UnsupportedDeltaCrl => {
            Some("it tells only what is new (a delta CRL): give the whole list".to_owned())
        }
        webpki::Error::UnsupportedIndirectCrl => {
            Some("it is made by somebody else than the issuer (an indirect CRL)".to_owned())
        }
        error => Some(in_words(&format!("{error:?}"))),
    }
}

impl fmt::Debug for Crls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Crls")
            .field("lists", &self.len())
            .field("next_due", &self.next_due())
            .finish()
    }
}

/// Why bytes give no revocation lists.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CrlError {
    /// The PEM is damaged.
    Damaged(PemError),
    /// A list cannot be used.
    Bad {
        /// The number of the line where it begins, from 1; `None` in DER.
        line: Option<usize>,
        /// What is wrong with it.
        why: String,
    },
    /// There is none.
    None,
}

impl fmt::Display for CrlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Damaged(error) => write!(f, "the PEM of the revocation lists is damaged, {error}"),
            Self::Bad { line: Some(line), why } => {
                write!(f, "the revocation list that begins in line {line} cannot be used: {why}")
            }
            Self::Bad { line: None, why } => {
                write!(f, "the revocation list cannot be used: {why}")
            }
            Self::None => f.write_str(
                "there is no revocation list (\"BEGIN X509 CRL\"): is it the right file, and PEM or \
                 DER?",
            ),
        }
    }
}

impl std::error::Error for CrlError {}
