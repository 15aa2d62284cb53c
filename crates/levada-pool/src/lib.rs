//! Clients of the TLS Pool: pass a connected socket, get plaintext back, never see a key.
//!
//! Three clients, one for each way of waiting:
//!
//! * [`polled::Client`]: a descriptor to watch and [`process`](polled::Client::process) to call, for
//!   event loops;
//! * [`blocking::Client`]: one call after another;
//! * [`Client`]: many exchanges at once on one control connection, in tokio, with reconnection.
//!
//! All stand on [`Control`], a control connection that never blocks and speaks in messages.
//!
//! The daemon is a crate of its own, `levada-pool-daemon`: it runs on `levada`'s sockets, and
//! `levada` runs on this client, so one crate of both would depend on itself.
#![forbid(unsafe_code)]

pub mod client;

pub use client::{
    Choice, Chooser, Client, Control, Event, IdentityQuestion, LocalIdQuestion, PinQuestion,
    PoolError, PoolIdentity, Protected, Session, SessionHandle, TlsRequest, VARIABLE, blocking,
    polled, standard_path,
};
pub use levada_pool_wire as wire;
