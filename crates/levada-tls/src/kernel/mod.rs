//! TLS whose handshake is ours and whose records are the kernel's.
//!
//! [`Session::hand_over`](crate::Session::hand_over) ends a session's part in the data path: it gives the
//! keys to install and the [`KernelSession`] for whoever reads and writes from then on, and stays behind to
//! answer for what the handshake has agreed on. [`Duties`] are what the reader and writer owes the peer.

pub(crate) mod duties;
mod handover;
mod session;

pub use duties::{BadRecord, Direction, Duties, Duty, Outgoing, Permit, Sent};
pub(crate) use handover::Keeping;
pub use handover::{Handover, NotReady};
pub use session::{KernelSession, KernelSessionError};
