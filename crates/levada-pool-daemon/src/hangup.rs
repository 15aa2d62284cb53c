//! The end of a network connection whose socket others may hold as well.

use std::io;
use std::os::fd::OwnedFd;

use rustix::net::{Shutdown, shutdown};

/// Ends a connection when it is dropped, also where the application still has its own descriptor for
/// it: closing ours alone would leave the peer waiting for the rest. What was sent is not lost by it.
pub(crate) struct Hangup(OwnedFd);

impl Hangup {
    pub(crate) fn of(network: &OwnedFd) -> io::Result<Self> {
        network.try_clone().map(Self)
    }
}

impl Drop for Hangup {
    fn drop(&mut self) {
        // A connection that is gone already needs no end.
        let _ = shutdown(&self.0, Shutdown::Both);
    }
}
