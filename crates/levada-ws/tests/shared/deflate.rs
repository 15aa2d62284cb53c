//! The body of the fuzz target `ws_deflate`.
//!
//! Input: a byte for what was agreed on and for the size of the pieces, then the wire of a server.

use core::time::Duration;

use levada_ws::connection::{Config, Event};
use levada_ws::deflate::Params;
use levada_ws::message::{Message, MessageConnection, MessageEvent};
use levada_ws::{Role, Violation};

/// The largest message that is taken.
const LIMIT: u64 = 4096;

/// Messages are read alike however they are cut, up to the first violation, and none is longer than the limit.
pub(crate) fn run(input: &[u8]) {
    let [first, wire @ ..] = input else { return };
    let agreed = Params { server_no_context_takeover: first & 1 != 0, ..Params::default() };
    let whole = read(agreed, wire, wire.len());
    assert_eq!(read(agreed, wire, 1), whole);
    assert_eq!(read(agreed, wire, usize::from(*first >> 1)), whole);
    for event in whole {
        let len = match event {
            MessageEvent::Message(Message::Text(text)) => text.len(),
            MessageEvent::Message(Message::Binary(bytes)) => bytes.len(),
            MessageEvent::Connection(_) => 0,
        };
        assert!(len as u64 <= LIMIT);
    }
}

fn read(agreed: Params, wire: &[u8], size: usize) -> Vec<MessageEvent> {
    let now = Duration::ZERO;
    let mut end =
        MessageConnection::with_deflate(Role::Client, Config::default(), LIMIT, agreed, now);
    let mut events = Vec::new();
    for piece in wire.chunks(size.max(1)) {
        let mut piece = piece.to_vec();
        let mut rest = &mut piece[..];
        loop {
            let received = end.handle_wire(now, rest);
            let Some(event) = received.event else { break };
            // A message may be wrong in several ways: which one is told depends on what a piece holds.
            events.push(match event {
                MessageEvent::Connection(Event::Violation(_)) => {
                    MessageEvent::Connection(Event::Violation(Violation::Corrupt))
                }
                event => event,
            });
            rest = &mut rest[received.consumed..];
        }
    }
    events
}
