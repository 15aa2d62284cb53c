//! The rules, one function each, as functions of text, with a test that shows each one fail.

use std::fmt;
use std::path::Path;

use crate::lexer::{attributes, code_only, line_of, words};

/// A place that breaks a rule.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    file: String,
    line: usize,
    mend: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file, self.line, self.mend)
    }
}

/// A file longer than this holds more than one concept.
const MOST_LINES: usize = 800;

/// Where `unsafe` may stand: the one crate for what the system offers, the border to C, which is made of
/// pointers, and the program without a standard library that proves a crate to be so, for it needs an
/// allocator.
const UNSAFE: [&str; 3] =
    ["bindings/c/src/", "crates/levada-sys/", "crates/levada-core/tests/no_std/program.rs"];

/// `#[allow]` and `#[expect]` carry a reason. Clippy has a lint for it, which sees neither the fuzz
/// targets nor code that is configured out.
pub(crate) fn allowances(file: &str, text: &str) -> Vec<Finding> {
    let mend = "say why: add `reason = \"…\"` to the attribute";
    of_attributes(file, text, mend, |inside| {
        let has = |wanted| words(inside).any(|(_, word)| word == wanted);
        (has("allow") || has("expect")) && !has("reason")
    })
}

/// `#[ignore]` is a skip that says nothing about the machine, and that nobody sees.
pub(crate) fn ignored_tests(file: &str, text: &str) -> Vec<Finding> {
    let mend = "return early by `levada_testkit::skip` instead, which tells the skip";
    of_attributes(file, text, mend, |inside| {
        let mut words = words(inside).map(|(_, word)| word);
        match words.next() {
            Some("ignore") => true,
            Some("cfg_attr") => words.any(|word| word == "ignore"),
            _ => false,
        }
    })
}

pub(crate) fn unsafe_code(file: &str, text: &str) -> Vec<Finding> {
    if UNSAFE.iter().any(|folder| file.starts_with(folder)) {
        return Vec::new();
    }
    let code = code_only(text);
    let mend = "move it into crates/levada-sys, behind a safe function";
    let found = words(&code).filter(|&(_, word)| word == "unsafe");
    found.map(|(offset, _)| finding(file, line_of(&code, offset), mend)).collect()
}

pub(crate) fn length(file: &str, text: &str) -> Vec<Finding> {
    let lines = text.lines().count();
    if lines <= MOST_LINES {
        return Vec::new();
    }
    let mend = format!("{lines} lines, {MOST_LINES} are the most: split it by concept");
    vec![finding(file, MOST_LINES + 1, &mend)]
}

/// The manifests of crates that can inherit from the workspace; `root` is the text of its own.
pub(crate) fn members<'a>(files: &'a [String], root: &str) -> Vec<&'a String> {
    let excluded = root.lines().find_map(|line| line.strip_prefix("exclude = ")).unwrap_or("");
    let excluded: Vec<&str> = excluded.split('"').skip(1).step_by(2).collect();
    let is_excluded =
        |file: &str| excluded.iter().any(|folder| Path::new(file).starts_with(folder));
    files.iter().filter(|file| file.ends_with("/Cargo.toml") && !is_excluded(file)).collect()
}

pub(crate) fn inherits_lints(file: &str, text: &str) -> Vec<Finding> {
    let mut lines = text.lines().map(str::trim).skip_while(|&line| line != "[lints]").skip(1);
    if lines
        .by_ref()
        .take_while(|line| !line.starts_with('['))
        .any(|line| line == "workspace = true")
    {
        return Vec::new();
    }
    let mend = "add the section `[lints]` with `workspace = true`";
    vec![finding(file, text.lines().count().max(1), mend)]
}

/// Each target has inputs to begin with, which its crate's tests replay too.
pub(crate) fn corpora(files: &[String]) -> Vec<Finding> {
    let target = |file: &String| {
        let name = file.strip_prefix("fuzz/fuzz_targets/")?.strip_suffix(".rs")?;
        (!name.contains('/')).then(|| (file.clone(), format!("fuzz/corpus/{name}/")))
    };
    let lacks = |corpus: &str| !files.iter().any(|file| file.starts_with(corpus));
    let bare = files.iter().filter_map(target).filter(|(_, corpus)| lacks(corpus));
    bare.map(|(file, corpus)| finding(&file, 1, &format!("commit inputs under {corpus}"))).collect()
}

/// The rows of the WebSocket contract: bytes, wake-ups, closing, events and errors.
const ROWS: [(char, u32); 5] = [('b', 10), ('k', 4), ('c', 14), ('e', 10), ('x', 4)];

/// Each row stands at the head of a test's name, alone or with others: `fn c1_e1_what_is_so`.
pub(crate) fn rows(tests: &str) -> Vec<Finding> {
    let code = code_only(tests);
    let all: Vec<&str> = words(&code).map(|(_, word)| word).collect();
    let names = all.windows(2).filter(|pair| pair[0] == "fn").map(|pair| pair[1]);
    let is_row = |word: &&str| {
        let digits = word.get(1..).unwrap_or_default();
        !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
    };
    let shown: Vec<&str> = names.flat_map(|name| name.split('_').take_while(is_row)).collect();
    let rows =
        ROWS.iter().flat_map(|&(kind, last)| (1..=last).map(move |row| format!("{kind}{row}")));
    let lacking = rows.filter(|row| !shown.contains(&&**row));
    lacking
        .map(|row| finding("crates/levada-ws/tests", 1, &format!("write a test `fn {row}_…`")))
        .collect()
}

/// The rows of the Lua module's profile, by the names of its tests: `test("L07 what is so", ...`.
pub(crate) fn rows_of_lua(tests: &str) -> Vec<Finding> {
    let names = tests.lines().filter_map(|line| line.trim_start().strip_prefix("test("));
    let names = names.chain(tests.lines().filter_map(|line| line.strip_prefix("outside(")));
    let shown: Vec<&str> = names.flat_map(|name| name.split(['"', ' '])).collect();
    let rows = (1..=28).map(|row| format!("L{row:02}")).filter(|row| !shown.contains(&&**row));
    rows.map(|row| finding("bindings/lua/tests", 1, &format!("write a test \"{row} …\""))).collect()
}

fn of_attributes(file: &str, text: &str, mend: &str, bad: fn(&str) -> bool) -> Vec<Finding> {
    let code = code_only(text);
    let found = attributes(&code).filter(|&(_, inside)| bad(inside));
    found.map(|(offset, _)| finding(file, line_of(&code, offset), mend)).collect()
}

fn finding(file: &str, line: usize, mend: &str) -> Finding {
    Finding { file: file.to_owned(), line, mend: mend.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_without_a_test_is_found() {
        let all = |kind, last| (1..=last).map(move |row| format!("fn {kind}{row}_so() {{}}\n"));
        let tests: String = ROWS.iter().flat_map(|&(kind, last)| all(kind, last)).collect();
        assert_eq!(rows(&tests), []);
        assert_eq!(rows(&tests.replace("fn e7_so", "fn e6_e7_so")), []);
        assert_eq!(rows(&tests.replace("fn e7_so", "fn so_e7")).len(), 1);
        assert_eq!(rows(&tests.replace("fn e7_so", "// fn e7_so")).len(), 1);
    }

    #[test]
    fn a_row_of_lua_without_a_test_is_found() {
        let tests: Vec<_> = (1..=28).map(|row| format!("  test(\"L{row:02} so\", f)\n")).collect();
        let tests = tests.concat();
        assert_eq!(rows_of_lua(&tests), []);
        assert_eq!(rows_of_lua(&tests.replace("\"L07 so", "\"L06 L07 so")), []);
        assert_eq!(rows_of_lua(&tests.replace("\"L07 so", "\"so")).len(), 1);
        assert_eq!(rows_of_lua(&tests.replace("test(\"L07", "-- (\"L07")).len(), 1);
    }

    fn lines(findings: &[Finding]) -> Vec<usize> {
        findings.iter().map(|finding| finding.line).collect()
    }

    #[test]
    fn an_allowance_without_a_reason_is_found() {
        let text = "#![allow(a)]\n#[expect(b, reason = \"x\")]\n#[cfg_attr(c, expect(d))]\n\
                    // #[allow(e)]\n#[should_panic(expected = \"f\")]\n#[allow(\n    g,\n)]\n";
        assert_eq!(lines(&allowances("a.rs", text)), [1, 3, 6]);
    }

    #[test]
    fn an_ignored_test_is_found() {
        let text = "#[ignore]\n#[ignore = \"x\"]\n#[cfg_attr(a, ignore)]\n#[doc(ignore)]\n";
        assert_eq!(lines(&ignored_tests("a.rs", text)), [1, 2, 3]);
    }

    #[test]
    fn unsafe_is_found_outside_its_folders() {
        let text = "// unsafe\n#![forbid(unsafe_code)]\nunsafe fn f() {}\n\"unsafe\"";
        assert_eq!(lines(&unsafe_code("crates/levada/src/lib.rs", text)), [3]);
        assert_eq!(lines(&unsafe_code("crates/levada-sys/src/lib.rs", text)), [0; 0]);
        assert_eq!(lines(&unsafe_code("bindings/node/src/lib.rs", text)), [3]);
    }

    #[test]
    fn a_long_file_is_found() {
        assert_eq!(lines(&length("a.rs", &"x\n".repeat(800))), [0; 0]);
        assert_eq!(lines(&length("a.rs", &"x\n".repeat(801))), [801]);
    }

    #[test]
    fn a_crate_of_its_own_mind_is_found() {
        let good = "[package]\nname = \"a\"\n\n[lints]\nworkspace = true\n";
        assert_eq!(inherits_lints("a/Cargo.toml", good), []);
        let elsewhere = "[lints]\n\n[dependencies.x]\nworkspace = true\n";
        assert_eq!(lines(&inherits_lints("a/Cargo.toml", elsewhere)), [4]);
        assert_eq!(lines(&inherits_lints("a/Cargo.toml", "")), [1]);
    }

    #[test]
    fn excluded_folders_are_no_members() {
        let files = ["Cargo.toml", "a/Cargo.toml", "fuzz/Cargo.toml", "fuzzy/Cargo.toml"];
        let files = files.map(str::to_owned);
        let root = "[workspace]\nexclude = [\"fuzz\", \"b\"]\n";
        assert_eq!(members(&files, root), ["a/Cargo.toml", "fuzzy/Cargo.toml"]);
    }

    #[test]
    fn a_target_without_inputs_is_found() {
        let files = ["fuzz/fuzz_targets/a.rs", "fuzz/fuzz_targets/b.rs", "fuzz/corpus/a/1"];
        let found = corpora(&files.map(str::to_owned));
        let told: Vec<String> = found.iter().map(ToString::to_string).collect();
        assert_eq!(told, ["fuzz/fuzz_targets/b.rs:1: commit inputs under fuzz/corpus/b/"]);
    }
}
