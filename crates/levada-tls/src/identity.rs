//! A certificate chain with its private key.

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use levada_core::{ShownCertificate, StapleStatus};
use rustls::pki_types::CertificateDer;
use rustls::sign::{CertifiedKey, SigningKey};
use webpki::EndEntityCert;

use crate::certificate::read_certificate;
use crate::der_file;
use crate::fault::in_words;
use crate::identity_error::{IdentityError, IdentityWarning};
use crate::passphrase::Passphrase;
use crate::pem::{self, Block};
use crate::private_key;
use crate::signer::{ExternalKey, Signer};
use crate::staple::read_staple;

/// Who we are: a certificate chain and the private key of its first certificate. Cheap to clone.
///
/// What we ourselves copied of the key is wiped once it is read; the key itself lives in the
/// provider. `Debug` shows names only.
#[derive(Clone)]
pub struct Identity {
    certified: Arc<CertifiedKey>,
    names: Arc<[String]>,
    /// What the own certificate says, read once for all sessions.
    shown: Arc<ShownCertificate>,
    /// Who has the private key, where that is somebody else: signing may have to wait then.
    external: Option<Arc<ExternalKey>>,
}

impl Identity {
    /// Reads an identity: the `chain` (the own certificate first, behind each one its issuer), and the
    /// private `key` in PKCS#8, PKCS#1 or SEC1. Where `key` is `None`, the key stands in `chain`. Each
    /// is PEM; DER is taken, too, which holds one certificate or one key.
    ///
    /// A `passphrase` decrypts a PKCS#8 key (PBES2: PBKDF2 or scrypt with AES or Triple DES).
    ///
    /// # Errors
    ///
    /// [`IdentityError`], which says what is wrong and how to mend it; also
    /// [`IdentityError::PassphraseNotNeeded`].
    pub fn from_pem(
        chain: &[u8],
        key: Option<&[u8]>,
        passphrase: Option<&Passphrase>,
    ) -> Result<Self, IdentityError> {
        let mut is_asked = false;
        let ask = || {
            is_asked = true;
            passphrase.cloned()
        };
        let identity = Self::with_passphrase(chain, key, ask)?;
        if passphrase.is_some() && !is_asked {
            return Err(IdentityError::PassphraseNotNeeded);
        }
        Ok(identity)
    }

    /// Like [`from_pem`](Self::from_pem), and `ask` is called for the passphrase where the key is
    /// encrypted, and only there. It may take its time: to prompt somebody, or to fetch a secret.
    ///
    /// # Errors
    ///
    /// [`IdentityError`]; [`IdentityError::PassphraseMissing`] when `ask` gives none.
    pub fn with_passphrase(
        chain: &[u8],
        key: Option<&[u8]>,
        ask: impl FnOnce() -> Option<Passphrase>,
    ) -> Result<Self, IdentityError> {
        let chain_blocks = blocks(chain)?;
        let key_blocks = key.map(blocks).transpose()?;
        let certificates = certificates(&chain_blocks)?;
        let key = private_key::read(key_blocks.as_ref().unwrap_or(&chain_blocks), ask)?;
        Self::new(certificates, key)
    }

    /// An identity whose private key is elsewhere: the PEM text `chain` is as in
    /// [`from_pem`](Self::from_pem), and `signer` signs with the key of its first certificate.
    ///
    /// ```
    /// use levada_tls::{Identity, SignatureScheme};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let chain = include_bytes!("../tests/data/ec-cert.pem");
    /// let identity = Identity::with_signer(chain, |scheme: SignatureScheme, message: Vec<u8>| async move {
    ///     let _to_sign = (scheme, message);
    ///     Err("the smart card is not plugged in".into())
    /// })?;
    /// assert_eq!(identity.names(), ["host.example", "*.host.example"]);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`IdentityError`], which says what is wrong with the chain. Whether the signer has the right
    /// key shows with its first signature.
    pub fn with_signer(chain: &[u8], signer: impl Signer + 'static) -> Result<Self, IdentityError> {
        Self::with_signer_for(chain, |_| signer)
    }

    /// Like [`with_signer`](Self::with_signer), for a signer that has several keys: it is made for the
    /// certificate that it gets.
    ///
    /// # Errors
    ///
    /// As those of [`with_signer`](Self::with_signer).
    pub fn with_signer_for<S: Signer + 'static>(
        chain: &[u8],
        signer: impl FnOnce(&ShownCertificate) -> S,
    ) -> Result<Self, IdentityError> {
        let chain = certificates(&blocks(chain)?)?;
        let Some(leaf) = chain.first() else { return Err(IdentityError::NoCertificate) };
        let signer = signer(&read_certificate(leaf));
        let key = Arc::new(ExternalKey::new(leaf, Arc::new(signer))?);
        Ok(Self { external: Some(key.clone()), ..Self::new(chain, key)? })
    }

    /// Has the signer sign a text without meaning, and verifies that with the certificate: so a wrong
    /// key is known before the first client comes. Blocks for as long as the signer takes, and polls
    /// its future on this thread. A private key in this process needs no such trial.
    ///
    /// # Errors
    ///
    /// [`IdentityError::SignerFailed`] and [`IdentityError::SignerMismatch`].
    pub fn try_signer(&self) -> Result<(), IdentityError> {
        self.external.as_ref().map_or(Ok(()), |key| key.try_out())
    }

    fn new(
        chain: Vec<CertificateDer<'static>>,
        key: Arc<dyn SigningKey>,
    ) -> Result<Self, IdentityError> {
        let parsed = parse(&chain)?;
        let Some(leaf) = parsed.first() else { return Err(IdentityError::NoCertificate) };
        if let Some(public) = key.public_key() {
            match parsed.iter().position(|cert| cert.subject_public_key_info() == public) {
                Some(0) => {}
                Some(index) => return Err(IdentityError::LeafNotFirst(index + 1)),
                None => return Err(IdentityError::KeyMismatch),
            }
        }
        let in_order = |pair: &[EndEntityCert<'_>]| pair[0].issuer() == pair[1].subject();
        if let Some(index) = parsed.windows(2).position(|pair| !in_order(pair)) {
            return Err(IdentityError::ChainOrder(index + 1));
        }
        let names = leaf.valid_dns_names().map(str::to_ascii_lowercase).collect();
        let shown = Arc::new(read_certificate(&leaf.der()));
        drop(parsed);
        Ok(Self {
            certified: Arc::new(CertifiedKey::new(chain, key)),
            names,
            shown,
            external: None,
        })
    }

    /// The same, with a response of its authority that it is not revoked, to be stapled to the
    /// certificate for clients that ask for it (OCSP, RFC 6066 section 8). It is DER, as
    /// `openssl ocsp -respout` writes it, and is renewed by whoever made it: it is sent as it is.
    ///
    /// # Errors
    ///
    /// [`IdentityError::BadStaple`] when it is no OCSP response, or one without an answer, or about
    /// another certificate.
    pub fn with_staple(&self, der: &[u8]) -> Result<Self, IdentityError> {
        let staple = read_staple(der);
        let serial = self.shown.read().map(|facts| facts.serial.as_str());
        let why = match staple.status {
            StapleStatus::Unreadable => "it is no OCSP response in DER",
            StapleStatus::NoAnswer => "the responder gave no answer in it",
            _ if serial.is_some() && staple.serial.as_deref() != serial => {
                "it is about another certificate"
            }
            _ => {
                let mut certified = CertifiedKey::clone(&self.certified);
                certified.ocsp = Some(der.to_vec());
                return Ok(Self { certified: Arc::new(certified), ..self.clone() });
            }
        };
        Err(IdentityError::BadStaple(why))
    }

    /// The DNS names that the certificate is for (its subject alternative names), in lower case; a
    /// wildcard begins with `*.`.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// What the certificate says, as a session's facts tell it.
    pub fn certificate(&self) -> &ShownCertificate {
        &self.shown
    }

    /// The certificate itself, in DER.
    pub fn certificate_der(&self) -> &[u8] {
        // An identity has a certificate; without one it could not be made.
        self.certified.cert.first().map_or(&[], AsRef::as_ref)
    }

    /// What is wrong with showing this certificate at the time `now`: peers will refuse it. It is no
    /// error, because whoever starts with an expired certificate can still serve those who do not
    /// care, and be given a new one while running.
    pub fn warning(&self, now: SystemTime) -> Option<IdentityWarning> {
        let facts = self.shown.read()?;
        let since = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let now = i64::try_from(since.as_secs()).unwrap_or(i64::MAX);
        let name = self.names.first().unwrap_or(&facts.subject).clone();
        if now > facts.not_after {
            Some(IdentityWarning::Expired { name, not_after: facts.not_after })
        } else if now < facts.not_before {
            Some(IdentityWarning::NotYetValid { name, not_before: facts.not_before })
        } else {
            None
        }
    }

    pub(crate) fn shown(&self) -> Arc<ShownCertificate> {
        self.shown.clone()
    }

    /// Whether signing may have to wait for somebody.
    pub(crate) const fn may_block(&self) -> bool {
        self.external.is_some()
    }

    /// Whether `other` is a clone of this one.
    pub(crate) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.certified, &other.certified)
    }

    pub(crate) fn certified_key(&self) -> Arc<CertifiedKey> {
        self.certified.clone()
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity")
            .field("names", &self.names)
            .field("certificates", &self.certified.cert.len())
            .finish_non_exhaustive()
    }
}

/// The blocks of a file: those of a PEM text, or the one that a DER file is.
pub(crate) fn blocks(file: &[u8]) -> Result<Vec<Block>, IdentityError> {
    if pem::is_pem(file) {
        return Ok(pem::blocks(file)?);
    }
    match der_file::block(file) {
        Some(block) => Ok(vec![block]),
        None if der_file::is_pkcs12(file) => Err(IdentityError::Pkcs12),
        None if der_file::is_der(file) => Err(IdentityError::Der),
        None => Err(IdentityError::NotPem),
    }
}

fn certificates(blocks: &[Block]) -> Result<Vec<CertificateDer<'static>>, IdentityError> {
    let chain: Vec<_> = blocks
        .iter()
        .filter(|block| block.label == "CERTIFICATE")
        .map(|block| CertificateDer::from(block.der.to_vec()))
        .collect();
    if chain.is_empty() { Err(IdentityError::NoCertificate) } else { Ok(chain) }
}

fn parse<'a>(
    chain: &'a [CertificateDer<'static>],
) -> Result<Vec<EndEntityCert<'a>>, IdentityError> {
    let parse = |(index, der): (usize, &'a CertificateDer<'static>)| {
        EndEntityCert::try_from(der).map_err(|error| IdentityError::BadCertificate {
            number: index + 1,
            why: in_words(&format!("{error:?}")),
        })
    };
    chain.iter().enumerate().map(parse).collect()
}
