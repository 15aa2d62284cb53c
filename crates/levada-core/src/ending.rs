//! How a stream ended: one closed enum, with every detail kept.

use alloc::boxed::Box;
use alloc::string::String;
use core::fmt;

use crate::alert::AlertDescription;
use crate::deadline::Deadline;
use crate::fault::{CertificateFault, Fault};
use crate::lifecycle::Party;
use crate::os_error::OsError;
use crate::text::OneLine;

/// How a stream ended. Every stream ends in exactly one of these ways.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "snake_case"))]
pub enum Ending {
    /// Both goodbyes were exchanged and all that we wrote went out, whoever began. Clean.
    Finished,
    /// Under [`ClosePolicy::Both`](crate::ClosePolicy::Both) the peer's close_notify ended us too.
    /// Clean if nothing of ours was left unsent.
    CloseNotify {
        /// Accepted plain bytes that could not go out any more.
        unsent: u64,
    },
    /// The closing handshake of WebSocket (RFC 6455 section 7). Clean with 1000, 1001 or no code.
    WsClose {
        /// The code in the first Close frame, if it had one.
        code: Option<u16>,
        /// The reason in the first Close frame.
        reason: String,
        /// Who sent the first Close frame.
        by: Party,
    },
    /// The transport ended without the layer's goodbye: data may be missing. Truncation.
    SocketClose,
    /// The transport failed.
    SocketError(OsError),
    /// A fatal TLS alert came.
    FatalAlert(AlertDescription),
    /// We found something wrong.
    FatalError {
        /// The alert that we sent about it, if one could be sent.
        alert: Option<AlertDescription>,
        /// What we found.
        cause: Fault,
    },
    /// The peer broke RFC 6455, or sent text where only bytes are taken; the Close code that we sent.
    WsProtocol(u16),
    /// A rule of ours refused the peer.
    Refused(Rule),
    /// A deadline of ours passed.
    TimedOut(Deadline),
    /// The stream was never established.
    ConnectFailed(Box<ConnectFailure>),
    /// We ended the stream before it was established, with nothing written. Clean.
    ConnectFinalized,
    /// We dropped the stream on purpose.
    Aborted,
}

/// Why a stream was never established.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "snake_case"))]
pub enum ConnectFailure {
    /// The name could not be resolved.
    Lookup {
        /// The name.
        name: String,
        /// What the resolver said.
        error: OsError,
    },
    /// It ended as an established stream would have: refused, reset, an alert, a bad certificate, …
    Ended(Ending),
}

/// A rule of ours that refuses a peer which the protocol would have let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "snake_case"))]
pub enum Rule {
    /// The list of allowed subject alternative names.
    San,
    /// The list of pinned keys or certificates.
    Pin,
    /// The list of allowed user or group ids.
    Uid,
    /// No falling back to plaintext.
    Fallback,
    /// A limit on connections or handshakes.
    Limit,
}

impl Rule {
    const fn code(self) -> &'static str {
        match self {
            Self::San => "refused_san",
            Self::Pin => "refused_pin",
            Self::Uid => "refused_uid",
            Self::Fallback => "refused_fallback",
            Self::Limit => "refused_limit",
        }
    }

    const fn meaning(self) -> &'static str {
        match self {
            Self::San => "its names are not on the list of allowed names",
            Self::Pin => "its key is not pinned",
            Self::Uid => "its user is not allowed",
            Self::Fallback => "falling back to plaintext is not allowed",
            Self::Limit => "a limit on connections is reached",
        }
    }
}

impl Ending {
    /// The stable code of this ending, for programs and logs. A transport error is told by the
    /// system's symbolic name, such as `ECONNRESET`.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Finished => "finished",
            Self::CloseNotify { .. } => "ERR_TLS_CLOSE_NOTIFY",
            Self::WsClose { .. } => "ws_close",
            Self::SocketClose => "ERR_TLS_SOCKET_CLOSE",
            Self::SocketError(error) => error.symbol(),
            Self::FatalAlert(_) => "ERR_TLS_FATAL_ALERT",
            Self::FatalError { .. } => "ERR_TLS_FATAL_ERROR",
            Self::WsProtocol(_) => "ws_protocol",
            Self::Refused(rule) => rule.code(),
            Self::TimedOut(deadline) => deadline.code(),
            Self::ConnectFailed(_) => "connectFailed",
            Self::ConnectFinalized => "connectFinalized",
            Self::Aborted => "aborted",
        }
    }

    /// The code of what kept the stream from being established (`lookup_failed` for its name);
    /// [`Ending::code`] for all others.
    pub fn cause_code(&self) -> &'static str {
        match self {
            Self::ConnectFailed(failure) => match &**failure {
                ConnectFailure::Lookup { .. } => "lookup_failed",
                ConnectFailure::Ended(ending) => ending.cause_code(),
            },
            other => other.code(),
        }
    }

    /// Whether the stream ended as both ends wanted, with nothing lost.
    pub fn is_clean(&self) -> bool {
        match self {
            Self::Finished | Self::ConnectFinalized => true,
            Self::CloseNotify { unsent } => *unsent == 0,
            Self::WsClose { code, .. } => matches!(code, None | Some(1000 | 1001 | 1005)),
            _ => false,
        }
    }

    /// This ending as that of a stream that was never established.
    ///
    /// What we did on purpose, [`Ending::ConnectFinalized`] and [`Ending::Aborted`], stays as it is.
    #[must_use]
    pub fn before_established(self) -> Self {
        match self {
            Self::ConnectFinalized | Self::Aborted | Self::ConnectFailed(_) => self,
            other => Self::ConnectFailed(Box::new(ConnectFailure::Ended(other))),
        }
    }

    /// What is wrong with the peer's certificate, where that ended the stream.
    pub fn certificate_fault(&self) -> Option<&CertificateFault> {
        match self {
            Self::FatalError { cause: Fault::Certificate(fault), .. } => Some(fault),
            Self::ConnectFailed(failure) => match &**failure {
                ConnectFailure::Lookup { .. } => None,
                ConnectFailure::Ended(ending) => ending.certificate_fault(),
            },
            _ => None,
        }
    }

    /// The error of the transport that ended the stream, before or after it was established.
    pub fn transport_error(&self) -> Option<&OsError> {
        match self {
            Self::SocketError(error) => Some(error),
            Self::ConnectFailed(failure) => match &**failure {
                ConnectFailure::Lookup { error, .. } => Some(error),
                ConnectFailure::Ended(ending) => ending.transport_error(),
            },
            _ => None,
        }
    }
}

impl core::error::Error for Ending {}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Finished => f.write_str("finished cleanly"),
            Self::CloseNotify { unsent: 0 } => f.write_str("the peer closed, nothing was unsent"),
            Self::CloseNotify { unsent } => {
                write!(f, "the peer closed while {unsent} bytes were unsent")
            }
            Self::WsClose { code, reason, by } => {
                f.write_str(match by {
                    Party::Local => "we closed the WebSocket",
                    Party::Peer => "the peer closed the WebSocket",
                })?;
                match code {
                    Some(code) => write!(f, " with code {code}")?,
                    None => f.write_str(" without a code")?,
                }
                if reason.is_empty() { Ok(()) } else { write!(f, ": {}", OneLine(reason)) }
            }
            Self::SocketClose => {
                f.write_str("the transport ended without a goodbye: data may be missing")
            }
            Self::SocketError(error) => write!(f, "the transport failed: {error}"),
            Self::FatalAlert(alert) => write!(f, "the peer sent the fatal alert {alert}"),
            Self::FatalError { cause, alert } => {
                write!(f, "{cause}")?;
                match alert {
                    Some(alert) => write!(f, ", we sent the alert {alert}"),
                    None => Ok(()),
                }
            }
            Self::WsProtocol(1003) => {
                f.write_str("the peer sent text where only bytes are taken (we sent code 1003)")
            }
            Self::WsProtocol(1009) => {
                f.write_str("the peer sent a message that is too large (we sent code 1009)")
            }
            Self::WsProtocol(code) => {
                write!(f, "the peer broke the WebSocket protocol (we sent code {code})")
            }
            Self::Refused(rule) => write!(f, "we refused the peer: {}", rule.meaning()),
            Self::TimedOut(deadline) => write!(f, "{} passed", deadline.word()),
            Self::ConnectFailed(failure) => match &**failure {
                ConnectFailure::Lookup { name, error } => {
                    let name = OneLine(name);
                    write!(
                        f,
                        "never established: the name \"{name}\" was not found: {}",
                        error.text
                    )
                }
                ConnectFailure::Ended(ending) if ending.is_clean() => {
                    f.write_str("never established: the peer closed")
                }
                ConnectFailure::Ended(Self::SocketClose) => {
                    f.write_str("never established: the transport ended without a goodbye")
                }
                ConnectFailure::Ended(ending) => write!(f, "never established: {ending}"),
            },
            Self::ConnectFinalized => f.write_str("given up before it was established"),
            Self::Aborted => f.write_str("dropped by this end"),
        }
    }
}
