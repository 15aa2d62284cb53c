//! Endings, events and facts as JSON for JavaScript, which makes its names of it.

use std::io;

use levada::{Ended, Event, Facts};
use serde::Serialize;

/// An ending, with what its stream's writes are told.
#[derive(Serialize)]
struct EndedWithWrites<'a> {
    #[serde(flatten)]
    ended: &'a Ended,
    /// Whether a write that was pending is told the ending's own error, else EPIPE.
    tells_pending_write: bool,
    /// The same for the writes that come later.
    tells_later_write: bool,
}

pub(crate) fn of_ended(ended: &Ended) -> String {
    let is_told = |error: &io::Error| error.kind() != io::ErrorKind::BrokenPipe;
    json(&EndedWithWrites {
        ended,
        tells_pending_write: is_told(&ended.pending_write_error()),
        tells_later_write: is_told(&ended.later_write_error()),
    })
}

pub(crate) fn of_event(event: &Event) -> String {
    json(event)
}

pub(crate) fn of_facts(facts: &Facts) -> String {
    json(facts)
}

/// Why something failed that is no stream.
pub(crate) fn of_trouble(code: &str, message: &str, os_error: Option<i32>) -> String {
    json(&serde_json::json!({ "code": code, "message": message, "os_error": os_error }))
}

fn json(value: &impl Serialize) -> String {
    // None of these has what JSON lacks: keys that are no strings.
    serde_json::to_string(value).unwrap_or_default()
}
