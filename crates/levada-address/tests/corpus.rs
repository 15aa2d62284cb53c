//! The corpus of the fuzz target `address`, replayed without a fuzzer.

mod support;

#[test]
fn the_corpus_of_the_fuzzer_is_read_or_refused_soundly() {
    for bytes in levada_testkit::fuzz::corpus("address") {
        if let Ok(text) = str::from_utf8(&bytes) {
            support::invariants::check(text);
        }
    }
}
