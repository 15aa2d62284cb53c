//! How the command ends: a number for scripts, and words for people where there is no stream whose
//! ending says it.

use std::io::{self, Write as _};
use std::process::ExitCode;

use levada::{Ended, Ending};
use serde::{Serialize, Serializer};

/// The exit code. The numbers are a promise to scripts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// All went well, and nothing was lost.
    Clean,
    /// What was asked for cannot be done: wrong words, a file that is missing, a port that is taken.
    Usage,
    /// The stream was never established.
    NeverEstablished,
    /// A stream was established and ended badly, or was cut.
    EndedBadly,
    /// TLS failed, for another reason than the server's certificate.
    TlsFailed,
    /// The server's certificate is not trusted.
    NotVerified,
    /// It works, but something needs to be mended.
    Warnings,
    /// The server has opened no WebSocket, though all below it is up.
    WsFailed,
    /// As the command ended that was run.
    Command(u8),
}

impl Exit {
    /// The number.
    pub(crate) const fn code(self) -> u8 {
        match self {
            Self::Clean => 0,
            Self::Usage => 1,
            Self::NeverEstablished => 2,
            Self::EndedBadly => 3,
            Self::TlsFailed => 4,
            Self::NotVerified => 5,
            Self::Warnings => 6,
            Self::WsFailed => 7,
            Self::Command(code) => code,
        }
    }

    /// The code for a stream that ended like this.
    pub(crate) fn of(ended: &Ended) -> Self {
        let never = matches!(ended.ending, Ending::ConnectFailed(_));
        if ended.is_clean() {
            Self::Clean
        } else if never || ended.phase.is_before_established() {
            Self::NeverEstablished
        } else {
            Self::EndedBadly
        }
    }
}

/// As its number.
impl Serialize for Exit {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_u8(self.code())
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

/// The end of the command before, or instead of, its work.
#[derive(Debug)]
pub(crate) enum Stop {
    /// Help or the version: what was asked for.
    Shown(clap::Error),
    /// The words are wrong; `clap` says how.
    Words(clap::Error),
    /// Something else stands in the way.
    Trouble(String),
}

/// The end for a reason, given in words: what is wrong, then how to mend it.
pub(crate) fn fail(why: impl Into<String>) -> Stop {
    Stop::Trouble(why.into())
}

impl Stop {
    /// Tells the user, and gives the exit code.
    pub(crate) fn tell(self) -> ExitCode {
        // Nobody is left to tell where these writes fail.
        match self {
            Self::Shown(text) => {
                let _ = text.print();
                Exit::Clean
            }
            Self::Words(error) => {
                let _ = error.print();
                Exit::Usage
            }
            Self::Trouble(why) => {
                say(&format!("levada: {why}"));
                Exit::Usage
            }
        }
        .into()
    }
}

impl From<clap::Error> for Stop {
    fn from(error: clap::Error) -> Self {
        if error.use_stderr() { Self::Words(error) } else { Self::Shown(error) }
    }
}

/// Writes a line to standard error, in one piece. A reader that is gone is no reason to stop.
pub(crate) fn say(line: &str) {
    let _ = io::stderr().write_all(format!("{line}\n").as_bytes());
}
