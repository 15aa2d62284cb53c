//! The fuzzer's corpus of rules and pins, and what chance makes of them.

mod rules;

use std::fs;
use std::path::Path;

use proptest::prelude::*;

#[test]
fn the_fuzzers_corpus_is_read() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/san_rule");
    let mut cases = 0;
    for entry in fs::read_dir(folder).expect("the corpus is there") {
        let text = fs::read(entry.expect("it can be read").path()).expect("it can be read");
        rules::check(&String::from_utf8_lossy(&text));
        cases += 1;
    }
    assert!(cases >= 8, "the corpus is there");
}

proptest! {
    #[test]
    fn whatever_is_written_is_read_or_refused_soundly(
        text in "(dns|ip|uri|spiffe|spki|cert):[-a-z0-9./*:=+]{0,40}|spiffe://[a-zA-Z0-9./*-]{0,20}",
    ) {
        rules::check(&text);
    }
}
