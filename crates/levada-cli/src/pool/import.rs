//! `levada pool import`: a policy of what the original pool, or a folder of PEM files, has.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use levada_pool_daemon::{Dumps, Import, ImportNote, PolicySource};
use zeroize::Zeroizing;

use super::ask::print;
use crate::exit::{Exit, Stop, fail};
use crate::quote::quote;

/// What is imported.
#[derive(Clone, Debug)]
pub(crate) struct ImportArgs {
    pub(crate) localid: Option<PathBuf>,
    pub(crate) disclose: Option<PathBuf>,
    pub(crate) trust: Option<PathBuf>,
    pub(crate) pem: Option<PathBuf>,
    pub(crate) into: PathBuf,
}

/// Writes the policy, and tells what became of each thing.
///
/// # Errors
///
/// When something cannot be read or written; nothing is written over.
pub(crate) fn run(args: &ImportArgs) -> Result<Exit, Stop> {
    let cannot = |error: levada_pool_daemon::ImportError| fail(error.to_string());
    let import = if let Some(folder) = &args.pem {
        Import::from_folder(folder)
    } else {
        let localid = read(args.localid.as_deref())?;
        let disclose = read(args.disclose.as_deref())?;
        let trust = read(args.trust.as_deref())?;
        Import::from_dumps(Dumps { localid: &localid, disclose: &disclose, trust: &trust })
    };
    let import = import.map_err(cannot)?;
    let policy = import.write(&args.into).map_err(cannot)?;
    let mut text = String::new();
    for note in import.notes() {
        text.extend([&note.to_string(), "\n"]);
    }
    let left_out = |note: &ImportNote| matches!(note, ImportNote::LeftOut { .. });
    let mut exit = if import.notes().iter().any(left_out) { Exit::Warnings } else { Exit::Clean };
    let path = policy.to_string_lossy();
    match PolicySource::new(&policy).load() {
        Ok(_) => text.extend(["\nthe policy is ready: levada pool --config ", &quote(&path), "\n"]),
        Err(error) => {
            exit = Exit::Warnings;
            text.extend(["\nbefore it can be used, mend:\n", &error.to_string(), "\n"]);
        }
    }
    print(&text)?;
    Ok(exit)
}

fn read(path: Option<&Path>) -> Result<Zeroizing<Vec<u8>>, Stop> {
    let Some(path) = path else { return Ok(Zeroizing::default()) };
    let cannot = |error: io::Error| fail(format!("cannot read {}: {error}", path.display()));
    let text = fs::read(path).map(Zeroizing::new).map_err(cannot)?;
    if text.is_empty() {
        // A database without records has a header all the same.
        let path = path.display();
        return Err(fail(format!(
            "{path} is empty: db_dump has failed\n    name the folder of the databases to it: \
             db_dump -h FOLDER FILE"
        )));
    }
    Ok(text)
}
