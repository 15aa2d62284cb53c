//! Whatever is stapled to a certificate, it is read without harm, and what is told of it holds together.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../crates/levada-tls/tests/support/odd_staple.rs"]
mod odd_staple;

fuzz_target!(|data: &[u8]| odd_staple::check(data));
