//! Any text: it is read to the URI of a key on a token, or refused with a place in it.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../crates/levada-pkcs11/tests/support/uri_invariants.rs"]
mod invariants;

fuzz_target!(|text: &str| invariants::check(text));
