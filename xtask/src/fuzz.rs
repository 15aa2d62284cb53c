//! `cargo xtask fuzz`: a while of fuzzing for each target. The committed corpora only seed it: what a
//! run finds grows in `target/fuzz-corpus`.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{fs, io};

use crate::steps::{Done, Outcome, Report, run as run_command, succeeds};
use crate::tools;

/// How long a target runs unless told otherwise.
pub(crate) const SECONDS: u64 = 60;

pub(crate) fn run(report: &mut Report, seconds: u64) {
    let targets = match targets() {
        Ok(targets) if targets.is_empty() => return report.skip("fuzz", "there are no targets"),
        Ok(targets) => targets,
        Err(error) => return report.step("fuzz", || Err(format!("fuzz/fuzz_targets: {error}"))),
    };
    if !succeeds(nightly().arg("rustc").arg("--version")) {
        return report.skip("fuzz", "libFuzzer needs a nightly toolchain, and none is here");
    }
    report.step("cargo-fuzz", || tools::FUZZ.ensure().map(|()| Done::Ran(String::new())));
    for target in targets {
        report.step(&format!("fuzz {target}"), || one(&target, seconds));
    }
}

fn one(target: &str, seconds: u64) -> Outcome {
    let grown = Path::new("target/fuzz-corpus").join(target);
    fs::create_dir_all(&grown).map_err(|error| format!("{}: {error}", grown.display()))?;
    let mut fuzz = nightly();
    fuzz.args(["cargo", "fuzz", "run", target]).arg(grown).arg(format!("fuzz/corpus/{target}"));
    // An input that takes seconds is as much a finding as a panic.
    fuzz.arg("--").arg(format!("-max_total_time={seconds}")).arg("-timeout=10");
    run_command(&mut fuzz)?;
    Ok(Done::Ran(String::new()))
}

/// The targets by name, in order; none when there is no such folder.
fn targets() -> io::Result<Vec<String>> {
    let entries = match fs::read_dir("fuzz/fuzz_targets") {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let files: Vec<PathBuf> =
        entries.map(|entry| entry.map(|entry| entry.path())).collect::<io::Result<_>>()?;
    let mut names: Vec<String> = files
        .iter()
        .filter(|file| file.extension() == Some(OsStr::new("rs")))
        .filter_map(|file| file.file_stem()?.to_str().map(str::to_owned))
        .collect();
    names.sort();
    Ok(names)
}

/// A command of the nightly toolchain. None is ever installed: that is for the machine's owner.
fn nightly() -> Command {
    let mut command = Command::new("rustup");
    command.env("RUSTUP_AUTO_INSTALL", "0").args(["run", "nightly"]);
    command
}
