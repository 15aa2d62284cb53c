//! Something to try: an identity for listeners at home that have none, and the exact commands with which
//! to talk to them.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::path::PathBuf;

use levada_address::{Address, Endpoint, Scheme};
use time::OffsetDateTime;

use crate::dev_ca::{self, Done, Localhost};
use crate::door::shown;
use crate::exit::{Stop, fail};
use crate::plan::{Bridge, DEVELOPMENT, lacks_identity};
use crate::quote::{quote, quoted};
use crate::state_dir::{self, StateDir};

/// What is said of each listener, in the order of the bridges, once it listens.
#[derive(Debug)]
pub(crate) struct Welcome {
    /// The identity for localhost, where one of them has lacked it, and where it is.
    identity: Option<(PathBuf, Localhost)>,
    /// `None` where nothing is said.
    trials: Vec<Option<Trial>>,
}

/// A listener that can be tried.
#[derive(Debug)]
struct Trial {
    listen: Address,
    /// Where it leads; `None` sends back what comes.
    to: Option<String>,
    /// Whether it has the identity for localhost.
    is_localhost: bool,
}

impl Welcome {
    /// Gives an identity to each listener at home that has none, and makes it where it is missing.
    pub(crate) fn prepare(bridges: &mut [Bridge]) -> Result<Self, Stop> {
        let mut welcome = Self { identity: None, trials: Vec::new() };
        for Bridge { listen, to, is_trial } in bridges {
            let is_localhost = lacks_identity(listen);
            if is_localhost {
                let (_, files) = match welcome.identity.take() {
                    Some(made) => welcome.identity.insert(made),
                    None => welcome.identity.insert(localhost()?),
                };
                listen.set("cert", &files.identity).map_err(|error| fail(error.to_string()))?;
            }
            // What the clients of an identity of the user's trust is not known here, nor what a pool shows,
            // nor which clients it lets in that have to show a certificate.
            let is_open = !listen.scheme().spec().tls && *listen.endpoint() != Endpoint::Stdio;
            let asks =
                ["client-ca", "client-pin"].iter().any(|word| listen.options().get(word).is_some());
            let can_be_tried = (is_localhost && !asks) || (*is_trial && is_open);
            welcome.trials.push(can_be_tried.then(|| Trial {
                listen: listen.clone(),
                to: (!*is_trial).then(|| shown(to, None)),
                is_localhost,
            }));
        }
        Ok(welcome)
    }

    /// Says it, on standard output. `on` is where the listeners are, as the log shows it, and `demo`
    /// whether those of WebSockets have a page to try them with.
    pub(crate) fn print<'a>(&self, on: impl Iterator<Item = &'a str>, demo: bool) {
        let text = self.text(&this_command(), on, demo);
        // Whoever closed our standard output does not want to read it.
        let _ = io::stdout().write_all(text.as_bytes());
    }

    fn text<'a>(&self, levada: &str, on: impl Iterator<Item = &'a str>, demo: bool) -> String {
        let mut text = String::new();
        if let Some((folder, files)) = &self.identity {
            text.push_str(match (files.authority_done, files.identity_done) {
                (Done::Made | Done::Renewed, _) => {
                    "Made a development CA and an identity for localhost"
                }
                (Done::Kept, Done::Made | Done::Renewed) => "Made an identity for localhost",
                (Done::Kept, Done::Kept) => "Using the identity for localhost",
            });
            // Writing to a String cannot fail.
            let _ = writeln!(text, " in {}", folder.display());
        }
        let ca = self.identity.as_ref().map(|(_, files)| quoted(&files.ca));
        let trials = self.trials.iter().zip(on);
        for (trial, on) in trials.filter_map(|(trial, on)| Some((trial.as_ref()?, on))) {
            let ca = ca.as_deref().filter(|_| trial.is_localhost);
            trial.text(&mut text, levada, on, ca, demo);
        }
        if !text.is_empty() {
            let _ = write!(
                text,
                "
Ctrl-C ends it. For a service of your own: {levada} serve --help
Identities for other names, and for clients: {levada} dev-ca --help
"
            );
        }
        text
    }
}

impl Trial {
    /// What it is, and the commands; `ca` vouches for it.
    fn text(&self, text: &mut String, levada: &str, on: &str, ca: Option<&str>, demo: bool) {
        let on = on.replacen("//0.0.0.0:", "//127.0.0.1:", 1).replacen("//[::]:", "//[::1]:", 1);
        let what = match &self.to {
            Some(to) => format!("leads to {to}"),
            None => "what you send comes back".to_owned(),
        };
        let option = |word: &str| match ca {
            Some(ca) => format!(" {word} {ca}"),
            None => String::new(),
        };
        let path = match (self.listen.scheme(), self.listen.options().get("path")) {
            (Scheme::WsUnix, Some(path)) => {
                format!(" --path {}", quote(&path.to_string()))
            }
            _ => String::new(),
        };
        let place = on.split_once("://").map_or("", |(_, place)| place);
        let foreign = match self.listen.scheme() {
            Scheme::Tls => format!(
                "openssl s_client -quiet -connect {place} -servername localhost \\
      -verify_return_error{}",
                option("-CAfile")
            ),
            Scheme::Ws | Scheme::Wss => format!(
                "curl --silent --include --http1.1 --max-time 1{} \\
      --header 'Connection: Upgrade' --header 'Upgrade: websocket' \\
      --header 'Sec-WebSocket-Version: 13' \\
      --header 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==' {}",
                option("--cacert"),
                // The schemes differ by their first letters.
                quote(&on.replacen("ws", "http", 1))
            ),
            _ => String::new(),
        };
        let with = match self.listen.scheme() {
            Scheme::Ws | Scheme::Wss => {
                "with the first of these; the second one shows how it is opened:"
            }
            _ if foreign.is_empty() => "with this:",
            _ => "with either of these:",
        };
        let connect = format!("{levada} connect {}{path}{}", quote(&on), option("--ca"));
        let _ = write!(
            text,
            "
Listening on {on}: {what}. Talk to it from
another terminal, {with}

  {connect}
"
        );
        if !foreign.is_empty() {
            let _ = write!(text, "\n  {foreign}\n");
        }
        let has_origin = self.listen.options().get("origin").is_some();
        match self.listen.scheme() {
            Scheme::Ws | Scheme::Wss if demo => {
                let host = place.split('/').next().unwrap_or_default();
                let page = if self.listen.scheme() == Scheme::Wss { "https" } else { "http" };
                let _ = write!(text, "\nSee it live in a browser: {page}://{host}/\n");
            }
            Scheme::Ws | Scheme::Wss if !has_origin => text.push_str(
                "\nNo web page may connect: --origin lets those of a site in, and --demo shows one.\n",
            ),
            _ => {}
        }
    }
}

/// The identity for localhost, made where it is missing, and the folder where it is.
fn localhost() -> Result<(PathBuf, Localhost), Stop> {
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
    Ok((folder, files))
}

/// Why `levada serve` alone cannot listen, and the command that listens elsewhere.
pub(crate) fn port_is_taken() -> String {
    format!(
        "{} is taken by another program, perhaps by another `levada serve`\n    \
         stop it (`ss -ltnp` shows it), or listen elsewhere:\n    \
         {} serve --listen tls://127.0.0.1:9443",
        DEVELOPMENT.trim_start_matches("tls://"),
        this_command()
    )
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
