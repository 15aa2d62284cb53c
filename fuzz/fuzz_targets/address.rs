//! Any text: it is read or refused, a good address is shown as one that reads the same, and an
//! error points into its input.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../crates/levada-address/tests/support/invariants.rs"]
mod invariants;

fuzz_target!(|text: &str| invariants::check(text));
