//! Questions to a pool that runs.

use std::io::{self, Write as _};
use std::path::PathBuf;

use levada_pool::wire::Facilities;
use levada_pool::{PoolError, blocking, standard_path};

use crate::exit::{Exit, Stop, fail};

/// Tells who the pool is.
///
/// # Errors
///
/// When no pool answers.
pub(crate) fn ping(socket: Option<PathBuf>) -> Result<Exit, Stop> {
    let (path, pool) = connect(socket)?;
    let identity = pool.ping(Facilities::ALL_CURRENT).map_err(|error| told(&error))?;
    let facilities: Vec<_> = Facilities::NAMED
        .iter()
        .filter(|(name, flag)| identity.facilities.contains(*flag) && !name.starts_with("ALL"))
        .map(|(name, _)| *name)
        .collect();
    print(&format!(
        "{} at {}, with {}\n",
        identity.producer,
        path.display(),
        if facilities.is_empty() { "no facilities".to_owned() } else { facilities.join(", ") }
    ))
}

/// Lists the sessions that we may see.
///
/// # Errors
///
/// When no pool answers, or it is of another make.
pub(crate) fn sessions(socket: Option<PathBuf>) -> Result<Exit, Stop> {
    let (_, pool) = connect(socket)?;
    print(&pool.sessions().map_err(|error| told(&error))?)
}

/// The socket of the pool: the one that is named, or where pools are.
///
/// # Errors
///
/// When there is none.
pub(super) fn socket(named: Option<PathBuf>) -> Result<PathBuf, Stop> {
    named.or_else(standard_path).ok_or_else(|| {
        fail(
            "no TLS pool runs here\n    start one with `levada pool`, or name its socket with --socket",
        )
    })
}

fn connect(socket: Option<PathBuf>) -> Result<(PathBuf, blocking::Client), Stop> {
    let path = self::socket(socket)?;
    let client = blocking::Client::connect(&path).map_err(|error| told(&error))?;
    Ok((path, client))
}

fn told(error: &PoolError) -> Stop {
    fail(error.to_string())
}

pub(super) fn print(text: &str) -> Result<Exit, Stop> {
    match io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(fail(format!("cannot write: {error}")))
        }
        _ => Ok(Exit::Clean),
    }
}
