//! Replays the committed corpus of the fuzz target of the same name.

#[path = "shared/proxy_answer.rs"]
mod body;

/// Also every beginning of each answer, since a proxy may stop anywhere.
#[test]
fn whatever_a_proxy_answers_is_read_the_same_in_any_pieces() {
    for input in levada_testkit::fuzz::corpus("proxy_answer") {
        for end in 0..=input.len() {
            body::run(&input[..end]);
        }
    }
}
