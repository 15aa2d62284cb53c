//! Whole messages: what an echo server for a conformance suite stands on.

#[path = "shared/keys.rs"]
mod keys;

use keys::{NOW, keys};
use levada_ws::connection::{Config, Event, MAX_CONTROL_BURST};
use levada_ws::message::{Message, MessageConnection, MessageEvent};
use levada_ws::{Role, Violation};
use proptest::collection::vec;
use proptest::prelude::*;

const LIMIT: u64 = 1 << 20;

fn end(role: Role) -> MessageConnection {
    MessageConnection::new(role, Config::default(), LIMIT, NOW)
}

/// Reads `wire` in pieces and gives what it says; queued control frames go to `out`.
fn read(
    end: &mut MessageConnection,
    wire: &[u8],
    size: usize,
    out: &mut Vec<u8>,
) -> Vec<MessageEvent> {
    let mut events = Vec::new();
    for piece in wire.chunks(size) {
        let mut piece = piece.to_vec();
        let mut rest = &mut piece[..];
        loop {
            let received = end.handle_wire(NOW, rest);
            let mut control = [0; MAX_CONTROL_BURST];
            let len = end.connection().poll_transmit(&mut control, &mut keys());
            out.extend_from_slice(&control[..len]);
            let Some(event) = received.event else { break };
            events.push(event);
            rest = &mut rest[received.consumed..];
        }
    }
    events
}

fn message() -> impl Strategy<Value = Message> {
    prop_oneof![
        any::<String>().prop_map(Message::Text),
        vec(any::<u8>(), 0..300).prop_map(Message::Binary),
        (60_000_usize..200_000).prop_map(|len| Message::Binary(vec![5; len])),
        (20_000_usize..60_000).prop_map(|len| Message::Text("ü€x".repeat(len / 6))),
    ]
}

fn encode(end: &mut MessageConnection, message: &Message, out: &mut Vec<u8>) {
    let done = match message {
        Message::Text(text) => end.encode_text(text, out, &mut keys()),
        Message::Binary(bytes) => end.encode_binary(bytes, out, &mut keys()),
    };
    done.expect("the connection is open");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    /// What goes in comes out, borders and types included, on any cut; empty messages too.
    #[test]
    fn messages_arrive_with_their_borders(
        messages in vec(message(), 0..6),
        size in 1_usize..100_000,
        from_client in any::<bool>(),
    ) {
        let role = if from_client { Role::Client } else { Role::Server };
        let (mut sender, mut receiver) = (end(role), end(role.peer()));
        let mut wire = Vec::new();
        for message in &messages {
            encode(&mut sender, message, &mut wire);
        }
        let size = size.max(wire.len() / 500 + 1);
        let events = read(&mut receiver, &wire, size, &mut Vec::new());
        let wanted: Vec<_> = messages.into_iter().map(MessageEvent::Message).collect();
        prop_assert!(events == wanted);
    }
}

#[test]
fn an_empty_message_is_a_message() {
    for empty in [Message::Text(String::new()), Message::Binary(Vec::new())] {
        let (mut wire, mut out) = (Vec::new(), Vec::new());
        encode(&mut end(Role::Server), &empty, &mut wire);
        assert_eq!(wire.len(), 2);
        let events = read(&mut end(Role::Client), &wire, 1, &mut out);
        assert_eq!(events, [MessageEvent::Message(empty)]);
    }
}

/// A ping between two fragments is answered before the message is complete, each of many.
#[test]
fn pings_between_fragments_are_answered() {
    let mut server = end(Role::Client);
    let wire = b"\x01\x02H\xc3\x89\x01a\x89\x01b\x80\x01\xa9";
    let mut out = Vec::new();
    let events = read(&mut server, wire, wire.len(), &mut out);
    let [.., MessageEvent::Message(Message::Text(text))] = &events[..] else { panic!() };
    assert_eq!(text, "Hé");
    assert_eq!(events.len(), 3);
    assert_eq!(out.len(), 2 * 7, "two masked pongs of one byte");
}

/// RFC 6455 §8.1: bad text ends the connection with 1007 before its message does.
#[test]
fn s8_1_bad_text_fails_fast() {
    let mut server = end(Role::Client);
    let mut out = Vec::new();
    let events = read(&mut server, b"\x01\x05ok\xed\xa0\x80", 100, &mut out);
    let violation = Violation::TextNotUtf8;
    assert_eq!(events, [MessageEvent::Connection(Event::Violation(violation))]);
    assert_eq!(violation.close_code().number(), 1007);
    assert!(!out.is_empty(), "the close frame is queued");
    // Cut short instead: the last character is incomplete.
    let events = read(&mut end(Role::Client), b"\x81\x01\xc3", 1, &mut out);
    assert_eq!(events, [MessageEvent::Connection(Event::Violation(violation))]);
}

/// X3: a message over the limit is refused with 1009 at the header that claims too much.
#[test]
fn x3_a_message_over_the_limit_is_refused() {
    let mut out = Vec::new();
    let events = read(&mut end(Role::Client), b"\x82\x7f\0\0\0\0\0\x10\0\x01", 1, &mut out);
    let violation = Violation::MessageTooBig { limit: LIMIT };
    assert_eq!(events, [MessageEvent::Connection(Event::Violation(violation))]);
    assert_eq!(violation.close_code().number(), 1009);
}
