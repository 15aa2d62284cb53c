//! What the pool tells its operator, in words.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use levada::{Ended, Ending, NoKernelTls};
use levada_pool_wire::ErrorCode;

/// Something that is worth a line of the log. `Display` is that line; no key or PIN is in it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Notice {
    /// A session is protected.
    Protected {
        /// The session: they are numbered from 1 on.
        session: u64,
        /// Who asked for it.
        uid: u32,
        /// The verified or shown names, empty where there is none: ours, then the peer's.
        names: (String, String),
        /// The protocol inside TLS.
        service: String,
        /// Whether the connection was handed back under kernel TLS, or why not; `None` where the
        /// application did not ask for it.
        hand_back: Option<Result<(), NoKernelTls>>,
    },
    /// A connection was not protected.
    Failed {
        /// The session that was to be.
        session: u64,
        /// Who asked for it.
        uid: u32,
        /// What the client was told.
        code: ErrorCode,
        /// Why, in words.
        why: String,
    },
    /// A session has ended.
    Ended {
        /// The session.
        session: u64,
        /// How the side of TLS ended.
        tls: Ended,
        /// How the plain side ended.
        plain: Ended,
    },
    /// A session that was handed back is kept no longer: its application has told how it ended, or is
    /// gone without that.
    LetGo {
        /// The session.
        session: u64,
        /// How it ended, in the application's words; `None` where it has not told.
        ending: Option<Ending>,
    },
    /// There are as many clients as there may be: one was turned away.
    Full {
        /// How many there may be.
        clients: usize,
    },
    /// A user has as many clients as the policy lets one user have: one more was turned away.
    TooMany {
        /// The user.
        uid: u32,
        /// How many a user may have.
        clients: usize,
    },
    /// A client could not be accepted.
    AcceptFailed {
        /// The system's reason.
        error: String,
    },
    /// Another policy is in force.
    Reloaded {
        /// How many identities it has.
        identities: usize,
    },
    /// The policy cannot be reloaded: the old one stays in force.
    ReloadFailed {
        /// Why, in several lines.
        why: String,
    },
    /// A client gives a service to the pool from now on, or has left it.
    Service {
        /// Which service.
        kind: ServiceKind,
        /// Who gives it.
        uid: u32,
        /// Why it has left, in words.
        left: Option<String>,
    },
    /// A choice of identity is remembered.
    Remembered {
        /// Who is shown.
        local_id: String,
        /// To whom.
        selector: String,
        /// Whether it was written to the file that the policy names, or why not; `None` where it names
        /// none. What is not written holds until the pool stops.
        written: Option<Result<(), String>>,
    },
    /// Something about the file of the choices that are remembered.
    Choices {
        /// The file.
        path: PathBuf,
        /// What it is, in words.
        what: String,
    },
    /// No clients are accepted any more.
    Draining,
    /// The pool has stopped.
    Stopped {
        /// How many sessions were cut.
        cut: usize,
    },
}

impl Notice {
    /// Whether somebody should look at it.
    pub fn is_warning(&self) -> bool {
        match self {
            Self::Protected { .. }
            | Self::Reloaded { .. }
            | Self::Service { .. }
            | Self::Draining => false,
            Self::Remembered { written, .. } => matches!(written, Some(Err(_))),
            Self::Ended { tls, plain, .. } => !tls.is_clean() || !plain.is_clean(),
            Self::LetGo { ending, .. } => ending.as_ref().is_some_and(|ending| !ending.is_clean()),
            Self::Stopped { cut } => *cut > 0,
            Self::Failed { .. }
            | Self::Full { .. }
            | Self::TooMany { .. }
            | Self::AcceptFailed { .. }
            | Self::ReloadFailed { .. }
            | Self::Choices { .. } => true,
        }
    }
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let anonymous =
            |name: &str| if name.is_empty() { "nobody".to_owned() } else { name.into() };
        match self {
            Self::Protected { session, uid, names: (local, remote), service, hand_back } => {
                let (local, remote) = (anonymous(local), anonymous(remote));
                write!(f, "session {session} protected: {local:?} with {remote:?}, for uid {uid}")?;
                if !service.is_empty() {
                    write!(f, ", service {service:?}")?;
                }
                match hand_back {
                    None => Ok(()),
                    Some(Ok(())) => f.write_str(", handed back under kernel TLS"),
                    Some(Err(why)) => write!(f, ", not handed back: {why}"),
                }
            }
            Self::Failed { session, uid, code, why } => {
                write!(f, "session {session} failed for uid {uid}: {why} (\"{code}\")")
            }
            Self::Ended { session, tls, plain } => {
                write!(f, "session {session} ended: {tls}; the plain side {}", plain.ending)
            }
            Self::LetGo { session, ending: Some(ending) } => {
                write!(f, "session {session} ended, as its application tells: {ending}")
            }
            Self::LetGo { session, ending: None } => {
                write!(f, "session {session} is kept no longer: how it ended was not told")
            }
            Self::Full { clients } => {
                write!(f, "a client was turned away: there are {clients} already")
            }
            Self::TooMany { uid, clients } => {
                write!(f, "a client of uid {uid} was turned away: it has {clients} already")
            }
            Self::AcceptFailed { error } => write!(f, "cannot accept a client: {error}"),
            Self::Reloaded { identities } => {
                write!(f, "the policy was reloaded, with {identities} identities")
            }
            Self::ReloadFailed { why } => write!(f, "the old policy stays in force: {why}"),
            Self::Service { kind, uid, left: None } => write!(f, "uid {uid} {kind} from now on"),
            Self::Service { kind, uid, left: Some(why) } => {
                write!(f, "uid {uid} {kind} no more: {why}")
            }
            Self::Remembered { local_id, selector, written } => {
                write!(f, "{local_id:?} is shown to {selector:?} ")?;
                match written {
                    Some(Ok(())) => f.write_str("from now on"),
                    None => f.write_str("until the pool stops"),
                    Some(Err(why)) => write!(f, "until the pool stops: it was not written, {why}"),
                }
            }
            Self::Choices { path, what } => write!(f, "{}: {what}", path.display()),
            Self::Draining => f.write_str("no clients are accepted any more"),
            Self::Stopped { cut: 0 } => f.write_str("stopped, with all sessions ended"),
            Self::Stopped { cut } => write!(f, "stopped, with {cut} sessions cut"),
        }
    }
}

/// What a client may do for the pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServiceKind {
    /// It enters PINs.
    PinEntry,
    /// It chooses local identities.
    Lidentry,
}

impl fmt::Display for ServiceKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::PinEntry => "enters PINs",
            Self::Lidentry => "chooses identities",
        })
    }
}

/// Where notices go. Called on the threads of the runtime: it must not block.
pub type Log = Arc<dyn Fn(&Notice) + Send + Sync>;
