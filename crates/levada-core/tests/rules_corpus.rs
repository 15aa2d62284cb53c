//! The fuzzer's corpus of rules and pins, and what chance makes of them.

mod rules;

use proptest::prelude::*;

#[test]
fn the_fuzzers_corpus_is_read() {
    for text in levada_testkit::fuzz::corpus("san_rule") {
        rules::check(&String::from_utf8_lossy(&text));
    }
}

proptest! {
    #[test]
    fn whatever_is_written_is_read_or_refused_soundly(
        text in "(dns|ip|uri|spiffe|spki|cert):[-a-z0-9./*:=+]{0,40}|spiffe://[a-zA-Z0-9./*-]{0,20}",
    ) {
        rules::check(&text);
    }
}
