//! What Levada asks of the system that the compiler cannot check.
//!
//! This is the only crate of the workspace with `unsafe` in it; every block says why it is sound, and
//! nothing unsafe leaves it.

mod watch;

pub use watch::watch;
