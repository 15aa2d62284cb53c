//! Bytes as the acts of a driver: no sequence of them makes a life that breaks the rules.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../crates/levada-core/tests/model/mod.rs"]
mod model;

fuzz_target!(|acts: &[u8]| {
    model::live_through(acts.iter().copied().map(model::Act::from_byte));
});
