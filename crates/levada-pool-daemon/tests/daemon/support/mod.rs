//! A pool under test, a client that speaks raw packets, and TLS peers.

mod client;
mod daemon;
mod peer;
mod pki;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

pub(crate) use client::{
    Client, Plain, as_client, as_server, code_of, foreign_callback, starttls_of,
};
pub(crate) use daemon::Daemon;
pub(crate) use peer::{Peer, echoes, tcp_pair, wait};
pub(crate) use pki::{Pki, Spec};

/// How long anything may take before its test has failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A folder that goes with the test.
#[derive(Debug)]
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path =
            std::env::temp_dir().join(format!("levada-pool-{}-{number}", std::process::id()));
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        std::fs::write(&path, text).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
