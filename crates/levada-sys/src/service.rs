//! What a service manager hands over, and is told (systemd's `LISTEN_FDS` and `NOTIFY_SOCKET`).

use std::io;
use std::os::fd::{FromRawFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};

/// The sockets that the service manager has opened for this process: those of the first call, none
/// of later ones.
///
/// # Errors
///
/// When the variables that tell of them are none, or a descriptor is not open.
pub fn passed_sockets() -> io::Result<Vec<OwnedFd>> {
    static TAKEN: AtomicBool = AtomicBool::new(false);
    if TAKEN.swap(true, Ordering::Relaxed) {
        return Ok(Vec::new());
    }
    let passed = sd_notify::listen_fds()?;
    // SAFETY: the variable is for this process by its number, and its contract is that these
    // descriptors are open and for whoever asks; that is here, once. Each was just found open.
    Ok(passed.map(|fd| unsafe { OwnedFd::from_raw_fd(fd) }).collect())
}

/// What a service manager is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tidings {
    /// It can be used from now on.
    Ready,
    /// It has begun to stop.
    Stopping,
}

/// Tells the service manager, if there is one.
///
/// # Errors
///
/// When there is one and it cannot be told.
pub fn notify(tidings: Tidings) -> io::Result<()> {
    sd_notify::notify(&[match tidings {
        Tidings::Ready => sd_notify::NotifyState::Ready,
        Tidings::Stopping => sd_notify::NotifyState::Stopping,
    }])
}
