//! Endings as [`std::io::Error`]s, and back: what reads and writes give.

use core::error::Error;
use std::io;

use crate::ended::Ended;
use crate::ending::{ConnectFailure, Ending};
use crate::os_error::OsError;

impl Ended {
    /// Finds the end of a stream inside an error of one of its calls, however deep it is wrapped.
    pub fn of(error: &io::Error) -> Option<&Self> {
        Self::within(error.get_ref()?)
    }

    fn within<'a>(mut error: &'a (dyn Error + 'static)) -> Option<&'a Self> {
        loop {
            if let Some(ended) = error.downcast_ref::<Self>() {
                return Some(ended);
            }
            // An `io::Error`'s `source` is that of what it wraps: what it wraps would be skipped.
            if let Some(inner) = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
                error = inner;
            } else {
                error = error.source()?;
            }
        }
    }

    /// What every read gives once all that had arrived is read: end of file, or an error.
    ///
    /// # Errors
    ///
    /// For an ending that is neither clean nor told by the end of the data, of the kind that the
    /// ending's row names, with this `Ended` inside.
    pub fn read_result(&self) -> io::Result<()> {
        match read_kind(&self.ending) {
            Some(kind) => Err(io::Error::new(kind, self.clone())),
            None => Ok(()),
        }
    }

    /// The error of a write that was pending when the stream ended; each fails with it once.
    pub fn pending_write_error(&self) -> io::Error {
        let kind = match &self.ending {
            Ending::SocketError(_) | Ending::FatalError { .. } | Ending::ConnectFailed(_) => {
                read_kind(&self.ending)
            }
            _ => None,
        };
        io::Error::new(kind.unwrap_or(io::ErrorKind::BrokenPipe), self.clone())
    }

    /// The error of every write that comes after the end.
    pub fn later_write_error(&self) -> io::Error {
        let kind = match &self.ending {
            Ending::WsClose { .. } => io::ErrorKind::NotConnected,
            Ending::FatalError { .. } | Ending::WsProtocol(_) => {
                read_kind(&self.ending).unwrap_or(io::ErrorKind::InvalidData)
            }
            _ => io::ErrorKind::BrokenPipe,
        };
        io::Error::new(kind, self.clone())
    }
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
            // A peer that closed cleanly before anything was established did cut it short.
            ConnectFailure::Ended(ending) => {
                read_kind(ending).unwrap_or(io::ErrorKind::UnexpectedEof)
            }
        }),
        Ending::Aborted => Some(io::ErrorKind::ConnectionAborted),
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
