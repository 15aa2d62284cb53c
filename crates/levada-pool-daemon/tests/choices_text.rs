//! Every text is a file of choices, or is refused in words.

#[path = "support/choices_invariants.rs"]
mod invariants;

use proptest::prelude::*;

#[test]
fn the_corpus_of_the_fuzzer_holds() {
    for text in levada_testkit::fuzz::corpus("pool_choices") {
        invariants::check(&text);
    }
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
