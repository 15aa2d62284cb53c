//! The files of the repository, as far as people write them.

use std::fs;
use std::path::{Path, PathBuf};

/// Every file below the workspace's root, without what is built or fetched.
pub(crate) struct Tree {
    root: PathBuf,
    files: Vec<String>,
}

impl Tree {
    /// # Panics
    ///
    /// When a folder cannot be read: a rule that saw half of the files would hold by chance.
    pub(crate) fn read() -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let mut files = Vec::new();
        walk(&root, "", &mut files);
        files.sort();
        assert!(files.iter().any(|file| file == "xtask/tests/guard/tree.rs"), "not our tree");
        Self { root, files }
    }

    /// Paths relative to the root, with `/`, in order.
    pub(crate) fn files(&self) -> &[String] {
        &self.files
    }

    pub(crate) fn text(&self, file: &str) -> String {
        fs::read_to_string(self.root.join(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
    }
}

fn walk(folder: &Path, prefix: &str, files: &mut Vec<String>) {
    let entries =
        fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    for entry in entries {
        let entry = entry.unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
        let name = entry.file_name();
        let name = name.to_str().unwrap_or_else(|| panic!("{}: not UTF-8", name.display()));
        let kind = entry.file_type().unwrap_or_else(|error| panic!("{prefix}{name}: {error}"));
        if kind.is_file() {
            files.push(format!("{prefix}{name}"));
        } else if kind.is_dir() && !name.starts_with('.') && !is_made(name) {
            walk(&entry.path(), &format!("{prefix}{name}/"), files);
        }
    }
}

fn is_made(folder: &str) -> bool {
    matches!(folder, "target" | "node_modules" | "__pycache__")
}
