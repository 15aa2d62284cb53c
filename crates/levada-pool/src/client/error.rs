//! Why a pool did not do what it was asked to.

use std::error::Error;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use levada_core::{Ending, Fault, OsError, OsErrorKind, TlsFacts};
use levada_pool_wire::body::Failure;
use levada_pool_wire::{AnswerError, CallError, ErrorCode, Report};

/// Why a pool did not do what it was asked to.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PoolError {
    /// Nobody answers at the pool's socket.
    Unreachable {
        /// The socket.
        path: PathBuf,
        /// The sort of error.
        kind: io::ErrorKind,
        /// The system's words.
        text: String,
    },
    /// The control connection was lost while the request was under way: the pool has ended, or has
    /// closed it. Its sessions are over.
    Gone,
    /// The pool said no.
    Refused(Box<Failure>),
    /// The handshake failed; the pool tells how.
    Handshake {
        /// How the connection ended.
        ending: Box<Ending>,
        /// What was agreed on until then.
        tls: Option<Box<TlsFacts>>,
    },
    /// The request is not one that any pool would take.
    AgainstTheRules(ErrorCode),
    /// As many requests wait on this control connection as it takes.
    Busy,
    /// The pool did not answer in time.
    TimedOut,
    /// What answers is no pool, or one that breaks the protocol.
    Protocol(String),
    /// This process could not do its part: no descriptors, no random bytes.
    Local {
        /// The sort of error.
        kind: io::ErrorKind,
        /// The system's words.
        text: String,
    },
}

impl PoolError {
    pub(crate) fn unreachable(path: &Path, error: &io::Error) -> Self {
        Self::Unreachable { path: path.to_path_buf(), kind: error.kind(), text: error.to_string() }
    }

    pub(crate) fn local(error: &io::Error) -> Self {
        Self::Local { kind: error.kind(), text: error.to_string() }
    }

    /// The failure of a handshake, with what the pool tells of it.
    pub(crate) fn told(self, report: Report) -> Self {
        match report {
            Report { ending: Some(ending), tls, .. } => {
                Self::Handshake { ending: Box::new(ending), tls: tls.map(Box::new) }
            }
            _ => self,
        }
    }

    /// The code of the TLS Pool protocol that says the same, where there is one.
    pub fn code(&self) -> Option<ErrorCode> {
        match self {
            Self::Gone => Some(ErrorCode::ClientDisconnect),
            Self::Refused(failure) => failure.number.code(),
            Self::AgainstTheRules(code) => Some(*code),
            Self::Handshake { .. } => Some(ErrorCode::HandshakeFailed),
            Self::Busy => Some(ErrorCode::OutOfMemory),
            Self::Unreachable { .. } | Self::TimedOut | Self::Protocol(_) | Self::Local { .. } => {
                None
            }
        }
    }
}

impl fmt::Display for PoolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable { path, text, .. } => {
                write!(
                    f,
                    "no TLS pool at {}: {text} (start one with \"levada pool\")",
                    path.display()
                )
            }
            Self::Gone => f.write_str("the TLS pool went away: its sessions are over"),
            Self::Refused(failure) => match (failure.message.as_str(), failure.number.code()) {
                (Some(text), _) if !text.is_empty() => f.write_str(text),
                (_, Some(code)) => write!(f, "{code}"),
                _ => write!(f, "the TLS pool refused with the number {}", failure.number.to_wire()),
            },
            Self::Handshake { ending, .. } => write!(f, "{ending}"),
            Self::AgainstTheRules(code) => write!(f, "no TLS pool would take this request: {code}"),
            Self::Busy => f.write_str("too many requests wait on this connection to the TLS pool"),
            Self::TimedOut => f.write_str("the TLS pool did not answer in time"),
            Self::Protocol(what) => write!(f, "the TLS pool does not keep to its protocol: {what}"),
            Self::Local { text, .. } => write!(f, "cannot speak to the TLS pool: {text}"),
        }
    }
}

impl Error for PoolError {}

impl From<PoolError> for io::Error {
    fn from(error: PoolError) -> Self {
        let kind = match &error {
            PoolError::Unreachable { kind, .. } | PoolError::Local { kind, .. } => *kind,
            PoolError::Gone => io::ErrorKind::ConnectionAborted,
            PoolError::Refused(_) => io::ErrorKind::PermissionDenied,
            PoolError::Handshake { .. } => io::ErrorKind::InvalidData,
            PoolError::AgainstTheRules(_) => io::ErrorKind::InvalidInput,
            PoolError::Busy => io::ErrorKind::WouldBlock,
            PoolError::TimedOut => io::ErrorKind::TimedOut,
            PoolError::Protocol(_) => io::ErrorKind::InvalidData,
        };
        Self::new(kind, error)
    }
}

impl From<PoolError> for Ending {
    /// The ending of a stream that stands on the pool.
    fn from(error: PoolError) -> Self {
        let text = error.to_string();
        let system = |kind, text| Self::SocketError(OsError { code: None, kind, text });
        match error {
            PoolError::Handshake { ending, .. } => *ending,
            PoolError::Unreachable { kind, .. } | PoolError::Local { kind, .. } => {
                system(kind.into(), text)
            }
            PoolError::Refused(_) => system(OsErrorKind::PermissionDenied, text),
            PoolError::Gone | PoolError::Busy | PoolError::TimedOut => {
                system(OsErrorKind::Other, text)
            }
            PoolError::AgainstTheRules(_) | PoolError::Protocol(_) => {
                Self::FatalError { alert: None, cause: Fault::Internal(text) }
            }
        }
    }
}

impl From<CallError> for PoolError {
    fn from(error: CallError) -> Self {
        match error {
            CallError::Full => Self::Busy,
            CallError::AgainstTheRules(code) => Self::AgainstTheRules(code),
        }
    }
}

impl From<AnswerError> for PoolError {
    fn from(error: AnswerError) -> Self {
        match error {
            AnswerError::AgainstTheRules(code) => Self::AgainstTheRules(code),
            AnswerError::Gone | AnswerError::NotAsked => Self::Gone,
        }
    }
}
