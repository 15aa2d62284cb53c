//! Whatever is given as revocation lists, it is read or refused without harm.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../crates/levada-tls/tests/support/odd_crl.rs"]
mod odd_crl;

fuzz_target!(|data: &[u8]| odd_crl::check(data));
