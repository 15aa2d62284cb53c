//! TLS records by the kernel, behind a handshake of ours: what whoever reads and writes owes the peer, in any
//! way of waiting. A crate of its own since two stand on it that do not stand on each other: the streams of
//! `levada`, in tokio, and those of `levada-pool`, which block.
//!
//! [`arm`] has the kernel take over from a session, and [`Records`] goes on with it, in the same process or in
//! another. It waits for nothing: a [`Transport`] says `WouldBlock`, and sees to it that somebody calls again.
#![forbid(unsafe_code)]

mod arm;
mod records;
mod transport;

pub use arm::{Unarmed, arm};
pub use records::{KeepTickets, Records};
pub use transport::{LOOK_AGAIN, Transport};
