//! Text that is rendered from code into the docs, and a test that fails when the two drift.

use std::path::{Path, PathBuf};
use std::{env, fs};

/// Panics unless `file` (relative to the workspace root) holds exactly `text` between the lines
/// `<!-- begin NAME -->` and `<!-- end NAME -->`.
///
/// With `LEVADA_BLESS=1` in the environment the block is rewritten instead.
///
/// # Panics
///
/// When the file or its two marker lines are missing, and when the block differs.
pub fn assert_rendered(file: &str, name: &str, text: &str) {
    let path = workspace_root().join(file);
    let page = fs::read_to_string(&path)
        .unwrap_or_else(|error| panic!("cannot read {}: {error}", path.display()));
    let wanted = replace_block(&page, name, text)
        .unwrap_or_else(|| panic!("{file} lacks the marker lines of the block '{name}'"));
    if page == wanted {
        return;
    }
    if env::var_os("LEVADA_BLESS").is_some() {
        fs::write(&path, wanted).expect("the docs are writable when blessing");
        return;
    }
    panic!("{file}: block '{name}' differs from the code; run the tests with LEVADA_BLESS=1");
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
