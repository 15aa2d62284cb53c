//! The file that gets the secrets of sessions, where an address asks for it.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use levada_address::SessionOptions;
use levada_tls::DangerKeyLog;

use crate::setup_error::SetupError;

/// A file that is made when the first session may come, so that reading an address changes nothing.
#[derive(Clone, Debug)]
pub(crate) struct KeyLogFile {
    path: PathBuf,
    file: Arc<OnceLock<File>>,
}

impl KeyLogFile {
    pub(crate) fn of(session: &SessionOptions) -> Option<Self> {
        let path = session.danger_key_log.clone()?;
        Some(Self { path, file: Arc::default() })
    }

    /// Opens it, for its owner alone. What is in it stays.
    pub(crate) fn open(&self) -> Result<(), SetupError> {
        if self.file.get().is_some() {
            return Ok(());
        }
        let open = || {
            let file = OpenOptions::new().append(true).create(true).mode(0o600).open(&self.path)?;
            let metadata = file.metadata()?;
            if metadata.uid() != rustix::process::geteuid().as_raw() {
                return Err(io::Error::other("it belongs to another user: name another file"));
            }
            if metadata.mode() & 0o077 != 0 {
                return Err(io::Error::other(
                    "others may open it, too: chmod 600, or another file",
                ));
            }
            Ok(file)
        };
        let file = open().map_err(|error| SetupError::KeyLog { path: self.path.clone(), error })?;
        // Who was faster has opened the same.
        let _ = self.file.set(file);
        Ok(())
    }

    pub(crate) fn danger_key_log(&self) -> DangerKeyLog {
        DangerKeyLog::new(self.clone())
    }
}

impl Write for KeyLogFile {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        match self.file.get() {
            Some(mut file) => file.write(line),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
