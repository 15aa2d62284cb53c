//! Why an address cannot be dialled or listened at.

use std::fmt;
use std::io;
use std::path::PathBuf;

use levada_address::{Address, AddressError, IdentityFiles};
use levada_pool::wire::TextError;
use levada_tls::{
    AnchorsError, CrlError, IdentitiesError, IdentityError, NameError, TlsConfigError,
};

use crate::ws::{OfferError, OriginPatternError};

/// Why an address cannot be dialled or listened at: something is to be mended on this machine.
#[derive(Debug)]
#[non_exhaustive]
pub enum SetupError {
    /// The address itself, for this use.
    Address(AddressError),
    /// A file cannot be read.
    Read {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        error: io::Error,
    },
    /// A file of trusted certificates cannot be used.
    Anchors {
        /// The file.
        path: PathBuf,
        /// The reason.
        error: AnchorsError,
    },
    /// A file of revocation lists cannot be used.
    Crls {
        /// The file.
        path: PathBuf,
        /// The reason.
        error: CrlError,
    },
    /// The environment variable that has the passphrase is not set.
    PassphraseVariable {
        /// Its name.
        name: String,
    },
    /// The environment variable that has the password for a proxy is not set.
    ProxyPasswordVariable {
        /// Its name.
        name: String,
    },
    /// A certificate and key cannot be used.
    Identity {
        /// The files.
        files: Box<IdentityFiles>,
        /// The reason.
        error: IdentityError,
    },
    /// A private key is on a token, and this program is built without PKCS#11.
    WithoutPkcs11 {
        /// The key's URI.
        uri: String,
    },
    /// The URI of a private key is wrong.
    #[cfg(feature = "pkcs11")]
    KeyUri {
        /// The URI.
        uri: String,
        /// The reason.
        error: levada_pkcs11::UriError,
    },
    /// A private key on a token cannot be used.
    #[cfg(feature = "pkcs11")]
    TokenKey {
        /// Its URI.
        uri: String,
        /// The reason.
        error: levada_pkcs11::KeyError,
    },
    /// An OCSP response cannot be stapled to its certificate.
    Staple {
        /// The response.
        path: PathBuf,
        /// The reason.
        error: IdentityError,
    },
    /// The file for the secrets of sessions cannot be opened.
    KeyLog {
        /// The file.
        path: PathBuf,
        /// The reason.
        error: io::Error,
    },
    /// Several identities do not go together.
    Identities {
        /// The certificate at which this was found.
        path: PathBuf,
        /// The reason.
        error: IdentitiesError,
    },
    /// A name cannot be verified or asked for.
    Name(NameError),
    /// A name is none that a pool can be asked for.
    PoolName(TextError),
    /// A WebSocket cannot be asked for so.
    Offer(OfferError),
    /// A web page cannot be let in so.
    Origin(OriginPatternError),
    /// A line of a file of header fields is none.
    Header {
        /// The file.
        path: PathBuf,
        /// The line, from 1 on.
        line: usize,
    },
    /// HTTP/2 is asked for, which is not part of this build.
    NoHttp2,
    /// No TLS pool runs here, and the address names none.
    NoPool,
    /// The TLS settings contradict each other.
    Tls(TlsConfigError),
    /// The system does not let us listen there.
    Listen {
        /// Where.
        address: Address,
        /// The system's reason.
        error: io::Error,
    },
}

impl fmt::Display for SetupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(error) => write!(f, "{error}"),
            Self::Read { path, error } => write!(f, "cannot read {}: {error}", path.display()),
            Self::Anchors { path, error } => write!(f, "{}: {error}", path.display()),
            Self::Crls { path, error } => write!(f, "{}: {error}", path.display()),
            Self::PassphraseVariable { name } => write!(
                f,
                "the private key is encrypted, and the environment has no {name} with its passphrase"
            ),
            Self::ProxyPasswordVariable { name } => {
                write!(f, "the environment has no {name} with the password for the proxy")
            }
            Self::Identity { files, error } => {
                write!(f, "{}", files.cert.display())?;
                if files.key.file() != Some(&files.cert) {
                    write!(f, " with {}", files.key)?;
                }
                write!(f, ": {}", with_files(error, files))
            }
            Self::WithoutPkcs11 { uri } => write!(
                f,
                "{uri}: this program is built without PKCS#11; build it with the feature `pkcs11`, or \
                 name the file of the private key"
            ),
            #[cfg(feature = "pkcs11")]
            Self::KeyUri { uri, error } => write!(f, "{uri}: {error}"),
            #[cfg(feature = "pkcs11")]
            Self::TokenKey { uri, error } => write!(f, "{uri}: {error}"),
            Self::Staple { path, error } => write!(f, "{}: {error}", path.display()),
            Self::KeyLog { path, error } => {
                write!(f, "cannot write the key log {}: {error}", path.display())
            }
            Self::Identities { path, error } => write!(f, "{}: {error}", path.display()),
            Self::Name(error) => write!(f, "{error}"),
            Self::PoolName(error) => write!(f, "{error}"),
            Self::Offer(error) => write!(f, "{error}"),
            Self::Origin(error) => write!(f, "{error}"),
            Self::Header { path, line } => {
                write!(f, "{}: line {line} is no header field: write `Name: value`", path.display())
            }
            Self::NoPool => f.write_str(
                "no TLS pool runs here: start one with \"levada pool\", or name its socket with `pool=PATH`",
            ),
            Self::NoHttp2 => f.write_str(
                "`http` asks for HTTP/2, which this program was built without: build it with the \
                 feature `http2`, or leave `http` away",
            ),
            Self::Tls(error) => write!(f, "{error}"),
            Self::Listen { address, error } => write!(f, "cannot listen at {address}: {error}"),
        }
    }
}

/// The error's words, whose commands name the files.
fn with_files(error: &IdentityError, files: &IdentityFiles) -> String {
    let [cert, key] = [&files.cert.display() as &dyn fmt::Display, &files.key].map(shell_word);
    let text = error.to_string();
    match error {
        // Whose words these are means other files.
        IdentityError::SignerFailed(_) => text,
        IdentityError::KeyMismatch => {
            text.replacen("FILE", &cert, 1).replacen(" FILE", &format!(" {key}"), 1)
        }
        error if error.is_about_key() => text.replace("FILE", &key),
        _ => text.replace("FILE", &cert),
    }
}

/// A path as a shell takes it.
fn shell_word(path: &dyn fmt::Display) -> String {
    let text = path.to_string();
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-+,:@%".contains(&byte);
    if !text.is_empty() && text.bytes().all(plain) {
        return text;
    }
    format!("'{}'", text.replace('\'', "'\\''"))
}

impl std::error::Error for SetupError {}

impl From<AddressError> for SetupError {
    fn from(error: AddressError) -> Self {
        Self::Address(error)
    }
}

impl From<NameError> for SetupError {
    fn from(error: NameError) -> Self {
        Self::Name(error)
    }
}

impl From<TlsConfigError> for SetupError {
    fn from(error: TlsConfigError) -> Self {
        Self::Tls(error)
    }
}
