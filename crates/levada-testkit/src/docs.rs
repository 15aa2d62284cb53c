//! Text that is rendered from code into the docs, and a test that fails when the two drift.

use std::env;
use std::fs::File;
use std::io::{self, Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};

/// Panics unless `file` (relative to the workspace root) holds exactly `text` between the lines
/// `<!-- begin NAME -->` and `<!-- end NAME -->`.
///
/// With `LEVADA_BLESS=1` in the environment the block is rewritten instead.
///
/// # Panics
///
/// When the file or its two marker lines are missing, and when the block differs.
pub fn assert_rendered(file: &str, name: &str, text: &str) {
    let bless = env::var_os("LEVADA_BLESS").is_some();
    let (mut open, page) = read_locked(&workspace_root().join(file), bless)
        .unwrap_or_else(|error| panic!("cannot read {file}: {error}"));
    let wanted = replace_block(&page, name, text)
        .unwrap_or_else(|| panic!("{file} lacks the marker lines of the block '{name}'"));
    if page == wanted {
        return;
    }
    assert!(
        bless,
        "{file}: block '{name}' differs from the code; run the tests with LEVADA_BLESS=1"
    );
    let written = open.rewind().and_then(|()| open.set_len(0));
    written.and_then(|()| open.write_all(wanted.as_bytes())).expect("the docs are writable");
}

/// The page, and its file, locked until it is dropped: tests that bless other blocks of the same page
/// run at the same time.
fn read_locked(path: &Path, write: bool) -> io::Result<(File, String)> {
    let mut file = File::options().read(true).write(write).open(path)?;
    if write {
        file.lock()?;
    } else {
        file.lock_shared()?;
    }
    let mut page = String::new();
    file.read_to_string(&mut page)?;
    Ok((file, page))
}

/// The folder that holds the workspace's `Cargo.toml`.
///
/// # Panics
///
/// When this crate does not stand two folders below it.
pub fn workspace_root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .nth(2)
        .expect("the testkit stands in crates/levada-testkit")
        .to_path_buf()
}

fn replace_block(page: &str, name: &str, text: &str) -> Option<String> {
    let begin = format!("<!-- begin {name} -->\n");
    let end = format!("<!-- end {name} -->");
    let (head, rest) = page.split_once(&begin)?;
    let (_, tail) = rest.split_once(&end)?;
    Some(format!("{head}{begin}{}\n{end}{tail}", text.trim_end()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_is_replaced_and_the_rest_is_kept() {
        let page = "top\n<!-- begin x -->\nold\n<!-- end x -->\nbottom\n";
        assert_eq!(
            replace_block(page, "x", "new\n").unwrap(),
            "top\n<!-- begin x -->\nnew\n<!-- end x -->\nbottom\n"
        );
        assert_eq!(replace_block(page, "y", "new"), None);
    }
}
