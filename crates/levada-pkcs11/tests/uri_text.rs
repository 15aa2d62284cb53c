//! Every text is a URI of a private key, or is refused in words.

#[path = "support/uri_invariants.rs"]
mod invariants;

use proptest::prelude::*;

#[test]
fn the_corpus_of_the_fuzzer_holds() {
    for text in levada_testkit::fuzz::corpus("key_uri") {
        invariants::check(&String::from_utf8_lossy(&text));
    }
}

proptest! {
    #[test]
    fn chance_is_read_or_refused(text in "(pkcs11:)?\\PC{0,100}") {
        invariants::check(&text);
    }

    #[test]
    fn attributes_with_any_value_are_read_or_refused(
        pieces in proptest::collection::vec(
            (
                prop::sample::select(&[
                    "token", "serial", "model", "manufacturer", "slot-id", "object", "id", "type",
                    "module-path", "pin-source", "pin-values", "label", "",
                ][..]),
                "=?(/|file:/|private)?[%a-f0-9é]{0,8}",
                prop::sample::select(&[";", "&", "?", ";;"][..]),
            ),
            0..8,
        )
    ) {
        let mut text = "pkcs11:".to_owned();
        for (name, value, mark) in pieces {
            text.extend([name, value.as_str(), mark]);
        }
        invariants::check(&text);
    }
}
