//! Where one instance of a terminator lives: its folder, its ports and its certificate.

use std::fs;
use std::path::{Path, PathBuf};

/// The two kinds of keys that are measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Key {
    EcdsaP256,
    Rsa2048,
}

impl Key {
    pub(crate) const ALL: [Self; 2] = [Self::EcdsaP256, Self::Rsa2048];

    /// The stem of its files.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::EcdsaP256 => "ecdsa",
            Self::Rsa2048 => "rsa",
        }
    }
}

/// Everything about an instance that its configuration depends on. All paths are absolute.
#[derive(Debug)]
pub(crate) struct Place {
    /// For its configuration and its log.
    pub(crate) folder: PathBuf,
    pub(crate) port: u16,
    /// Of the backend, on the same address.
    pub(crate) backend: u16,
    /// What the terminator is, if it is built here.
    pub(crate) program: PathBuf,
    /// PEM files: the certificate, its key, and both in one.
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
    pub(crate) bundle: PathBuf,
}

impl Place {
    /// # Errors
    ///
    /// When the folder cannot be made.
    pub(crate) fn make(
        work: &Path,
        program: &Path,
        terminator: &str,
        key: Key,
        ports: (u16, u16),
    ) -> Result<Self, String> {
        let (port, backend) = ports;
        let folder = work.join(format!("{terminator}-{port}"));
        fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        let file = |end: &str| work.join(format!("{}.{end}", key.name()));
        Ok(Self {
            folder,
            port,
            backend,
            program: program.to_owned(),
            certificate: file("crt"),
            key: file("key"),
            bundle: file("pem"),
        })
    }
}
