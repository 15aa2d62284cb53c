//! Packets: any value survives the wire, any bytes are a packet or a precise error.

use std::num::NonZeroU16;

use levada_pool_wire::body::{
    Control, Fact, Failure, Info, InfoKind, Lidentry, Pin, PinEntry, Ping, Prng, PrngRequest,
    StartTls,
};
use levada_pool_wire::{
    CallbackId, Command, ControlKey, ErrorCode, ErrorNumber, Facilities, Fault, HandshakeTimeout,
    Identity, LidentryFlags, LocalCommand, Message, PACKET_SIZE, Packet, RequestId, Secret,
    StartTlsFlags, Text,
};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use crate::round_trip;

/// `N` bytes. Through the heap: a strategy for so long an array would not fit the stack.
fn array<const N: usize>(byte: impl Strategy<Value = u8>) -> impl Strategy<Value = [u8; N]> {
    vec(byte, N).prop_map(|bytes| bytes.try_into().unwrap())
}

fn text<const N: usize>() -> impl Strategy<Value = Text<N>> {
    vec(1_u8.., 0..N).prop_map(|bytes| Text::new(bytes).unwrap())
}

fn identity() -> impl Strategy<Value = Identity> {
    vec(1_u8.., 0..=127).prop_map(|bytes| Identity::new(bytes).unwrap())
}

fn control_key() -> impl Strategy<Value = ControlKey> {
    any::<[u8; 16]>().prop_map(ControlKey::new)
}

fn starttls() -> impl Strategy<Value = StartTls> {
    (
        any::<(u32, u32, u8, u16, u32)>(),
        (identity(), identity(), control_key(), text()),
        array::<76>(any::<u8>()),
    )
        .prop_map(|(numbers, (local_id, remote_id, control_key, service), spare)| {
            let (flags, local, ipproto, stream_id, timeout) = numbers;
            let flags = StartTlsFlags::from_bits(flags);
            let timeout = HandshakeTimeout::from_wire(timeout);
            StartTls {
                flags,
                local,
                ipproto,
                stream_id,
                local_id,
                remote_id,
                control_key,
                service,
                timeout,
                spare,
            }
        })
}

fn pinentry() -> impl Strategy<Value = PinEntry> {
    let texts = (text(), text(), text(), text(), text());
    (any::<(u32, u32, u32)>(), vec(1_u8.., 0..=127), texts).prop_map(
        |((flags, attempt, timeout_us), pin, (prompt, manufacturer, model, serial, label))| {
            let pin = Pin::new(&pin).unwrap();
            PinEntry { flags, attempt, timeout_us, pin, prompt, manufacturer, model, serial, label }
        },
    )
}

fn lidentry() -> impl Strategy<Value = Lidentry> {
    (any::<(u32, u16, u32)>(), identity(), identity()).prop_map(
        |((flags, max_levels, timeout_s), local_id, remote_id)| {
            let flags = LidentryFlags::from_bits(flags);
            Lidentry { flags, max_levels, timeout_s, local_id, remote_id }
        },
    )
}

fn control() -> impl Strategy<Value = Control> {
    (any::<u32>(), control_key()).prop_map(|(flags, control_key)| Control { flags, control_key })
}

fn prng() -> impl Strategy<Value = Prng> {
    let inputs = (vec(any::<u8>(), 1..=167), option::of(vec(any::<u8>(), 0..=167)));
    (control_key(), inputs, 1..=350_usize).prop_map(
        |(control_key, (label, context), output_len)| {
            let context = context.as_deref();
            let request = PrngRequest { control_key, label: &label, context, output_len };
            let prng = Prng::from_request(&request).unwrap();
            assert_eq!(prng.request(), Ok(request));
            prng
        },
    )
}

fn info() -> impl Strategy<Value = Info> {
    let kind = prop_oneof![
        any::<u32>().prop_map(InfoKind::from_wire),
        proptest::sample::select(&InfoKind::NAMED[..]),
    ];
    let fact = vec(any::<u8>(), 0..=334).prop_map(|fact| Fact::new(&fact).unwrap());
    (control_key(), kind, option::of(fact)).prop_map(|(control_key, kind, fact)| Info {
        control_key,
        kind,
        fact,
    })
}

fn message() -> impl Strategy<Value = Message> {
    let failure = (any::<i32>(), text())
        .prop_map(|(number, message)| Failure { number: ErrorNumber::from_wire(number), message });
    let ping = (text(), any::<u32>()).prop_map(|(producer, facilities)| Ping {
        producer,
        facilities: Facilities::from_bits(facilities),
    });
    let local = (any::<u32>(), array::<380>(any::<u8>()))
        .prop_map(|(number, body)| Message::Local(LocalCommand::new(number), Secret::new(body)));
    prop_oneof![
        Just(Message::Success),
        failure.prop_map(Message::Error),
        ping.prop_map(Message::Ping),
        starttls().prop_map(Message::StartTls),
        starttls().prop_map(Message::StartTlsLocalId),
        pinentry().prop_map(Message::PinEntry),
        starttls().prop_map(Message::PlaintextConnect),
        prng().prop_map(Message::Prng),
        info().prop_map(Message::Info),
        control().prop_map(Message::ControlDetach),
        control().prop_map(Message::ControlReattach),
        lidentry().prop_map(Message::LidentryRegister),
        lidentry().prop_map(Message::LidentryCallback),
        local,
    ]
}

fn packet() -> impl Strategy<Value = Packet> {
    (any::<u16>(), any::<u16>(), message()).prop_map(|(request, callback, message)| Packet {
        request: RequestId(request),
        callback: NonZeroU16::new(callback).map(CallbackId),
        message,
    })
}

/// Any bytes, mostly with the number of a command where the command stands.
fn bytes() -> impl Strategy<Value = [u8; PACKET_SIZE]> {
    let command = prop_oneof![
        8 => proptest::sample::select(&Command::NAMED[..]).prop_map(Command::to_wire),
        1 => any::<u32>(),
    ];
    let byte = prop_oneof![9 => any::<u8>(), 1 => Just(0)];
    (array::<PACKET_SIZE>(byte), command).prop_map(|(mut bytes, command)| {
        bytes[4..8].copy_from_slice(&command.to_le_bytes());
        bytes
    })
}

proptest! {
    #[test]
    fn a2_any_packet_survives_the_wire(packet in packet()) {
        let encoded = packet.encode();
        prop_assert_eq!(Packet::decode(encoded.expose()), Ok(packet));
        round_trip::check(encoded.expose());
    }

    #[test]
    fn a2_any_bytes_are_a_packet_or_a_precise_error(bytes in bytes()) {
        round_trip::check(&bytes);
    }

    #[test]
    fn a2_one_wrong_byte_never_panics(packet in packet(), at in 0..PACKET_SIZE, byte: u8) {
        let mut bytes = *packet.encode().expose();
        bytes[at] = byte;
        round_trip::check(&bytes);
    }
}

/// 388 bytes that hold a command and these bytes, each from an offset.
fn packed(command: Command, fields: &[(usize, &[u8])]) -> [u8; PACKET_SIZE] {
    let mut bytes = [0; PACKET_SIZE];
    bytes[4..8].copy_from_slice(&command.to_wire().to_le_bytes());
    for (offset, field) in fields {
        bytes[*offset..][..field.len()].copy_from_slice(field);
    }
    bytes
}

fn fault(bytes: &[u8; PACKET_SIZE]) -> (&'static str, &'static str, usize, Fault) {
    let error = Packet::decode(bytes).unwrap_err();
    (error.field.part, error.field.name, error.field.offset, error.fault)
}

#[test]
fn a2_text_that_decides_has_to_end() {
    let long = [b'x'; 136];
    for (command, part, name, offset, size) in [
        (Command::Ping, "ping", "producer", 8, 136),
        (Command::StartTls, "starttls", "localid", 20, 128),
        (Command::PlaintextConnect, "starttls", "remoteid", 148, 128),
        (Command::StartTlsLocalId, "starttls", "service", 292, 16),
        (Command::PinEntry, "pinentry", "pin", 20, 128),
        (Command::LidentryCallback, "lidentry", "localid", 18, 128),
        (Command::LidentryRegister, "lidentry", "remoteid", 146, 128),
    ] {
        let bytes = packed(command, &[(offset, &long[..size])]);
        assert_eq!(fault(&bytes), (part, name, offset, Fault::NotTerminated));
        let bytes = packed(command, &[(offset, &long[..size - 1])]);
        assert!(Packet::decode(&bytes).is_ok(), "{part}.{name} of one byte less");
    }
}

#[test]
fn a7_what_a_declining_client_leaves_in_an_error_is_no_fault() {
    let bytes = packed(Command::Error, &[(8, &71_i32.to_le_bytes()), (12, &[b'x'; 376])]);
    let Message::Error(failure) = Packet::decode(&bytes).unwrap().message else { panic!() };
    assert_eq!(failure.number.errno(), Some(71));
    assert_eq!(failure.message.as_bytes(), [b'x'; 127]);
}

#[test]
fn a7_info_lengths_from_335_to_65534_are_not_implemented() {
    for stated in [335_u16, 336, 65_534] {
        let bytes = packed(Command::Info, &[(28, &stated.to_le_bytes())]);
        assert_eq!(fault(&bytes), ("info", "len", 28, Fault::Length { stated, limit: 334 }));
        assert_eq!(Packet::decode(&bytes).unwrap_err().code(), ErrorCode::NotImplemented);
    }
    for stated in [0_u16, 334, 65_535] {
        assert!(Packet::decode(&packed(Command::Info, &[(28, &stated.to_le_bytes())])).is_ok());
    }
}

#[test]
fn a_malformed_packet_says_who_asked_and_what_is_wrong() {
    let fields: [(usize, &[u8]); 2] = [(0, &[0x34, 0x12, 0, 4]), (20, &[b'x'; 128])];
    let error = Packet::decode(&packed(Command::StartTls, &fields)).unwrap_err();
    assert_eq!(error.header.request, RequestId(0x1234));
    assert_eq!(error.header.callback.map(|id| id.0.get()), Some(1024));
    assert_eq!(
        error.to_string(),
        "STARTTLS: starttls.localid at byte 20: no NUL within its 128 bytes"
    );
}

#[test]
fn a2_a_starttls_packet_byte_for_byte() {
    let body = StartTls {
        flags: StartTlsFlags::CLIENT,
        local: 0x0403_0201,
        stream_id: 0x0605,
        local_id: Identity::new("bakker@orvelte.nep").unwrap(),
        remote_id: Identity::new("orvelte.nep").unwrap(),
        control_key: ControlKey::new(*b"0123456789abcdef"),
        service: Text::new("https").unwrap(),
        timeout: HandshakeTimeout::from_wire(0x0a09_0807),
        spare: [0x5a; 76],
        ..StartTls::default()
    };
    let packet =
        Packet { request: RequestId(0xbeef), callback: None, message: Message::StartTls(body) };
    let wanted = packed(
        Command::StartTls,
        &[
            (0, &[0xef, 0xbe]),
            (8, &[9]),
            (12, &[1, 2, 3, 4]),
            (16, &[6, 0, 5, 6]),
            (20, b"bakker@orvelte.nep"),
            (148, b"orvelte.nep"),
            (276, b"0123456789abcdef"),
            (292, b"https"),
            (308, &[7, 8, 9, 10]),
            (312, &[0x5a; 76]),
        ],
    );
    assert_eq!(packet.encode().expose(), &wanted);
}
