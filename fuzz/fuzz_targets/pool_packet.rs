//! Any bytes are a packet of the TLS Pool, which survives being encoded, or a precise error.
#![no_main]

use libfuzzer_sys::fuzz_target;

// The same function replays the corpus in the crate's own tests.
#[path = "../../crates/levada-pool-wire/tests/wire/round_trip.rs"]
mod round_trip;

fuzz_target!(|data: &[u8]| round_trip::check(data));
