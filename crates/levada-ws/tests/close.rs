//! Closing: C1-C11 for both roles, with ends swapped where the rule is the same for both.

#[path = "shared/keys.rs"]
mod keys;
#[path = "shared/pair.rs"]
mod pair;

use core::time::Duration;

use keys::{NOW, keys};
use levada_ws::close::State;
use levada_ws::connection::{
    CloseReply, Config, Connection, Cut, Deadline, Ending, Event, MAX_CONTROL_BURST, Side,
    WriteError,
};
use levada_ws::{CloseCode, CloseFrame, Role, Violation};
use pair::{Pair, close_frame};

const BOTH: [Role; 2] = [Role::Client, Role::Server];

/// The close frames that `role` has put on the wire, as the peer of a server would read them.
fn closes(pair: &mut Pair, role: Role) -> usize {
    // A server's frames are not masked, so that the pattern of a close frame is plain to see.
    assert_eq!(role, Role::Server);
    let sent = &pair.end(role).sent;
    sent.windows(2).filter(|head| head[0] == 0x88 && head[1] < 126).count()
}

fn ended(frame: Option<CloseFrame>, by: Side) -> Event {
    Event::Closed(Ending::Close { frame, by })
}

/// C1, E1: the peer closes first. Its data comes before the event, the answer goes out while we
/// only read, and then nothing can be written.
#[test]
fn c1_the_peer_closes_first() {
    for role in BOTH {
        let (peer, frame) = (role.peer(), close_frame(4000, "done"));
        let mut pair = Pair::new(Config::default());
        pair.write(peer, b"last words", 100).unwrap();
        assert!(pair.end(peer).connection.close(NOW, frame.clone()));
        pair.transmit(peer);
        pair.read(role, usize::MAX);
        assert_eq!(pair.end(role).data, b"last words");
        assert_eq!(pair.events(role), [Event::CloseFrame(Some(frame.clone()))]);
        assert_eq!(pair.end(role).connection.state(), State::Exchanged);
        assert_eq!(pair.write(role, b"x", 100), Err(WriteError::NotConnected));

        pair.read(peer, usize::MAX);
        assert_eq!(pair.end(peer).connection.state(), State::Exchanged);
        pair.settle();
        let echo = Event::CloseFrame(Some(close_frame(4000, "")));
        assert_eq!(pair.events(peer), [echo, ended(Some(frame.clone()), Side::Local)]);
        assert_eq!(pair.events(role)[1..], [ended(Some(frame), Side::Peer)]);
    }
}

/// C1: a close frame without a code is answered with one without a code.
#[test]
fn c1_an_empty_close_frame_is_answered_alike() {
    let mut pair = Pair::new(Config::default());
    pair.send(Role::Client, b"\x88\x80\0\0\0\0");
    pair.read(Role::Server, usize::MAX);
    assert_eq!(pair.end(Role::Server).sent, b"\x88\x00");
    let event = pair.end(Role::Server).connection.handle_flushed();
    assert_eq!(event, Some(ended(None, Side::Peer)));
    assert!(pair.end(Role::Server).connection.ending().unwrap().is_clean());
}

/// C2: we close first. Our frame is on the wire at once, later writes fail, and what the peer still
/// sends is delivered.
#[test]
fn c2_we_close_first() {
    for role in BOTH {
        let peer = role.peer();
        let mut pair = Pair::new(Config::default());
        assert!(pair.close(role, 1000));
        assert!(!pair.end(role).sent.is_empty());
        assert_eq!(pair.end(role).connection.state(), State::CloseSent);
        assert_eq!(pair.write(role, b"x", 100), Err(WriteError::NotConnected));
        assert!(pair.end(role).connection.begin_frame(1, &mut keys()).is_err());
        pair.write(peer, b"still under way", 100).unwrap();
        pair.settle();
        assert_eq!(pair.end(role).data, b"still under way");
        let closed = pair.events(role).pop().unwrap();
        assert_eq!(closed, ended(Some(close_frame(1000, "")), Side::Local));
    }
}

/// C3: a server's life ends when its close frame has left; a client's only with the carrier.
#[test]
fn c3_the_server_ends_the_carrier_first() {
    for first in BOTH {
        let mut pair = Pair::new(Config::default());
        pair.close(first, 1001);
        for role in [first.peer(), first] {
            pair.read(role, usize::MAX);
        }
        assert_eq!(pair.end(Role::Client).connection.handle_flushed(), None);
        assert_eq!(pair.end(Role::Client).connection.state(), State::Exchanged);
        let server = pair.end(Role::Server).connection.handle_flushed();
        assert!(matches!(server, Some(Event::Closed(Ending::Close { .. }))));
        let client = pair.end(Role::Client).connection.handle_eof();
        assert!(matches!(client, Some(Event::Closed(Ending::Close { .. }))));
        assert_eq!(pair.end(Role::Server).connection.handle_flushed(), None, "E5: once");
        assert_eq!(pair.end(Role::Client).connection.handle_eof(), None, "E5: once");
    }
}

/// C3: a server that has not yet sent its close frame is not done.
#[test]
fn c3_a_queued_close_frame_is_not_a_sent_one() {
    let mut server = Connection::new(Role::Server, Config::default(), NOW);
    let _ = server.handle_wire(NOW, &mut b"\x88\x80\0\0\0\0".to_vec());
    assert_eq!(server.handle_flushed(), None);
    let mut out = [0; MAX_CONTROL_BURST];
    assert_eq!(server.poll_transmit(&mut out, &mut keys()), 2);
    assert!(server.handle_flushed().is_some());
}

/// C4: the carrier's end without the peer's close frame is truncation, and says where it cut.
#[test]
fn c4_the_carriers_end_alone_is_no_clean_end() {
    let cases: [(&[u8], Cut); 5] = [
        (b"", Cut::BetweenMessages),
        (b"\x82\x01a", Cut::BetweenMessages),
        (b"\x02\x01a", Cut::InMessage),
        (b"\x82\x02a", Cut::InFrame),
        (b"\x82", Cut::InFrame),
    ];
    for close_first in [false, true] {
        for (wire, cut) in cases {
            let mut pair = Pair::new(Config::default());
            if close_first {
                pair.close(Role::Client, 1000);
            }
            pair.send(Role::Server, wire);
            pair.read(Role::Client, usize::MAX);
            let client = &mut pair.end(Role::Client).connection;
            let ending = Ending::Truncated(cut);
            assert_eq!(client.handle_eof(), Some(Event::Closed(ending.clone())));
            assert!(!ending.is_clean());
            let error = WriteError::Ended(ending);
            assert_eq!(client.encode(b"x", &mut [0; 10], &mut keys()), Err(error.clone()));
            assert_eq!(client.encode(b"x", &mut [0; 10], &mut keys()), Err(error), "X4: again");
        }
    }
}

/// C5: without a byte either way the close handshake ends at its deadline; bytes move it.
#[test]
fn c5_the_close_handshake_has_a_deadline() {
    let seconds = Duration::from_secs;
    for role in BOTH {
        let mut pair = Pair::new(Config::default());
        assert_eq!(pair.end(role).connection.poll_timeout(), None, "none while open");
        let end = &mut pair.end(role).connection;
        end.close(seconds(10), close_frame(1000, ""));
        assert_eq!(end.poll_timeout(), Some(seconds(130)));
        end.handle_sent(seconds(20));
        assert_eq!(end.poll_timeout(), Some(seconds(140)), "a slow tail is not cut");
        assert_eq!(end.handle_timeout(seconds(139)), None);
        let closed = Event::Closed(Ending::TimedOut(Deadline::Close));
        assert_eq!(end.handle_timeout(seconds(140)), Some(closed));
        assert_eq!(end.poll_timeout(), None);
    }
}

/// C5: a complete close handshake stays one when the server forgets to end the carrier.
#[test]
fn c5_a_client_does_not_wait_for_ever_for_the_servers_end() {
    let mut pair = Pair::new(Config::default());
    pair.close(Role::Server, 1000);
    pair.read(Role::Client, usize::MAX);
    // Noise behind the close frame is no reason to wait longer.
    let client = &mut pair.end(Role::Client).connection;
    let _ = client.handle_wire(Duration::from_secs(100), &mut [0x82, 1, b'a']);
    assert_eq!(client.handle_flushed(), None);
    let event = client.handle_timeout(Duration::from_secs(120));
    assert_eq!(event, Some(ended(Some(close_frame(1000, "")), Side::Peer)));
}

/// C5: an answer that never leaves is no complete close handshake, however the life ends.
#[test]
fn c5_an_answer_that_does_not_leave_is_no_clean_end() {
    for role in BOTH {
        let closing = || {
            let mut pair = Pair::new(Config::default());
            pair.close(role.peer(), 1000);
            pair.read(role, usize::MAX);
            pair
        };
        let late = closing().end(role).connection.handle_timeout(Duration::from_secs(120));
        assert_eq!(late, Some(Event::Closed(Ending::TimedOut(Deadline::Close))));
        let dropped = closing().end(role).connection.abort();
        assert_eq!(dropped, Some(Event::Closed(Ending::Aborted)));
    }
}

/// C7: a malformed close frame is answered with its code, is told, and ends the life.
#[test]
fn c7_a_malformed_close_frame_is_a_violation() {
    let cases: [(&[u8], Violation, u16); 4] = [
        (b"\x88\x01\x03", Violation::CloseBodyOneByte, 1002),
        (b"\x88\x02\x03\xed", Violation::CloseCode(1005), 1002),
        (b"\x88\x02\x27\x10", Violation::CloseCode(10_000), 1002),
        (b"\x88\x03\x03\xe8\xff", Violation::CloseReasonNotUtf8, 1007),
    ];
    for (wire, violation, code) in cases {
        let mut pair = Pair::new(Config::default());
        pair.send(Role::Server, wire);
        pair.read(Role::Client, usize::MAX);
        assert_eq!(pair.events(Role::Client), [Event::Violation(violation)]);
        assert_eq!(violation.close_code().number(), code);
        pair.read(Role::Server, usize::MAX);
        let [Event::CloseFrame(Some(frame))] = &pair.events(Role::Server)[..] else { panic!() };
        assert_eq!((frame.code().number(), frame.reason()), (code, &*violation.to_string()));
        pair.settle();
        let closed = Event::Closed(Ending::Violation(violation));
        assert_eq!(pair.events(Role::Client).pop(), Some(closed));
    }
}

/// C8: closes that cross complete, and each end sends one frame.
#[test]
fn c8_crossing_closes_complete() {
    let mut pair = Pair::new(Config::default());
    assert!(pair.close(Role::Client, 4001));
    assert!(pair.close(Role::Server, 4002));
    assert!(!pair.close(Role::Client, 4003), "the second one does not go");
    pair.settle();
    assert_eq!(closes(&mut pair, Role::Server), 1);
    for (role, ours, theirs) in [(Role::Client, 4001, 4002), (Role::Server, 4002, 4001)] {
        let event = Event::CloseFrame(Some(close_frame(theirs, "")));
        let closed = ended(Some(close_frame(ours, "")), Side::Local);
        assert_eq!(pair.events(role), [event, closed]);
    }
}

/// C9: a ping that came before our close frame was queued is answered, before it; later ones are
/// not, and nothing else of ours follows.
#[test]
fn c9_nothing_follows_our_close_frame() {
    let ping = b"\x89\x81\0\0\0\0x";
    let mut server = Connection::new(Role::Server, Config::default(), NOW);
    let _ = server.handle_wire(NOW, &mut ping.to_vec());
    server.ping(b"y").unwrap();
    server.close(NOW, CloseCode::NORMAL.into());
    let _ = server.handle_wire(NOW, &mut ping.to_vec());
    server.ping(b"z").unwrap();
    let mut out = [0; MAX_CONTROL_BURST];
    let len = server.poll_transmit(&mut out, &mut keys());
    assert_eq!(&out[..len], b"\x8a\x01x\x89\x01y\x88\x02\x03\xe8");
    let event = server.handle_wire(NOW, &mut ping.to_vec()).event;
    assert!(matches!(event, Some(Event::Ping(_))), "it is still told");
    assert!(!server.wants_transmit());
    assert!(server.encode(b"x", &mut out, &mut keys()).is_err());
}

/// C10, X4: after a violation 1002 goes out, input is discarded, the error stays, and the life ends
/// with it. A server ends the carrier, a client waits for that.
#[test]
fn c10_a_violation_ends_the_life_with_its_code_on_the_wire() {
    for role in BOTH {
        let mut pair = Pair::new(Config::default());
        let (wire, violation): (&[u8], _) = match role {
            Role::Client => (b"\x82\x01a\x82\x81", Violation::Masked),
            Role::Server => (b"\x82\x81\0\0\0\0a\x82\x01", Violation::Unmasked),
        };
        pair.send(role.peer(), wire);
        pair.read(role, usize::MAX);
        assert_eq!(pair.end(role).data, b"a", "what came before is delivered");
        assert_eq!(pair.events(role), [Event::Violation(violation)]);
        let fatal = Ending::Violation(violation);
        assert_eq!(pair.write(role, b"x", 100), Err(WriteError::Ended(fatal.clone())));
        assert_eq!(pair.end(role).connection.state(), State::Failing);
        pair.send(role.peer(), b"\x88\x00\x82\x00");
        pair.read(role, usize::MAX);
        assert_eq!(pair.events(role).len(), 1, "nothing more is read");

        let flushed = pair.end(role).connection.handle_flushed();
        assert_eq!(flushed.is_some(), role == Role::Server);
        pair.settle();
        let peer = pair.events(role.peer());
        let Some(Event::CloseFrame(Some(frame))) = peer.first() else { panic!("{peer:?}") };
        assert_eq!(frame.code(), CloseCode::PROTOCOL);
        assert_eq!(pair.end(role).connection.ending(), Some(&fatal));
        assert!(!fatal.is_clean());
    }
}

/// C10, C8: a violation behind our own close frame sends no second one.
#[test]
fn c10_a_violation_after_our_close_frame_is_still_fatal() {
    let mut pair = Pair::new(Config::default());
    pair.close(Role::Server, 1000);
    pair.send(Role::Client, b"\xff");
    pair.read(Role::Server, usize::MAX);
    pair.settle();
    assert_eq!(closes(&mut pair, Role::Server), 1);
    let ending = Ending::Violation(Violation::ReservedBits(0b111));
    assert_eq!(pair.end(Role::Server).connection.ending(), Some(&ending));
}

/// C11: where the answer is held back, our side writes everything before it closes.
#[test]
fn c11_our_side_can_finish_writing_after_the_peers_close() {
    let mut config = Config::default();
    config.close_reply = CloseReply::WhenWeClose;
    for role in BOTH {
        let peer = role.peer();
        let mut pair = Pair::new(config);
        pair.close(peer, 1000);
        pair.read(role, usize::MAX);
        assert_eq!(pair.end(role).connection.state(), State::CloseReceived);
        assert_eq!(pair.end(role).connection.poll_timeout(), None, "the peer waits for us");
        pair.write(role, b"the rest", 100).unwrap();
        assert!(pair.close(role, 1000));
        assert_eq!(pair.write(role, b"x", 100), Err(WriteError::NotConnected));
        pair.settle();
        assert_eq!(pair.end(peer).data, b"the rest");
        let closed = pair.events(role).pop().unwrap();
        assert_eq!(closed, ended(Some(close_frame(1000, "")), Side::Peer));
    }
}

/// C12: dropping leaves one close frame with 1001, to be sent only if it can go without waiting.
#[test]
fn c12_dropping_says_going_away_once() {
    let mut server = Connection::new(Role::Server, Config::default(), NOW);
    assert_eq!(server.abort(), Some(Event::Closed(Ending::Aborted)));
    assert_eq!(server.abort(), None);
    let mut out = [0; MAX_CONTROL_BURST];
    let len = server.poll_transmit(&mut out, &mut keys());
    assert_eq!(&out[..len], b"\x88\x02\x03\xe9");

    let mut server = Connection::new(Role::Server, Config::default(), NOW);
    server.close(NOW, CloseCode::NORMAL.into());
    let _ = server.abort();
    let len = server.poll_transmit(&mut out, &mut keys());
    assert_eq!(&out[..len], b"\x88\x02\x03\xe8", "C8: not a second one");
}
