//! Where a pool listens, and what it owns: what is opened before rights are given up.

use std::ffi::OsString;
use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt as _, FileTypeExt as _, PermissionsExt as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use levada_pool_daemon::{Choices, Policy, PolicySource};
use levada_sys::service;
use time::OffsetDateTime;

use crate::dev_ca::{self, Localhost};
use crate::exit::{Stop, fail};
use crate::state_dir::{self, StateDir};

/// A socket that is listened at.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) listener: UnixListener,
    pub(crate) path: PathBuf,
    /// Whether we have made it, and so remove it.
    pub(crate) ours: bool,
}

impl Place {
    /// Opens the socket: the one that a service manager passed, else that at `asked`, else that in
    /// the first folder that can be used: `$XDG_RUNTIME_DIR/levada`, `/run/levada`, the state
    /// directory. Its mode is 0600.
    ///
    /// # Errors
    ///
    /// When it cannot be, with what to do about it.
    pub(crate) fn open(asked: Option<&Path>) -> Result<Self, Stop> {
        let passed = service::passed_sockets();
        let mut passed = passed.map_err(|error| fail(format!("passed sockets: {error}")))?;
        match (passed.pop(), passed.is_empty()) {
            (Some(socket), true) => Self::passed(socket),
            (Some(_), false) => Err(fail(
                "the service manager passed several sockets: a pool listens at one\n    \
                 leave one ListenStream= in the socket unit",
            )),
            (None, _) => match asked {
                Some(path) => Self::bind(path).map_err(|error| cannot(path, &error)),
                None => Self::bind_somewhere(),
            },
        }
    }

    fn passed(socket: OwnedFd) -> Result<Self, Stop> {
        let listener = UnixListener::from(socket);
        let address = listener.local_addr().map_err(|error| {
            fail(format!("the socket that the service manager passed is no Unix socket: {error}"))
        })?;
        let path = address.as_pathname().unwrap_or(Path::new("")).to_path_buf();
        Ok(Self { listener, path, ours: false })
    }

    fn bind_somewhere() -> Result<Self, Stop> {
        let mut last = None;
        for folder in folders(|name| std::env::var_os(name)) {
            let path = folder.join("pool.sock");
            match Self::bind(&path) {
                Ok(place) => return Ok(place),
                // Another pool is there: a second one elsewhere would be found by nobody.
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                    return Err(cannot(&path, &error));
                }
                Err(error) => last = Some(cannot(&path, &error)),
            }
        }
        Err(last.unwrap_or_else(|| fail("there is no folder for the socket")))
    }

    fn bind(path: &Path) -> io::Result<Self> {
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            DirBuilder::new().recursive(true).mode(0o755).create(folder)?;
        }
        let listener = match bind_private(path) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && is_deserted(path) => {
                fs::remove_file(path)?;
                bind_private(path)?
            }
            other => other?,
        };
        Ok(Self { listener, path: path.to_path_buf(), ours: true })
    }
}

/// Where a pool listens if nobody says, the best first. `variable` reads the environment.
fn folders(variable: impl Fn(&str) -> Option<OsString>) -> impl Iterator<Item = PathBuf> {
    let runtime = variable("XDG_RUNTIME_DIR").map(PathBuf::from);
    let runtime = runtime.filter(|path| path.is_absolute()).map(|path| path.join("levada"));
    runtime.into_iter().chain(["/run/levada".into(), state_dir::path(variable)])
}

/// Binds a socket that has mode 0600 from its first moment.
fn bind_private(path: &Path) -> io::Result<UnixListener> {
    // No other thread runs yet.
    let before = rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o177));
    let bound = UnixListener::bind(path);
    rustix::process::umask(before);
    let listener = bound?;
    fs::set_permissions(path, Permissions::from_mode(0o600))?;
    Ok(listener)
}

/// Whether a socket was left behind by a process that was killed.
fn is_deserted(path: &Path) -> bool {
    let is_socket = fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket());
    let refused = |error: &io::Error| error.kind() == io::ErrorKind::ConnectionRefused;
    is_socket && UnixStream::connect(path).is_err_and(|error| refused(&error))
}

fn cannot(path: &Path, error: &io::Error) -> Stop {
    let mend = match error.kind() {
        io::ErrorKind::AddrInUse => "another pool listens there: use it, or stop it",
        _ => "choose another place with --socket PATH",
    };
    fail(format!("cannot listen at {}: {error}\n    {mend}", path.display()))
}

/// What a pool owns.
#[derive(Debug)]
pub(crate) struct Estate {
    pub(crate) source: PolicySource,
    pub(crate) policy: Policy,
    /// The choices of identity that are remembered.
    pub(crate) choices: Choices,
    /// Where nobody has said what to own: the files that were made for it.
    pub(crate) development: Option<Localhost>,
}

impl Estate {
    /// Reads what `config` says; without one, makes an authority and an identity for localhost.
    ///
    /// # Errors
    ///
    /// When something in it is wrong: all of it is told.
    pub(crate) fn read(config: Option<&Path>) -> Result<Self, Stop> {
        let (source, development) = match config {
            Some(path) => (PolicySource::new(path), None),
            None => develop()?,
        };
        let policy = source.load().map_err(|error| fail(error.to_string()))?;
        let choices = policy.choices().map(Choices::open).transpose();
        let choices = choices.map_err(|error| fail(error.to_string()))?.unwrap_or_default();
        Ok(Self { source, policy, choices, development })
    }
}

fn develop() -> Result<(PolicySource, Option<Localhost>), Stop> {
    let folder = state_dir::path(|name| std::env::var_os(name));
    let made =
        StateDir::open(folder.clone()).map_err(dev_ca::DevelopmentError::from).and_then(|state| {
            let files = dev_ca::localhost(&state, OffsetDateTime::now_utc())?;
            // Whoever asks for no name is shown localhost, too: it is all there is.
            let policy = format!(
                "anchors = {:?}\nlidentry-choices = \"choices\"\n\n\
                 [[identity]]\nname = \"localhost\"\ncert = {:?}\ndefault = true\n",
                files.ca.to_string_lossy(),
                files.identity.to_string_lossy()
            );
            state.write("pool.toml", &policy)?;
            Ok(files)
        });
    let files = made.map_err(|error| {
        fail(format!(
            "cannot keep a development identity in {}: {error}\n    \
             set XDG_STATE_HOME to a folder that this user can write, or give --config",
            folder.display()
        ))
    })?;
    Ok((PolicySource::new(folder.join("pool.toml")), Some(files)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_runtime_folder_of_the_user_comes_first_and_the_state_last() {
        let set = |runtime: Option<&'static str>| {
            let value = move |name: &str| match name {
                "XDG_RUNTIME_DIR" => runtime.map(OsString::from),
                "HOME" => Some("/home/user".into()),
                _ => None,
            };
            folders(value).map(|path| path.to_str().unwrap().to_owned()).collect::<Vec<_>>()
        };
        let state = "/home/user/.local/state/levada";
        assert_eq!(set(Some("/run/user/1")), ["/run/user/1/levada", "/run/levada", state]);
        assert_eq!(set(Some("relative")), ["/run/levada", state]);
        assert_eq!(set(None), ["/run/levada", state]);
    }

    #[test]
    fn a_socket_that_was_left_behind_is_taken_and_one_in_use_is_not() {
        let folder = std::env::temp_dir().join(format!("levada-place-{}", std::process::id()));
        let path = folder.join("pool.sock");
        drop(Place::bind(&path).unwrap());
        assert!(path.exists(), "as after a kill");
        let place = Place::bind(&path).unwrap();
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!((mode & 0o777, place.ours), (0o600, true));
        assert_eq!(Place::bind(&path).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        fs::write(folder.join("file"), "text").unwrap();
        let error = Place::bind(&folder.join("file")).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse, "what is no socket stays");
        drop(place);
        fs::remove_dir_all(&folder).unwrap();
    }
}
