//! Whatever stands in a certificate, it is read without harm, and what is told of it is printable.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../crates/levada-tls/tests/support/odd_certificate.rs"]
mod odd_certificate;

fuzz_target!(|data: &[u8]| odd_certificate::check(data));
