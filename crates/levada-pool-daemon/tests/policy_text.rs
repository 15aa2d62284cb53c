//! Every text is a policy, or is refused in words.

#[path = "support/policy_invariants.rs"]
mod invariants;

use proptest::prelude::*;

#[test]
fn the_corpus_of_the_fuzzer_holds() {
    let folder = levada_testkit::docs::workspace_root().join("fuzz/corpus/pool_policy");
    let mut count = 0;
    for entry in std::fs::read_dir(folder).expect("the corpus is there") {
        let text = std::fs::read(entry.expect("it can be listed").path()).expect("it can be read");
        invariants::check(&String::from_utf8_lossy(&text));
        count += 1;
    }
    assert!(count >= 5);
}

/// Values of every kind, the right ones among them.
fn value() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z@.*]{0,12}".prop_map(|text| format!("{text:?}")),
        any::<i64>().prop_map(|number| number.to_string()),
        proptest::collection::vec("\"[a-z@.]{0,8}\"|-?[0-9]{1,12}", 0..4)
            .prop_map(|items| format!("[{}]", items.join(", "))),
        Just("true".to_owned()),
        Just("{}".to_owned()),
        "\\PC{0,12}",
    ]
}

proptest! {
    #[test]
    fn chance_is_read_or_refused(text in "\\PC{0,200}") {
        invariants::check(&text);
    }

    #[test]
    fn keys_with_any_value_are_read_or_refused(
        lines in proptest::collection::vec(
            (
                proptest::sample::select(&[
                    "anchors", "client-anchors", "crl", "client-crl", "identity", "name", "cert",
                    "key", "key-pass", "key-pass-file", "lidentry-choices", "local-ca", "names",
                    "pin-entry-users",
                    "roles", "show-to", "services", "users", "groups", "default",
                    "nmae",
                ][..]),
                value(),
                any::<bool>(),
            ),
            0..8,
        )
    ) {
        let mut text = String::new();
        for (key, value, table) in lines {
            text.push_str(if table { "[[identity]]\n" } else { "" });
            text.extend([key, " = ", value.as_str(), "\n"]);
        }
        invariants::check(&text);
    }
}
