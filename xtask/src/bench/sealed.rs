//! A network and processes of our own, which end with us whatever happens.
//!
//! The network namespace keeps the traffic in and lets us choose the congestion control; the process
//! namespace is emptied by the kernel when its first process ends. That one is killed when we end:
//! nothing is left behind by a failure, by Ctrl-C or by a crash, and there is no code that could
//! forget to clean up.

use std::env;
use std::process::Command;

use crate::steps::run as run_command;

/// Descriptors for 5,000 connections, which have two ends in the terminator, and some more.
pub(crate) const NOFILE: &str = "--nofile=20000:20000";

/// Runs this program again, with other words, as the first process inside.
pub(crate) fn run(command: &[&str], words: &[&str]) -> Result<(), String> {
    let own = env::current_exe().map_err(|error| format!("where this program lies: {error}"))?;
    let mut inside = Command::new("setpriv");
    inside.args(["--pdeathsig", "KILL"]);
    inside.args(["unshare", "--net", "--pid", "--fork", "--kill-child=KILL", "--mount-proc"]);
    inside.args(["prlimit", NOFILE]).arg(own).args(command).args(words);
    run_command(&mut inside)
}
