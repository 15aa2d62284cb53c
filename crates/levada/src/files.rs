//! What addresses name, read: identities, authorities, revocation lists, passphrases.

use std::os::unix::ffi::OsStringExt;
use std::path::Path;
use std::time::{Duration, SystemTime};

use levada_address::{CertificateRules, CrlCheck, IdentityFiles, KeyPlace, PassphraseSource};
use levada_tls::{Anchors, CrlScope, Crls, Identity, IdentityError, Passphrase, PeerRules};
use zeroize::Zeroizing;

use crate::on_token;
use crate::setup_error::SetupError;
use crate::socket_signer::SocketSigner;

/// The identities of one address. A passphrase opens those keys that are encrypted; where none is, it
/// is there by mistake.
pub(crate) fn identities(all: &[IdentityFiles]) -> Result<Vec<Identity>, SetupError> {
    let mut is_asked = false;
    let read: Vec<_> =
        all.iter().map(|files| identity(files, &mut is_asked)).collect::<Result<_, _>>()?;
    match all.first() {
        Some(files) if files.passphrase.is_some() && !is_asked => {
            let error = IdentityError::PassphraseNotNeeded;
            Err(SetupError::Identity { files: Box::new(files.clone()), error })
        }
        _ => Ok(read),
    }
}

fn identity(files: &IdentityFiles, is_asked: &mut bool) -> Result<Identity, SetupError> {
    let chain = read(&files.cert)?;
    let identity = match &files.signer {
        Some(socket) => signed_for(&chain, files, socket)?,
        None => with_key(&chain, files, is_asked)?,
    };
    match &files.ocsp {
        None => Ok(identity),
        Some(path) => identity
            .with_staple(&read(path)?)
            .map_err(|error| SetupError::Staple { path: path.clone(), error }),
    }
}

/// The identity whose private key is with whoever listens at `socket`.
fn signed_for(chain: &[u8], files: &IdentityFiles, socket: &Path) -> Result<Identity, SetupError> {
    Identity::with_signer_for(chain, |certificate| SocketSigner::new(socket, certificate))
        .map_err(|error| SetupError::Identity { files: Box::new(files.clone()), error })
}

fn with_key(
    chain: &[u8],
    files: &IdentityFiles,
    is_asked: &mut bool,
) -> Result<Identity, SetupError> {
    let key = match &files.key {
        KeyPlace::Pkcs11(uri) => return on_token::identity(chain, files, uri, is_asked),
        KeyPlace::File(path) if *path == files.cert => None,
        KeyPlace::File(path) => Some(read(path)?),
    };
    let mut unread = None;
    let ask = || {
        *is_asked = true;
        match passphrase(files.passphrase.as_ref()?) {
            Ok(passphrase) => Some(passphrase),
            Err(error) => {
                unread = Some(error);
                None
            }
        }
    };
    let identity = Identity::with_passphrase(chain, key.as_ref().map(|key| &key[..]), ask);
    if let Some(error) = unread {
        return Err(error);
    }
    identity.map_err(|error| SetupError::Identity { files: Box::new(files.clone()), error })
}

pub(crate) fn passphrase(source: &PassphraseSource) -> Result<Passphrase, SetupError> {
    match source {
        PassphraseSource::File(path) => Ok(first_line(read(path)?)),
        PassphraseSource::Variable(name) => match std::env::var_os(name) {
            Some(value) => Ok(Passphrase::new(value.into_vec())),
            None => Err(SetupError::PassphraseVariable { name: name.clone() }),
        },
    }
}

/// Without the line's end.
fn first_line(mut bytes: Zeroizing<Vec<u8>>) -> Passphrase {
    let end = bytes.iter().position(|&byte| byte == b'\n').unwrap_or(bytes.len());
    bytes.truncate(end);
    if bytes.last() == Some(&b'\r') {
        bytes.pop();
    }
    Passphrase::new(std::mem::take(&mut bytes))
}

/// The authorities in the file `ca`. Without one it is by pins alone that anybody is trusted, where
/// there are any; else by `default`.
pub(crate) fn anchors(
    ca: Option<&Path>,
    rules: &CertificateRules,
    default: fn() -> Anchors,
) -> Result<Anchors, SetupError> {
    match ca {
        Some(path) => Anchors::from_pem(&read(path)?)
            .map_err(|error| SetupError::Anchors { path: path.to_path_buf(), error }),
        None if rules.pins.is_empty() => Ok(default()),
        None => Ok(Anchors::none()),
    }
}

/// The rules, with the revocation lists that they name.
pub(crate) fn peer_rules(words: &CertificateRules) -> Result<PeerRules, SetupError> {
    let mut rules = PeerRules::new();
    for path in &words.crls {
        let crls = Crls::from_bytes(&read(path)?)
            .map_err(|error| SetupError::Crls { path: path.clone(), error })?;
        rules = rules.crls(crls);
    }
    if words.crl_check == Some(CrlCheck::Leaf) {
        rules = rules.crl_scope(CrlScope::Leaf);
    }
    if let Some(seconds) = words.verify_time {
        rules = rules.verify_at(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds));
    }
    rules = words.pins.iter().fold(rules, |rules, pin| rules.pin(*pin));
    rules = words.names.iter().fold(rules, |rules, name| rules.san(name.clone()));
    let lapses = words.danger_ignore.iter();
    Ok(lapses.fold(rules, |rules, lapse| rules.danger_ignore(*lapse)))
}

/// What is in a file, wiped when dropped: most of them hold a secret, or may.
pub(crate) fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, SetupError> {
    let read = std::fs::read(path).map(Zeroizing::new);
    read.map_err(|error| SetupError::Read { path: path.to_path_buf(), error })
}
