//! The book shows the table that the tests prove.

use std::fmt::Write as _;
use std::io::ErrorKind;

use levada_testkit::docs::assert_rendered;

use crate::table::{Ends, Trigger, WeSend, When, find};

#[test]
fn the_contract_is_that_of_the_tests() {
    assert_rendered("docs/contract.md", "tls", &matrix(true));
    assert_rendered("docs/contract.md", "plain", &matrix(false));
    assert_rendered("docs/contract.md", "outcomes", &outcomes());
}

/// What the peer does, by how far the stream has come.
fn matrix(tls: bool) -> String {
    let reached =
        |when: &When| Trigger::ALL.iter().any(|trigger| find(tls, *when, *trigger).is_some());
    let phases: Vec<_> = When::ALL.into_iter().filter(reached).collect();
    let mut text = String::from("| the peer sends |");
    for when in &phases {
        let _ = write!(text, " {} |", when.title());
    }
    let _ = write!(text, "\n|---|{}\n", "---|".repeat(phases.len()));
    for trigger in Trigger::ALL {
        let cells: Vec<_> = phases.iter().map(|when| find(tls, *when, trigger)).collect();
        if cells.iter().all(Option::is_none) {
            continue;
        }
        let _ = write!(text, "| {} |", trigger.title());
        for cell in cells {
            let _ = write!(text, " {} |", cell.map_or("–", |row| name(row.ends)));
        }
        text.push('\n');
    }
    text
}

/// What each of the outcomes means for reads, writes and the peer.
fn outcomes() -> String {
    let mut text = String::from(
        "| outcome | code | `read` gives, behind what had come | a write that waited | a later write | the peer gets |\n\
         |---|---|---|---|---|---|\n",
    );
    for ends in Ends::ALL {
        let kind = |kind: ErrorKind| format!("`{kind:?}`");
        let read = ends.read().map_or_else(|| "end of file".to_owned(), kind);
        let pending = ends.pending().map_or_else(|| "goes out".to_owned(), kind);
        let later = match ends {
            Ends::GoesOn => "goes out, until our goodbye".to_owned(),
            _ => kind(ends.later()),
        };
        let sent = match ends.we_send() {
            WeSend::Nothing => "nothing more".to_owned(),
            WeSend::Goodbye if matches!(ends, Ends::TimedOut(_)) => {
                "our goodbye, if it can go without waiting".to_owned()
            }
            WeSend::Goodbye => "our goodbye".to_owned(),
            WeSend::Alert(alert) => format!("the alert {alert}, then FIN"),
        };
        let _ = writeln!(
            text,
            "| {} | `{}` | {read} | {pending} | {later} | {sent} |",
            name(ends),
            ends.code()
        );
    }
    text
}

const fn name(ends: Ends) -> &'static str {
    use levada::Deadline;
    match ends {
        Ends::GoesOn => "half-closed",
        Ends::Finished => "finished",
        Ends::GaveUp => "given up",
        Ends::SocketClose => "cut off",
        Ends::SocketError => "reset",
        Ends::FatalAlert => "their alert",
        Ends::BadRecord(Some(_)) => "bad record",
        Ends::BadRecord(None) => "bad record, untold",
        Ends::Malformed(Some(_)) => "malformed",
        Ends::Malformed(None) => "malformed, untold",
        Ends::NotTls => "not TLS",
        Ends::TimedOut(Deadline::Handshake) => "handshake too slow",
        Ends::TimedOut(Deadline::Idle) => "idle",
        Ends::TimedOut(_) => "closing too slow",
    }
}
