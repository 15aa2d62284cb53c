//! Any 380 bytes as the body of each private command of a pool: what is read survives being written.
#![no_main]

use libfuzzer_sys::fuzz_target;

// The same function replays the corpus in the crate's own tests.
#[path = "../../crates/levada-pool-wire/tests/wire/any_body.rs"]
mod any_body;

fuzz_target!(|data: &[u8]| any_body::check(data));
