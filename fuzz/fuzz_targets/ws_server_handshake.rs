#![no_main]

#[path = "../../crates/levada-ws/tests/shared/server_handshake.rs"]
mod body;
#[path = "../../crates/levada-ws/tests/shared/pieces.rs"]
mod pieces;

libfuzzer_sys::fuzz_target!(|input: &[u8]| body::run(input));
