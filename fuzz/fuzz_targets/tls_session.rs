//! A session of either role under fire: random wire bytes in random pieces, or a true handshake
//! with flipped bits.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../crates/levada-tls/tests/support/hostile.rs"]
mod hostile;

fuzz_target!(|data: &[u8]| hostile::check(data));
