#![no_main]

#[path = "../../crates/levada-ws/tests/shared/decoder.rs"]
mod body;
#[path = "../../crates/levada-ws/tests/shared/model.rs"]
mod model;

libfuzzer_sys::fuzz_target!(|input: &[u8]| body::run(input));
