//! A pool under test, a client that speaks raw packets, and TLS peers.

mod client;
mod daemon;
mod peer;
mod pki;

use std::time::Duration;

pub(crate) use client::{
    Client, Plain, as_client, as_server, code_of, foreign_callback, starttls_of,
};
pub(crate) use daemon::Daemon;
pub(crate) use levada_testkit::Folder;
pub(crate) use peer::{Peer, echoes, tcp_pair, wait};
pub(crate) use pki::{Pki, Spec};

/// How long anything may take before its test has failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
