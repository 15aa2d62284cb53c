//! `cargo xtask bench node`: the Node package beside Node's own TLS. `bindings/node/bench` measures and
//! prints tables; they go into the page with where and when it was.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::bench::machine::Machine;
use crate::bench::page;
use crate::node::stage;
use crate::steps::{Done, Report, shown};

const PARTS: [&str; 6] = ["index.js", "index.mjs", "package.json", "lib", "test", "bench"];

/// Measures in this many rounds.
pub(crate) fn run(report: &mut Report, rounds: usize) {
    report.step("bench node", || {
        let folder = stage("release", &PARTS)?;
        let mut program = Command::new("node");
        program.arg(folder.join("bench/bench.mjs")).arg(rounds.to_string());
        println!("$ {}", shown(&program));
        let output = program.output().map_err(|error| format!("node: {error}"))?;
        if !output.status.success() {
            return Err(format!("{}: {}", output.status, String::from_utf8_lossy(&output.stderr)));
        }
        let tables = String::from_utf8_lossy(&output.stdout);
        let block = format!("{}\n{}\n", Machine::look()?.measured(rounds), tables.trim_end());
        println!("\n{block}");

        let path = Path::new("docs").join(page::FILE);
        let in_runs = |error| format!("{}: {error}", path.display());
        let page = fs::read_to_string(&path).map_err(in_runs)?;
        fs::write(&path, page::with_block(&page, page::NODE, &block)?).map_err(in_runs)?;
        Ok(Done::Ran(path.display().to_string()))
    });
}
