//! The book's page shows the keys as they are, and its example is good.

use std::fmt::Write as _;
use std::path::Path;

use levada_pool_daemon::{IDENTITY_KEYS, LOCAL_CA_KEYS, POLICY_KEYS, PolicyFile, PolicyKey};
use levada_testkit::docs::{assert_rendered, workspace_root};

const PAGE: &str = "docs/pool-daemon.md";

fn table(keys: &[PolicyKey]) -> String {
    let mut text = "| key | value | default | what it does |\n|---|---|---|---|\n".to_owned();
    for PolicyKey { word, value, default, help } in keys {
        // Writing into a string cannot fail.
        let _ = writeln!(text, "| `{word}` | `{value}` | {default} | {help} |");
    }
    text
}

#[test]
fn the_page_shows_the_tables() {
    assert_rendered(PAGE, "policy-keys", &table(POLICY_KEYS));
    assert_rendered(PAGE, "identity-keys", &table(IDENTITY_KEYS));
    assert_rendered(PAGE, "local-ca-keys", &table(LOCAL_CA_KEYS));
}

#[test]
fn the_examples_are_good() {
    let page = std::fs::read_to_string(workspace_root().join(PAGE)).expect("the page is there");
    let blocks: Vec<_> = page.split("```toml\n").skip(1).collect();
    assert!(!blocks.is_empty());
    for block in blocks {
        let (text, _) = block.split_once("```").expect("the block ends");
        if let Err(faults) = PolicyFile::parse(text, Path::new("")) {
            panic!("{}", faults.in_file(PAGE));
        }
    }
}
