//! The TLS Pool's daemon: private keys in a process of their own, plaintext for everybody else.
//!
//! The clients are a crate of their own, `levada-pool`: `levada` runs on them, and this daemon runs
//! on `levada`'s sockets, so one crate of both would depend on itself.
#![forbid(unsafe_code)]
