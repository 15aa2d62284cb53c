//! `cargo xtask bench`: what Levada takes, alone and beside its peers.

mod chart;
mod figures;
mod inside;
mod instance;
pub(crate) mod instructions;
mod machine;
mod micro;
mod node;
mod page;
mod place;
mod pool;
mod prepare;
mod results;
mod sealed;
mod terminators;
mod ws;

use std::fs;
use std::path::{Path, PathBuf};

use crate::steps::{Done, Report};
use crate::test::target_folder;
use figures::Scale;
use machine::{Machine, Versions};
use results::Results;

pub(crate) use micro::run as micro;
pub(crate) use node::run as node;
pub(crate) use pool::run as pool;
pub(crate) use ws::run as ws;

/// How much is asked for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Plan {
    quick: bool,
    /// How often each terminator has its turn.
    rounds: usize,
    /// The loads to run, by name; all if there are none.
    only: Vec<String>,
}

impl Plan {
    /// # Errors
    ///
    /// Says what is not understood.
    pub(crate) fn parse(words: &[&str]) -> Result<Self, String> {
        let mut plan = Self { quick: false, rounds: 0, only: Vec::new() };
        let mut words = words.iter();
        while let Some(&word) = words.next() {
            let mut value = || words.next().copied().ok_or(format!("{word} needs a value"));
            match word {
                "--quick" => plan.quick = true,
                "--rounds" => {
                    let rounds = value()?;
                    plan.rounds = rounds.parse().map_err(|error| format!("'{rounds}': {error}"))?;
                }
                "--only" => plan.only = value()?.split(',').map(str::to_owned).collect(),
                _ => return Err(format!("no option '{word}'")),
            }
        }
        if plan.rounds == 0 {
            plan.rounds = if plan.quick { 2 } else { 5 };
        }
        let known = |name: &String| figures::LOADS.iter().any(|load| load.name == name);
        match plan.only.iter().find(|name| !known(name)) {
            Some(name) => Err(format!("no load '{name}'")),
            None => Ok(plan),
        }
    }

    fn scale(&self) -> Scale {
        if self.quick { Scale::QUICK } else { Scale::FULL }
    }

    fn has(&self, load: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|name| name == load)
    }

    /// Only what is complete is published.
    fn is_complete(&self) -> bool {
        !self.quick && self.only.is_empty()
    }
}

/// `cargo xtask bench peers`.
pub(crate) fn peers(report: &mut Report, plan: &Plan, words: &[&str]) {
    report.step("bench peers", || {
        let target = canonical_target()?;
        prepare::install()?;
        prepare::build(&target)?;
        sealed::run(&["bench", "inside"], words)?;
        publish(&target, plan).map(Done::Ran)
    });
}

/// `cargo xtask bench inside`: the part that runs within the network namespace.
pub(crate) fn inside(report: &mut Report, plan: &Plan) {
    report.step("loads", || inside::run(&canonical_target()?, plan).map(Done::Ran));
}

/// Terminators have their own working folders: they are told absolute paths.
fn canonical_target() -> Result<PathBuf, String> {
    let target = target_folder()?;
    fs::canonicalize(&target).map_err(|error| format!("{}: {error}", target.display()))
}

fn work_folder(target: &Path) -> PathBuf {
    target.join("bench")
}

/// One line for each run of the last measurement.
fn runs_file(target: &Path) -> PathBuf {
    work_folder(target).join("runs.jsonl")
}

/// Writes page and picture, into the documentation if the measurement is complete; answers where
/// they are.
fn publish(target: &Path, plan: &Plan) -> Result<String, String> {
    let read = |path: &Path| {
        fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))
    };
    let docs = Path::new("docs");
    let results = Results::parse(&read(&runs_file(target))?)?;
    let page = read(&docs.join(page::FILE))?;
    let (machine, versions) = (Machine::look()?, Versions::look(target)?);
    let folder = if plan.is_complete() { docs.to_owned() } else { work_folder(target) };
    let block = page::render(&results, &machine, &versions);
    let files = [
        (page::FILE, page::with_block(&page, page::RESULTS, &block)?),
        (chart::FILE, chart::render(&results)),
    ];
    for (name, text) in files {
        let path = folder.join(name);
        fs::write(&path, text).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    println!("\n{block}");
    let failures = results.failures();
    if failures.is_empty() {
        Ok(format!("{}", folder.join(page::FILE).display()))
    } else {
        Err(format!("runs failed\n{failures}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_rounds_unless_told_otherwise() {
        assert_eq!(Plan::parse(&[]).unwrap().rounds, 5);
        assert_eq!(Plan::parse(&["--rounds", "7", "--quick"]).unwrap().rounds, 7);
        assert!(Plan::parse(&[]).unwrap().is_complete());
    }

    #[test]
    fn a_part_is_not_published() {
        assert!(!Plan::parse(&["--quick"]).unwrap().is_complete());
        let part = Plan::parse(&["--only", "idle,full"]).unwrap();
        assert!(!part.is_complete());
        assert!(part.has("idle") && !part.has("down-4"));
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for words in [&["--fast"][..], &["--rounds"], &["--rounds", "x"], &["--only", "sideways"]] {
            Plan::parse(words).unwrap_err();
        }
    }
}
