//! The way here from the original pool: what its databases, or a folder of PEM files, say as a policy.

mod databases;
mod dump;
mod folder;
mod render;

use std::fmt;
use std::fs::{DirBuilder, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

pub use dump::DumpError;

/// The policy in a folder that an import makes.
const POLICY: &str = "pool.toml";

/// A policy that was made of something else: its files, and what became of each thing.
///
/// Nothing that the pool would not do is taken: an authority that was trusted under conditions is left
/// out rather than trusted without them.
#[derive(Default)]
pub struct Import {
    files: Vec<(String, Zeroizing<Vec<u8>>)>,
    notes: Vec<ImportNote>,
}

/// The textual dumps of the original's databases, as `db_dump` of Berkeley DB writes them, with or
/// without `-p`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Dumps<'a> {
    /// Who we can be, with which certificate and key.
    pub localid: &'a [u8],
    /// Whom we are to whom.
    pub disclose: &'a [u8],
    /// Whom we trust.
    pub trust: &'a [u8],
}

/// What became of one thing.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ImportNote {
    /// It is in the policy.
    Taken {
        /// The thing.
        what: String,
    },
    /// It is not, or not whole.
    LeftOut {
        /// The thing.
        what: String,
        /// Why.
        why: String,
    },
}

impl fmt::Display for ImportNote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Taken { what } => write!(f, "taken: {what}"),
            Self::LeftOut { what, why } => write!(f, "left out: {what}: {why}"),
        }
    }
}

/// Why nothing is imported.
#[derive(Debug)]
#[non_exhaustive]
pub enum ImportError {
    /// A text is no dump of a database.
    Dump {
        /// Which: `localid`, `disclose` or `trust`.
        database: &'static str,
        /// What is wrong, and where.
        error: DumpError,
    },
    /// A file or a folder cannot be read, or written.
    Io {
        /// It.
        path: PathBuf,
        /// The system's reason.
        error: io::Error,
    },
    /// Something lies there already: it stays, and nothing was written.
    Exists {
        /// It.
        path: PathBuf,
    },
}

impl ImportError {
    fn io(path: &Path, error: io::Error) -> Self {
        Self::Io { path: path.to_path_buf(), error }
    }
}

impl fmt::Display for ImportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dump { database, error } => {
                write!(f, "the dump of {database} is none: {error}; make it with `db_dump FILE`")
            }
            Self::Io { path, error } => write!(f, "{}: {error}", path.display()),
            Self::Exists { path } => {
                write!(f, "{} is there already; give a folder that is new", path.display())
            }
        }
    }
}

impl std::error::Error for ImportError {}

impl Import {
    /// Reads dumps of the databases; an empty text is an empty database.
    ///
    /// ```
    /// use levada_pool_daemon::{Dumps, Import};
    ///
    /// let disclose = b"VERSION=3\nformat=print\ntype=hash\nHEADER=END\n .example\n u@a.example\nDATA=END\n";
    /// let import = Import::from_dumps(Dumps { disclose, ..Dumps::default() })?;
    /// let told: Vec<_> = import.notes().iter().map(ToString::to_string).collect();
    /// assert_eq!(told, [r#"left out: u@a.example for ".example": no such local identity was taken"#]);
    /// # Ok::<(), levada_pool_daemon::ImportError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ImportError::Dump`]. A record that is damaged, or of no use here, is left out instead.
    pub fn from_dumps(dumps: Dumps<'_>) -> Result<Self, ImportError> {
        databases::import(dumps)
    }

    /// Reads a folder of PEM files: `NAME.pem` with a certificate and its key, or the key in another
    /// file; `anchors.pem`, `client-anchors.pem`, `crl.pem` and `client-crl.pem`, as the folder that is
    /// a policy has them.
    ///
    /// # Errors
    ///
    /// [`ImportError::Io`].
    pub fn from_folder(path: &Path) -> Result<Self, ImportError> {
        folder::import(path)
    }

    /// What became of each thing, in order.
    pub fn notes(&self) -> &[ImportNote] {
        &self.notes
    }

    /// The policy, in TOML. The files that it names lie beside it.
    pub fn policy(&self) -> &str {
        let policy = self.files.iter().find(|(name, _)| name == POLICY);
        policy.and_then(|(_, text)| str::from_utf8(text).ok()).unwrap_or_default()
    }

    /// Writes the policy and its files into `folder`, which is made if need be, for its owner alone.
    ///
    /// # Errors
    ///
    /// [`ImportError::Exists`] where anything of it is there already, before anything is written, and
    /// [`ImportError::Io`].
    pub fn write(&self, folder: &Path) -> Result<PathBuf, ImportError> {
        let built = DirBuilder::new().recursive(true).mode(0o700).create(folder);
        built.map_err(|error| ImportError::io(folder, error))?;
        for (name, _) in &self.files {
            let path = folder.join(name);
            if path.symlink_metadata().is_ok() {
                return Err(ImportError::Exists { path });
            }
        }
        for (name, bytes) in &self.files {
            let path = folder.join(name);
            // Whatever has come between is not written over either.
            let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
            file.and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()))
                .map_err(|error| ImportError::io(&path, error))?;
        }
        Ok(folder.join(POLICY))
    }

    fn take(&mut self, what: impl Into<String>) {
        self.notes.push(ImportNote::Taken { what: what.into() });
    }

    fn leave_out(&mut self, what: impl Into<String>, why: impl fmt::Display) {
        let why = why.to_string();
        self.notes.push(ImportNote::LeftOut { what: what.into(), why });
    }

    /// Adds a file, under a name of its own like `wanted`, which it returns.
    fn add(&mut self, wanted: &str, bytes: impl Into<Zeroizing<Vec<u8>>>) -> String {
        let safe = |char: char| {
            if char.is_ascii_alphanumeric() || "._@-".contains(char) { char } else { '_' }
        };
        let stem: String = wanted.chars().map(safe).take(100).collect();
        let stem = stem.trim_start_matches('.');
        let is_free =
            |name: &String| name != POLICY && self.files.iter().all(|(other, _)| other != name);
        let names = std::iter::once(format!("{stem}.pem"))
            .chain((2_u64..).map(|number| format!("{stem}-{number}.pem")));
        // There are more numbers than files.
        let name = names.into_iter().find(is_free).unwrap_or_default();
        self.files.push((name.clone(), bytes.into()));
        name
    }
}
