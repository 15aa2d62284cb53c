//! Identities of addresses whose private key is on a token.

use levada_address::IdentityFiles;
use levada_tls::Identity;

use crate::setup_error::SetupError;

/// The identity whose private key is where `uri` says. It is tried out: what is wrong is known before
/// anybody comes.
#[cfg(feature = "pkcs11")]
pub(crate) fn identity(
    chain: &[u8],
    files: &IdentityFiles,
    uri: &str,
    is_asked: &mut bool,
) -> Result<Identity, SetupError> {
    use levada_address::PassphraseSource;
    use levada_pkcs11::{KeyUri, StoredPin, TokenKey};

    let parsed: KeyUri =
        uri.parse().map_err(|error| SetupError::KeyUri { uri: uri.to_owned(), error })?;
    let pin = match &files.passphrase {
        // The PIN that the URI names is this token's own.
        _ if parsed.pin_file().is_some() => None,
        Some(PassphraseSource::File(path)) => Some(StoredPin::in_file(path)),
        Some(source) => Some(StoredPin::of(crate::files::passphrase(source)?)),
        None => None,
    };
    *is_asked |= pin.is_some();
    let key = TokenKey::new(parsed, pin);
    key.prepare().map_err(|error| SetupError::TokenKey { uri: uri.to_owned(), error })?;
    let wrong = |error| SetupError::Identity { files: Box::new(files.clone()), error };
    let identity = Identity::with_signer(chain, key).map_err(wrong)?;
    identity.try_signer().map_err(wrong)?;
    Ok(identity)
}

#[cfg(not(feature = "pkcs11"))]
pub(crate) fn identity(
    _: &[u8],
    _: &IdentityFiles,
    uri: &str,
    _: &mut bool,
) -> Result<Identity, SetupError> {
    Err(SetupError::WithoutPkcs11 { uri: uri.to_owned() })
}
