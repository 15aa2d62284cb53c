//! The folder in which the command keeps what it makes, and how files get into it: whole or not at
//! all, and for this user alone.

use std::ffi::OsString;
use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

/// Where the state directory is: `$XDG_STATE_HOME/levada`, else `$HOME/.local/state/levada`, else
/// `/var/lib/levada`. `variable` reads the environment.
///
/// A path that is not absolute counts as none (XDG Base Directory Specification).
pub(crate) fn path(variable: impl Fn(&str) -> Option<OsString>) -> PathBuf {
    let absolute = |name| variable(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let base = absolute("XDG_STATE_HOME")
        .or_else(|| absolute("HOME").map(|home| home.join(".local/state")))
        .unwrap_or_else(|| "/var/lib".into());
    base.join("levada")
}

/// A folder that is open to this user alone, and locked against other processes like this one.
#[derive(Debug)]
pub(crate) struct StateDir {
    path: PathBuf,
    /// Held while this lives.
    _lock: File,
}

impl StateDir {
    /// Opens the folder, makes it where it is missing, and waits until no other process has it.
    pub(crate) fn open(path: PathBuf) -> io::Result<Self> {
        DirBuilder::new().recursive(true).mode(0o700).create(&path)?;
        fs::set_permissions(&path, Permissions::from_mode(0o700))?;
        let lock = private_file().create(true).truncate(false).open(path.join("lock"))?;
        lock.lock()?;
        Ok(Self { path, _lock: lock })
    }

    /// Where a file of this name is.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// The text of a file; `None` where there is none.
    pub(crate) fn read(&self, name: &str) -> io::Result<Option<String>> {
        match fs::read_to_string(self.file(name)) {
            Ok(text) => Ok(Some(text)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            // Not ours, for it is no text.
            Err(error) if error.kind() == io::ErrorKind::InvalidData => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Writes a file of mode 0600. Whoever reads it sees all of the old one or all of the new one,
    /// also after a crash.
    pub(crate) fn write(&self, name: &str, text: &str) -> io::Result<()> {
        // We hold the lock: what lies there was left by a crash.
        let fresh = self.file(&format!("{name}.new"));
        remove(&fresh)?;
        let mut file = private_file().create_new(true).open(&fresh)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&fresh, self.file(name))?;
        File::open(&self.path)?.sync_all()
    }

    /// Removes a file if it is there.
    pub(crate) fn remove(&self, name: &str) -> io::Result<()> {
        remove(&self.file(name))
    }
}

fn private_file() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true).mode(0o600);
    options
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(variables: &[(&str, &str)]) -> PathBuf {
        path(|name| {
            let found = variables.iter().find(|(variable, _)| *variable == name);
            found.map(|(_, value)| value.into())
        })
    }

    #[test]
    fn the_first_absolute_path_wins() {
        assert_eq!(of(&[("XDG_STATE_HOME", "/x"), ("HOME", "/h")]), Path::new("/x/levada"));
        assert_eq!(
            of(&[("XDG_STATE_HOME", "x"), ("HOME", "/h")]),
            Path::new("/h/.local/state/levada")
        );
        assert_eq!(of(&[("XDG_STATE_HOME", ""), ("HOME", "")]), Path::new("/var/lib/levada"));
        assert_eq!(of(&[]), Path::new("/var/lib/levada"));
    }
}
