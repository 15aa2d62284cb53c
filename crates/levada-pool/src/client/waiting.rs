//! Waiting for a descriptor, for those who have no event loop.

use std::os::fd::AsFd;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::client::error::PoolError;

/// Waits until one of `flags` is there, for up to `limit`; `None` waits for ever. Whether there is.
pub(crate) fn wait(
    descriptor: impl AsFd,
    flags: PollFlags,
    limit: Option<Duration>,
) -> Result<bool, PoolError> {
    let limit = limit.map(|limit| Timespec {
        tv_sec: limit.as_secs().try_into().unwrap_or(i64::MAX),
        tv_nsec: limit.subsec_nanos().into(),
    });
    let mut watched = [PollFd::new(&descriptor, flags)];
    let ready = rustix::io::retry_on_intr(|| poll(&mut watched, limit.as_ref()));
    ready.map(|count| count > 0).map_err(|error| PoolError::local(&error.into()))
}
