//! What holds for any text.

#[path = "support/invariants.rs"]
mod invariants;

use levada_address::OPTIONS;
use levada_config::{KEYS, ROUTE_KEYS};
use proptest::prelude::*;

/// Text that looks like a configuration more often than chance would have it.
fn config_like() -> impl Strategy<Value = String> {
    let words: Vec<&str> = OPTIONS
        .iter()
        .map(|row| row.word)
        .chain(KEYS.iter().chain(ROUTE_KEYS).map(|row| row.word))
        .chain(["address", "x"])
        .collect();
    let values = [
        "\"echo:\"",
        "'tls://:1?cert=a'",
        "'tls://a:1?ca=b&deadline-idle=off'",
        "'unix:a'",
        "'5s'",
        "'5'",
        "\"\\u00e9\\t\"",
        "'''\nx'''",
        "7",
        "-1",
        "true",
        "[]",
        "['a', 'b']",
        "{}",
        "{ address = 'tcp://:1' }",
        "{ address = 'tls://:1', cert = ['a'] }",
        "1979-05-27",
    ];
    let pair = (prop::sample::select(words), prop::sample::select(values.to_vec()))
        .prop_map(|(word, value)| format!("{word} = {value}\n"));
    let piece = prop_oneof![
        8 => pair,
        4 => prop::sample::select(vec!["[[route]]\n", "[route.listen]\n", "[route.to]\n", "[route]\n"])
            .prop_map(str::to_owned),
        1 => any::<char>().prop_map(String::from),
    ];
    prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused_soundly(text in any::<String>()) {
        invariants::check(&text);
    }

    #[test]
    fn text_like_a_configuration_is_read_or_refused_soundly(text in config_like()) {
        invariants::check(&text);
    }
}
