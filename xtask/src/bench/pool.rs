//! `cargo xtask bench pool`: streams whose TLS is a pool's, beside TLS of the same library in process. The
//! program `benches/pool` measures and prints a table; it goes into the page with where and when it was.

use std::process::Command;

use crate::bench::page;
use crate::steps::{Report, cargo, run as run_command};
use crate::test::target_folder;

/// MiB of a bulk transfer, and handshakes, of each round.
const SIZE: [&str; 2] = ["1024", "2000"];

/// Measures in this many rounds.
pub(crate) fn run(report: &mut Report, rounds: usize) {
    report.step("bench pool", || {
        let packages = ["--package", "levada-cli", "--package", "levada-pool-bench"];
        // Apart, so that neither gets features for the sake of the other.
        for package in packages.chunks(2) {
            run_command(cargo(["build", "--release", "--locked"]).args(package))?;
        }
        let release = target_folder()?.join("release");
        let mut program = Command::new(release.join("levada-pool-bench"));
        program.arg(release.join("levada")).arg(rounds.to_string()).args(SIZE);
        page::measure(&mut program, rounds, page::POOL)
    });
}
