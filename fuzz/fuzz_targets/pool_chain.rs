//! Any bytes are the chain of certificates that a pool tells of, which survives being written again, or an
//! error.
#![no_main]

use libfuzzer_sys::fuzz_target;

// The same function replays the corpus in the crate's own tests.
#[path = "../../crates/levada-pool-wire/tests/wire/any_chain.rs"]
mod any_chain;

fuzz_target!(|data: &[u8]| any_chain::check(data));
