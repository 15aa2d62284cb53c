//! The private keys of a pool are in its process alone: nothing that a client can ask is answered with
//! a part of them, nothing of them is in the log, and there is no core file to find them in.

use std::os::unix::process::ExitStatusExt as _;

use levada_pool::wire::body::{Control, Info, InfoKind, Prng, PrngRequest};
use levada_pool::wire::{ControlKey, Document, LocalCommand, Message, Offer, Packet, Page, Secret};
use rustix::process::Signal;

use crate::harness::{Backend, Pki, Pool, connect, scalar};

/// Whether a part of the key that is too long for chance is in there, as bytes or in text.
fn holds(text: &[u8], key: &[u8], pem_text: &str) -> bool {
    let found = |part: &[u8]| text.windows(part.len()).any(|window| window == part);
    let mut lines = pem_text.lines().skip_while(|line| !line.contains("PRIVATE")).skip(1);
    let start = u64::from_be_bytes(key[..8].try_into().unwrap());
    let hexadecimal = format!("{start:016x}");
    key.windows(8).any(found)
        || lines.next().is_some_and(|line| found(&line.as_bytes()[line.len() - 16..]))
        || found(hexadecimal.as_bytes())
}

#[test]
fn whatever_is_asked() {
    let pki = Pki::new();
    let key = scalar(&pki.localhost);
    let pem_text = std::fs::read_to_string(&pki.localhost).unwrap();
    assert!(holds(pem_text.as_bytes(), &key, &pem_text), "the search finds a key where it is");
    let mut pool = Pool::start(&pki);
    let backend = Backend::new();
    let client = connect(&format!("tls://{}", backend.address), ["--ca", &pki.ca]).start();
    let network = backend.accept();

    let mut speaker = pool.speaker();
    speaker.ask_for_tls(&network, true, 7);
    drop(network);
    let plain = speaker.finish_tls();
    let control_key = ControlKey::new([7; 16]);
    let body = || Control { flags: 0, control_key: control_key.clone() };
    let label = &b"EXPERIMENTAL levada"[..];
    let derived =
        PrngRequest { control_key: control_key.clone(), label, context: None, output_len: 350 };
    let mut questions: Vec<Message> = InfoKind::NAMED
        .iter()
        .map(|&kind| Message::Info(Info { control_key: control_key.clone(), kind, fact: None }))
        .collect();
    questions.extend([
        Message::Ping(levada_pool::wire::body::Ping::default()),
        Message::Prng(Prng::from_request(&derived).unwrap()),
        Message::ControlDetach(body()),
        Message::ControlReattach(body()),
        Offer { control_key: control_key.clone(), alpn: vec![b"x".to_vec()] }.to_message().unwrap(),
    ]);
    for document in [Document::Sessions, Document::Report, Document::PeerChain] {
        for page in 0..16 {
            let at = page * Page::MAX_LEN as u32;
            questions.push(Page::request(document, control_key.clone(), at).into());
        }
    }
    for number in 0..64 {
        let command = LocalCommand::new(0x4c56_0010 + number);
        questions.push(Message::Local(command, Secret::default()));
    }
    for question in questions {
        let request = speaker.ask(question, None);
        assert_eq!(speaker.hear().request, request);
    }
    // Every other command that there may be.
    for number in (0..0x300_u32).filter(|number| ![0x24, 0x29, 0x200].contains(number)) {
        let mut bytes = [0; 388];
        bytes[..2].copy_from_slice(&u16::MAX.to_le_bytes());
        bytes[4..8].copy_from_slice(&number.to_le_bytes());
        if let Ok(packet) = Packet::decode(&bytes) {
            speaker.send(&packet, None);
            speaker.hear();
        }
    }
    assert!(speaker.heard.len() > 388 * 800);
    assert!(!holds(&speaker.heard, &key, &pem_text));

    // A crash leaves nothing behind.
    pool.process.signal(Signal::ABORT);
    let log = loop {
        match pool.process.stderr.line() {
            Some(line) => assert!(!holds(line.as_bytes(), &key, &pem_text)),
            None => break pool.process.wait(),
        }
    };
    assert!(!log.status.core_dumped(), "{}", log.status);
    drop((client, plain));
}
