//! The hook that sees the whole ClientHello: what it is told, and what each answer does.

#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

#[path = "support/odd_hello.rs"]
mod odd_hello;
mod support;

use std::future::{pending, ready};
use std::sync::{Arc, Mutex};
use std::task::{Context, Waker};

use levada_core::{AlertDescription, Ending, Fault, Role};
use levada_testkit::fuzz::corpus;
use levada_tls::{
    Awaited, ClientAuth, ClientHello, Engine, HelloAnswer, Identities, SignatureScheme, TlsServer,
    TlsVersion,
};
use support::{End, HOST, Pair, Setup, Threads, VERSIONS};

/// What becomes of a client whose hello is answered so.
fn answered(setup: Setup, answer: HelloAnswer) -> Pair {
    let mut pair = setup.join();
    assert!(pair.server.session.on_hello(|_| ready(answer)));
    pair.talk();
    pair
}

#[test]
fn the_hook_sees_the_whole_client_hello_and_stalls_only_its_own_session() {
    let mut setup = Setup::new(TlsVersion::V1_3);
    setup.client = setup.client.alpn(["h2", "http/1.1"]).min_version(TlsVersion::V1_2);
    let mut pair = setup.join();
    let seen = Arc::new(Mutex::new(None::<ClientHello>));
    let see = seen.clone();
    pair.server.session.on_hello(move |hello| {
        *see.lock().unwrap() = Some(hello);
        pending()
    });
    let wire = pair.client.write();
    // In pieces, as a transport may bring it.
    for end in 1..=wire.len() {
        pair.server.wire.extend_from_slice(&wire[end - 1..end]);
        let opened = pair.server.session.open(&mut pair.server.wire, &mut []).unwrap();
        pair.server.wire.drain(..opened.taken);
    }
    let mut cx = Context::from_waker(Waker::noop());
    assert!(pair.server.session.poll_awaited(&mut cx, &Threads).is_pending());
    assert_eq!(pair.server.session.awaits(), Some(Awaited::Hello));
    let hello = seen.lock().unwrap().take().unwrap();
    assert_eq!(hello.sni.as_deref(), Some(HOST));
    assert_eq!(hello.alpn, [b"h2".to_vec(), b"http/1.1".to_vec()]);
    assert!(hello.offers(TlsVersion::V1_2) && hello.offers(TlsVersion::V1_3));
    assert_eq!(hello.groups.first(), Some(&0x11ec), "X25519MLKEM768");
    assert!(hello.signature_schemes.contains(&SignatureScheme::ED25519));
    assert!(hello.cipher_suites.contains(&0x1301) && hello.cipher_suites.contains(&0xc02b));
    assert_eq!(hello.to_string(), "host.example, ALPN h2 http/1.1");
    assert_eq!(pair.server.session.facts().sni.as_deref(), Some(HOST));

    // Too late: the client is told.
    pair.server.session.stop_waiting();
    pair.server.open(1);
    let Some(Ending::FatalError { cause: Fault::Undecided(_), .. }) = pair.server.ending else {
        panic!("{:?}", pair.server.ending)
    };
    pair.client.hear(&mut pair.server);
    assert_eq!(pair.client.ending, Some(Ending::FatalAlert(AlertDescription::INTERNAL_ERROR)));
}

#[test]
fn go_on_is_what_happens_without_a_hook() {
    for version in VERSIONS {
        let mut pair = answered(Setup::mutual(version), HelloAnswer::GoOn);
        assert!(!pair.server.session.is_handshaking());
        assert!(pair.client.session.seal(b"data"));
        let (client, server) = pair.ends(Role::Client);
        server.hear(client);
        assert_eq!(pair.server.plain, b"data");
    }
}

#[test]
fn an_identity_is_chosen_whatever_the_table_has() {
    for version in VERSIONS {
        let setup = Setup::new(version);
        let table = Identities::builder().with(&setup.authority.identity(&["other.example"]));
        let server = TlsServer::builder(table.unwrap().build().unwrap());
        let mine = setup.authority.identity(&[HOST]);
        let pair = answered(Setup { server, ..setup }, HelloAnswer::Identity(mine));
        assert_eq!(pair.client.ending, None);
        assert!(!pair.server.session.is_handshaking());
    }
}

#[test]
fn another_server_may_let_in_others() {
    for version in VERSIONS {
        let setup = Setup::new(version);
        let strict = TlsServer::builder(Identities::one(&setup.authority.identity(&[HOST])))
            .client_auth(ClientAuth::Required(setup.authority.anchors()))
            .build()
            .unwrap();
        let pair = answered(setup, HelloAnswer::Server(strict));
        let Some(Ending::FatalError { cause: Fault::NoCertificate, .. }) = pair.server.ending
        else {
            panic!("{version}: {:?}", pair.server.ending)
        };
    }
}

#[test]
fn a_refusal_sends_the_alert_of_its_choice_in_plaintext() {
    for version in VERSIONS {
        let alert = AlertDescription::ACCESS_DENIED;
        let pair = answered(Setup::new(version), HelloAnswer::Refuse(alert));
        let cause = Fault::HelloRefused(Some(HOST.to_owned()));
        assert_eq!(pair.server.ending, Some(Ending::FatalError { alert: Some(alert), cause }));
        assert_eq!(pair.client.ending, Some(Ending::FatalAlert(alert)));
    }
}

#[test]
fn a_panicking_hook_refuses_with_internal_error() {
    fn explode() -> HelloAnswer {
        panic!("on purpose")
    }
    let mut pair = Setup::new(TlsVersion::V1_3).join();
    pair.server.session.on_hello(|_| ready(explode()));
    pair.talk();
    let Some(Ending::FatalError { cause: Fault::Undecided(_), .. }) = pair.server.ending else {
        panic!("{:?}", pair.server.ending)
    };
    assert_eq!(pair.client.ending, Some(Ending::FatalAlert(AlertDescription::INTERNAL_ERROR)));
}

#[test]
fn passing_through_hands_on_every_byte() {
    let mut pair = Setup::new(TlsVersion::V1_3).join();
    pair.server.session.on_hello(|_| ready(HelloAnswer::PassThrough));
    // A warning in front is part of what the client has said.
    let mut wire = vec![21, 3, 1, 0, 2, 1, 112];
    wire.extend(pair.client.write());
    let mut server = End::given(pair.server.session, &wire);
    assert_eq!(server.session.take_passed_on(), Some(wire));
    assert!(server.wire.is_empty() && !server.session.wants_write());
}

#[test]
fn what_is_no_client_hello_is_refused_without_asking() {
    for wire in
        [&b"GET / HTTP/1.1\r\n\r\n"[..], &[22, 3, 1, 0, 5, 1, 0, 0, 1, 0], &[20, 3, 3, 0, 1, 1]]
    {
        let server = Setup::new(TlsVersion::V1_3).server.build().unwrap();
        let mut session = server.session();
        session
            .on_hello(|_| -> std::future::Ready<HelloAnswer> { panic!("nobody is to be asked") });
        let end = End::given(session, wire);
        assert!(matches!(end.ending, Some(Ending::FatalError { .. })), "{wire:?}");
    }
}

#[test]
fn the_fuzzers_corpus_is_told_or_refused() {
    let hellos = corpus("client_hello");
    let cases = hellos.len();
    let told = hellos.iter().filter(|hello| odd_hello::check(hello).is_some()).count();
    assert!(0 < told && told < cases, "it has hellos and what is none: {told} of {cases}");
}

#[test]
fn whatever_a_client_begins_with_is_told_or_refused() {
    let wire = Setup::new(TlsVersion::V1_3).join().client.write();
    assert_eq!(odd_hello::check(&wire).unwrap().sni.as_deref(), Some(HOST));
    for end in 0..wire.len() {
        assert_eq!(odd_hello::check(&wire[..end]), None, "{end}");
    }
    for index in 0..wire.len().min(600) {
        for flip in [1, 0x80, 0xff] {
            let mut odd = wire.clone();
            odd[index] ^= flip;
            odd_hello::check(&odd);
        }
    }
}

#[test]
fn a_hook_comes_too_late_for_a_client_and_behind_the_first_record() {
    let mut pair = Setup::new(TlsVersion::V1_3).join();
    assert!(!pair.client.session.on_hello(|_| ready(HelloAnswer::GoOn)));
    pair.talk();
    assert!(!pair.server.session.on_hello(|_| ready(HelloAnswer::GoOn)));
}
