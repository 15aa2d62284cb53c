//! `cargo xtask bench node`: the Node package beside Node's own TLS. `bindings/node/bench` measures and
//! prints tables; they go into the page with where and when it was.

use std::process::Command;

use crate::bench::page;
use crate::node::stage;
use crate::steps::Report;

const PARTS: [&str; 6] = ["index.js", "index.mjs", "package.json", "lib", "test", "bench"];

/// Measures in this many rounds.
pub(crate) fn run(report: &mut Report, rounds: usize) {
    report.step("bench node", || {
        let folder = stage("release", &PARTS)?;
        let mut program = Command::new("node");
        program.arg(folder.join("bench/bench.mjs")).arg(rounds.to_string());
        page::measure(&mut program, rounds, page::NODE)
    });
}
