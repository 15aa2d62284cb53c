#![no_main]

#[path = "../../crates/levada/tests/shared/proxy_answer.rs"]
mod body;

libfuzzer_sys::fuzz_target!(|input: &[u8]| body::run(input));
