//! The book shows the table that the tests prove.

use std::fmt::Write as _;

use levada::{Deadline, Party};
use levada_testkit::docs::assert_rendered;

use super::table::{Ends, Trigger, When, find};
use crate::docs::matrix;

#[test]
fn the_contract_is_that_of_the_tests() {
    let contract = matrix(
        &When::ALL.map(|when| (when, when.title())),
        &Trigger::ALL.map(|trigger| (trigger, trigger.title())),
        |when, trigger| find(when, trigger).map(|row| name(row.ends)),
    );
    assert_rendered("docs/contract.md", "websocket", &contract);
    assert_rendered("docs/contract.md", "websocket-outcomes", &outcomes());
}

/// What each of the outcomes means for reads, writes and the peer.
fn outcomes() -> String {
    let mut text = String::from(
        "| outcome | code | `read` gives, behind what had come | a write that waited | a later write | the peer gets |\n\
         |---|---|---|---|---|---|\n",
    );
    for ends in Ends::ALL {
        let read =
            ends.read().map_or_else(|| "end of file".to_owned(), |kind| format!("`{kind:?}`"));
        let _ = writeln!(
            text,
            "| {} | `{}` | {read} | `{:?}` | `{:?}` | {} |",
            name(ends),
            ends.code(),
            ends.pending(),
            ends.later(),
            sent(ends)
        );
    }
    text
}

/// What the peer gets, unless our Close frame had gone out before.
fn sent(ends: Ends) -> String {
    match ends {
        Ends::Closed(Party::Peer) => "what was accepted, then Close with its own code".to_owned(),
        Ends::Closed(Party::Local) => "what was accepted, then our Close".to_owned(),
        Ends::TextRefused => "what was accepted, then Close 1003".to_owned(),
        Ends::Violation(code) => format!("what was accepted, then Close {code}"),
        Ends::NotOpened => "as a client: the response 400".to_owned(),
        Ends::BadRecord => "the alert bad_record_mac (20)".to_owned(),
        Ends::TimedOut(Deadline::Idle) => "Close 1011, if it can go without waiting".to_owned(),
        Ends::SocketClose | Ends::SocketError | Ends::FatalAlert | Ends::TimedOut(_) => {
            "nothing more".to_owned()
        }
    }
}

const fn name(ends: Ends) -> &'static str {
    match ends {
        Ends::Closed(Party::Peer) => "closed by the peer",
        Ends::Closed(Party::Local) => "closed by us",
        Ends::TextRefused => "text refused",
        Ends::Violation(1007) => "bad text",
        Ends::Violation(1009) => "too big",
        Ends::Violation(_) => "protocol broken",
        Ends::NotOpened => "not opened",
        Ends::SocketClose => "cut off",
        Ends::SocketError => "reset",
        Ends::FatalAlert => "their alert",
        Ends::BadRecord => "bad record",
        Ends::TimedOut(Deadline::Handshake) => "handshake too slow",
        Ends::TimedOut(Deadline::Idle) => "idle",
        Ends::TimedOut(_) => "closing too slow",
    }
}
