//! Replays the committed corpus of the fuzz target of the same name.

#[path = "shared/proxy_answer.rs"]
mod body;

use std::fs;

use levada_testkit::docs::workspace_root;

/// Also every beginning of each answer, since a proxy may stop anywhere.
#[test]
fn whatever_a_proxy_answers_is_read_the_same_in_any_pieces() {
    let folder = workspace_root().join("fuzz/corpus/proxy_answer");
    let mut count = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let input = fs::read(entry.unwrap().path()).unwrap();
        for end in 0..=input.len() {
            body::run(&input[..end]);
        }
        count += 1;
    }
    assert!(count > 0);
}
