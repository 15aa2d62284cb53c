//! Booting a guest, and reading what it says.

#![expect(
    clippy::disallowed_types,
    reason = "seconds of real work are bounded, outside any runtime"
)]

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use super::QEMU;
use crate::steps::shown;

/// What a guest says when all of its programs have ended.
pub(super) const ENDED: &str = "guest: all programs have ended";

/// What a guest says before the exit status of a program.
pub(super) fn ended(number: usize) -> String {
    format!("guest: program {number} ended with")
}

/// No network and no disk; its memory holds the file system twice while it is unpacked. One processor: where
/// there are two, the kernel's changes to its own code reach the other one late at times, and it panics.
const MACHINE: &str = "-accel tcg -cpu max -smp 1 -m 1024 -nodefaults -nographic -serial stdio \
                       -monitor none -no-reboot";

/// Of the kernel only what ends it is told. Its time is that of the timer: how fast the processor counts it
/// would have to measure, and on a busy machine it measures wrongly, so that all deadlines were too short.
const KERNEL: &str = "console=ttyS0 quiet loglevel=1 panic=-1 mitigations=off clocksource=hpet";

/// Boots a guest and hands on what it prints, to `read` too; the exit statuses of its programs by number.
pub(super) fn boot(
    kernel: &Path,
    image: &Path,
    deadline: Duration,
    mut read: impl FnMut(&str),
) -> Result<BTreeMap<usize, i32>, String> {
    let mut command = Command::new(QEMU);
    command.args(MACHINE.split_whitespace());
    command.arg("-kernel").arg(kernel).arg("-initrd").arg(image).args(["-append", KERNEL]);
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    println!("$ {}", shown(&command));
    let in_qemu = |error: &dyn std::fmt::Display| format!("{QEMU}: {error}");
    let mut child = command.spawn().map_err(|error| in_qemu(&error))?;
    let Some(output) = child.stdout.take() else { return Err(in_qemu(&"it has no output")) };

    let (line, lines) = mpsc::channel();
    let reader = thread::spawn(move || {
        for bytes in BufReader::new(output).split(b'\n').map_while(Result::ok) {
            let text = String::from_utf8_lossy(&bytes).trim_end_matches('\r').to_owned();
            if line.send(text).is_err() {
                break;
            }
        }
    });
    let end = Instant::now() + deadline;
    let mut statuses = BTreeMap::new();
    let mut all = false;
    let in_time = loop {
        match lines.recv_timeout(end.saturating_duration_since(Instant::now())) {
            Ok(line) => {
                println!("{line}");
                read(&line);
                statuses.extend(status(&line));
                all |= line == ENDED;
            }
            // It has powered off.
            Err(RecvTimeoutError::Disconnected) => break true,
            Err(RecvTimeoutError::Timeout) => break false,
        }
    };
    if !in_time {
        // It may have ended this moment.
        let _ = child.kill();
    }
    let status = child.wait().map_err(|error| in_qemu(&error))?;
    // Its output has ended with it.
    let _ = reader.join();
    match (in_time, all) {
        (true, true) => Ok(statuses),
        (true, false) => Err(format!("the guest ended before its programs: {QEMU}: {status}")),
        (false, _) => Err(format!("the guest was ended after {} s", deadline.as_secs())),
    }
}

/// The number and the exit status of the program that a line tells about.
fn status(line: &str) -> Option<(usize, i32)> {
    let rest = line.strip_prefix("guest: program ")?;
    let (number, status) = rest.split_once(" ended with ")?;
    Some((number.parse().ok()?, status.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_statuses_are_read_back() {
        assert_eq!(status(&format!("{} 101", ended(3))), Some((3, 101)));
        assert_eq!(status("guest: program of a test ended with 0"), None);
        assert_eq!(status(ENDED), None);
    }
}
