//! Python's h2 and wsproto: WebSockets over HTTP/2 by others.

use std::path::PathBuf;

use levada_testkit::{peers, skip};
use serde_json::Value;

use super::command::{Command, Running};

/// Their script with these words; `None`, and a note, where they are not installed.
pub(crate) fn http2_peer(test: &str, words: &[&str]) -> Option<Command> {
    let Some(python) = peers::python() else {
        skip::cannot_run(test, peers::MISSING);
        return None;
    };
    let script =
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/promises/http2/peer.py");
    Some(Command::new(python).args([script]).args(words))
}

/// The next thing that it says.
#[track_caller]
pub(crate) fn said(peer: &mut Running) -> Value {
    peer.stdout.line().expect("it says something").parse().unwrap()
}
