//! The committed corpora of the fuzz targets: they are what they say, and they pass.

use std::collections::BTreeMap;
use std::num::NonZeroU16;
use std::sync::Arc;
use std::{env, fs};

use levada_core::{
    CertificateFault, Ending, Fault, NoKernelTls, OsError, OsErrorKind, ShownCertificate, TlsFacts,
};

use levada_pool_wire::body::{
    Control, Fact, Failure, Info, InfoKind, Lidentry, Pin, PinEntry, Ping, Prng, PrngRequest,
    StartTls,
};
use levada_pool_wire::{
    CallbackId, Chain, ControlKey, Cut, Document, ErrorCode, Facilities, HandBack, Identity,
    KernelState, LidentryFlags, LocalCommand, Message, Offer, PACKET_SIZE, Packet, Page, Report,
    RequestId, Secret, StartTlsFlags, Text,
};
use levada_testkit::docs::workspace_root;

use crate::{any_body, any_chain, any_report, round_trip};

/// Runs `check` over the corpus of a fuzz target, of which `samples` are a part. `LEVADA_BLESS=1` writes
/// them anew.
fn replay<T: AsRef<[u8]>>(target: &str, samples: &BTreeMap<&'static str, T>, check: fn(&[u8])) {
    let folder = workspace_root().join("fuzz/corpus").join(target);
    for (name, bytes) in samples {
        let path = folder.join(name);
        if env::var_os("LEVADA_BLESS").is_some() {
            fs::create_dir_all(&folder).expect("the corpora are writable when blessing");
            fs::write(&path, bytes).expect("the corpora are writable when blessing");
        }
        let committed = fs::read(&path).unwrap_or_default();
        assert!(committed == bytes.as_ref(), "{name} differs: run with LEVADA_BLESS=1");
    }
    for input in levada_testkit::fuzz::corpus(target) {
        check(&input);
    }
}

#[test]
fn packets() {
    replay("pool_packet", &samples(), round_trip::check);
}

#[test]
fn bodies_of_private_commands() {
    let control_key = ControlKey::new(*b"0123456789abcdef");
    let body = |message: Message| match message {
        Message::Local(_, body) => *body.expose(),
        other => panic!("no private command: {other:?}"),
    };
    let offer = |alpn: &[&[u8]]| {
        let alpn = alpn.iter().map(|name| name.to_vec()).collect();
        body(Offer { control_key: control_key.clone(), alpn }.to_message().unwrap())
    };
    let hand_back = |outcome| body(HandBack { control_key: control_key.clone(), outcome }.into());
    let page = Page::request(Document::Report, control_key.clone(), 350);
    let mut long = body(page.clone().into());
    long[28..30].copy_from_slice(&351_u16.to_le_bytes());
    let mut odd = offer(&[b"h2"]);
    odd[16] += 1;
    let samples = BTreeMap::from([
        ("offer", offer(&[b"h2", b"http/1.1"])),
        ("offer-empty", offer(&[])),
        ("offer-full", offer(&[&[b'x'; 255], &[b'y'; 105]])),
        ("offer-odd", odd),
        ("page-asked", body(page.clone().into())),
        ("page", body(page.reply(&[b'x'; 1000]).into())),
        ("page-too-long", long),
        ("cut", body(Cut { control_key: control_key.clone() }.into())),
        ("hand-back-asked", hand_back(None)),
        ("hand-back", hand_back(KernelState::new(&[7; 128]).map(Ok))),
        ("hand-back-declined", hand_back(Some(Err(NoKernelTls::Suite)))),
        ("all-ones", [0xff; 380]),
    ]);
    replay("pool_body", &samples, any_body::check);
}

#[test]
fn chains() {
    let chain = |certificates: &[&[u8]]| Chain::encode(certificates);
    let mut cut = chain(&[b"certificate"]);
    cut.pop();
    let samples = BTreeMap::from([
        ("none", chain(&[])),
        ("two", chain(&[b"certificate", b"of its issuer"])),
        ("cut", cut),
        ("empty", vec![0, 0, 0]),
        ("odd", vec![0, 0]),
    ]);
    replay("pool_chain", &samples, any_chain::check);
}

#[test]
fn reports() {
    let tls = TlsFacts {
        version: Some("1.3"),
        suite: Some("TLS_AES_128_GCM_SHA256".to_owned()),
        alpn: Some("h2".to_owned()),
        sni: Some("orvelte.nep".to_owned()),
        peer_certificates: 1,
        peer_chain: Arc::from([ShownCertificate::Unreadable { bytes: 9 }]),
        ..TlsFacts::default()
    };
    let report = |tls: Option<TlsFacts>, ending: Option<Ending>| {
        let peer_goodbye = ending == Some(Ending::Finished);
        let peer_chain_sha256 = tls.is_some().then_some([0x5a; 32]);
        Report { tls, peer_goodbye, ending, peer_chain_sha256 }.encode()
    };
    let certificate = CertificateFault::WrongName {
        wanted: "orvelte.nep".to_owned(),
        presented: vec!["other.nep".to_owned()],
    };
    let refused = Ending::FatalError { alert: None, cause: Fault::Certificate(certificate) };
    let reset = OsError { code: Some(104), kind: OsErrorKind::Other, text: "x".repeat(5000) };
    let mut cut = report(Some(tls.clone()), None);
    cut.truncate(20);
    let samples = BTreeMap::from([
        ("living", report(Some(tls.clone()), None)),
        ("finished", report(Some(tls), Some(Ending::Finished))),
        ("refused", report(None, Some(refused.before_established()))),
        ("reset", report(None, Some(Ending::SocketError(reset)))),
        ("silent", report(None, None)),
        ("cut", cut),
        // In the layout of a later version.
        ("later", vec![3, 0, 0, 0, 0]),
    ]);
    replay("pool_report", &samples, any_report::check);
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
