//! The examples of the book are commands that this command understands.

use std::fs;

use levada_testkit::docs::workspace_root;

use crate::args::{self, Request};
use crate::plan;

/// The words of a line without variables and escapes, as a shell parts them.
fn words(line: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut quoted = false;
    for char in line.chars() {
        match char {
            '\'' => quoted = !quoted,
            ' ' if !quoted => words.push(String::new()),
            _ => words.last_mut().expect("there is one").push(char),
        }
    }
    words
}

#[test]
fn every_example_is_understood() {
    let mut examples = 0;
    let pages = [
        "command.md",
        "configuration.md",
        "inspect.md",
        "pool-use.md",
        "sessions.md",
        "verification.md",
        "websocket.md",
    ];
    for page in pages {
        let text = fs::read_to_string(workspace_root().join("docs").join(page)).unwrap();
        let text = text.replace("\\\n    ", "");
        for line in text.lines().filter_map(|line| line.strip_prefix("$ levada")) {
            let words = words(&format!("levada{line}"));
            let request = args::parse(words.into_iter().map(Into::into));
            let request = request.unwrap_or_else(|stop| panic!("{page}: levada{line}: {stop:?}"));
            let file = match &request {
                Request::Serve(args) => args.config.is_some(),
                Request::Check { .. } => true,
                _ => false,
            };
            // The configuration that an example names is not here; those of the book are read by a
            // test of their own.
            if !file && let Err(stop) = plan::plan(&request) {
                panic!("{page}: levada{line}: {stop:?}");
            }
            examples += 1;
        }
    }
    assert!(examples >= 10, "{examples} examples");
}
