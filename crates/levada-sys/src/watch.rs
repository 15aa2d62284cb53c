//! Watching a descriptor for readiness.

use std::io;
use std::os::fd::OwnedFd;

use tokio::io::Interest;
use tokio::io::unix::{AsyncFd, AsyncFdRegisterError};

/// Watches `fd` for `interest` in the current tokio runtime.
///
/// # Errors
///
/// Gives `fd` back with the system's error: `PermissionDenied` (EPERM) for a file that is always
/// ready, which epoll does not watch.
///
/// # Panics
///
/// Outside a tokio runtime that has io enabled.
pub fn watch(fd: OwnedFd, interest: Interest) -> Result<AsyncFd<OwnedFd>, (OwnedFd, io::Error)> {
    // SAFETY: an `OwnedFd` is open for as long as it lives, always answers with the same number, and
    // the `AsyncFd` owns it until it gives it up again. Nothing else can close it in between: the
    // type's contract (std::os::fd, "I/O safety") forbids it to safe code.
    let watched = unsafe { AsyncFd::register_with_interest(fd, interest) };
    watched.map_err(AsyncFdRegisterError::into_parts)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;

    #[tokio::test]
    async fn a_file_that_is_always_ready_is_given_back() {
        let null = File::open("/dev/null").unwrap();
        let (_, error) = watch(null.into(), Interest::READABLE).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::PermissionDenied);
    }

    #[tokio::test]
    async fn a_pipe_is_watched() {
        let (reader, writer) = io::pipe().unwrap();
        let watched = watch(reader.into(), Interest::READABLE).unwrap();
        drop(writer);
        assert!(watched.readable().await.unwrap().ready().is_read_closed());
    }
}
