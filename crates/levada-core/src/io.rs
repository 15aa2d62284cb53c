//! Endings as [`std::io::Error`]s, and back: what reads and writes give.

use alloc::boxed::Box;
use alloc::sync::Arc;
use core::error::Error;
use std::io;

use crate::ended::Ended;
use crate::ending::{ConnectFailure, Ending};
use crate::os_error::OsError;

impl Ended {
    /// Finds the end of a stream inside an error of one of its calls, however deep it is wrapped.
    ///
    /// It looks into the error and then along its sources; an `io::Error` on the way may also stand
    /// in a [`Box`] or an [`Arc`].
    ///
    /// ```
    /// use std::io;
    /// use levada_core::{Ended, Ending, Facts, State};
    ///
    /// # let facts = Facts::default().into();
    /// # let ended = Ended { ending: Ending::SocketClose, phase: State::Established, facts };
    /// // What a read gave, as some other library wrapped it.
    /// let error: io::Error = ended.into();
    /// let error = io::Error::other(error);
    ///
    /// let ended = Ended::of(&error).expect("a stream's own error");
    /// assert_eq!(ended.code(), "ERR_TLS_SOCKET_CLOSE");
    /// assert!(!ended.is_clean());
    ///
    /// assert!(Ended::of(&io::Error::other("somebody else's")).is_none());
    /// ```
    pub fn of(error: &io::Error) -> Option<&Self> {
        Self::within(error.get_ref()?)
    }

    fn within<'a>(mut error: &'a (dyn Error + 'static)) -> Option<&'a Self> {
        loop {
            if let Some(ended) = error.downcast_ref::<Self>() {
                return Some(ended);
            }
            // An `io::Error`'s `source` is that of what it wraps: what it wraps would be skipped.
            error = match as_io(error).map(io::Error::get_ref) {
                Some(inner) => inner?,
                None => error.source()?,
            };
        }
    }

    /// What every read gives once all that had arrived is read: end of file, or an error.
    ///
    /// # Errors
    ///
    /// For every ending that the end of the data does not tell well enough, with this `Ended`
    /// inside; the book's page on the lifecycle lists the kinds.
    pub fn read_result(&self) -> io::Result<()> {
        match read_kind(&self.ending) {
            Some(kind) => Err(io::Error::new(kind, self.clone())),
            None => Ok(()),
        }
    }

    /// The error of a write that was pending when the stream ended; each fails with it once.
    ///
    /// The original error where the transport or we ourselves found one, else `BrokenPipe`.
    pub fn pending_write_error(&self) -> io::Error {
        io::Error::new(pending_write_kind(&self.ending), self.clone())
    }

    /// The error of every write that comes after the end.
    ///
    /// `BrokenPipe`, on a WebSocket `NotConnected`, after an error that we found that same error.
    pub fn later_write_error(&self) -> io::Error {
        io::Error::new(later_write_kind(&self.ending), self.clone())
    }
}

impl Ending {
    /// Finds how a stream ended inside an error of one of its calls: as an [`Ended`], or as itself, where a
    /// layer tells another one.
    ///
    /// ```
    /// use std::io;
    /// use levada_core::Ending;
    ///
    /// let error = io::Error::other(Ending::SocketClose);
    /// assert_eq!(Ending::of(&error), Some(&Ending::SocketClose));
    /// ```
    pub fn of(error: &io::Error) -> Option<&Self> {
        let itself = error.get_ref().and_then(|error| error.downcast_ref());
        itself.or_else(|| Ended::of(error).map(|ended| &ended.ending))
    }
}

/// The `io::Error` that an error is, itself or behind a pointer that is an error too: the sources of
/// those skip what the `io::Error` wraps.
fn as_io<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a io::Error> {
    error
        .downcast_ref::<io::Error>()
        .or_else(|| error.downcast_ref::<Box<io::Error>>().map(Box::as_ref))
        .or_else(|| error.downcast_ref::<Arc<io::Error>>().map(Arc::as_ref))
}

impl From<Ended> for io::Error {
    /// As a read would give it; a clean ending becomes `UnexpectedEof`, for a caller who could not
    /// do with one.
    fn from(ended: Ended) -> Self {
        Self::new(read_kind(&ended.ending).unwrap_or(io::ErrorKind::UnexpectedEof), ended)
    }
}

/// The kind of error that a read gives, or `None` for end of file.
fn read_kind(ending: &Ending) -> Option<io::ErrorKind> {
    match ending {
        Ending::Finished
        | Ending::CloseNotify { .. }
        | Ending::WsClose { .. }
        | Ending::WsProtocol(1003)
        | Ending::ConnectFinalized => None,
        Ending::SocketClose => Some(io::ErrorKind::UnexpectedEof),
        Ending::SocketError(error) => Some(kind_of(error)),
        Ending::FatalAlert(_) | Ending::FatalError { .. } | Ending::WsProtocol(_) => {
            Some(io::ErrorKind::InvalidData)
        }
        Ending::Refused(_) => Some(io::ErrorKind::PermissionDenied),
        Ending::TimedOut(_) => Some(io::ErrorKind::TimedOut),
        Ending::ConnectFailed(failure) => Some(match &**failure {
            ConnectFailure::Lookup { error, .. } => kind_of(error),
            // Not end of file: nothing was established, and before it is, anybody on the way can
            // forge a close_notify. A caller must not take this for an empty stream.
            ConnectFailure::Ended(ending) => {
                read_kind(ending).unwrap_or(io::ErrorKind::UnexpectedEof)
            }
        }),
        Ending::Aborted => Some(io::ErrorKind::ConnectionAborted),
    }
}

fn pending_write_kind(ending: &Ending) -> io::ErrorKind {
    match ending {
        Ending::SocketError(error) => kind_of(error),
        Ending::FatalError { .. } => io::ErrorKind::InvalidData,
        Ending::ConnectFailed(failure) => match &**failure {
            ConnectFailure::Lookup { error, .. } => kind_of(error),
            ConnectFailure::Ended(ending) => pending_write_kind(ending),
        },
        Ending::Finished
        | Ending::CloseNotify { .. }
        | Ending::WsClose { .. }
        | Ending::SocketClose
        | Ending::FatalAlert(_)
        | Ending::WsProtocol(_)
        | Ending::Refused(_)
        | Ending::TimedOut(_)
        | Ending::ConnectFinalized
        | Ending::Aborted => io::ErrorKind::BrokenPipe,
    }
}

fn later_write_kind(ending: &Ending) -> io::ErrorKind {
    match ending {
        Ending::WsClose { .. } | Ending::WsProtocol(1003) => io::ErrorKind::NotConnected,
        Ending::FatalError { .. } | Ending::WsProtocol(_) => io::ErrorKind::InvalidData,
        Ending::ConnectFailed(failure) => match &**failure {
            ConnectFailure::Lookup { .. } => io::ErrorKind::BrokenPipe,
            ConnectFailure::Ended(ending) => later_write_kind(ending),
        },
        Ending::Finished
        | Ending::CloseNotify { .. }
        | Ending::SocketClose
        | Ending::SocketError(_)
        | Ending::FatalAlert(_)
        | Ending::Refused(_)
        | Ending::TimedOut(_)
        | Ending::ConnectFinalized
        | Ending::Aborted => io::ErrorKind::BrokenPipe,
    }
}

/// The kind of the system's error: by its number where it has one, since the standard library knows
/// more of them than [`OsErrorKind`](crate::OsErrorKind).
fn kind_of(error: &OsError) -> io::ErrorKind {
    match error.code {
        Some(code) => io::Error::from_raw_os_error(code).kind(),
        None => error.kind.into(),
    }
}
