//! Any text: it is read to a policy of the pool, or refused with faults that point into it.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../crates/levada-pool-daemon/tests/support/policy_invariants.rs"]
mod invariants;

fuzz_target!(|text: &str| invariants::check(text));
