//! Connections that are asked for back under kernel TLS: what an application hears whatever the kernel. What
//! it can do with one is for `tests/kernel_tls.rs`.

use std::io::{Read as _, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;

use levada::{Ending, NoKernelTls};
use levada_pool_daemon::PoolLimits;
use levada_pool_wire::body::StartTls;
use levada_pool_wire::{
    ControlKey, Document, HandBack, HandBackOutcome, Message, Page, Report, Secret, StartTlsFlags,
};

use crate::support::{Client, Daemon, Peer, Plain, as_client, as_server, code_of, tcp_pair, wait};

const KEY: [u8; 16] = [7; 16];

/// Asks for the connection back, or what came of that.
fn ask(client: &mut Client) -> Option<HandBackOutcome> {
    match client.call(HandBack::question(ControlKey::new(KEY)).into(), None) {
        Message::Success => None,
        Message::Local(HandBack::COMMAND, body) => HandBack::from_body(&body).unwrap().outcome,
        other => panic!("{other:?}"),
    }
}

fn with_key(mut request: StartTls) -> StartTls {
    request.control_key = ControlKey::new(KEY);
    request
}

/// That the pool relays as it does for everybody.
fn is_relayed(mut plain: Plain) {
    plain.write_all(b"hello").unwrap();
    let mut room = [0; 5];
    plain.read_exact(&mut room).unwrap();
    assert_eq!(&room, b"hello");
}

#[test]
fn d3_who_does_not_ask_hears_nothing_of_it() {
    let daemon = Daemon::start();
    let (near, far) = tcp_pair();
    let _peer = Peer::server(far, &daemon.pki.host("peer.example"), None).echo();
    let mut client = daemon.client();
    // The plain socket is asked for, as ever.
    let (plain, _) = client.protect(with_key(as_client("peer.example")), &near);
    assert_eq!(ask(&mut client), None, "nothing came of what was not wished");
    is_relayed(plain);
    assert!(!daemon.notices.lines()[0].contains("handed back"));
}

#[test]
fn d3_a_connection_that_is_no_tcp_is_relayed_and_the_reason_is_told_once() {
    let daemon = Daemon::start();
    let (near, far) = UnixStream::pair().unwrap();
    let _peer = Peer::server(far, &daemon.pki.host("peer.example"), None).echo();
    let mut client = daemon.client();
    assert_eq!(ask(&mut client), None);
    let (plain, _) = client.protect(with_key(as_client("peer.example")), &near);
    assert_eq!(ask(&mut client), Some(Err(NoKernelTls::NotTcp)));
    assert_eq!(ask(&mut client), None);
    is_relayed(plain);
    let told = daemon.notices.lines();
    assert!(told[0].ends_with("not handed back: the kernel does TLS on TCP alone"), "{told:?}");
}

#[test]
fn d3_the_policy_can_forbid_it() {
    let daemon = Daemon::with_keys("kernel-tls = false\n", "", PoolLimits::default());
    let (near, far) = tcp_pair();
    let _peer = Peer::client(far, &daemon.pki, "pool.example", None).echo();
    let mut client = daemon.client();
    assert_eq!(ask(&mut client), None);
    let (plain, _) = client.protect(with_key(as_server("pool.example")), &near);
    assert_eq!(ask(&mut client), Some(Err(NoKernelTls::Forbidden)));
    is_relayed(plain);
}

#[test]
fn d3_a_plain_socket_that_is_there_already_is_used() {
    let daemon = Daemon::start();
    let (near, far) = tcp_pair();
    let _peer = Peer::client(far, &daemon.pki, "pool.example", None).echo();
    let mut client = daemon.client();
    assert_eq!(ask(&mut client), None);
    let request = as_server("");
    let flags = request.flags.with(StartTlsFlags::LOCALID_CHECK);
    let request = with_key(StartTls { flags, ..request });
    client.request(Message::StartTls(request), Some(near.as_fd()));
    let asked = client.receive();
    let Message::StartTlsLocalId(body) = &asked.message else { panic!("{asked:?}") };
    let (plain, theirs) = UnixStream::pair().unwrap();
    client.answer(&asked, Message::StartTlsLocalId(body.clone()), Some(theirs.as_fd()));
    assert!(matches!(client.receive().message, Message::StartTls(_)));
    assert_eq!(ask(&mut client), Some(Err(NoKernelTls::PlainSide)));
    is_relayed(plain);
}

#[test]
fn d3_how_a_relayed_session_ended_is_for_the_pool_to_know() {
    let daemon = Daemon::start();
    let (near, far) = tcp_pair();
    let peer = Peer::server(far, &daemon.pki.host("peer.example"), None).echo();
    let mut client = daemon.client();
    let (plain, reply) = client.protect(as_client("peer.example"), &near);
    drop(near);
    let farewell = |key: &ControlKey, text: &[u8]| -> Message {
        Page::request(Document::Farewell, key.clone(), 0).reply(text).into()
    };
    let report = Report { ending: Some(Ending::Aborted), ..Report::default() }.encode();
    let told = client.call(farewell(&reply.control_key, &report), None);
    assert_eq!(told, Message::Success, "and has no effect");
    is_relayed(plain);
    assert_eq!(wait(peer).ending, Ending::Finished);

    let (near, far) = tcp_pair();
    let _peer = Peer::server(far, &daemon.pki.host("peer.example"), None).echo();
    let (_plain, reply) = client.protect(as_client("peer.example"), &near);
    let odd = client.call(farewell(&reply.control_key, b"no report"), None);
    assert_eq!(code_of(&odd), 9);
    let stranger = client.call(farewell(&ControlKey::new([9; 16]), &report), None);
    assert_eq!(code_of(&stranger), 15);
    let answered =
        HandBack { control_key: reply.control_key, outcome: Some(Err(NoKernelTls::Suite)) };
    assert_eq!(code_of(&client.call(answered.into(), None)), 9, "only the pool tells");
    let odd = Message::Local(HandBack::COMMAND, Secret::new([0xff; 380]));
    assert_eq!(code_of(&client.call(odd, None)), 9);
}
