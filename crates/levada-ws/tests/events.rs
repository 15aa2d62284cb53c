//! What is told, and keepalive: E2-E5, E9, E10, and the pings of §1.8.

#[path = "shared/keys.rs"]
mod keys;
#[path = "shared/pair.rs"]
mod pair;

use core::time::Duration;

use keys::{NOW, keys};
use levada_ws::Role;
use levada_ws::close::State;
use levada_ws::connection::{
    Config, Connection, Deadline, Ending, Event, Keepalive, MAX_CONTROL_BURST, TextPolicy,
};
use levada_ws::frame::ControlPayload;
use pair::{Pair, close_frame};

fn payload(bytes: &[u8]) -> ControlPayload {
    ControlPayload::new(bytes).expect("it fits")
}

/// E2, E3: a ping is told with its payload when its pong is queued, and the pong is told too.
#[test]
fn e2_e3_pings_and_pongs_are_told() {
    for role in [Role::Client, Role::Server] {
        let mut pair = Pair::new(Config::default());
        pair.end(role).connection.ping(&[b'x'; 125]).unwrap();
        pair.transmit(role);
        let wire = pair.end(role.peer()).incoming.clone();
        let peer = &mut pair.end(role.peer()).connection;
        let received = peer.handle_wire(NOW, &mut wire.clone());
        assert_eq!(received.event, Some(Event::Ping(payload(&[b'x'; 125]))));
        assert!(peer.wants_transmit(), "the pong was queued before the event");
        pair.transmit(role.peer());
        pair.read(role, usize::MAX);
        assert_eq!(pair.events(role), [Event::Pong(payload(&[b'x'; 125]))]);
    }
    let mut connection = Connection::new(Role::Client, Config::default(), NOW);
    assert!(connection.ping(&[0; 126]).is_err());
}

/// RFC 6455 §5.5.3: a peer that floods gets the latest pong, and costs no more memory.
#[test]
fn a_flood_of_pings_is_answered_once() {
    let mut server = Connection::new(Role::Server, Config::default(), NOW);
    for index in 0..100 {
        let event = server.handle_wire(NOW, &mut [0x89, 0x81, 0, 0, 0, 0, index]).event;
        assert_eq!(event, Some(Event::Ping(payload(&[index]))), "each is told");
    }
    let mut out = [0; MAX_CONTROL_BURST];
    let len = server.poll_transmit(&mut out, &mut keys());
    assert_eq!(out[..len], [0x8a, 1, 99]);
}

/// The stated bound: a client's longest pong, ping and close frame fit it together.
#[test]
fn the_control_burst_is_bounded() {
    let mut client = Connection::new(Role::Client, Config::default(), NOW);
    let mut ping = vec![0x89, 125];
    ping.extend([1; 125]);
    let _ = client.handle_wire(NOW, &mut ping);
    client.ping(&[2; 125]).unwrap();
    client.close(NOW, close_frame(1000, &"r".repeat(123)));
    let mut out = [0; MAX_CONTROL_BURST];
    assert_eq!(client.poll_transmit(&mut out, &mut keys()), MAX_CONTROL_BURST);
    assert!(!client.wants_transmit());
}

/// Whole control frames only: a small buffer gets them one by one.
#[test]
fn a_small_buffer_gets_whole_control_frames() {
    let mut server = Connection::new(Role::Server, Config::default(), NOW);
    let _ = server.handle_wire(NOW, &mut [0x89, 0x80, 0, 0, 0, 0]);
    server.ping(b"abc").unwrap();
    let mut out = [0; 6];
    assert_eq!(server.poll_transmit(&mut out[..1], &mut keys()), 0);
    assert_eq!(server.poll_transmit(&mut out, &mut keys()), 2);
    assert_eq!(server.poll_transmit(&mut out, &mut keys()), 5);
    assert_eq!(server.poll_transmit(&mut out, &mut keys()), 0);
}

/// E9, K3: the answer to a ping needs neither a read nor a write of the application: it goes with
/// the next data at the latest.
#[test]
fn e9_a_writer_alone_sends_the_pong() {
    let mut pair = Pair::new(Config::default());
    let _ = pair.end(Role::Server).connection.handle_wire(NOW, &mut [0x89, 0x80, 0, 0, 0, 0]);
    pair.write(Role::Server, b"data", 100).unwrap();
    assert_eq!(pair.end(Role::Server).sent, b"\x8a\x00\x82\x04data");
}

/// E4, E5: trouble that is fatal is told apart by its event, and Closed comes once, last.
#[test]
fn e4_e5_closed_is_told_once_and_last() {
    for violates in [false, true] {
        let mut pair = Pair::new(Config::default());
        if violates {
            pair.send(Role::Server, b"\xff");
        } else {
            pair.close(Role::Server, 1000);
        }
        pair.settle();
        let events = pair.events(Role::Client);
        assert_eq!(matches!(events[0], Event::Violation(_)), violates);
        let closed = events.iter().position(|event| matches!(event, Event::Closed(_)));
        assert_eq!(closed, Some(events.len() - 1));
        let client = &mut pair.end(Role::Client).connection;
        assert_eq!(client.handle_wire(NOW, &mut [0x82, 1, b'x']).event, None);
        assert_eq!((client.handle_eof(), client.abort()), (None, None));
    }
}

/// E10: text is refused with 1003, its payload is discarded, binary data behind it is delivered,
/// and the close handshake runs on to its end.
#[test]
fn e10_text_is_refused() {
    let mut pair = Pair::new(Config::default());
    pair.write(Role::Server, b"one", 100).unwrap();
    pair.send(Role::Server, b"\x01\x02te\x00\x00\x80\x02xt");
    pair.write(Role::Server, b"two", 100).unwrap();
    pair.send(Role::Server, b"\x81\x04more");
    while !pair.end(Role::Client).incoming.is_empty() {
        pair.read(Role::Client, 1);
    }
    assert_eq!(pair.end(Role::Client).data, b"onetwo");
    assert_eq!(pair.events(Role::Client), [Event::TextRefused, Event::TextRefused]);
    assert_eq!(pair.end(Role::Client).connection.state(), State::CloseSent);
    pair.settle();
    let server = pair.events(Role::Server);
    assert_eq!(server[0], Event::CloseFrame(Some(close_frame(1003, ""))));
    let closed = pair.events(Role::Client).pop();
    assert_eq!(closed, Some(Event::Closed(Ending::TextRefused)));
}

/// §1.8: text taken as bytes, by option.
#[test]
fn s1_8_text_can_be_taken_as_bytes() {
    let mut config = Config::default();
    config.text = TextPolicy::AsBytes;
    let mut pair = Pair::new(config);
    pair.send(Role::Server, b"\x81\x02ab\x82\x02cd\x81\x01\xff");
    pair.read(Role::Client, usize::MAX);
    assert_eq!(pair.end(Role::Client).data, b"abcd\xff");
    assert!(pair.events(Role::Client).is_empty());
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn with_keepalive(role: Role) -> Connection {
    let mut config = Config::default();
    config.keepalive = Some(Keepalive { interval: seconds(30), pong_deadline: seconds(10) });
    Connection::new(role, config, seconds(1000))
}

/// §1.8: silence makes a ping, any byte is a sign of life, and silence after the ping ends the life.
#[test]
fn s1_8_keepalive_pings_and_gives_up() {
    let mut client = with_keepalive(Role::Client);
    let mut out = [0; MAX_CONTROL_BURST];
    assert_eq!(client.poll_timeout(), Some(seconds(1030)));
    assert_eq!(client.handle_timeout(seconds(1029)), None);
    assert!(!client.wants_transmit(), "too early is harmless");
    let _ = client.handle_wire(seconds(1010), &mut [0x82, 1, b'a']);
    assert_eq!(client.poll_timeout(), Some(seconds(1040)));

    assert_eq!(client.handle_timeout(seconds(1041)), None);
    assert_eq!(client.poll_transmit(&mut out, &mut keys()), 6, "an empty ping");
    assert_eq!(client.poll_timeout(), Some(seconds(1051)));
    let _ = client.handle_wire(seconds(1050), &mut [0x8a]);
    assert_eq!(client.poll_timeout(), Some(seconds(1080)), "half a pong is a sign of life");

    assert_eq!(client.handle_timeout(seconds(1080)), None);
    let _ = client.poll_transmit(&mut out, &mut keys());
    assert_eq!(client.handle_timeout(seconds(1089)), None);
    let closed = Event::Closed(Ending::TimedOut(Deadline::Pong));
    assert_eq!(client.handle_timeout(seconds(1090)), Some(closed));
    assert_eq!(client.handle_timeout(seconds(2000)), None);
    assert_eq!(client.poll_timeout(), None);
    assert_eq!(client.poll_transmit(&mut out, &mut keys()), 8, "one goodbye, if it can go");
}

/// Keepalive does not replace a ping of the user's, and stops with the close handshake.
#[test]
fn s1_8_keepalive_keeps_out_of_the_way() {
    let mut server = with_keepalive(Role::Server);
    let mut out = [0; MAX_CONTROL_BURST];
    server.ping(b"mine").unwrap();
    assert_eq!(server.handle_timeout(seconds(1030)), None);
    let len = server.poll_transmit(&mut out, &mut keys());
    assert_eq!(&out[..len], b"\x89\x04mine");
    server.close(seconds(1031), close_frame(1000, ""));
    assert_eq!(server.poll_timeout(), Some(seconds(1031 + 120)), "the close deadline");
}
