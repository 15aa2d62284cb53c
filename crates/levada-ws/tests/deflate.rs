//! Compressed messages (RFC 7692): what both ends make of them, and what a hostile one can do.
#![cfg(feature = "deflate")]
#![expect(clippy::unwrap_used, reason = "a test may panic")]

#[path = "shared/deflate.rs"]
mod body;
#[path = "shared/keys.rs"]
mod keys;

use keys::{NOW, keys};
use levada_ws::connection::{Config, Connection, Event};
use levada_ws::deflate::{Deflater, Params};
use levada_ws::handshake::{
    Answer, AnswerError, ClientHandshake, Limits, Offer, Rejection, Response, ServerHandshake,
};
use levada_ws::message::{Message, MessageConnection, MessageEvent};
use levada_ws::{Role, Violation};
use proptest::collection::vec;
use proptest::prelude::*;

const LIMIT: u64 = 1 << 20;

fn end(role: Role, agreed: Params) -> MessageConnection {
    MessageConnection::with_deflate(role, Config::default(), LIMIT, agreed, NOW)
}

/// What an end says of these bytes.
fn read(end: &mut MessageConnection, wire: &[u8]) -> Vec<MessageEvent> {
    let mut wire = wire.to_vec();
    let mut rest = &mut wire[..];
    let mut events = Vec::new();
    loop {
        let received = end.handle_wire(NOW, rest);
        let Some(event) = received.event else { return events };
        events.push(event);
        rest = &mut rest[received.consumed..];
    }
}

fn opened(wanted: Option<Params>, answer: &str) -> Result<Response, Rejection> {
    let offer = Offer::new("a", "/").unwrap();
    let offer = wanted.into_iter().fold(offer, Offer::with_deflate);
    let mut handshake = ClientHandshake::new(offer, *b"the sample nonce", Limits::default());
    let head = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n{answer}\r\n"
    );
    handshake.handle_wire(head.as_bytes()).map(|progress| progress.head.unwrap())
}

#[test]
fn both_heads_agree() {
    let wanted = Params { client_no_context_takeover: true, ..Params::default() };
    let offer = Offer::new("a", "/").unwrap().with_deflate(wanted);
    let client = ClientHandshake::new(offer, *b"the sample nonce", Limits::default());
    let mut server = ServerHandshake::new(Limits::default());
    let request = server.handle_wire(&client.request()).unwrap().head.unwrap();
    let ours = Params { server_max_window_bits: 10, ..Params::default() };
    let agreed = request.deflate(ours).unwrap();
    let answer = Answer { deflate: Some(agreed), ..Answer::default() };
    let head = request.accept(&answer).unwrap();
    // Only what was offered can be answered.
    let wider = Params { client_no_context_takeover: false, ..agreed };
    let unasked = Answer { deflate: Some(wider), ..Answer::default() };
    assert_eq!(request.accept(&unasked), Err(AnswerError::Deflate));
    let mut client = client;
    let response = client.handle_wire(&head).unwrap().head.unwrap();
    assert_eq!(response.deflate(), Some(agreed));
    assert_eq!(agreed, Params { server_max_window_bits: 10, ..wanted });
    // Nothing need come of an offer.
    let head = request.accept(&Answer::default()).unwrap();
    let mut client = ClientHandshake::new(
        Offer::new("a", "/").unwrap().with_deflate(wanted),
        *b"the sample nonce",
        Limits::default(),
    );
    assert_eq!(client.handle_wire(&head).unwrap().head.unwrap().deflate(), None);
}

#[test]
fn an_answer_to_no_offer_is_none() {
    let deflate = "Sec-WebSocket-Extensions: permessage-deflate\r\n";
    assert!(opened(Some(Params::default()), deflate).is_ok());
    for (wanted, answer) in [
        (None, deflate),
        (Some(Params::default()), "Sec-WebSocket-Extensions: permessage-bzip2\r\n"),
        (Some(Params::default()), &[deflate, deflate].concat()),
        (Some(Params { server_no_context_takeover: true, ..Params::default() }), deflate),
    ] {
        let rejection = opened(wanted, answer).unwrap_err();
        assert!(matches!(rejection, Rejection::Extension(_)), "{answer}: {rejection:?}");
    }
}

/// A bomb costs no more than the limit: a MiB of zeros is a kilobyte on the wire.
#[test]
fn x3_a_bomb_is_refused_at_the_limit() {
    let params = Params::default();
    let mut deflater = Deflater::new(Role::Server, params);
    for (size, fits) in [(LIMIT, true), (LIMIT + 1, false), (64 * LIMIT, false)] {
        let mut payload = Vec::new();
        deflater.deflate(&vec![0; size as usize], &mut payload);
        let mut wire = vec![0xc2, 127];
        wire.extend_from_slice(&(payload.len() as u64).to_be_bytes());
        if payload.len() < 65_536 {
            wire = vec![0xc2, 126];
            wire.extend_from_slice(&(payload.len() as u16).to_be_bytes());
        }
        wire.extend_from_slice(&payload);
        let events = read(&mut end(Role::Client, params), &wire);
        if fits {
            assert!(matches!(&events[..], [MessageEvent::Message(_)]));
        } else {
            let violation = Violation::MessageTooBig { limit: LIMIT };
            assert_eq!(events[0], MessageEvent::Connection(Event::Violation(violation)));
            assert_eq!(violation.close_code().number(), 1009);
        }
        deflater = Deflater::new(Role::Server, params);
    }
}

/// The bit of the extension means something at the beginning of messages alone.
#[test]
fn s1_6_the_reserved_bits_are_checked_still() {
    let violation =
        |bits| MessageEvent::Connection(Event::Violation(Violation::ReservedBits(bits)));
    let hello = [0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00];
    let hello = |first: u8| [&[first, 7][..], &hello].concat();
    let mut client = end(Role::Client, Params::default());
    let said = MessageEvent::Message(Message::Binary(b"Hello".to_vec()));
    assert_eq!(read(&mut client, &hello(0xc2)), [said]);
    // What is not compressed goes beside it.
    let plain = MessageEvent::Message(Message::Text("Hello".to_owned()));
    assert_eq!(read(&mut client, b"\x81\x05Hello"), [plain]);
    for (wire, bits) in [
        (hello(0xe2), 0b010),
        (hello(0xd2), 0b001),
        (vec![0xc9, 0], 0b100),
        ([&hello(0x42)[..], &[0xc0, 0]].concat(), 0b100),
    ] {
        assert_eq!(read(&mut end(Role::Client, Params::default()), &wire), [violation(bits)]);
    }
    let mut unasked = MessageConnection::new(Role::Client, Config::default(), LIMIT, NOW);
    assert_eq!(read(&mut unasked, &hello(0xc2)), [violation(0b100)]);
}

/// E10: data behind text that is refused may refer to it, and is told as it is.
#[test]
fn e10_text_that_is_refused_stays_in_the_window() {
    let params = Params::default();
    let mut deflater = Deflater::new(Role::Server, params);
    let text = b"what is said twice is sent once";
    let mut message = |first: u8| {
        let mut payload = Vec::new();
        deflater.deflate(text, &mut payload);
        [&[first, payload.len() as u8][..], &payload].concat()
    };
    let [refused, data] = [0xc1, 0xc2].map(&mut message);
    assert!(data.len() < 10, "it refers to the text");
    let mut client = Connection::new(Role::Client, Config::default(), NOW);
    client.compress(params);
    for mut piece in [refused[..9].to_vec(), refused[9..].to_vec()] {
        let received = client.handle_wire(NOW, &mut piece);
        assert!(matches!(received.event, Some(Event::TextRefused) | None), "{received:?}");
    }
    let mut wire = data;
    let Some(Event::Data(chunk)) = client.handle_wire(NOW, &mut wire).event else { panic!() };
    assert!(chunk.compressed && chunk.ends_message);
    let mut room = [0; 100];
    let inflated = client.inflate(NOW, &wire[chunk.payload], true, &mut room).unwrap();
    assert_eq!(&room[..inflated.filled], text);

    // What is refused has to decompress all the same.
    let mut client = Connection::new(Role::Client, Config::default(), NOW);
    client.compress(params);
    let corrupt = client.handle_wire(NOW, &mut [0xc1, 3, 0xff, 0xff, 0xff]);
    assert_eq!(corrupt.event, Some(Event::Violation(Violation::Corrupt)));
}

#[test]
fn what_does_not_decompress_or_is_no_text_is_answered_with_1007() {
    let violation = |violation: Violation| {
        assert_eq!(violation.close_code().number(), 1007);
        [MessageEvent::Connection(Event::Violation(violation))]
    };
    let read = |wire: &[u8]| read(&mut end(Role::Client, Params::default()), wire);
    assert_eq!(read(&[0xc2, 3, 0xff, 0xff, 0xff]), violation(Violation::Corrupt));
    // An uncompressed block of one byte, which no text has.
    let block = [0xc1, 7, 0x00, 0x01, 0x00, 0xfe, 0xff, 0xff, 0x00];
    assert_eq!(read(&block), violation(Violation::TextNotUtf8));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// B1: whatever the messages, their order and what was agreed on, they come out as they went in.
    #[test]
    fn b1_messages_come_out_as_they_went_in(
        messages in vec(vec(0..4_u8, 0..5000), 1..20),
        server_no_context_takeover: bool,
        client_no_context_takeover: bool,
        server_max_window_bits in 9..=15_u8,
        client_max_window_bits in 9..=15_u8,
        server_sends: bool,
    ) {
        let agreed = Params {
            server_no_context_takeover,
            client_no_context_takeover,
            server_max_window_bits,
            client_max_window_bits,
        };
        let roles = if server_sends { [Role::Server, Role::Client] } else { [Role::Client, Role::Server] };
        let [mut sender, mut receiver] = roles.map(|role| end(role, agreed));
        for (index, message) in messages.into_iter().enumerate() {
            let mut wire = Vec::new();
            if index % 3 == 0 {
                sender.connection().ping(b"between").unwrap();
            }
            sender.encode_binary(&message, &mut wire, &mut keys()).unwrap();
            let events = read(&mut receiver, &wire);
            prop_assert_eq!(events.last(), Some(&MessageEvent::Message(Message::Binary(message))));
        }
    }

    /// X2: no input makes anything panic.
    #[test]
    fn x2_random_bytes(input in vec(any::<u8>(), 0..200)) {
        body::run(&input);
    }
}

/// Also every beginning of each input, since a peer may stop anywhere.
#[test]
fn x2_corpus_of_compressed_messages() {
    for input in levada_testkit::fuzz::corpus("ws_deflate") {
        for end in 0..=input.len() {
            body::run(&input[..end]);
        }
    }
}
