//! What holds for any 388 bytes. The fuzz target `pool_packet` and the tests share this function.

use levada_pool_wire::body::Info;
use levada_pool_wire::layout::{FIELDS, FieldInfo};
use levada_pool_wire::rules::{QUESTIONS, RequestRule};
use levada_pool_wire::{Command, Header, Message, PACKET_SIZE, Packet};

/// Decodes, encodes and compares; shorter input is nothing, longer input is cut.
pub(crate) fn check(data: &[u8]) {
    let Some(bytes) = data.first_chunk::<PACKET_SIZE>() else { return };
    let header = Header::decode(bytes);
    let part = body_part(header.command);
    match Packet::decode(bytes) {
        Ok(packet) => {
            assert_eq!(packet.header(), header);
            let encoded = packet.encode();
            let again = Packet::decode(encoded.expose()).expect("our own packets are packets");
            assert_eq!(again, packet);
            assert_eq!(again.encode(), encoded);
            compare(bytes, encoded.expose(), part);
            if let Message::Info(Info { fact, .. }) = &packet.message {
                let len = fact.as_ref().map_or(0, |fact| fact.as_bytes().len());
                assert!(encoded.expose()[30 + len..].iter().all(|byte| *byte == 0));
            }
            look_into(&packet.message);
        }
        Err(error) => {
            assert_eq!(error.header, header);
            assert_eq!(Some(error.field.part), part);
            assert!(FIELDS.contains(&error.field));
            assert!(error.to_string().contains(error.field.name));
        }
    }
}

/// Nothing is invented: an encoded byte is the one that came, or zero. Numbers and keys are kept.
fn compare(bytes: &[u8; PACKET_SIZE], encoded: &[u8; PACKET_SIZE], part: Option<&str>) {
    for (at, (now, came)) in encoded.iter().zip(bytes).enumerate() {
        assert!(now == came || *now == 0, "byte {at} is {now}, {came} came");
    }
    let kept = |field: &&FieldInfo| {
        (field.part == "header" || Some(field.part) == part)
            && !field.kind.starts_with("char")
            && (field.part, field.name) != ("info", "buffer")
    };
    for FieldInfo { part, name, offset, size, .. } in FIELDS.iter().filter(kept) {
        assert_eq!(encoded[*offset..][..*size], bytes[*offset..][..*size], "{part}.{name}");
    }
    let text = |field: &&FieldInfo| Some(field.part) == part && field.kind.starts_with("char");
    for FieldInfo { part, name, offset, size, .. } in FIELDS.iter().filter(text) {
        let mut behind_text = encoded[*offset..][..*size].iter().skip_while(|byte| **byte != 0);
        assert!(behind_text.all(|byte| *byte == 0), "{part}.{name} leaks what stood behind it");
    }
}

/// Nothing that reads a packet panics.
fn look_into(message: &Message) {
    let _ = format!("{message:?}");
    for descriptor in [false, true] {
        let _ = RequestRule::judge(message, descriptor);
        for question in &QUESTIONS {
            let _ = question.judge(message, descriptor);
        }
    }
    match message {
        Message::Prng(prng) => {
            let _ = (prng.request(), prng.output());
        }
        Message::StartTls(body) => {
            let _ = (body.flags.role(), body.local_id.user(), body.remote_id.domain());
        }
        Message::Ping(ping) => {
            let _ = ping.dated_producer();
        }
        _ => {}
    }
}

/// The part of the layout that a command's body is.
fn body_part(command: Command) -> Option<&'static str> {
    match command {
        Command::Success => None,
        Command::Error => Some("error"),
        Command::Ping => Some("ping"),
        Command::StartTls | Command::StartTlsLocalId | Command::PlaintextConnect => {
            Some("starttls")
        }
        Command::PinEntry => Some("pinentry"),
        Command::Prng => Some("prng"),
        Command::Info => Some("info"),
        Command::ControlDetach | Command::ControlReattach => Some("control"),
        Command::LidentryRegister | Command::LidentryCallback => Some("lidentry"),
        Command::Local(_) | Command::Unknown(_) => Some("opaque"),
    }
}
