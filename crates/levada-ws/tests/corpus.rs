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

use proptest::collection::vec;
use proptest::prelude::*;

/// Also every beginning of each input, since a peer may stop anywhere.
fn replay(target: &str, run: fn(&[u8])) {
    for input in levada_testkit::fuzz::corpus(target) {
        for end in 0..=input.len() {
            run(&input[..end]);
        }
    }
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
