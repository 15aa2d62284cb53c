//! `levada serve` alone: a service to try, and the exact commands with which to talk to it.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::path::PathBuf;

use levada::SetupError;
use time::OffsetDateTime;

use crate::dev_ca::{self, Done, Localhost};
use crate::door::CannotOpen;
use crate::exit::{Stop, fail};
use crate::plan::{Bridge, DEVELOPMENT};
use crate::quote::quoted;
use crate::state_dir::{self, StateDir};

/// Where the development service can be reached, as `openssl` takes it.
fn host_and_port() -> &'static str {
    DEVELOPMENT.trim_start_matches("tls://")
}

/// What is said once the development service runs.
#[derive(Debug)]
pub(crate) struct Welcome {
    folder: PathBuf,
    files: Localhost,
}

impl Welcome {
    /// Makes the identity where it is missing, and gives it to the listener of `bridge`.
    pub(crate) fn prepare(mut bridge: Bridge) -> Result<(Bridge, Self), Stop> {
        let folder = state_dir::path(|name| std::env::var_os(name));
        let cannot = |error: &dyn std::fmt::Display| {
            fail(format!(
                "cannot keep a development identity in {}: {error}\n    \
                 set XDG_STATE_HOME to a folder that this user can write",
                folder.display()
            ))
        };
        let state = StateDir::open(folder.clone()).map_err(|error| cannot(&error))?;
        let files =
            dev_ca::localhost(&state, OffsetDateTime::now_utc()).map_err(|error| cannot(&error))?;
        bridge.listen.set("cert", &files.identity).map_err(|error| fail(error.to_string()))?;
        Ok((bridge, Self { folder, files }))
    }

    /// Why the development service cannot listen, and the command that listens elsewhere.
    pub(crate) fn cannot_listen(&self, error: &CannotOpen) -> Stop {
        let taken = match &error.error {
            SetupError::Listen { error, .. } => error.kind() == io::ErrorKind::AddrInUse,
            _ => false,
        };
        if !taken {
            return error.stop();
        }
        fail(format!(
            "{} is taken by another program, perhaps by another `levada serve`\n    \
             stop it (`ss -ltnp` shows it), or listen elsewhere:\n    \
             {} serve --listen tls://127.0.0.1:9443 --cert {} --to echo:",
            host_and_port(),
            this_command(),
            quoted(&self.files.identity)
        ))
    }

    /// Says it, on standard output.
    pub(crate) fn print(&self) {
        // Whoever closed our standard output does not want to read it.
        let _ = io::stdout().write_all(self.text(&this_command()).as_bytes());
    }

    fn text(&self, levada: &str) -> String {
        let folder = self.folder.display();
        let ca = quoted(&self.files.ca);
        let host_and_port = host_and_port();
        let mut text = match (self.files.authority_done, self.files.identity_done) {
            (Done::Made | Done::Renewed, _) => {
                format!("Made a development CA and an identity for localhost in {folder}\n")
            }
            (Done::Kept, Done::Made | Done::Renewed) => {
                format!("Made an identity for localhost in {folder}\n")
            }
            (Done::Kept, Done::Kept) => format!("Using the identity for localhost in {folder}\n"),
        };
        // Writing to a String cannot fail.
        let _ = write!(
            text,
            "
Listening on {DEVELOPMENT}: what you send comes back. Talk to it from
another terminal, with either of these:

  {levada} connect {DEVELOPMENT} --ca {ca}

  openssl s_client -quiet -connect {host_and_port} -servername localhost \\
      -verify_return_error -CAfile {ca}

Ctrl-C ends it. For a service of your own: {levada} serve --help
Identities for other names, and for clients: {levada} dev-ca --help
"
        );
        text
    }
}

/// What to type for this very command: its bare name where the shell finds it by that.
pub(crate) fn this_command() -> String {
    const NAME: &str = "levada";
    let Ok(this) = std::env::current_exe() else { return NAME.to_owned() };
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).map(|folder| folder.join(NAME));
    let first = found.into_iter().find(|file| file.is_file());
    match first.and_then(|file| file.canonicalize().ok()) {
        Some(file) if file == this => NAME.to_owned(),
        _ => quoted(&this),
    }
}
