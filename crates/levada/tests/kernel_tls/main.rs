//! TLS whose records the kernel does. It needs a kernel that can, and nothing else: one that cannot is told
//! from one that fails, and then it is the falling back that is proved.
//!
//! With `LEVADA_KERNEL_TLS=must` a kernel that cannot fails the tests, and with `LEVADA_KERNEL_TLS_REKEY=must`
//! one that cannot go on with new keys.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

/// All that the close contract says of TLS over TCP, of streams whose records are the kernel's.
const BY_KERNEL: bool = true;

#[path = "../contract/cell.rs"]
mod cell;
#[path = "../contract/ours.rs"]
mod ours;
#[allow(dead_code, reason = "this target uses its part of it")]
#[path = "../contract/peer.rs"]
mod peer;
#[path = "../contract/proof.rs"]
mod proof;
#[allow(dead_code, reason = "this target uses its part of it")]
#[path = "../contract/table.rs"]
mod table;
#[path = "../contract/wire.rs"]
mod wire;
#[path = "../contract/world.rs"]
mod world;

#[path = "../contract/alerts.rs"]
mod alerts;
#[path = "../contract/cells.rs"]
mod cells;
#[path = "../contract/giving_up.rs"]
mod giving_up;
#[path = "../contract/half_close.rs"]
mod half_close;
#[path = "../contract/memory.rs"]
mod memory;
#[path = "../contract/oracle.rs"]
mod oracle;
#[path = "../contract/writes.rs"]
mod writes;

mod fallback;
mod handing_over;
mod kernel;
mod keys;
mod streams;
mod tickets;
