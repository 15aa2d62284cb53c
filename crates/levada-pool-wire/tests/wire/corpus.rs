//! The committed corpus of the fuzz target: it is what it says, and it passes.

use std::collections::BTreeMap;
use std::num::NonZeroU16;
use std::{env, fs};

use levada_pool_wire::body::{
    Control, Fact, Failure, Info, InfoKind, Lidentry, Pin, PinEntry, Ping, Prng, PrngRequest,
    StartTls,
};
use levada_pool_wire::{
    CallbackId, ControlKey, ErrorCode, Facilities, Identity, LidentryFlags, LocalCommand, Message,
    PACKET_SIZE, Packet, RequestId, Secret, StartTlsFlags, Text,
};
use levada_testkit::docs::workspace_root;

use crate::round_trip;

const CORPUS: &str = "fuzz/corpus/pool_packet";

#[test]
fn the_corpus_passes_the_fuzz_target() {
    let folder = workspace_root().join(CORPUS);
    let mut count = 0;
    for entry in fs::read_dir(&folder).expect("the corpus is committed") {
        let data = fs::read(entry.expect("the folder can be read").path()).expect("a file");
        round_trip::check(&data);
        count += 1;
    }
    assert!(count >= samples().len(), "{count} files in {}", folder.display());
}

/// `LEVADA_BLESS=1` writes the files anew.
#[test]
fn every_sample_is_in_the_corpus() {
    for (name, bytes) in samples() {
        let path = workspace_root().join(CORPUS).join(name);
        if env::var_os("LEVADA_BLESS").is_some() {
            fs::write(&path, bytes).expect("the corpus is writable when blessing");
        }
        let committed = fs::read(&path).unwrap_or_default();
        assert!(committed == bytes, "{name} differs; run the tests with LEVADA_BLESS=1");
    }
}

/// One packet of each kind, and some that are none.
fn samples() -> BTreeMap<&'static str, [u8; PACKET_SIZE]> {
    let mut samples: BTreeMap<_, _> = messages()
        .into_iter()
        .map(|(name, callback, message)| {
            let callback = NonZeroU16::new(callback).map(CallbackId);
            let packet = Packet { request: RequestId(0x0102), callback, message };
            (name, *packet.encode().expose())
        })
        .collect();
    let broken = |from: &str, offset: usize, field: &[u8]| {
        let mut bytes = samples[from];
        bytes[offset..][..field.len()].copy_from_slice(field);
        bytes
    };
    let more = [
        ("bad-info-len", broken("info-query", 28, &[0x4f, 1])),
        ("bad-localid", broken("starttls", 20, &[b'x'; 128])),
        ("bad-pin", broken("pinentry-answer", 20, &[b'1'; 128])),
        ("bad-prng-len", broken("prng", 8, &[0xff, 0x7f, 0xff, 0x7f, 0xff, 0x7f])),
        ("error-with-leftovers", broken("error", 12, &[0xff; 376])),
        ("unknown", broken("ping", 4, &[0x25])),
        ("all-ones", [0xff; PACKET_SIZE]),
    ];
    samples.extend(more);
    samples
}

fn messages() -> Vec<(&'static str, u16, Message)> {
    let local_id = Identity::new("bakker@orvelte.nep").unwrap();
    let remote_id = Identity::new("orvelte.nep").unwrap();
    let control_key = ControlKey::new(*b"0123456789abcdef");
    let starttls = StartTls {
        flags: StartTlsFlags::SERVER.with(StartTlsFlags::LOCALID_CHECK),
        local_id,
        remote_id,
        service: Text::new("https").unwrap(),
        spare: [0x5a; 76],
        ..StartTls::default()
    };
    let control = Control { flags: 0, control_key: control_key.clone() };
    let pinentry = PinEntry {
        attempt: 1,
        timeout_us: 60_000_000,
        prompt: Text::new("PIN for the web server").unwrap(),
        label: Text::new("web").unwrap(),
        ..PinEntry::default()
    };
    let lidentry = Lidentry {
        flags: LidentryFlags::WANT_DBENTRY,
        max_levels: 2,
        timeout_s: 30,
        local_id,
        remote_id,
    };
    let exporter = PrngRequest {
        control_key: control_key.clone(),
        label: b"EXPERIMENTAL levada",
        context: Some(b"context"),
        output_len: 32,
    };
    let query = Info { control_key: control_key.clone(), kind: InfoKind::PeerSubject, fact: None };
    let fact = Some(Fact::new(b"\x82\x0borvelte.nep").unwrap());
    let compare = Info { control_key, kind: InfoKind::PeerSubjectAltName, fact };
    let ping = Ping {
        producer: Text::new(Ping::V2).unwrap(),
        facilities: Facilities::from_bits(u32::MAX),
    };
    let answer = PinEntry { pin: Pin::new(b"123456").unwrap(), ..pinentry.clone() };
    vec![
        ("success", 0, Message::Success),
        ("error", 0, Message::from(ErrorCode::HandshakeFailed)),
        ("error-errno", 1024, Message::Error(Failure::from_errno(71))),
        ("ping", 0, Message::Ping(ping)),
        ("starttls", 0, Message::StartTls(starttls.clone())),
        ("starttls-localid", 1024, Message::StartTlsLocalId(starttls.clone())),
        ("plaintext-connect", 1023, Message::PlaintextConnect(starttls)),
        ("pinentry", 1022, Message::PinEntry(pinentry)),
        ("pinentry-answer", 1022, Message::PinEntry(answer)),
        ("prng", 0, Message::Prng(Prng::from_request(&exporter).unwrap())),
        ("info-query", 0, Message::Info(query)),
        ("info-compare", 0, Message::Info(compare)),
        ("control-detach", 0, Message::ControlDetach(control.clone())),
        ("control-reattach", 0, Message::ControlReattach(control)),
        ("lidentry-register", 0, Message::LidentryRegister(lidentry)),
        ("lidentry-callback", 1, Message::LidentryCallback(lidentry)),
        ("local", 0, Message::Local(LocalCommand::new(1), Secret::new([0x33; 380]))),
    ]
}
