//! Any bytes are a report of a pool, which survives being written again, or an error.
#![no_main]

use libfuzzer_sys::fuzz_target;

// The same function replays the corpus in the crate's own tests.
#[path = "../../crates/levada-pool-wire/tests/wire/any_report.rs"]
mod any_report;

fuzz_target!(|data: &[u8]| any_report::check(data));
