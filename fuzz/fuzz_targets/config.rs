//! Any text: it is read to routes that are good, or refused with faults that point into it.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../crates/levada-config/tests/support/invariants.rs"]
mod invariants;

fuzz_target!(|text: &str| invariants::check(text));
