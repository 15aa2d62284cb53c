//! The byte stream: B1-B7 and the order of events (E8), on random splits.

#[path = "shared/keys.rs"]
mod keys;
#[path = "shared/model.rs"]
mod model;
#[path = "shared/pair.rs"]
mod pair;

use keys::{NOW, keys};
use levada_ws::Role;
use levada_ws::close::State;
use levada_ws::connection::{Config, Connection, Ending, Event, Side, WriteError};
use levada_ws::frame::{Encoder, Header, MAX_FRAME_PAYLOAD, Mask, Shape};
use model::{Token, decoded, expected};
use pair::Pair;
use proptest::collection::vec;
use proptest::prelude::*;

fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|index| (index * 31 % 251) as u8).collect()
}

/// B1: every write size and read size of the list, both roles.
#[test]
fn b1_bytes_arrive_in_order_and_whole() {
    for role in [Role::Client, Role::Server] {
        for write in [1, 125, 126, 127, 65_535, 65_536, 1 << 20] {
            for read in [1, 3, 100, 4096, 65_536] {
                if write / read > 20_000 {
                    continue;
                }
                let mut pair = Pair::new(Config::default());
                let data = pattern(write);
                pair.write(role, &data, 1 << 21).unwrap();
                let peer = role.peer();
                while !pair.end(peer).incoming.is_empty() {
                    pair.read(peer, read);
                }
                assert!(pair.end(peer).data == data, "{role:?} writes {write}, reads {read}");
            }
        }
    }
}

#[derive(Clone, Debug)]
enum Act {
    Write { role: Role, len: usize, room: usize },
    Ping { role: Role },
    Close { role: Role, code: u16 },
    Read { role: Role, len: usize },
}

fn role() -> impl Strategy<Value = Role> {
    prop_oneof![Just(Role::Client), Just(Role::Server)]
}

fn len() -> impl Strategy<Value = usize> {
    prop_oneof![0_usize..200, Just(65_535), Just(65_536), 60_000_usize..140_000]
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        6 => (role(), len(), 7_usize..200_000)
            .prop_map(|(role, len, room)| Act::Write { role, len, room: room.max(len / 50) }),
        2 => role().prop_map(|role| Act::Ping { role }),
        1 => (role(), 3000_u16..5000).prop_map(|(role, code)| Act::Close { role, code }),
        6 => (role(), len()).prop_map(|(role, len)| Act::Read { role, len }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// B1, B5, C1, C2, C3, C8, C9, E5 and E8 on any order of acts: what a write accepted arrives,
    /// every ping gets its pong, each side sends one close frame and nothing behind it, and both
    /// lives end once and cleanly.
    #[test]
    fn b1_c8_any_life_of_a_pair(acts in vec(act(), 0..40)) {
        let mut pair = Pair::new(Config::default());
        let mut written = [Vec::new(), Vec::new()];
        let slot = |role| usize::from(role == Role::Server);
        let mut first_code = None;
        for act in acts {
            match act {
                Act::Write { role, len, room } => {
                    let data = pattern(len);
                    let open = pair.end(role).connection.can_write();
                    match pair.write(role, &data, room) {
                        Ok(()) => {
                            assert!(open || data.is_empty());
                            written[slot(role)].extend(data);
                        }
                        Err(error) => {
                            assert!(!open);
                            assert_eq!(error, WriteError::NotConnected);
                        }
                    }
                }
                Act::Ping { role } => {
                    pair.end(role).connection.ping(b"are you there").unwrap();
                    pair.transmit(role);
                }
                Act::Close { role, code } => {
                    let open = pair.end(role).connection.state() == State::Open;
                    assert_eq!(pair.close(role, code), open, "C8: only the first one goes");
                    first_code = first_code.or(Some(code));
                }
                Act::Read { role, len } => pair.read(role, len),
            }
        }
        if first_code.is_none() {
            pair.close(Role::Client, 1000);
        }
        pair.settle();

        for role in [Role::Client, Role::Server] {
            assert!(pair.end(role).data == written[slot(role.peer())], "{role:?} lost data");
            let sent = pair.end(role).sent.clone();
            let tokens = expected(role, &sent);
            assert!(matches!(tokens.last(), Some(Token::Close(_))));
            let closes = tokens.iter().filter(|token| matches!(token, Token::Close(_)));
            assert_eq!(closes.count(), 1);
            let events = pair.events(role);
            let closed = events.iter().filter(|event| matches!(event, Event::Closed(_)));
            assert_eq!(closed.count(), 1);
            assert!(matches!(events.last(), Some(Event::Closed(Ending::Close { .. }))));
            let counters = pair.end(role).connection.counters();
            assert_eq!(counters.bytes_sent, written[slot(role)].len() as u64);
            assert_eq!(counters.bytes_received, written[slot(role.peer())].len() as u64);
        }
    }

    /// The encoder's frames say the data and nothing else, in frames of at most 64 KiB, whatever
    /// the room; and the decoder agrees with the model about them on any cut.
    #[test]
    fn b1_encoder_and_decoder_agree_with_the_model(
        role in role(),
        len in len(),
        room in 7_usize..300_000,
        pieces in vec(1_usize..70_000, 1..5),
    ) {
        let data = pattern(len);
        let (mut out, mut keys) = (vec![0; room], keys());
        let encoded = Encoder::new(role).data(Shape::Stream, &data, &mut out, &mut keys);
        let wire = &out[..encoded.written];
        assert!(encoded.taken > 0 || data.is_empty());
        assert!(room < Encoder::new(role).wire_len(len) || encoded.taken == len);

        let tokens = expected(role, wire);
        assert_eq!(decoded(role, wire, &pieces), tokens);
        let mut said = Vec::new();
        for token in tokens {
            match token {
                Token::Bytes(bytes) => {
                    assert!(bytes.len() <= MAX_FRAME_PAYLOAD);
                    said.extend(bytes);
                }
                Token::Start(_) | Token::End => {}
                other => panic!("{other:?}"),
            }
        }
        assert!(said == data[..encoded.taken]);
    }
}

/// B2: one call takes what the caller's buffer can hold; 16 full frames fit 1 MiB and 224 bytes.
#[test]
fn b2_a_write_is_accepted_up_to_the_room_given() {
    let data = pattern(3 << 20);
    for role in [Role::Client, Role::Server] {
        let mut connection = Connection::new(role, Config::default(), NOW);
        let mut out = vec![0; (1 << 20) + 224];
        let encoded = connection.encode(&data, &mut out, &mut keys()).unwrap();
        assert_eq!((encoded.taken, encoded.frames), (1 << 20, 16));
        // No sliver is squeezed into a nearly full buffer.
        let mut out = vec![0; MAX_FRAME_PAYLOAD + 1000];
        let encoded = connection.encode(&data, &mut out, &mut keys()).unwrap();
        assert_eq!((encoded.taken, encoded.frames), (MAX_FRAME_PAYLOAD, 1));
    }
}

/// B3: payload of a frame that is far from complete is told at once, and the rest can be read in
/// place.
#[test]
fn b3_payload_is_told_as_it_arrives() {
    let mut connection = Connection::new(Role::Client, Config::default(), NOW);
    let mut wire = vec![0x82, 127, 0, 0, 0, 0, 0x20, 0, 0, 0];
    wire.extend([7; 100]);
    let received = connection.handle_wire(NOW, &mut wire);
    let Some(Event::Data(chunk)) = received.event else { panic!("{received:?}") };
    assert_eq!(chunk.payload, 10..110);
    assert_eq!(connection.payload_left(), 0x2000_0000 - 100);
    assert_eq!(connection.payload_len(), 0x2000_0000);
}

/// B4: a claim of nearly 2^63 bytes changes nothing in the size of a connection, which owns no
/// allocation at all while it reads.
#[test]
fn b4_a_claim_costs_no_memory() {
    assert!(size_of::<Connection>() <= 1024, "{}", size_of::<Connection>());
    let mut connection = Connection::new(Role::Client, Config::default(), NOW);
    let mut wire = [0x82, 127, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff];
    assert_eq!(connection.handle_wire(NOW, &mut wire).event, None);
    assert_eq!(connection.payload_left(), (1 << 63) - 1);
}

/// B5: empty messages and fragments are neither data nor an end.
#[test]
fn b5_empty_frames_are_no_end_of_the_stream() {
    let mut connection = Connection::new(Role::Client, Config::default(), NOW);
    let mut wire = *b"\x82\x00\x02\x00\x00\x00\x80\x00\x02\x00\x00\x01a\x80\x00\x82\x00";
    let received = connection.handle_wire(NOW, &mut wire);
    let Some(Event::Data(chunk)) = received.event else { panic!("{received:?}") };
    assert_eq!(wire[chunk.payload], *b"a");
    let received = connection.handle_wire(NOW, &mut wire[received.consumed..]);
    assert_eq!(received.event, None);
    assert_eq!(connection.state(), State::Open);
}

/// B6: no data is no frame.
#[test]
fn b6_an_empty_write_puts_nothing_on_the_wire() {
    for role in [Role::Client, Role::Server] {
        let mut connection = Connection::new(role, Config::default(), NOW);
        let encoded = connection.encode(&[], &mut [0; 100], &mut keys()).unwrap();
        assert_eq!((encoded.taken, encoded.written, encoded.frames), (0, 0, 0));
    }
}

/// B7: a frame of several slices, without a copy by the codec.
#[test]
fn b7_a_frame_can_be_sent_from_several_slices() {
    for role in [Role::Client, Role::Server] {
        let mut pair = Pair::new(Config::default());
        let mut keys = keys();
        let slices: [&[u8]; 3] = [b"one, ", b"two, ", b"three"];
        let len = slices.iter().map(|slice| slice.len()).sum();
        let header: Header = pair.end(role).connection.begin_frame(len, &mut keys).unwrap();
        pair.send(role, &header.encode());
        let mut mask = header.mask.map(Mask::new);
        for slice in slices {
            let mut piece = slice.to_vec();
            if let Some(mask) = &mut mask {
                mask.apply(&mut piece);
            }
            pair.send(role, &piece);
        }
        pair.read(role.peer(), usize::MAX);
        assert_eq!(pair.end(role.peer()).data, b"one, two, three");
    }
}

/// Queued control frames go before further data, also where the caller sends the payload itself.
#[test]
fn control_frames_go_before_further_data() {
    let mut pair = Pair::new(Config::default());
    pair.end(Role::Server).connection.ping(b"first").unwrap();
    let refused = pair.end(Role::Server).connection.begin_frame(4, &mut keys());
    assert_eq!(refused, Err(WriteError::ControlFirst));
    pair.write(Role::Server, b"then", 100).unwrap();
    assert_eq!(pair.end(Role::Server).sent, b"\x89\x05first\x82\x04then");
    // Too small for the control frame: nothing else may go either.
    pair.end(Role::Server).connection.ping(b"first").unwrap();
    let encoded = pair.end(Role::Server).connection.encode(b"x", &mut [0; 6], &mut keys());
    assert_eq!(encoded.map(|encoded| (encoded.taken, encoded.written)), Ok((0, 0)));
}

/// E8: an event comes between the data before it and the data behind it.
#[test]
fn e8_events_are_ordered_with_the_data() {
    for role in [Role::Client, Role::Server] {
        let mut pair = Pair::new(Config::default());
        pair.write(role, b"before", 100).unwrap();
        pair.end(role).connection.ping(b"here").unwrap();
        pair.write(role, b"behind", 100).unwrap();
        pair.close(role, 1000);
        pair.settle();
        let peer = pair.end(role.peer());
        assert_eq!(peer.data, b"beforebehind");
        let places: Vec<_> = peer.events.iter().map(|(place, _)| *place).collect();
        assert_eq!(places, [6, 12, 12]);
        assert!(matches!(peer.events[0].1, Event::Ping(_)));
        assert!(matches!(peer.events[1].1, Event::CloseFrame(Some(_))));
        let closed = Ending::Close { frame: Some(pair::close_frame(1000, "")), by: Side::Peer };
        assert_eq!(peer.events[2].1, Event::Closed(closed));
    }
}
