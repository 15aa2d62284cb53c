//! The corpus of the fuzz target `config`, replayed without a fuzzer.

#[path = "support/invariants.rs"]
mod invariants;

#[test]
fn the_corpus_of_the_fuzzer_is_read_or_refused_soundly() {
    for bytes in levada_testkit::fuzz::corpus("config") {
        if let Ok(text) = str::from_utf8(&bytes) {
            invariants::check(text);
            // And every beginning of it, which is where a file is while it is written.
            for end in (0..text.len()).filter(|&end| text.is_char_boundary(end)) {
                invariants::check(&text[..end]);
            }
        }
    }
}
