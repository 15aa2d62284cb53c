#![no_main]

#[path = "../../crates/levada-ws/tests/shared/deflate.rs"]
mod body;

libfuzzer_sys::fuzz_target!(|input: &[u8]| body::run(input));
