//! The book and the README show what the code does: with `LEVADA_BLESS=1` the blocks are rewritten.
#![cfg(feature = "std")]

mod specimens;

use std::fmt::Write as _;
use std::{fs, io};

use levada_core::{LIFECYCLE, State};
use levada_testkit::docs::{assert_rendered, workspace_root};

#[test]
fn the_diagram_is_that_of_the_code() {
    let block = format!("```mermaid\n{}```\n", LIFECYCLE.to_mermaid());
    assert_rendered("docs/lifecycle.md", "lifecycle", &block);
    assert_rendered("README.md", "lifecycle", &block);
}

#[test]
fn the_steps_are_those_of_the_code() {
    assert_rendered("docs/lifecycle.md", "steps", &LIFECYCLE.to_markdown());
}

/// What a state means is told to users in other words than in the code, but for each of them.
#[test]
fn every_state_is_explained() {
    let page = fs::read_to_string(workspace_root().join("docs/lifecycle.md")).unwrap();
    for state in State::ALL {
        assert!(page.contains(&format!("\n| {state:?} | ")), "{state:?} has no row");
    }
}

#[test]
fn the_endings_are_those_of_the_code() {
    let mut table = String::from(
        "| code | in words | clean | blame | `read` gives | a pending write | a later write | hint |\n\
         |---|---|---|---|---|---|---|---|\n",
    );
    for ending in specimens::endings() {
        let ended = specimens::ended(ending);
        let (code, cause) = (ended.code(), ended.ending.cause_code());
        let code = if code == cause { format!("`{code}`") } else { format!("`{code}`, `{cause}`") };
        let clean = if ended.is_clean() { "yes" } else { "no" };
        let blame = ended.blame().map_or(String::new(), |blame| format!("{blame:?}"));
        let read = ended.read_result().err();
        let read = read.map_or_else(|| "end of file".to_owned(), |error| kind(&error));
        let pending = kind(&ended.pending_write_error());
        let later = kind(&ended.later_write_error());
        let (words, hint) = (cell(&ended.ending.to_string()), cell(&ended.hint()));
        let _ = writeln!(
            table,
            "| {code} | {words} | {clean} | {blame} | {read} | {pending} | {later} | {hint} |"
        );
    }
    assert_rendered("docs/lifecycle.md", "endings", &table);
}

fn kind(error: &io::Error) -> String {
    format!("`{:?}`", error.kind())
}

/// Text as Markdown shows it unchanged in a cell.
fn cell(text: &str) -> String {
    text.replace('\\', "\\\\").replace('|', "\\|").replace('<', "&lt;").replace('*', "\\*")
}
