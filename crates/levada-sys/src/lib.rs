//! What Levada asks of the system that the compiler cannot check.
//!
//! This is the only crate of the workspace with `unsafe` in it; every block says why it is sound, and
//! nothing unsafe leaves it.
#![allow(unsafe_code, reason = "this is the crate that may hold it")]
#![deny(unsafe_op_in_unsafe_fn)]

mod watch;

pub use watch::watch;
