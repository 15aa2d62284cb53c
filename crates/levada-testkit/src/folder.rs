//! Folders that go with their test.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::{env, process};

/// A folder among the temporary ones, which is removed when it is dropped.
#[derive(Debug)]
pub struct Folder(PathBuf);

impl Folder {
    /// One that is empty, and nobody else's.
    ///
    /// # Panics
    ///
    /// When it cannot be made.
    #[expect(clippy::new_without_default, reason = "it makes something outside of the process")]
    pub fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = env::temp_dir().join(format!("levada-test-{}-{number}", process::id()));
        // What a process of the same number has left behind, for one that was killed.
        let _ = fs::remove_dir_all(&path);
        fs::create_dir(&path).expect("a folder for temporary files");
        Self(path)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Writes a file, and gives its path.
    ///
    /// # Panics
    ///
    /// When it cannot be written, and where folders have names that are not UTF-8.
    pub fn write(&self, name: &str, contents: &(impl AsRef<[u8]> + ?Sized)) -> String {
        let path = self.0.join(name);
        fs::write(&path, contents).expect("a file can be written");
        path.into_os_string().into_string().expect("the folder's name is UTF-8")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
