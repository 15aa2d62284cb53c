//! The contract of a WebSocket, cell for cell: the same proofs one layer higher, over every carrier,
//! plain and under TLS, against a peer that makes its frames by hand.

pub(crate) mod table;

mod cells;
mod docs;
mod peer;
