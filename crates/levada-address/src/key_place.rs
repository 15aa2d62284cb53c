//! Where a private key is: in a file, or on a token.

use std::fmt;
use std::path::{Path, PathBuf};

/// Where a private key is. A file whose name begins as a URI does is written with its folder:
/// `./pkcs11:name`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyPlace {
    /// In this file, PEM or DER.
    File(PathBuf),
    /// On the token that this PKCS#11 URI names (RFC 7512).
    Pkcs11(String),
}

impl KeyPlace {
    /// The file, where it is one.
    pub fn file(&self) -> Option<&Path> {
        match self {
            Self::File(path) => Some(path),
            Self::Pkcs11(_) => None,
        }
    }

    /// Whether this is meant as a URI, and as no path.
    pub fn is_uri(bytes: &[u8]) -> bool {
        bytes.get(..7).is_some_and(|start| start.eq_ignore_ascii_case(b"pkcs11:"))
    }
}

impl fmt::Display for KeyPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Pkcs11(uri) => f.write_str(uri),
        }
    }
}
