//! A certificate chain with its private key.

use std::fmt;
use std::sync::Arc;

use levada_core::{ShownCertificate, StapleStatus};
use pkcs8::EncryptedPrivateKeyInfoRef;
use pkcs8::der::{self, AnyRef, Decode};
use pkcs8::pkcs5;
use pkcs8::spki::AlgorithmIdentifierRef;
use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls::pki_types::{
    CertificateDer, PrivateKeyDer, PrivatePkcs1KeyDer, PrivatePkcs8KeyDer, PrivateSec1KeyDer,
};
use rustls::sign::{CertifiedKey, SigningKey};
use webpki::EndEntityCert;

use crate::certificate::read_certificate;
use crate::fault::in_words;
use crate::identity_error::IdentityError;
use crate::passphrase::Passphrase;
use crate::pem::{self, Block};
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
    /// Whether signing may have to wait for somebody.
    may_block: bool,
}

impl Identity {
    /// Reads an identity from PEM texts: the `chain` (the own certificate first, behind each one
    /// its issuer), and the private `key` in PKCS#8, PKCS#1 or SEC1. Where `key` is `None`, the key
    /// stands in `chain`.
    ///
    /// A `passphrase` decrypts a PKCS#8 key (PBES2: PBKDF2 or scrypt with AES).
    ///
    /// # Errors
    ///
    /// [`IdentityError`], which says what is wrong and how to mend it.
    pub fn from_pem(
        chain: &[u8],
        key: Option<&[u8]>,
        passphrase: Option<&Passphrase>,
    ) -> Result<Self, IdentityError> {
        let chain_blocks = blocks(chain)?;
        let key_blocks = key.map(blocks).transpose()?;
        let certificates = certificates(&chain_blocks)?;
        let key = read_key(key_blocks.as_ref().unwrap_or(&chain_blocks), passphrase)?;
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
        let chain = certificates(&blocks(chain)?)?;
        let Some(leaf) = chain.first() else { return Err(IdentityError::NoCertificate) };
        let key = Arc::new(ExternalKey::new(leaf, Arc::new(signer))?);
        Ok(Self { may_block: true, ..Self::new(chain, key)? })
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
            may_block: false,
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

    pub(crate) fn shown(&self) -> Arc<ShownCertificate> {
        self.shown.clone()
    }

    /// Whether signing may have to wait for somebody.
    pub(crate) const fn may_block(&self) -> bool {
        self.may_block
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

/// The blocks of a text, or the reason why it has none.
fn blocks(text: &[u8]) -> Result<Vec<Block>, IdentityError> {
    if pem::is_pem(text) {
        return Ok(pem::blocks(text)?);
    }
    // A DER file is one SEQUENCE; that of PKCS#12 begins with the version 3 (RFC 7292 section 4).
    Err(match text {
        [0x30, 0x80, 2, 1, 3, ..]
        | [0x30, 0x81, _, 2, 1, 3, ..]
        | [0x30, 0x82, _, _, 2, 1, 3, ..]
        | [0x30, 0x83, _, _, _, 2, 1, 3, ..] => IdentityError::Pkcs12,
        [0x30, 0x81..=0x84, ..] => IdentityError::Der,
        _ => IdentityError::NotPem,
    })
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

/// The labels of private keys.
const KEYS: &[&str] =
    &["PRIVATE KEY", "ENCRYPTED PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY"];

fn read_key(
    blocks: &[Block],
    passphrase: Option<&Passphrase>,
) -> Result<Arc<dyn SigningKey>, IdentityError> {
    let keys: Vec<_> = blocks.iter().filter(|block| KEYS.contains(&block.label.as_str())).collect();
    let block = match keys[..] {
        [] => return Err(no_key(blocks)),
        [block] => block,
        _ => return Err(IdentityError::SeveralKeys(keys.len())),
    };
    if block.is_legacy_encrypted {
        return Err(IdentityError::LegacyEncryption);
    }
    let der = match block.label.as_str() {
        "ENCRYPTED PRIVATE KEY" => {
            let passphrase = passphrase.ok_or(IdentityError::PassphraseMissing)?;
            let clear = decrypt(&block.der, passphrase)?;
            // Read here: the clear bytes are wiped at the end of this arm.
            return load(&PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(clear.as_bytes())));
        }
        _ if passphrase.is_some() => return Err(IdentityError::PassphraseNotNeeded),
        "RSA PRIVATE KEY" => PrivateKeyDer::Pkcs1(PrivatePkcs1KeyDer::from(&block.der[..])),
        "EC PRIVATE KEY" => PrivateKeyDer::Sec1(PrivateSec1KeyDer::from(&block.der[..])),
        _ => PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(&block.der[..])),
    };
    load(&der)
}

/// Why there is no key: the file may have one of a sort that TLS does not use.
fn no_key(blocks: &[Block]) -> IdentityError {
    let other = blocks.iter().find(|block| block.label.ends_with("PRIVATE KEY"));
    other.map_or(IdentityError::NoKey, |block| {
        IdentityError::BadKey(format!(
            "line {}: \"{}\" is no key for TLS",
            block.line,
            block.label.escape_debug()
        ))
    })
}

fn decrypt(der: &[u8], passphrase: &Passphrase) -> Result<pkcs8::SecretDocument, IdentityError> {
    let encrypted =
        EncryptedPrivateKeyInfoRef::try_from(der).map_err(|_| match algorithm(der) {
            Ok(oid) => unsupported(oid),
            Err(_) => IdentityError::BadKey("its encoding is damaged".to_owned()),
        })?;
    encrypted.decrypt(passphrase.bytes()).map_err(|error| match error {
        pkcs8::Error::EncryptedPrivateKey(pkcs5::Error::NoPbes1CryptSupport) => {
            IdentityError::UnsupportedEncryption("PBES1".to_owned())
        }
        pkcs8::Error::EncryptedPrivateKey(pkcs5::Error::UnsupportedAlgorithm { oid }) => {
            unsupported(oid)
        }
        pkcs8::Error::EncryptedPrivateKey(pkcs5::Error::AlgorithmParametersInvalid { oid }) => {
            IdentityError::BadKey(format!("the parameters of its encryption ({oid}) are damaged"))
        }
        // What a wrong passphrase leaves behind fails in its padding, and else as no PKCS#8.
        _ => IdentityError::PassphraseWrong,
    })
}

/// By which algorithm a PKCS#8 key is encrypted (RFC 5958 section 3).
fn algorithm(der: &[u8]) -> der::Result<der::asn1::ObjectIdentifier> {
    AnyRef::from_der(der)?.sequence(|fields| {
        let algorithm = AlgorithmIdentifierRef::decode(fields)?;
        AnyRef::decode(fields)?;
        der::Result::Ok(algorithm.oid)
    })
}

fn unsupported(oid: der::asn1::ObjectIdentifier) -> IdentityError {
    IdentityError::UnsupportedEncryption(format!("an algorithm that is not safe ({oid})"))
}

fn load(der: &PrivateKeyDer<'_>) -> Result<Arc<dyn SigningKey>, IdentityError> {
    any_supported_type(der).map_err(|_| {
        IdentityError::BadKey("it is neither RSA (2048 to 8192 bits), ECDSA nor Ed25519".to_owned())
    })
}
