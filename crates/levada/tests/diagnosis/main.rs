//! The diagnosis table: ways in which a TLS stream fails, each one made by a stream that really does, with
//! what its ending says, whose doing it is, and what mends it.
//!
//! The rows are in [`table`]; the page `docs/diagnosis.md` shows them as these tests prove them.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::fmt::Write as _;

use levada::{AlertDescription, Blame, Ended, Role};
use levada_testkit::docs::assert_rendered;

mod table;
mod world;

/// What there is to prove of a row beside its alert: the same certificates and sessions as in the tests
/// of `levada-tls`.
#[path = "../../../levada-tls/tests/support/mod.rs"]
mod support;

/// One way to fail.
pub(crate) struct Row {
    /// What is wrong.
    what: &'static str,
    /// Which end tells it.
    told_by: Role,
    /// The code of the ending's cause.
    code: &'static str,
    /// What the ending says, without that it came before the stream was established.
    words: &'static str,
    /// Whether the stream had been established.
    established: bool,
    blame: Blame,
    hint: &'static str,
    make: fn() -> world::Failing,
}

const NEVER: &str = "never established: ";

fn told(ended: &Ended) -> String {
    let words = ended.ending.to_string();
    words.strip_prefix(NEVER).unwrap_or(&words).to_owned()
}

#[tokio::test]
async fn each_failure_is_told_as_the_table_says() {
    let mut wrong = String::new();
    for row in table::ROWS {
        let ended = (row.make)().await;
        let established = !ended.ending.to_string().starts_with(NEVER);
        let found = (
            ended.ending.cause_code(),
            told(&ended),
            established,
            ended.blame(),
            ended.hint().into_owned(),
        );
        let wanted =
            (row.code, row.words.to_owned(), row.established, Some(row.blame), row.hint.to_owned());
        if found != wanted {
            let _ = writeln!(wrong, "{}\n  wanted {wanted:?}\n  found  {found:?}", row.what);
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}

/// What the hint says is done, and then the same two ends get through.
#[tokio::test]
async fn what_is_mended_as_the_hint_says_works() {
    for (what, mended) in table::MENDED {
        assert!(table::ROWS.iter().any(|row| row.what == *what), "{what}");
        for role in [Role::Client, Role::Server] {
            let ended = world::meet(mended(), role).await;
            assert!(ended.is_clean(), "{what}: {ended}");
        }
    }
}

#[test]
fn there_are_many_and_each_stands_once() {
    assert!(table::ROWS.len() > 90, "{}", table::ROWS.len());
    for (index, row) in table::ROWS.iter().enumerate() {
        let same = |other: &Row| (other.what, other.told_by) == (row.what, row.told_by);
        assert!(!table::ROWS[..index].iter().any(same), "{}", row.what);
    }
}

/// Every fatal alert that there is, sent to a client in answer to its ClientHello.
#[tokio::test]
async fn each_alert_has_an_ending_of_its_own_and_a_hint_that_is_not_empty() {
    for &alert in AlertDescription::NAMED {
        if alert == AlertDescription::CLOSE_NOTIFY {
            continue;
        }
        let ended = world::alert(alert).await;
        assert_eq!(ended.ending.cause_code(), "ERR_TLS_FATAL_ALERT");
        assert_eq!(told(&ended), format!("the peer sent the fatal alert {alert}"));
        assert!(ended.blame().is_some() && !ended.hint().is_empty(), "{alert}");
    }
}

#[tokio::test]
async fn the_book_shows_the_table() {
    let mut text = String::from(
        "| what is wrong | told by | code | in words | whose doing | what mends it |\n\
         |---|---|---|---|---|---|\n",
    );
    for row in table::ROWS {
        let told_by = match row.told_by {
            Role::Client => "client",
            Role::Server => "server",
        };
        let when = if row.established { ", later" } else { "" };
        let _ = writeln!(
            text,
            "| {} | {told_by}{when} | `{}` | {} | {:?} | {} |",
            cell(row.what),
            row.code,
            cell(row.words),
            row.blame,
            cell(row.hint)
        );
    }
    assert_rendered("docs/diagnosis.md", "failures", &text);
    let mut text = String::from("| alert | whose doing | what mends it |\n|---|---|---|\n");
    for &alert in AlertDescription::NAMED {
        if alert != AlertDescription::CLOSE_NOTIFY {
            let ended = world::alert(alert).await;
            let blame = ended.blame().unwrap();
            let _ = writeln!(text, "| `{alert}` | {blame:?} | {} |", cell(&ended.hint()));
        }
    }
    assert_rendered("docs/diagnosis.md", "alerts", &text);
}

/// Text as Markdown shows it unchanged in a cell.
fn cell(text: &str) -> String {
    text.replace('\\', "\\\\").replace('|', "\\|").replace('<', "&lt;").replace('*', "\\*")
}
