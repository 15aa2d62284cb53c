//! The corpus of the fuzz target `address`, replayed without a fuzzer.

mod support;

use std::fs;

use levada_testkit::docs::workspace_root;

#[test]
fn the_corpus_of_the_fuzzer_is_read_or_refused_soundly() {
    let folder = workspace_root().join("fuzz/corpus/address");
    let mut seeds = 0;
    for entry in fs::read_dir(folder).expect("the corpus is part of the repository") {
        let bytes = fs::read(entry.expect("a readable folder").path()).expect("a readable seed");
        if let Ok(text) = str::from_utf8(&bytes) {
            support::invariants::check(text);
        }
        seeds += 1;
    }
    assert!(seeds >= 10, "{seeds} seeds");
}
