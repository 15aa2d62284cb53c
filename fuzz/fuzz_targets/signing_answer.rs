//! Whatever a signer in another process answers, it is a signature or told in printable words.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../crates/levada-tls/tests/support/odd_answer.rs"]
mod odd_answer;

fuzz_target!(|data: &[u8]| odd_answer::check(data));
