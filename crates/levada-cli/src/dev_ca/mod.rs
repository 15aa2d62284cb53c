//! `levada dev-ca`: certificates for development, from an authority that exists for that alone.
//!
//! The [`authority`] vouches for each [`identity`]; each key lies in one file with its certificate, so that
//! no crash can part them. Nothing that is good is made anew unasked. `levada serve` alone takes its
//! identity for localhost from here too.

mod authority;
mod identity;
mod text;

use std::fmt;
use std::io::{self, Write as _};
use std::path::PathBuf;

use time::{Duration, OffsetDateTime};

use crate::exit::{Exit, Stop, fail};
use crate::plan::DevCaPlan;
use crate::state_dir::{self, StateDir};
pub(crate) use authority::Authority;
pub(crate) use identity::{Holder, Name};
use identity::{Kept, Renewal};

/// For peers whose clocks are slow.
const BACKDATED: Duration = Duration::hours(1);

/// What was done for a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Done {
    /// Nothing: it was there, and is good.
    Kept,
    /// It was not there.
    Made,
    /// It was made anew.
    Renewed,
}

/// Why there is no certificate.
#[derive(Debug)]
pub(crate) enum DevelopmentError {
    /// The files.
    Io(io::Error),
    /// The certificates.
    Certificate(rcgen::Error),
    /// Something that is there, or that was asked for: in words, with how to mend it.
    Refused(String),
}

impl fmt::Display for DevelopmentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => error.fmt(f),
            Self::Certificate(error) => error.fmt(f),
            Self::Refused(why) => f.write_str(why),
        }
    }
}

impl From<io::Error> for DevelopmentError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<rcgen::Error> for DevelopmentError {
    fn from(error: rcgen::Error) -> Self {
        Self::Certificate(error)
    }
}

/// Makes what was asked for, and says how to use it.
///
/// # Errors
///
/// When something else stands in its place, when a name is none that the authority vouches for, and when
/// the files cannot be written.
pub(crate) fn run(plan: &DevCaPlan) -> Result<Exit, Stop> {
    let path = plan.folder.clone();
    let path = path.unwrap_or_else(|| state_dir::path(|name| std::env::var_os(name)));
    let folder = match &plan.folder {
        Some(_) => StateDir::open_as_it_is(path.clone()),
        None => StateDir::open(path.clone()),
    };
    let folder = folder.map_err(|error| {
        let path = path.display();
        fail(format!("{path}: {error}\n    give a folder that this user can write: --dir DIR"))
    })?;
    let told =
        make(&folder, plan, OffsetDateTime::now_utc()).map_err(|error| fail(error.to_string()))?;
    match io::stdout().write_all(told.as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(fail(format!("standard output: {error}")))
        }
        // Whoever closed our standard output has seen enough.
        _ => Ok(Exit::Clean),
    }
}

fn make(
    folder: &StateDir,
    plan: &DevCaPlan,
    now: OffsetDateTime,
) -> Result<String, DevelopmentError> {
    let (authority, done) = Authority::ensure(folder, plan.danger_any_name, now)?;
    let life = Duration::days(plan.days.into());
    let renewal = if plan.renew { Renewal::Asked } else { Renewal::IfDue };
    let mut identities = Vec::new();
    if plan.names.is_empty() {
        for file in Kept::files(folder)? {
            identities.push(identity::again(folder, &authority, &file, renewal, life, now)?);
        }
    } else {
        let holder = if plan.client { Holder::Client } else { Holder::Server };
        let names = Name::parse_all(&plan.names, holder)?;
        let file = identity::file_of(&names[0], holder)?;
        identities.push(identity::ensure(folder, &authority, &file, &names, renewal, life, now)?);
    }
    Ok(text::told(folder, &authority, done, &identities, now))
}

/// Files with which to serve TLS as localhost.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Localhost {
    /// The authority's certificate.
    pub(crate) ca: PathBuf,
    /// Private key and certificate for localhost, 127.0.0.1 and ::1.
    pub(crate) identity: PathBuf,
    pub(crate) authority_done: Done,
    pub(crate) identity_done: Done,
}

/// Makes sure that `folder` holds an authority and an identity for localhost that are good for a while
/// from `now` on.
///
/// # Errors
///
/// When they cannot be made.
pub(crate) fn localhost(
    folder: &StateDir,
    now: OffsetDateTime,
) -> Result<Localhost, DevelopmentError> {
    let (authority, authority_done) = Authority::ensure(folder, false, now)?;
    let names = ["localhost", "127.0.0.1", "::1"].map(ToOwned::to_owned);
    let names = Name::parse_all(&names, Holder::Server)?;
    let file = identity::file_of(&names[0], Holder::Server)?;
    let made = identity::ensure(
        folder,
        &authority,
        &file,
        &names,
        Renewal::Needed,
        identity::LONGEST_LIFE,
        now,
    )?;
    Ok(Localhost {
        ca: folder.file(authority::CA),
        identity: folder.file(&file),
        authority_done,
        identity_done: made.done,
    })
}

#[cfg(test)]
mod tests;
