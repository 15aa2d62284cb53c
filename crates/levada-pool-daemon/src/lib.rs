//! The TLS Pool's daemon: private keys in a process of their own, plaintext for everybody else.
//!
//! A program passes a connected socket over a control connection, and gets a plaintext socket back;
//! it never sees a key. [`Pool`] serves such programs by the TLS Pool protocol V2; a [`Policy`] says
//! which identities there are, who may use them and whom to trust.
//!
//! The clients are a crate of their own, `levada-pool`: `levada` runs on them, and this daemon runs
//! on `levada`'s sockets, so one crate of both would depend on itself.
#![forbid(unsafe_code)]

mod control;
mod hangup;
mod inquiries;
mod names;
mod notice;
mod ownership;
mod pages;
mod plain;
mod policy;
mod pool;
mod registry;
mod session;
mod starttls;

pub use notice::{Log, Notice};
pub use policy::{
    IDENTITY_KEYS, POLICY_KEYS, Policy, PolicyError, PolicyFile, PolicyKey, PolicySource,
};
pub use pool::{Pool, PoolLimits};
