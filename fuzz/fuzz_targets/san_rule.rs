//! Whatever is written as a rule about names or as a pin, it is read as it is written, or refused.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../crates/levada-core/tests/rules/mod.rs"]
mod rules;

fuzz_target!(|text: &str| rules::check(text));
