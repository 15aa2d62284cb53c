//! Whatever is given as a certificate and key, it is read or refused without harm, and no secret is shown.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../crates/levada-tls/tests/support/odd_identity.rs"]
mod odd_identity;

fuzz_target!(|data: &[u8]| odd_identity::check(data));
