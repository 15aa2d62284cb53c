//! `cargo xtask bench` without further words: the microbenchmarks of the crates, which need no peer.
//! They are programs in `crates/*/benches` that print their own tables.

use std::fs;

use crate::steps::{Done, Report, cargo, run as run_command};

pub(crate) fn run(report: &mut Report) {
    let crates = match crates_with_benches() {
        Ok(crates) if crates.is_empty() => return report.skip("bench", "no crate has `benches`"),
        Ok(crates) => crates,
        Err(error) => return report.step("bench", || Err(error)),
    };
    for name in &crates {
        report.step(&format!("bench {name}"), || {
            // The pattern leaves out the unit tests, which `--benches` would build for nothing.
            let words = ["bench", "--locked", "--package", name, "--bench", "*"];
            run_command(&mut cargo(words)).map(|()| Done::Ran(String::new()))
        });
    }
}

/// The crates that have files in `benches`, by name; a crate's folder has its name.
fn crates_with_benches() -> Result<Vec<String>, String> {
    let entries = fs::read_dir("crates").map_err(|error| format!("crates: {error}"))?;
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.map_err(|error| format!("crates: {error}"))?;
        if entry.path().join("benches").is_dir() {
            names.push(entry.file_name().display().to_string());
        }
    }
    names.sort();
    Ok(names)
}
