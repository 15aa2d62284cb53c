//! Terminals: what a person sees and types at a program.

use std::fs::File;
use std::io::Write as _;
use std::os::fd::OwnedFd;

use rustix::fs::{Mode, OFlags};
use rustix::pty::OpenptFlags;

use super::command::{Command, Output, Running};

/// A terminal that is nobody's yet.
#[derive(Debug)]
pub(crate) struct Terminal {
    /// Where programs read and write.
    pub(crate) side: OwnedFd,
    keyboard: File,
    screen: Output,
    /// All that was shown, as far as somebody has looked.
    shown: String,
}

impl Terminal {
    pub(crate) fn new() -> Self {
        let master = rustix::pty::openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        rustix::pty::grantpt(&master).unwrap();
        rustix::pty::unlockpt(&master).unwrap();
        let name = rustix::pty::ptsname(&master, Vec::new()).unwrap();
        let side = rustix::fs::open(name, OFlags::RDWR | OFlags::NOCTTY, Mode::empty()).unwrap();
        let keyboard = File::from(master);
        let screen = Output::of(Some(keyboard.try_clone().unwrap()));
        Self { side, keyboard, screen, shown: String::new() }
    }

    /// Starts a command in a session of its own, whose terminal this is.
    pub(crate) fn start(&self, command: Command) -> Running {
        let leader = command.by(&["setsid", "--ctty", "--wait"]);
        leader.stdin(self.again()).stdout(self.again()).stderr(self.again()).start()
    }

    /// The side of programs once more.
    pub(crate) fn again(&self) -> OwnedFd {
        self.side.try_clone().unwrap()
    }

    pub(crate) fn types(&mut self, keys: &str) {
        self.keyboard.write_all(keys.as_bytes()).unwrap();
    }

    /// Waits until this is shown, behind what was waited for before.
    #[track_caller]
    pub(crate) fn shows(&mut self, what: &str) {
        self.shown.push_str(&self.screen.until(what));
    }

    /// All that was shown so far.
    pub(crate) fn shown(self) -> String {
        self.shown
    }

    /// How it is set up. `Termios` compares by what it prints.
    pub(crate) fn settings(&self) -> String {
        format!("{:?}", rustix::termios::tcgetattr(&self.side).unwrap())
    }
}
