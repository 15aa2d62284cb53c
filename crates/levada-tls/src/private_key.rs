//! Reading private keys: PKCS#8 (RFC 5958), encrypted by PBES2 (RFC 8018) or not, PKCS#1 (RFC 8017)
//! and SEC1 (RFC 5915).

use std::sync::Arc;

use pkcs8::EncryptedPrivateKeyInfoRef;
use pkcs8::der::{self, AnyRef, Decode};
use pkcs8::pkcs5;
use pkcs8::pkcs5::pbes2::Kdf;
use pkcs8::spki::AlgorithmIdentifierRef;
use rustls::SignatureAlgorithm;
use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs1KeyDer, PrivatePkcs8KeyDer, PrivateSec1KeyDer};
use rustls::sign::SigningKey;

use crate::identity;
use crate::identity_error::IdentityError;
use crate::passphrase::Passphrase;
use crate::pem::Block;

/// By what a private key signs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum KeyAlgorithm {
    /// RSA.
    Rsa,
    /// ECDSA, on one of NIST's curves.
    Ecdsa,
    /// Ed25519.
    Ed25519,
}

/// Reads a private key as [`Identity::from_pem`] does, and tells of which sort it is: for whoever gets
/// the key before its certificate.
///
/// # Errors
///
/// [`IdentityError`], which says what is wrong with the key and how to mend it.
///
/// [`Identity::from_pem`]: crate::Identity::from_pem
pub fn check_private_key(
    key: &[u8],
    passphrase: Option<&Passphrase>,
) -> Result<KeyAlgorithm, IdentityError> {
    let key = read(&identity::blocks(key)?, || passphrase.cloned())?;
    match key.algorithm() {
        SignatureAlgorithm::RSA => Ok(KeyAlgorithm::Rsa),
        SignatureAlgorithm::ECDSA => Ok(KeyAlgorithm::Ecdsa),
        SignatureAlgorithm::ED25519 => Ok(KeyAlgorithm::Ed25519),
        other => Err(IdentityError::BadKey(format!("{other:?} is no algorithm for TLS"))),
    }
}

/// The labels of private keys.
const KEYS: &[&str] =
    &["PRIVATE KEY", "ENCRYPTED PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY"];

/// The one private key in `blocks`; `ask` is asked for its passphrase if it is encrypted.
pub(crate) fn read(
    blocks: &[Block],
    ask: impl FnOnce() -> Option<Passphrase>,
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
            let passphrase = ask().ok_or(IdentityError::PassphraseMissing)?;
            let clear = decrypt(&block.der, &passphrase)?;
            // Read here: the clear bytes are wiped at the end of this arm.
            return load(&PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(clear.as_bytes())));
        }
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
    if is_too_costly(&encrypted.encryption_algorithm) {
        let why = "opening it would take longer than anybody means to wait: it is damaged, or made to \
                   hinder";
        return Err(IdentityError::BadKey(why.to_owned()));
    }
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

/// Whether a key asks for more than a hundred times the work, or ten times the memory, that OpenSSL
/// gives it: 2048 iterations of PBKDF2, and 16 MiB for scrypt.
fn is_too_costly(encryption: &pkcs5::EncryptionScheme) -> bool {
    const ITERATIONS: u32 = 10_000_000;
    const MEMORY: u64 = 256 * 1024 * 1024;
    const PASSES: u16 = 16;
    let pkcs5::EncryptionScheme::Pbes2(parameters) = encryption else { return false };
    match &parameters.kdf {
        Kdf::Pbkdf2(kdf) => kdf.iteration_count > ITERATIONS,
        Kdf::Scrypt(kdf) => {
            let block = 128 * u64::from(kdf.block_size);
            kdf.cost_parameter.saturating_mul(block) > MEMORY || kdf.parallelization > PASSES
        }
        // What we do not know does no work.
        _ => false,
    }
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
