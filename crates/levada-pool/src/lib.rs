//! Clients of the TLS Pool: pass a connected socket, get plaintext back, never see a key.
//!
//! The daemon is a crate of its own, `levada-pool-daemon`: it runs on `levada`'s sockets, and
//! `levada` runs on this client, so one crate of both would depend on itself.
#![forbid(unsafe_code)]

pub mod client;
