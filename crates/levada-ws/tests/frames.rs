//! The frame codec: RFC 6455's examples, and every check of §1.6 on the streaming path.

#[path = "shared/model.rs"]
mod model;

use levada_ws::frame::{
    ControlPayload, DataKind, Decoder, Encoder, Opcode, PayloadTooLong, Shape, SizeLimits,
};
use levada_ws::{Role, Violation};
use model::{Token, decoded, expected};
use proptest::collection::vec;
use proptest::prelude::*;

/// The masking key of the RFC's examples.
const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

fn text(parts: &[&str]) -> Vec<Token> {
    let bytes = Token::Bytes(parts.concat().into_bytes());
    vec![Token::Start(DataKind::Text), bytes, Token::End]
}

/// RFC 6455 §5.7: each example is read as the RFC says, and written byte by byte as it stands there.
#[test]
fn s5_7_the_examples_of_the_rfc() {
    let unmasked = b"\x81\x05Hello";
    let masked = b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58";
    assert_eq!(decoded(Role::Server, unmasked, &[]), text(&["Hello"]));
    assert_eq!(decoded(Role::Client, masked, &[]), text(&["Hello"]));
    let mut fragments = b"\x01\x03Hel\x80\x02lo".to_vec();
    assert_eq!(decoded(Role::Server, &fragments, &[]), text(&["Hel", "lo"]));
    fragments.splice(5..5, *b"\x89\x05Hello");
    let interrupted = decoded(Role::Server, &fragments, &[]);
    assert_eq!(interrupted[2], Token::Ping(b"Hello".to_vec()));

    let shape = Shape::Message { kind: DataKind::Text, started: false, compressed: false };
    for (role, wire) in [(Role::Server, &unmasked[..]), (Role::Client, &masked[..])] {
        let mut out = [0; 20];
        let encoded = Encoder::new(role).data(shape, b"Hello", &mut out, &mut || KEY);
        assert_eq!(&out[..encoded.written], wire);
    }
    let hello = ControlPayload::new(b"Hello").unwrap();
    let mut out = [0; 20];
    let len = Encoder::new(Role::Server).control(Opcode::Ping, &hello, &mut out, &mut || KEY);
    assert_eq!(&out[..len], b"\x89\x05Hello");
    let len = Encoder::new(Role::Client).control(Opcode::Pong, &hello, &mut out, &mut || KEY);
    assert_eq!(&out[..len], b"\x8a\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58");

    for (len, head) in [
        (256, &b"\x82\x7e\x01\x00"[..]),
        (65_536, &b"\x82\x7f\x00\x00\x00\x00\x00\x01\x00\x00"[..]),
    ] {
        let mut out = vec![0; len + 10];
        let data = vec![7; len];
        let encoded = Encoder::new(Role::Server).data(Shape::Stream, &data, &mut out, &mut || KEY);
        assert_eq!(encoded.frames, 1);
        assert!(out.starts_with(head));
    }
}

/// A wire of every header length, with control frames between fragments.
fn sample(role: Role) -> Vec<u8> {
    let encoder = Encoder::new(role);
    let mut wire = Vec::new();
    let mut out = vec![0; 70_000];
    for len in [0, 1, 125, 126, 127, 65_535, 65_536] {
        let kind = DataKind::Binary;
        let shape = Shape::Message { kind, started: false, compressed: false };
        let whole = encoder.data(shape, &vec![3; len], &mut out, &mut || KEY);
        wire.extend_from_slice(&out[..whole.written]);
        let payload = ControlPayload::new(&vec![b'p'; len.min(125)]).expect("it fits");
        let len = encoder.control(Opcode::Ping, &payload, &mut out, &mut || KEY);
        // Two fragments around a ping: the first frame loses its FIN bit.
        let start = wire.len();
        let shape = Shape::Message { kind: DataKind::Text, started: false, compressed: false };
        let mut part = [0; 20];
        let first = encoder.data(shape, b"ab", &mut part, &mut || KEY);
        wire.extend_from_slice(&part[..first.written]);
        wire[start] &= 0x7f;
        wire.extend_from_slice(&out[..len]);
        let shape = Shape::Message { kind: DataKind::Text, started: true, compressed: false };
        let second = encoder.data(shape, b"cd", &mut part, &mut || KEY);
        wire.extend_from_slice(&part[..second.written]);
    }
    wire
}

/// §1.6: a header split at every byte, control frames between fragments and across reads.
#[test]
fn s1_6_a_wire_split_at_every_byte_says_the_same() {
    for role in [Role::Client, Role::Server] {
        let wire = sample(role);
        let wanted = expected(role, &wire);
        assert!(!wanted.iter().any(|token| matches!(token, Token::Violation(_))));
        assert_eq!(decoded(role, &wire, &[1]), wanted);
        // The headers all stand within these first bytes, and before the two big payloads.
        for cut in (0..1000).chain(wire.len() - 400..wire.len()) {
            assert!(decoded(role, &wire, &[cut, usize::MAX]) == wanted, "{role:?} cut at {cut}");
        }
    }
}

/// §1.6 across frames: what one header alone does not show.
#[test]
fn s1_6_violations_across_frames() {
    let cases: [(&[u8], Violation); 6] = [
        (b"\x02\x01a\x82\x01b", Violation::MessageInsideMessage),
        (b"\x02\x01a\x81\x01b", Violation::MessageInsideMessage),
        (b"\x02\x01a\x80\x01b\x80\x01c", Violation::ContinuationWithoutStart),
        (b"\x82\x01a\x00\x01b", Violation::ContinuationWithoutStart),
        (b"\x02\x01a\x89\x7e\x00\x7e", Violation::ControlTooLong),
        (b"\x02\x01a\x09\x00", Violation::ControlFragmented),
    ];
    for (wire, violation) in cases {
        for pieces in [&[][..], &[1]] {
            let tokens = decoded(Role::Server, wire, pieces);
            assert_eq!(tokens.last(), Some(&Token::Violation(violation)), "{wire:?}");
            let before = matches!(&tokens[1], Token::Bytes(bytes) if bytes.starts_with(b"a"));
            assert!(before, "what came before is delivered");
        }
    }
}

/// §1.6, X3: limits count what headers claim, before a byte of payload.
#[test]
fn x3_a_claim_beyond_the_limit_is_found_in_the_header() {
    let limits = SizeLimits { frame: 1000, message: 1500 };
    let mut decoder = Decoder::new(Role::Server, limits);
    let frame = decoder.decode(&mut [0x82, 126, 0x03, 0xe9]);
    assert_eq!(frame, Err(Violation::FrameTooBig { limit: 1000 }));

    let mut decoder = Decoder::new(Role::Server, limits);
    let mut wire = vec![0x02, 126, 0x03, 0xe8];
    wire.extend([0; 1000]);
    let first = decoder.decode(&mut wire).unwrap();
    assert_eq!(first.consumed, wire.len());
    let second = decoder.decode(&mut [0x80, 126, 0x01, 0xf5]);
    assert_eq!(second, Err(Violation::MessageTooBig { limit: 1500 }));
    assert_eq!(decoder.decode(&mut [0x82, 0]), second, "X4: it is final");
}

#[test]
fn a_control_payload_holds_125_bytes() {
    assert_eq!(ControlPayload::new(&[1; 125]).unwrap().len(), 125);
    assert_eq!(ControlPayload::new(&[1; 126]), Err(PayloadTooLong { len: 126 }));
}

/// One frame, more often sound than not.
fn frame() -> impl Strategy<Value = Vec<u8>> {
    let first = prop_oneof![
        8 => prop::sample::select(vec![0x82_u8, 0x02, 0x00, 0x80, 0x81, 0x89, 0x8a]),
        1 => Just(0x88),
        1 => any::<u8>(),
    ];
    let len = prop_oneof![6 => 0_usize..126, 2 => 126_usize..400, 1 => Just(65_536_usize)];
    (first, len, any::<[u8; 4]>()).prop_map(|(first, len, key)| {
        let header = levada_ws::frame::Header {
            fin: true,
            compressed: false,
            opcode: Opcode::Binary,
            mask: Some(key),
            len: len as u64,
        };
        let mut wire = header.encode().to_vec();
        wire[0] = first;
        wire.extend((0..len).map(|index| index as u8));
        wire
    })
}

proptest! {
    /// §1.6, X2: any sequence of frames, cut anywhere, is read as the model reads it.
    #[test]
    fn s1_6_any_frames_are_read_as_the_model_reads_them(
        frames in vec(frame(), 0..12),
        pieces in vec(1_usize..300, 1..20),
    ) {
        let wire = frames.concat();
        prop_assert_eq!(decoded(Role::Client, &wire, &pieces), expected(Role::Client, &wire));
    }
}
