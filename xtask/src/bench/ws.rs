//! `cargo xtask bench ws`: a byte stream over WebSocket beside the crates of the field. The program
//! `benches/ws` measures and prints tables; they go into the page with where and when it was.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::bench::machine::Machine;
use crate::bench::page;
use crate::steps::{Done, Report, cargo, run as run_command, shown};

const MANIFEST: &str = "benches/ws/Cargo.toml";
const PROGRAM: &str = "benches/ws/target/release/levada-ws-bench";

/// Measures in this many rounds.
pub(crate) fn run(report: &mut Report, rounds: usize) {
    report.step("bench ws", || {
        run_command(&mut cargo(["build", "--release", "--locked", "--manifest-path", MANIFEST]))?;
        let mut program = Command::new(PROGRAM);
        program.arg(rounds.to_string());
        println!("$ {}", shown(&program));
        let output = program.output().map_err(|error| format!("{PROGRAM}: {error}"))?;
        if !output.status.success() {
            return Err(format!("{}: {}", output.status, String::from_utf8_lossy(&output.stderr)));
        }
        let tables = String::from_utf8_lossy(&output.stdout);
        let block = format!("{}\n{}\n", Machine::look()?.measured(rounds), tables.trim_end());
        println!("\n{block}");

        let path = Path::new("docs").join(page::FILE);
        let note = |error| format!("{}: {error}", path.display());
        let page = fs::read_to_string(&path).map_err(note)?;
        fs::write(&path, page::with_block(&page, page::WEBSOCKET, &block)?).map_err(note)?;
        Ok(Done::Ran(path.display().to_string()))
    });
}
