//! `cargo xtask bench pool`: streams whose TLS is a pool's, beside TLS of the same library in process. The
//! program `benches/pool` measures and prints a table; it goes into the page with where and when it was.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::bench::machine::Machine;
use crate::bench::page;
use crate::steps::{Done, Report, cargo, run as run_command, shown};
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
        println!("$ {}", shown(&program));
        let output = program.output().map_err(|error| format!("levada-pool-bench: {error}"))?;
        if !output.status.success() {
            return Err(format!("{}: {}", output.status, String::from_utf8_lossy(&output.stderr)));
        }
        let table = String::from_utf8_lossy(&output.stdout);
        let block = format!("{}\n{}\n", Machine::look()?.measured(rounds), table.trim_end());
        println!("\n{block}");

        let path = Path::new("docs").join(page::FILE);
        let note = |error| format!("{}: {error}", path.display());
        let page = fs::read_to_string(&path).map_err(note)?;
        fs::write(&path, page::with_block(&page, page::POOL, &block)?).map_err(note)?;
        Ok(Done::Ran(path.display().to_string()))
    });
}
