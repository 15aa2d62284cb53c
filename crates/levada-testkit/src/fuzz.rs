//! The committed corpora of the fuzz targets, which plain tests replay.

use std::fs;

use crate::docs::workspace_root;

/// The inputs of a fuzz target, one at least.
///
/// # Panics
///
/// Where they cannot be read, or are not there.
pub fn corpus(target: &str) -> Vec<Vec<u8>> {
    let folder = workspace_root().join("fuzz/corpus").join(target);
    let files = fs::read_dir(&folder).expect("the corpus is committed");
    let read = |file: Result<fs::DirEntry, _>| {
        fs::read(file.expect("the folder can be read").path()).expect("it holds files")
    };
    let inputs: Vec<_> = files.map(read).collect();
    assert!(!inputs.is_empty(), "{} is empty", folder.display());
    inputs
}
