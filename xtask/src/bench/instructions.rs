//! How many instructions a step of the data path takes, counted by callgrind.
//!
//! Counts do not drift with the machine as times do, so CI holds them to what is committed. They do
//! depend on the compiler and on what the processor offers to the cryptography: where one of these is
//! another one, nothing can be said.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::{Deserialize, Serialize};

use crate::bench::machine::said;
use crate::peers::{Peer, ensure_each};
use crate::steps::{Done, Outcome, cargo, run as run_command};
use crate::test::target_folder;

/// The committed counts.
const FILE: &str = "benches/instructions/counts.json";

/// By how much a step may grow. One that shrinks by more is to be written down.
const TOLERANCE: f64 = 0.03;

/// Each step by its name, with how often it is taken: so often that its start is no part of it.
const STEPS: &[(&str, u64)] = &[
    ("record", 400),
    ("relay", 200),
    ("ws-masked", 400),
    ("ws-unmasked", 400),
    ("pool-packet", 4000),
];

const VALGRIND: Peer =
    Peer { program: "valgrind", package: "valgrind", purpose: "counts instructions" };

/// What is committed.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Counts {
    /// What the counts hold for.
    compiler: String,
    processor: String,
    /// Instructions of one step.
    steps: BTreeMap<String, u64>,
}

/// Counts, and holds the counts to those that are committed, or with `bless` commits them.
pub(crate) fn run(bless: bool) -> Outcome {
    ensure_each(&[VALGRIND])?;
    let package = ["--package", "levada-instructions"];
    run_command(cargo(["build", "--release", "--locked"]).args(package))?;
    let program = target_folder()?.join("release/levada-instructions");
    let mut now = Counts { compiler: compiler()?, processor: processor()?, ..Counts::default() };
    for &(step, count) in STEPS {
        now.steps.insert(step.to_owned(), instructions(&program, step, count)?);
    }
    if bless {
        let text = serde_json::to_string_pretty(&now).map_err(|error| error.to_string())?;
        fs::write(FILE, text + "\n").map_err(|error| format!("{FILE}: {error}"))?;
        return Ok(Done::Ran(format!("written to {FILE}")));
    }
    let text = fs::read_to_string(FILE).map_err(|error| format!("{FILE}: {error}"))?;
    let committed = serde_json::from_str(&text).map_err(|error| format!("{FILE}: {error}"))?;
    println!("{}", table(&committed, &now));
    judge(&committed, &now)
}

/// What one more of a step takes.
fn instructions(program: &Path, step: &str, count: u64) -> Result<u64, String> {
    let (few, many) = (count / 4, count);
    let less = collected(program, step, few)?;
    let more = collected(program, step, many)?;
    Ok(more.saturating_sub(less) / (many - few))
}

/// All instructions of one run.
fn collected(program: &Path, step: &str, count: u64) -> Result<u64, String> {
    let mut command = Command::new("valgrind");
    command.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]);
    let output = command.arg(program).args([step, &count.to_string()]).output();
    let output = output.map_err(|error| format!("valgrind: {error}"))?;
    let text = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        return Err(format!("{step}: {}", text.trim()));
    }
    let line = text.lines().find_map(|line| line.split_once("Collected : "));
    let number = line.and_then(|(_, number)| number.trim().parse().ok());
    number.ok_or_else(|| format!("{step}: valgrind tells no count"))
}

fn compiler() -> Result<String, String> {
    said(&["rustc", "--version"])
}

/// The architecture, and what of it the ciphers and the copying of memory look for.
fn processor() -> Result<String, String> {
    let file = PathBuf::from("/proc/cpuinfo");
    let text = fs::read_to_string(&file).map_err(|error| format!("{}: {error}", file.display()))?;
    let has = |flag: &&str| text.split_whitespace().any(|word| word == *flag);
    let flags = ["avx2", "aes", "pclmulqdq", "bmi2", "erms"].into_iter().filter(has);
    let words: Vec<&str> = std::iter::once(std::env::consts::ARCH).chain(flags).collect();
    Ok(words.join(" "))
}

fn table(committed: &Counts, now: &Counts) -> String {
    let mut text = format!("{:12}  {:>12}  {:>12}\n", "step", "committed", "now");
    for (step, count) in &now.steps {
        let before = committed.steps.get(step).copied().unwrap_or_default();
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{step:12}  {before:12}  {count:12}");
    }
    text
}

/// Whether the counts are what they were.
fn judge(committed: &Counts, now: &Counts) -> Outcome {
    let whose = |counts: &Counts| (counts.compiler.clone(), counts.processor.clone());
    if whose(committed) != whose(now) {
        let why = format!("counted with {} on {}", committed.compiler, committed.processor);
        return Ok(Done::Skipped(why));
    }
    let mut wrong = Vec::new();
    for (step, count) in &now.steps {
        let Some(&before) = committed.steps.get(step) else {
            wrong.push(format!("{step} is new"));
            continue;
        };
        #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
        let change = *count as f64 / before.max(1) as f64 - 1.0;
        if change.abs() > TOLERANCE {
            wrong.push(format!("{step} takes {:+.1} %", change * 100.0));
        }
    }
    if wrong.is_empty() {
        return Ok(Done::Ran(format!("{} steps as committed", now.steps.len())));
    }
    let wrong = wrong.join(", ");
    Err(format!(
        "{wrong}: mend it, or say in a commit why, with `cargo xtask bench instructions --bless`"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(record: u64) -> Counts {
        Counts {
            compiler: "rustc 1".to_owned(),
            processor: "x86_64".to_owned(),
            steps: [("record".to_owned(), record)].into(),
        }
    }

    #[test]
    fn a_step_may_change_by_three_percent() {
        for count in [10_000, 10_290, 9710] {
            assert!(judge(&counts(10_000), &counts(count)).is_ok(), "{count}");
        }
        for count in [10_310, 9690, 0] {
            let wrong = judge(&counts(10_000), &counts(count)).err().unwrap();
            assert!(wrong.contains("record takes"), "{wrong}");
        }
    }

    #[test]
    fn a_step_that_nobody_has_counted_is_told() {
        let none = Counts { steps: BTreeMap::new(), ..counts(0) };
        assert!(judge(&none, &counts(1)).is_err());
    }

    #[test]
    fn another_compiler_says_nothing() {
        let other = Counts { compiler: "rustc 2".to_owned(), ..counts(1) };
        assert!(matches!(judge(&other, &counts(10_000)), Ok(Done::Skipped(_))));
    }
}
