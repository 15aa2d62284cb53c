//! The rights that a pool gives up once all is open.

use std::fs;
use std::io;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};

use levada_sys::harden::{
    Account, Reach, become_user, hide_memory, lock_memory, restrict_calls, restrict_files,
};

use crate::exit::{Stop, fail};
use crate::pool::PoolArgs;
use crate::pool::place::Place;

/// Where certificates, keys and accounts are on any machine, beside the policy's own folder.
const READABLE: [&str; 5] = [
    "/etc",
    "/usr/share/ca-certificates",
    "/usr/local/share/ca-certificates",
    "/run/secrets",
    "/run/credentials",
];

/// Gives up all that a pool can do without, and tells what was got: a word, and how far.
///
/// What it owns can still be read, for a reload: what lies below the folder of `policy`, or below
/// one of the usual places. What tokens need is in `args`.
///
/// # Errors
///
/// Where a right that has to go cannot be given up.
pub(crate) fn enter(
    place: &Place,
    policy: &Path,
    args: &PoolArgs,
) -> Result<Vec<(&'static str, String)>, Stop> {
    let cannot = |what: &str, error: &io::Error| fail(format!("cannot {what}: {error}"));
    let user = args.user.as_deref();
    let mut got = vec![("memory locked", lock_memory(user.is_none()).to_string())];
    let root = rustix::process::geteuid().is_root();
    match user {
        Some(name) if root => {
            let account =
                Account::find(name).map_err(|error| cannot("become that user", &error))?;
            if place.ours {
                chown(&place.path, Some(account.uid()), Some(account.gid()))
                    .map_err(|error| cannot("give the socket away", &error))?;
            }
            become_user(&account).map_err(|error| cannot("become that user", &error))?;
            got.push(("user", name.to_owned()));
        }
        Some(name) => {
            return Err(fail(format!("only root can become {name}\n    leave --user away")));
        }
        None if root => got.push(("user", "root (name another with --user)".to_owned())),
        None => {}
    }
    // Becoming another user has made it no less, but the kernel may think otherwise.
    hide_memory().map_err(|error| cannot("hide the memory", &error))?;
    got.push(("core and debuggers", "refused".to_owned()));
    let folder = if policy.is_dir() { Some(policy) } else { policy.parent() };
    let folder = folder.map(|folder| fs::canonicalize(folder).unwrap_or_else(|_| folder.into()));
    let socket = place.path.parent().filter(|_| place.ours).map(Path::to_path_buf);
    let reach = Reach {
        readable: READABLE.iter().map(PathBuf::from).chain(folder).collect(),
        removable: socket.into_iter().collect(),
        writable: args.token_dirs.clone(),
        connects: args.token_net,
    };
    let files = restrict_files(&reach);
    got.push((
        "files",
        files.map_or_else(|error| format!("not restricted: {error}"), |files| files.to_string()),
    ));
    let calls = restrict_calls();
    got.push((
        "calls",
        calls.map_or_else(|error| format!("not restricted: {error}"), |()| "restricted".to_owned()),
    ));
    Ok(got)
}
