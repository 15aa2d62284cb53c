//! What we promise of streams on a pool whichever way their data goes: past the pool, where the kernel seals and
//! opens the records, or through it. Each is shown on the real command with real peers, on this machine and in
//! the guests of `cargo xtask guest`, whose kernels have TLS.

#![expect(clippy::unwrap_used, reason = "what a test leans on panics as a test does")]

#[path = "../harness/mod.rs"]
#[expect(dead_code, unused_imports, reason = "the other promises use the rest")]
mod harness;

mod gate;
mod stream;
mod way;

mod a_killed_client_costs_only_itself;
mod both_ways_end_alike;
mod foreign_peers_notice_nothing;
mod no_private_key_is_where_the_data_goes;
mod the_pool_leaves_the_data_path;
mod whoever_relays_says_why;
