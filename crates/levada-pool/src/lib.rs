//! Clients of the TLS Pool: pass a connected socket, get plaintext back, never see a key.
//!
//! Three clients, one for each way of waiting:
//!
//! * [`polled::Client`]: a descriptor to watch and [`process`](polled::Client::process) to call, for
//!   event loops;
//! * [`blocking::Client`]: calls that wait, for threads that share one;
//! * [`Client`]: many exchanges at once on one control connection, in tokio, with reconnection.
//!
//! All stand on [`Control`], a control connection that never blocks and speaks in messages.
//!
//! A pool gives a socket of plaintext. A [`blocking::Stream`] is more: it is the connection itself, under kernel
//! TLS, where that can be, and it tells how the peer ended. In tokio, `levada`'s streams are that.
//!
//! The feature `kernel-tls`, on by default, is what such a stream needs of TLS; without it, all is relayed.
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
