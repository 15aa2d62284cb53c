//! Renders the tables of `docs/websocket.md` from the code, and fails when the two drift.

use std::fmt::Write as _;

use levada_testkit::docs::assert_rendered;
use levada_ws::Violation;
use levada_ws::close::MACHINE;
use levada_ws::handshake::Refusal;

const PAGE: &str = "docs/websocket.md";

#[test]
fn the_page_shows_what_the_code_does() {
    let diagram = format!("```mermaid\n{}```\n", MACHINE.to_mermaid());
    assert_rendered(PAGE, "ws-close-diagram", &diagram);
    assert_rendered(PAGE, "ws-close-table", &MACHINE.to_markdown());
    assert_rendered(PAGE, "ws-violations", &violations());
    assert_rendered(PAGE, "ws-refusals", &refusals());
}

fn violations() -> String {
    let mut text = String::from("| violation | close code |\n|---|---|\n");
    for violation in [
        Violation::ReservedBits(0b100),
        Violation::ReservedOpcode(3),
        Violation::ControlFragmented,
        Violation::ControlTooLong,
        Violation::ContinuationWithoutStart,
        Violation::MessageInsideMessage,
        Violation::Unmasked,
        Violation::Masked,
        Violation::LengthNotMinimal,
        Violation::LengthTopBit,
        Violation::CloseBodyOneByte,
        Violation::CloseCode(1005),
        Violation::CloseReasonNotUtf8,
        Violation::TextNotUtf8,
        Violation::Corrupt,
        Violation::FrameTooBig { limit: 65_536 },
        Violation::MessageTooBig { limit: 1_048_576 },
    ] {
        let _ = writeln!(text, "| {violation} | {} |", violation.close_code());
    }
    text
}

fn refusals() -> String {
    let mut text = String::from("| refusal | status | the response says |\n|---|---|---|\n");
    for refusal in [
        Refusal::BadHead,
        Refusal::HttpVersion,
        Refusal::Target,
        Refusal::Host,
        Refusal::Body,
        Refusal::Key,
        Refusal::Origin,
        Refusal::Subprotocol,
        Refusal::NoCommonSubprotocol,
        Refusal::OriginForbidden,
        Refusal::Path,
        Refusal::Method,
        Refusal::NotAnUpgrade,
        Refusal::Version,
        Refusal::HeadTooLong,
        Refusal::TooManyFields,
    ] {
        let _ = writeln!(text, "| {refusal:?} | {} | {refusal} |", refusal.status());
    }
    text
}
