//! The book shows the table that the tests prove.

use std::fmt::Write as _;
use std::io::ErrorKind;

use levada_testkit::docs::assert_rendered;

use crate::table::{Ends, Trigger, WeSend, When, find};

#[test]
fn the_contract_is_that_of_the_tests() {
    assert_rendered("docs/contract.md", "tls", &contract(true));
    assert_rendered("docs/contract.md", "plain", &contract(false));
    assert_rendered("docs/contract.md", "outcomes", &outcomes());
}

/// What the peer does, by how far the stream has come.
fn contract(tls: bool) -> String {
    matrix(
        &When::ALL.map(|when| (when, when.title())),
        &Trigger::ALL.map(|trigger| (trigger, trigger.title())),
        |when, trigger| find(tls, when, trigger).map(|row| name(row.ends)),
    )
}

/// A table of what can happen, by how far the stream has come; what never holds a cell is left out.
pub(crate) fn matrix<W: Copy, T: Copy>(
    whens: &[(W, &str)],
    triggers: &[(T, &str)],
    cell: impl Fn(W, T) -> Option<&'static str>,
) -> String {
    let reached = |when: W| triggers.iter().any(|&(trigger, _)| cell(when, trigger).is_some());
    let phases: Vec<_> = whens.iter().filter(|(when, _)| reached(*when)).collect();
    let mut text = String::from("| the peer sends |");
    for (_, title) in &phases {
        let _ = write!(text, " {title} |");
    }
    let _ = write!(text, "\n|---|{}\n", "---|".repeat(phases.len()));
    for &(trigger, title) in triggers {
        let cells: Vec<_> = phases.iter().map(|(when, _)| cell(*when, trigger)).collect();
        if cells.iter().all(Option::is_none) {
            continue;
        }
        let _ = write!(text, "| {title} |");
        for cell in cells {
            let _ = write!(text, " {} |", cell.unwrap_or("–"));
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
