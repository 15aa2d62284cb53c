//! `cargo xtask bench ws`: a byte stream over WebSocket beside the crates of the field. The program
//! `benches/ws` measures and prints tables; they go into the page with where and when it was.

use std::process::Command;

use crate::bench::page;
use crate::steps::{Report, cargo, run as run_command};

const MANIFEST: &str = "benches/ws/Cargo.toml";
const PROGRAM: &str = "benches/ws/target/release/levada-ws-bench";

/// Measures in this many rounds.
pub(crate) fn run(report: &mut Report, rounds: usize) {
    report.step("bench ws", || {
        run_command(&mut cargo(["build", "--release", "--locked", "--manifest-path", MANIFEST]))?;
        let mut program = Command::new(PROGRAM);
        program.arg(rounds.to_string());
        page::measure(&mut program, rounds, page::WEBSOCKET)
    });
}
