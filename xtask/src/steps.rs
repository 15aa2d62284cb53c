//! Steps whose outcomes and times are kept, so that one that fails does not hide the others.

#![expect(
    clippy::disallowed_types,
    reason = "seconds of real work are measured, outside any runtime"
)]

use std::env;
use std::ffi::{OsStr, OsString};
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use crate::tally::Tally;

/// How a step went well; each with what is worth a word in the table.
pub(crate) enum Done {
    /// The work was done.
    Ran(String),
    /// The work was not done, and that is no failure, since this machine cannot have what it needs
    /// or nobody asked for it.
    Skipped(String),
}

/// What a step comes to: the error is what the table says.
pub(crate) type Outcome = Result<Done, String>;

/// Every step so far. [`Report::close`] prints them as a table.
#[derive(Default)]
pub(crate) struct Report {
    rows: Vec<Row>,
    /// `None` until tests have run.
    tests: Option<Tally>,
}

struct Row {
    name: String,
    outcome: Outcome,
    took: Duration,
}

impl Report {
    /// Does one step. The steps that follow are not told how it went.
    pub(crate) fn step(&mut self, name: &str, work: impl FnOnce() -> Outcome) {
        println!("\n=== {name}");
        let begun = Instant::now();
        let outcome = work();
        if let Err(trouble) = &outcome {
            println!("=== {name} FAILED: {trouble}");
        }
        self.rows.push(Row { name: name.to_owned(), outcome, took: begun.elapsed() });
    }

    /// Notes a step that is not done.
    pub(crate) fn skip(&mut self, name: &str, why: &str) {
        let outcome = Ok(Done::Skipped(why.to_owned()));
        self.rows.push(Row { name: name.to_owned(), outcome, took: Duration::ZERO });
    }

    /// Adds what a run of `cargo test` counted.
    pub(crate) fn count(&mut self, tally: Tally) {
        self.tests.get_or_insert_default().add(tally);
    }

    /// Prints the summary: each step with its outcome and seconds, each test that was skipped, and
    /// the sum of all tests. It is a failure when any step failed.
    pub(crate) fn close(self) -> ExitCode {
        let width = self.rows.iter().map(|row| row.name.len()).max().unwrap_or(0);
        println!("\n=== summary");
        for Row { name, outcome, took } in &self.rows {
            let (word, note) = match outcome {
                Ok(Done::Ran(note)) => ("ok", note),
                Ok(Done::Skipped(why)) => ("skipped", why),
                Err(trouble) => ("FAILED", trouble),
            };
            let line = format!("{name:width$}  {word:7}  {:7.1} s  {note}", took.as_secs_f64());
            println!("{}", line.trim_end());
        }
        let total: Duration = self.rows.iter().map(|row| row.took).sum();
        println!("{:width$}  {:7}  {:7.1} s", "all", "", total.as_secs_f64());
        if let Some(tests) = &self.tests {
            for skip in &tests.skipped {
                println!("skipped test {skip}");
            }
            println!("\n{tests}");
        }
        if self.rows.iter().any(|row| row.outcome.is_err()) {
            ExitCode::FAILURE
        } else {
            ExitCode::SUCCESS
        }
    }
}

/// Cargo of the toolchain that runs us, with `words` as its arguments.
pub(crate) fn cargo<I: IntoIterator<Item: AsRef<OsStr>>>(words: I) -> Command {
    let mut command = Command::new(cargo_program());
    command.args(words);
    command
}

fn cargo_program() -> OsString {
    env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
}

/// Runs a command to its end, its output going to ours.
pub(crate) fn run(command: &mut Command) -> Result<(), String> {
    println!("$ {}", shown(command));
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("`{}`: {status}", shown(command))),
        Err(error) => Err(format!("cannot run `{}`: {error}", shown(command))),
    }
}

/// Whether a command can be run and likes it, silently.
pub(crate) fn succeeds(command: &mut Command) -> bool {
    command.output().is_ok_and(|output| output.status.success())
}

/// The command line as a person would type it; only what we set in its environment is shown.
pub(crate) fn shown(command: &Command) -> String {
    let mut words: Vec<String> = command
        .get_envs()
        .filter_map(|(key, value)| Some(format!("{}='{}'", key.display(), value?.display())))
        .collect();
    let program = command.get_program();
    let is_cargo = program == cargo_program();
    words.push(if is_cargo { "cargo".to_owned() } else { program.display().to_string() });
    words.extend(command.get_args().map(|word| word.display().to_string()));
    words.join(" ")
}
