//! The corpus of the fuzz target `config`, replayed without a fuzzer.

#[path = "support/invariants.rs"]
mod invariants;

use std::fs;

use levada_testkit::docs::workspace_root;

#[test]
fn the_corpus_of_the_fuzzer_is_read_or_refused_soundly() {
    let folder = workspace_root().join("fuzz/corpus/config");
    let mut seeds = 0;
    for entry in fs::read_dir(folder).expect("the corpus is part of the repository") {
        let bytes = fs::read(entry.expect("a readable folder").path()).expect("a readable seed");
        if let Ok(text) = str::from_utf8(&bytes) {
            invariants::check(text);
            // And every beginning of it, which is where a file is while it is written.
            for end in (0..text.len()).filter(|&end| text.is_char_boundary(end)) {
                invariants::check(&text[..end]);
            }
        }
        seeds += 1;
    }
    assert!(seeds >= 5, "{seeds} seeds");
}
