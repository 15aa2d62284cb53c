//! Replays the committed fuzz corpora through the bodies of the fuzz targets.

#[path = "shared/client_handshake.rs"]
mod client_handshake;
#[path = "shared/decoder.rs"]
mod decoder;
#[path = "shared/model.rs"]
mod model;
#[path = "shared/pieces.rs"]
mod pieces;
#[path = "shared/server_handshake.rs"]
mod server_handshake;

use std::fs;

use levada_testkit::docs::workspace_root;
use proptest::collection::vec;
use proptest::prelude::*;

/// Also every beginning of each input, since a peer may stop anywhere.
fn replay(target: &str, run: fn(&[u8])) {
    let folder = workspace_root().join("fuzz/corpus").join(target);
    let mut count = 0;
    for entry in fs::read_dir(&folder).expect("the corpus is committed") {
        let input = fs::read(entry.expect("it is readable").path()).expect("it is readable");
        for end in 0..=input.len() {
            run(&input[..end]);
        }
        count += 1;
    }
    assert!(count > 0, "{} is empty", folder.display());
}

#[test]
fn x2_corpus_of_the_decoder() {
    replay("ws_decoder", decoder::run);
}

#[test]
fn x2_corpus_of_the_server_handshake() {
    replay("ws_server_handshake", server_handshake::run);
}

#[test]
fn x2_corpus_of_the_client_handshake() {
    replay("ws_client_handshake", client_handshake::run);
}

proptest! {
    /// X2: no input makes anything panic.
    #[test]
    fn x2_random_bytes(input in vec(any::<u8>(), 0..200)) {
        decoder::run(&input);
        server_handshake::run(&input);
        client_handshake::run(&input);
    }
}
