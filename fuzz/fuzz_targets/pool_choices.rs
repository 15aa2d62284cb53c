//! Any bytes: they are read as choices of identity, and written to the same in as few lines as can be, or
//! refused with faults that can be shown.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../crates/levada-pool-daemon/tests/support/choices_invariants.rs"]
mod invariants;

fuzz_target!(|text: &[u8]| invariants::check(text));
