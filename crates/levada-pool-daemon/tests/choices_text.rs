//! Every text is a file of choices, or is refused in words.

#[path = "support/choices_invariants.rs"]
mod invariants;

use proptest::prelude::*;

#[test]
fn the_corpus_of_the_fuzzer_holds() {
    let folder = levada_testkit::docs::workspace_root().join("fuzz/corpus/pool_choices");
    let mut count = 0;
    for entry in std::fs::read_dir(folder).expect("the corpus is there") {
        let text = std::fs::read(entry.expect("it can be listed").path()).expect("it can be read");
        invariants::check(&text);
        count += 1;
    }
    assert!(count >= 5);
}

proptest! {
    #[test]
    fn chance_is_read_or_refused(text in proptest::collection::vec(any::<u8>(), 0..200)) {
        invariants::check(&text);
    }

    #[test]
    fn lines_that_are_nearly_right_are_read_or_refused(
        lines in proptest::collection::vec(
            "[ #]?(first|last|next)? ?(u@|@)?(\\.?[abA]|::1|\\.)? ?[abA@é]{0,3}( on-the-fly)?\r?\n?",
            0..12,
        )
    ) {
        invariants::check(lines.concat().as_bytes());
    }
}
