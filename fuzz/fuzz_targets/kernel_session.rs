//! Any bytes are a session whose records the kernel does, with records that come on it, or an error.
#![no_main]

use libfuzzer_sys::fuzz_target;

// The same function replays the corpus in the crate's own tests.
#[path = "../../crates/levada-tls/tests/support/odd_kernel_session.rs"]
mod odd_kernel_session;

fuzz_target!(|data: &[u8]| odd_kernel_session::check(data));
