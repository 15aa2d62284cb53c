//! Any bytes: they are read as a dump of each of the original's databases to a policy that can be read,
//! or refused in words.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../crates/levada-pool-daemon/tests/support/import_invariants.rs"]
mod invariants;

fuzz_target!(|dump: &[u8]| invariants::check(dump));
