//! `cargo xtask ci`: what a change has to pass.

use std::process::Command;

use crate::bench::instructions;
use crate::steps::{Done, Outcome, Report, cargo, run as run_command, succeeds};
use crate::test::{self, Extent};
use crate::{node, tools};

const FUZZ: &str = "fuzz/Cargo.toml";
/// Of this one only the form is looked at: it has five foreign WebSockets to build.
const WS_BENCH: &str = "benches/ws/Cargo.toml";

pub(crate) fn run(report: &mut Report) {
    report.step("format", || {
        run_command(&mut cargo(["fmt", "--all", "--check"]))?;
        apart(WS_BENCH, &["fmt", "--check"])?;
        apart(node::MANIFEST, &["fmt", "--check"])?;
        apart(FUZZ, &["fmt", "--check"])
    });
    report.step("clippy", || {
        let all = ["--all-targets", "--all-features", "--locked", "--", "--deny", "warnings"];
        run_command(cargo(["clippy", "--workspace"]).args(all))?;
        // In the same folder: most of what it stands on is built there already.
        let target = test::target_folder()?.display().to_string();
        let in_target = ["clippy", "--all-targets", "--locked", "--target-dir", &target, "--"];
        apart(node::MANIFEST, &[&in_target[..], &["--deny", "warnings"]].concat())?;
        apart(FUZZ, &["clippy", "--all-targets", "--locked", "--", "--deny", "warnings"])
    });
    report.step("rustdoc", || {
        let mut doc = cargo(["doc", "--workspace", "--all-features", "--no-deps", "--locked"]);
        ran(doc.env("RUSTDOCFLAGS", "--deny warnings"))
    });
    report.step("cargo-deny", || tools::DENY.ensure().map(|()| Done::Ran(String::new())));
    report.step("dependencies", || {
        let checks = ["--locked", "check", "bans", "licenses", "sources"];
        ran(cargo(["deny", "--manifest-path", node::MANIFEST]).args(checks))?;
        ran(cargo(["deny"]).args(checks))
    });
    report.step("advisories", advisories);
    report.step("instructions", || instructions::run(false));
    test::run(report, Extent::Fast);
}

fn advisories() -> Outcome {
    // Fetched apart, so that a database out of reach is not taken for a vulnerable dependency.
    if !succeeds(&mut cargo(["deny", "fetch", "db"])) {
        let why = "the RustSec advisory database cannot be fetched from this machine";
        return Ok(Done::Skipped(why.to_owned()));
    }
    ran(&mut cargo(["deny", "--locked", "check", "--disable-fetch", "advisories"]))
}

/// The same for a workspace of its own.
fn apart(manifest: &str, words: &[&str]) -> Outcome {
    let [subcommand, flags @ ..] = words else { return Err("no subcommand".to_owned()) };
    ran(cargo([subcommand, "--manifest-path", manifest]).args(flags))
}

fn ran(command: &mut Command) -> Outcome {
    run_command(command).map(|()| Done::Ran(String::new()))
}
