//! Whatever a client begins with, a hook is told of a ClientHello or of none, and no byte is lost.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../crates/levada-tls/tests/support/odd_hello.rs"]
mod odd_hello;

fuzz_target!(|data: &[u8]| {
    odd_hello::check(data);
});
