//! The close contract, cell for cell: every way in which a stream can end, on every carrier, in every
//! version, with the ends swapped, against a peer that does exactly what its script says.
//!
//! The tables are in [`table`] and [`websocket::table`]; the page `docs/contract.md` shows them as these
//! tests prove them.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

// Helpers: what there is to combine, the peer under our control, and our side under watch.
mod cell;
mod ours;
mod peer;
mod proof;
mod table;
mod wire;
mod world;

/// The records are ours; `kernel_tls` proves the same where they are the kernel's.
const BY_KERNEL: bool = false;

mod alerts;
mod cancel;
mod cells;
mod deadlines;
mod docs;
mod giving_up;
mod half_close;
mod memory;
mod model;
mod oracle;
mod states;
mod wakes;
mod websocket;
mod writes;
