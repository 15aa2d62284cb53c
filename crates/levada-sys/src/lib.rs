//! What Levada asks of the system that the compiler cannot check.
//!
//! This is the only crate with `unsafe` in it, but for `bindings/c`, which is the border to C; every block
//! says why it is sound, and nothing unsafe leaves it.
//!
//! * [`watch`]: a descriptor of any kind in tokio's event loop;
//! * [`descriptors`]: descriptors that travel over Unix sockets;
//! * [`PeerCredentials`]: who is at the other end of one;
//! * [`keep_signals_from_this_thread`]: threads that are guests in somebody else's process;
//! * [`kernel_tls`]: TLS records that the kernel seals and opens;
//! * [`harden`]: a process that is hard to read and hard to misuse;
//! * [`service`]: what a service manager hands over, and is told.
#![allow(unsafe_code, reason = "this is the crate that may hold it")]
#![deny(unsafe_op_in_unsafe_fn)]

pub mod descriptors;
pub mod harden;
pub mod kernel_tls;
pub mod service;

mod peer;
mod signals;
mod watch;

pub use peer::PeerCredentials;
pub use signals::keep_signals_from_this_thread;
pub use watch::watch;
