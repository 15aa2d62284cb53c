//! Private keys that live elsewhere: in another process, a smart card, an HSM.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

use levada_core::Fault;
use pkcs8::der::Decode;
use pkcs8::der::asn1::ObjectIdentifier;
use pkcs8::spki::SubjectPublicKeyInfoRef;
use rustls::pki_types::{CertificateDer, SubjectPublicKeyInfoDer};
use rustls::sign::SigningKey;
use rustls::{Error, SignatureAlgorithm, SignatureScheme as Rustls};
use webpki::EndEntityCert;

use crate::identity_error::IdentityError;
use crate::offload::{Awaited, Desk, NoAnswer};
use crate::provider::provider;
use crate::signature_scheme::SignatureScheme;
use crate::witness::Notes;

/// Why a signer does not sign.
pub type SignerError = Box<dyn std::error::Error + Send + Sync>;

/// A signature that is on its way.
pub type Signing = Pin<Box<dyn Future<Output = Result<Vec<u8>, SignerError>> + Send>>;

/// Signs with a private key that is not in this process, or not in this memory.
///
/// Any function that takes the scheme and the message and gives a future is one. It runs on a thread
/// of its own, with the runtime at hand: it may await, and it may block. Other streams never wait
/// for it. A future whose stream has ended meanwhile is dropped.
///
/// What it signs is verified with the certificate before it leaves: a wrong key, or a fault that
/// could give the key away, ends the handshake.
pub trait Signer: Send + Sync {
    /// Signs the whole `message` (not hashed yet) by `scheme`.
    ///
    /// # Errors
    ///
    /// In the signer's own words, which the stream's ending tells: no secret may be in them.
    fn sign(&self, scheme: SignatureScheme, message: Vec<u8>) -> Signing;

    /// Whether it can sign by `scheme`, which fits the key: it is not asked to sign by another. Unless
    /// said, it can.
    fn supports(&self, scheme: SignatureScheme) -> bool {
        let _ = scheme;
        true
    }
}

impl<F, S> Signer for F
where
    F: Fn(SignatureScheme, Vec<u8>) -> S + Send + Sync,
    S: Future<Output = Result<Vec<u8>, SignerError>> + Send + 'static,
{
    fn sign(&self, scheme: SignatureScheme, message: Vec<u8>) -> Signing {
        Box::pin(self(scheme, message))
    }
}

/// The key of a certificate, as somebody else has it.
pub(crate) struct ExternalKey(Arc<Key>);

struct Key {
    signer: Arc<dyn Signer>,
    leaf: CertificateDer<'static>,
    public: SubjectPublicKeyInfoDer<'static>,
    algorithm: SignatureAlgorithm,
    /// Those that fit the key, the best first.
    schemes: &'static [Rustls],
}

impl ExternalKey {
    /// Has the signer sign a text that means nothing in TLS, on this thread, and verifies that.
    pub(crate) fn try_out(&self) -> Result<(), IdentityError> {
        let schemes = self.0.schemes.iter().copied();
        let able = schemes.clone().find(|scheme| self.0.signer.supports((*scheme).into()));
        // One that supports none says best itself why.
        let Some(scheme) = able.or_else(|| schemes.clone().next()) else { return Ok(()) };
        let order = Order { key: self.0.clone(), scheme };
        match order.fill(&Arc::default(), TRIAL) {
            Ok(_) => Ok(()),
            Err(Unsigned::Wrong) => Err(IdentityError::SignerMismatch),
            Err(unsigned) => Err(IdentityError::SignerFailed(unsigned.in_words(scheme))),
        }
    }

    /// The key of the certificate `leaf`.
    pub(crate) fn new(
        leaf: &CertificateDer<'_>,
        signer: Arc<dyn Signer>,
    ) -> Result<Self, IdentityError> {
        let bad = |why: String| IdentityError::BadCertificate { number: 1, why };
        let public = EndEntityCert::try_from(leaf)
            .map_err(|error| bad(crate::fault::in_words(&format!("{error:?}"))))?
            .subject_public_key_info()
            .into_owned();
        let (algorithm, schemes) = schemes_of(&public).ok_or_else(|| {
            bad("its key is neither RSA, ECDSA (P-256, P-384, P-521) nor Ed25519".to_owned())
        })?;
        let leaf = leaf.clone().into_owned();
        Ok(Self(Arc::new(Key { signer, leaf, public, algorithm, schemes })))
    }
}

const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const EC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
const P384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.34");
const P521: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.35");
const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");

/// How a key of this sort signs (RFC 8446 section 4.2.3).
fn schemes_of(
    public: &SubjectPublicKeyInfoDer<'_>,
) -> Option<(SignatureAlgorithm, &'static [Rustls])> {
    let info = SubjectPublicKeyInfoRef::from_der(public.as_ref()).ok()?;
    let curve = || info.algorithm.parameters_oid().ok();
    Some(match info.algorithm.oid {
        RSA => (
            SignatureAlgorithm::RSA,
            &[
                Rustls::RSA_PSS_SHA256,
                Rustls::RSA_PSS_SHA384,
                Rustls::RSA_PSS_SHA512,
                Rustls::RSA_PKCS1_SHA256,
                Rustls::RSA_PKCS1_SHA384,
                Rustls::RSA_PKCS1_SHA512,
            ],
        ),
        EC => {
            let schemes: &[Rustls] = match curve()? {
                P256 => &[Rustls::ECDSA_NISTP256_SHA256],
                P384 => &[Rustls::ECDSA_NISTP384_SHA384],
                P521 => &[Rustls::ECDSA_NISTP521_SHA512],
                _ => return None,
            };
            (SignatureAlgorithm::ECDSA, schemes)
        }
        ED25519 => (SignatureAlgorithm::ED25519, &[Rustls::ED25519]),
        _ => return None,
    })
}

impl SigningKey for ExternalKey {
    fn choose_scheme(&self, offered: &[Rustls]) -> Option<Box<dyn rustls::sign::Signer>> {
        let fits =
            |scheme: &Rustls| offered.contains(scheme) && self.0.signer.supports((*scheme).into());
        let scheme = *self.0.schemes.iter().find(|scheme| fits(scheme))?;
        Some(Box::new(Order { key: self.0.clone(), scheme }))
    }

    fn public_key(&self) -> Option<SubjectPublicKeyInfoDer<'_>> {
        Some(SubjectPublicKeyInfoDer::from(self.0.public.as_ref()))
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        self.0.algorithm
    }
}

impl fmt::Debug for ExternalKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExternalKey").field("schemes", &self.0.schemes).finish_non_exhaustive()
    }
}

/// A signature that rustls is going to ask for.
struct Order {
    key: Arc<Key>,
    scheme: Rustls,
}

/// What is signed where nothing but the signature matters. What TLS has signed begins otherwise: with
/// 64 spaces, or with both sides' random bytes.
const TRIAL: &[u8] = b"levada: is this the private key of the certificate?";

/// Why there is no signature.
enum Unsigned {
    /// The signer's own words, or ours.
    Failed(String),
    /// There is one, and it is not the certificate's.
    Wrong,
}

impl Unsigned {
    fn in_words(self, scheme: Rustls) -> String {
        match self {
            Self::Failed(why) => why,
            Self::Wrong => format!(
                "the signature by {} is not one of the certificate's key: is it the right one?",
                SignatureScheme::from(scheme)
            ),
        }
    }
}

impl Order {
    fn fill(&self, desk: &Arc<Desk>, message: &[u8]) -> Result<Vec<u8>, Unsigned> {
        let (scheme, copy) = (self.scheme.into(), message.to_vec());
        let signer = self.key.signer.clone();
        let answer = desk
            .wait(Awaited::Signature, async move { signer.sign(scheme, copy).await })
            .map_err(|no_answer| match no_answer {
                NoAnswer::Panicked => "the signer panicked",
                NoAnswer::Abandoned => "its signature is not wanted any more",
            })
            .map_err(|why| Unsigned::Failed(why.to_owned()))?;
        let signature = answer.map_err(|error| Unsigned::Failed(error.to_string()))?;
        if self.verifies(message, &signature) { Ok(signature) } else { Err(Unsigned::Wrong) }
    }

    fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        let Ok(leaf) = EndEntityCert::try_from(&self.key.leaf) else { return false };
        let provider = provider();
        let mut known = provider.signature_verification_algorithms.mapping.iter();
        known.find(|(scheme, _)| *scheme == self.scheme).is_some_and(|(_, algorithms)| {
            let verify = |algorithm| leaf.verify_signature(algorithm, message, signature);
            algorithms.iter().any(|&algorithm| verify(algorithm).is_ok())
        })
    }
}

impl rustls::sign::Signer for Order {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Error> {
        // A session with such a key works where it may block: nowhere else is anybody asked to sign.
        let desk = Desk::current().ok_or("it was asked where nothing may block");
        let filled = desk
            .map_err(|why| Unsigned::Failed(why.to_owned()))
            .and_then(|desk| self.fill(&desk, message));
        filled.map_err(|unsigned| {
            let why = unsigned.in_words(self.scheme);
            Notes::note(|notes| notes.failed = Some(Fault::Signer(why.clone())));
            Error::General(why)
        })
    }

    fn scheme(&self) -> Rustls {
        self.scheme
    }
}

impl fmt::Debug for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Order").field("scheme", &self.scheme).finish_non_exhaustive()
    }
}
