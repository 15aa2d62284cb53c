//! Whatever a server answers to a probe, it is read without harm, and the same in any pieces.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../crates/levada-probe/tests/support/hostile.rs"]
mod hostile;

fuzz_target!(|data: &[u8]| hostile::check(data));
