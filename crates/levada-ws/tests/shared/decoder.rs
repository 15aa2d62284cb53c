//! The body of the fuzz target `ws_decoder`.
//!
//! Input: a byte of which the lowest bit names the sender, a byte for the size of the pieces, then
//! the wire.

use core::time::Duration;

use levada_ws::Role;
use levada_ws::connection::{Config, Connection, Event, MAX_CONTROL_BURST};

use crate::model::{Token, decoded, expected};

/// The decoder says what the model says, however the wire is cut; and a connection that reads it
/// answers with frames that its peer can read, a close frame last if at all.
pub(crate) fn run(input: &[u8]) {
    let [role, size, wire @ ..] = input else { return };
    let sender = if role & 1 == 0 { Role::Client } else { Role::Server };
    let wanted = expected(sender, wire);
    assert_eq!(decoded(sender, wire, &[]), wanted);
    assert_eq!(decoded(sender, wire, &[1]), wanted);
    assert_eq!(decoded(sender, wire, &[usize::from(*size)]), wanted);
    answer(sender, &mut wire.to_vec());
}

fn answer(sender: Role, mut wire: &mut [u8]) {
    const NOW: Duration = Duration::ZERO;
    let mut connection = Connection::new(sender.peer(), Config::default(), NOW);
    let mut answers = Vec::new();
    let mut closed = false;
    loop {
        let received = connection.handle_wire(NOW, wire);
        let mut out = [0; MAX_CONTROL_BURST];
        let len = connection.poll_transmit(&mut out, &mut || [1, 2, 3, 4]);
        answers.extend_from_slice(&out[..len]);
        assert!(!connection.wants_transmit(), "the stated bound holds everything");
        closed |= connection.handle_flushed().is_some();
        match received.event {
            None => break,
            Some(Event::Data(chunk)) => assert!(!chunk.payload.is_empty()),
            Some(_) => {}
        }
        wire = &mut wire[received.consumed..];
    }
    closed |= connection.handle_eof().is_some();
    assert!(closed && connection.ending().is_some());
    assert_eq!(connection.handle_eof(), None, "E5: closed once");

    let tokens = expected(sender.peer(), &answers);
    let close = tokens.iter().position(|token| matches!(token, Token::Close(_)));
    assert!(close.is_none_or(|at| at + 1 == tokens.len()), "C8, C9: one close frame, last");
    assert!(!tokens.iter().any(|token| matches!(token, Token::Violation(_))));
}
