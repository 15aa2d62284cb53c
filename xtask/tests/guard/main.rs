//! Rules of the whole repository that no compiler checks. Each fails with `file:line` and how to
//! mend it.

mod lexer;
mod rules;
mod tree;

use std::ffi::OsStr;
use std::path::Path;

use rules::Finding;
use tree::Tree;

#[test]
fn every_lint_allowance_has_a_reason() {
    hold(&Tree::read(), |tree| each_source(tree, rules::allowances));
}

#[test]
fn unsafe_stays_where_it_belongs() {
    hold(&Tree::read(), |tree| each_source(tree, rules::unsafe_code));
}

#[test]
fn no_test_is_ignored() {
    hold(&Tree::read(), |tree| each_source(tree, rules::ignored_tests));
}

#[test]
fn no_file_is_too_long() {
    hold(&Tree::read(), |tree| each_source(tree, rules::length));
}

#[test]
fn every_crate_inherits_the_lints() {
    hold(&Tree::read(), |tree| {
        let root = tree.text("Cargo.toml");
        let members = rules::members(tree.files(), &root);
        members.iter().flat_map(|file| rules::inherits_lints(file, &tree.text(file))).collect()
    });
}

#[test]
fn every_fuzz_target_has_a_corpus() {
    hold(&Tree::read(), |tree| rules::corpora(tree.files()));
}

#[test]
fn every_row_of_the_websocket_contract_has_a_test() {
    hold(&Tree::read(), |tree| {
        let tests = ["crates/levada-ws/", "crates/levada/tests/ws"];
        let is_test = |file: &&String| tests.iter().any(|folder| file.starts_with(folder));
        let rust = |file: &&String| Path::new(file).extension() == Some(OsStr::new("rs"));
        let files = tree.files().iter().filter(is_test).filter(rust);
        rules::rows(&files.map(|file| tree.text(file)).collect::<String>())
    });
}

#[test]
fn every_row_of_the_lua_profile_has_a_test() {
    hold(&Tree::read(), |tree| {
        let is_test = |file: &&String| file.starts_with("bindings/lua/tests/");
        let files = tree.files().iter().filter(is_test);
        rules::rows_of_lua(&files.map(|file| tree.text(file)).collect::<String>())
    });
}

fn each_source(tree: &Tree, rule: fn(&str, &str) -> Vec<Finding>) -> Vec<Finding> {
    let is_rust = |file: &&String| Path::new(file).extension() == Some(OsStr::new("rs"));
    let sources = tree.files().iter().filter(is_rust);
    sources.flat_map(|file| rule(file, &tree.text(file))).collect()
}

fn hold(tree: &Tree, rule: impl FnOnce(&Tree) -> Vec<Finding>) {
    let findings = rule(tree);
    let lines: Vec<String> = findings.iter().map(ToString::to_string).collect();
    assert!(lines.is_empty(), "\n{}\n", lines.join("\n"));
}
