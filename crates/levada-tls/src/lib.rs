//! TLS sessions for Levada: bytes in, bytes out; identities and verification. No sockets.
//!
//! This is the only crate that names rustls, and none of rustls' types leave it.
#![forbid(unsafe_code)]

mod engine;

pub use engine::{Engine, Opened};
