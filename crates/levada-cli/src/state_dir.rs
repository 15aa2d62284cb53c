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
        Self::locked(path)
    }

    /// Opens a folder whose permissions are for its owner to choose; one that is missing is made, for
    /// this user alone. Else it is as [`StateDir::open`].
    pub(crate) fn open_as_it_is(path: PathBuf) -> io::Result<Self> {
        if path.is_dir() { Self::locked(path) } else { Self::open(path) }
    }

    fn locked(path: PathBuf) -> io::Result<Self> {
        let lock = private_file().create(true).truncate(false).open(path.join("lock"))?;
        lock.lock()?;
        Ok(Self { path, _lock: lock })
    }

    /// The names of its files, those that are text.
    pub(crate) fn names(&self) -> io::Result<Vec<String>> {
        let names = fs::read_dir(&self.path)?.map(|file| Ok(file?.file_name().into_string().ok()));
        names.filter_map(Result::transpose).collect()
    }

    /// Where a file of this name is.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// The text of a file, with what is no UTF-8 replaced in it; `None` where there is none.
    pub(crate) fn read(&self, name: &str) -> io::Result<Option<String>> {
        match fs::read(self.file(name)) {
            Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Writes a file of mode 0600. Whoever reads it sees all of the old one or all of the new one,
    /// also after a crash.
    pub(crate) fn write(&self, name: &str, text: &str) -> io::Result<()> {
        self.replace(name, text, 0o600)
    }

    /// Writes a file of mode 0644, else as [`StateDir::write`]: one that everybody may read who may
    /// enter the folder.
    pub(crate) fn publish(&self, name: &str, text: &str) -> io::Result<()> {
        self.replace(name, text, 0o644)
    }

    fn replace(&self, name: &str, text: &str, mode: u32) -> io::Result<()> {
        // We hold the lock: what lies there was left by a crash.
        let fresh = self.file(&format!("{name}.new"));
        remove(&fresh)?;
        let mut file = private_file().create_new(true).open(&fresh)?;
        file.write_all(text.as_bytes())?;
        file.set_permissions(Permissions::from_mode(mode))?;
        file.sync_all()?;
        fs::rename(&fresh, self.file(name))?;
        File::open(&self.path)?.sync_all()
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
