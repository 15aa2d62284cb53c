//! `cargo xtask test`: every test, on the real binary and against foreign peers.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::{env, fs};

use crate::steps::{Done, Report, cargo, run as run_command, shown};
use crate::tally::Tally;
use crate::{c, fuzz, lua, node, peers, registries};

/// The profile of the slow suites.
pub(crate) const SLOW: &str = "slow-tests";

/// How much is asked for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Extent {
    /// What every change has to pass.
    Fast,
    /// That, and what takes minutes: the slow suites, optimized, the guests and the fuzz targets.
    All,
}

pub(crate) fn run(report: &mut Report, extent: Extent) {
    peers(report, extent);
    let mut fast = suite(report, Extent::Fast);
    node::test(report, extent);
    if extent == Extent::All {
        // The slow run holds every test again, and tells what it skips.
        fast.skipped.clear();
        let slow = suite(report, Extent::All);
        report.count(slow);
        fuzz::run(report, fuzz::SECONDS);
    } else {
        let why = "not asked for: `cargo xtask test --all` runs them";
        report.skip("slow tests", why);
        report.skip("fuzz", why);
    }
    report.count(fast);
    lua::test(report);
    c::test(report);
}

/// Installs what the tests talk to.
pub(crate) fn peers(report: &mut Report, extent: Extent) {
    report.step("peers", peers::ensure);
    report.step("peers in Python", registries::python);
    report.step("peers in Node", registries::node);
    if extent == Extent::All {
        report.step("websocat", registries::websocat);
    }
}

/// One run of the whole workspace's tests, the corpora of the fuzz targets among them.
fn suite(report: &mut Report, extent: Extent) -> Tally {
    let name = if extent == Extent::All { "slow tests" } else { "tests" };
    let mut tally = Tally::default();
    report.step(name, || {
        let mut command = cargo(["test", "--workspace", "--all-features", "--locked"]);
        command.arg("--no-fail-fast");
        if extent == Extent::All {
            command.args(["--profile", SLOW]).env("LEVADA_ALL", "1");
        }
        if let Some(binary) = build_the_command(extent)? {
            command.env("LEVADA_BIN", binary);
        }
        let outcome = counted(&mut command, &mut tally, Tally::read);
        outcome.map(|()| Done::Ran(tally.to_string()))
    });
    tally
}

/// Builds `levada` with the features that the tests are built with, so that nothing is built twice,
/// and says where it lies. `None` while the workspace holds no such command.
pub(crate) fn build_the_command(extent: Extent) -> Result<Option<PathBuf>, String> {
    if !Path::new("crates/levada-cli").exists() {
        return Ok(None);
    }
    let mut build = cargo(["build", "--workspace", "--all-features", "--locked"]);
    build.args(["--bin", "levada"]);
    if extent == Extent::All {
        build.args(["--profile", SLOW]);
    }
    run_command(&mut build)?;
    let folder = if extent == Extent::All { SLOW } else { "debug" };
    Ok(Some(target_folder()?.join(folder).join("levada")))
}

/// Runs the tests, passes their output on, and counts what it says, as this reads it.
pub(crate) fn counted(
    command: &mut Command,
    tally: &mut Tally,
    read: fn(&mut Tally, &str),
) -> Result<(), String> {
    let skips = target_folder()?.join("skips");
    let in_file = |error| format!("{}: {error}", skips.display());
    fs::write(&skips, "").map_err(in_file)?;
    command.env("LEVADA_SKIPS", &skips).stdout(Stdio::piped());

    println!("$ {}", shown(command));
    let line = shown(command);
    let in_command = |error| format!("`{line}`: {error}");
    let mut child = command.spawn().map_err(in_command)?;
    if let Some(output) = child.stdout.take() {
        // A test may print what is no UTF-8.
        for line in BufReader::new(output).split(b'\n') {
            let line = line.map_err(in_command)?;
            let line = String::from_utf8_lossy(&line);
            println!("{line}");
            read(tally, &line);
        }
    }
    let status = child.wait().map_err(in_command)?;
    tally.skips(&fs::read_to_string(&skips).map_err(in_file)?);
    if status.success() { Ok(()) } else { Err(format!("{tally}: {status}")) }
}

/// Builds what has a workspace of its own, with these flags, where the main one is built: both stand on
/// the same crates. Where the results are then.
pub(crate) fn build_apart(
    manifest: &str,
    flags: &[&str],
    profile: &str,
) -> Result<PathBuf, String> {
    let target = target_folder()?;
    let mut build = cargo(["build", "--locked", "--manifest-path", manifest, "--target-dir"]);
    build.arg(&target).args(flags);
    if profile == "release" {
        build.arg("--release");
    }
    run_command(&mut build)?;
    Ok(target.join(profile))
}

/// Where Cargo builds: this program lies in `TARGET/debug`.
pub(crate) fn target_folder() -> Result<PathBuf, String> {
    let program =
        env::current_exe().map_err(|error| format!("where this program lies: {error}"))?;
    match program.ancestors().nth(2) {
        Some(folder) => Ok(folder.to_path_buf()),
        None => Err(format!("{} lies in no target folder", program.display())),
    }
}
