//! A process that is measured, or that belongs to the load; it ends when it is dropped.

#![expect(clippy::disallowed_methods, reason = "foreign processes are waited for, no stream is")]

use std::fs::{self, File};
use std::net::{Ipv4Addr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use crate::bench::place::Place;
use crate::bench::terminators::{Terminator, config_file};

/// The terminator has a core of its own.
pub(crate) const TERMINATOR_CORE: &str = "0";

/// Load and backend share the other one.
pub(crate) const LOAD_CORE: &str = "1";

const PATIENCE: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(20);

#[derive(Debug)]
pub(crate) struct Instance {
    child: Child,
}

impl Instance {
    /// Starts a terminator and waits until it listens.
    ///
    /// # Errors
    ///
    /// When it does not come up, with what it said.
    pub(crate) fn start(terminator: &Terminator, place: &Place) -> Result<Self, String> {
        configure(terminator, place)?;
        let log = place.folder.join("log");
        let words = (terminator.command)(place);
        Self::spawn(TERMINATOR_CORE, &words, &log, place.port)
            .map_err(|error| format!("{}: {error}", terminator.name))
    }

    /// Starts `words` on one core and waits until `port` is listened on.
    ///
    /// # Errors
    ///
    /// When that does not happen, with what the process said.
    pub(crate) fn spawn(
        core: &str,
        words: &[String],
        log: &Path,
        port: u16,
    ) -> Result<Self, String> {
        let in_log = |error| format!("{}: {error}", log.display());
        let output = File::create(log).map_err(in_log)?;
        let errors = output.try_clone().map_err(in_log)?;
        let mut command = pinned(core, words);
        command.stdin(Stdio::null()).stdout(output).stderr(errors);
        let child = command.spawn().map_err(|error| format!("cannot run taskset: {error}"))?;
        let mut instance = Self { child };
        for _ in 0..PATIENCE.as_millis() / PAUSE.as_millis() {
            if TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok() {
                return Ok(instance);
            }
            if instance.has_ended() {
                break;
            }
            sleep(PAUSE);
        }
        let said = fs::read_to_string(log).unwrap_or_default();
        Err(format!("`{}` does not listen on port {port}: {}", words.join(" "), said.trim()))
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    fn has_ended(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(Some(_)) | Err(_))
    }
}

impl Drop for Instance {
    /// Asks first: who is killed leaves its workers behind.
    fn drop(&mut self) {
        let pid = self.child.id().to_string();
        let _ = Command::new("sh").args(["-c", "kill -TERM \"$0\"", &pid]).status();
        for _ in 0..PATIENCE.as_millis() / PAUSE.as_millis() {
            if self.has_ended() {
                return;
            }
            sleep(PAUSE);
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Writes the terminator's configuration.
pub(crate) fn configure(terminator: &Terminator, place: &Place) -> Result<(), String> {
    let Some(config) = terminator.config else { return Ok(()) };
    let file = config_file(place);
    fs::write(&file, config(place)).map_err(|error| format!("{file}: {error}"))
}

/// A command that stays on one core.
pub(crate) fn pinned(core: &str, words: &[String]) -> Command {
    let mut command = Command::new("taskset");
    command.args(["--cpu-list", core]).args(words);
    command
}
