//! The message flow: PING, STARTTLS in both roles, and what is wrong with a request.

use std::os::fd::AsFd;

use levada_pool_wire::body::{Failure, Ping, StartTls};
use levada_pool_wire::{
    ControlKey, Facilities, Identity, Message, Packet, RequestId, StartTlsFlags, Text,
};

use crate::support::{
    Daemon, Peer, as_client, as_server, code_of, echoes, foreign_callback, starttls_of, tcp_pair,
};

#[test]
fn a7_ping_tells_the_identity_and_the_common_facilities() {
    let daemon = Daemon::start();
    let mut client = daemon.client();
    let ping = Ping { facilities: Facilities::from_bits(u32::MAX), ..Ping::default() };
    for _ in 0..3 {
        let Message::Ping(reply) = client.call(Message::Ping(ping), None) else { panic!() };
        assert_eq!(reply.producer.as_str(), Some(Ping::V2));
        assert_eq!(reply.facilities, Facilities::STARTTLS);
    }
}

#[test]
fn a7_a_tls_client_gets_plaintext_and_the_verified_name() {
    let daemon = Daemon::start();
    let (near, far) = tcp_pair();
    let peer = Peer::server(far, &daemon.pki.host("peer.example"), None).echo();
    let mut client = daemon.client();
    let request = StartTls {
        local: 77,
        stream_id: 5,
        service: Text::new("echo").unwrap(),
        spare: [0xa5; 76],
        ..as_client("peer.example")
    };
    let (plain, reply) = client.protect(request.clone(), &near);
    drop(near);
    assert_eq!(reply.remote_id.as_str(), Some("peer.example"));
    assert_eq!(reply.local_id, Identity::EMPTY, "the server has asked for no certificate");
    assert_ne!(reply.control_key, ControlKey::default());
    let echoed =
        StartTls { remote_id: reply.remote_id, control_key: reply.control_key.clone(), ..request };
    assert_eq!(reply, echoed);

    echoes(plain, peer);
}

#[test]
fn a7_a_tls_server_gets_plaintext() {
    let daemon = Daemon::start();
    let (near, far) = tcp_pair();
    let peer = Peer::client(far, &daemon.pki, "pool.example", None).echo();
    let mut client = daemon.client();
    let (plain, reply) = client.protect(as_server("pool.example"), &near);
    assert_eq!(reply.local_id.as_str(), Some("pool.example"));
    assert_eq!(reply.remote_id, Identity::EMPTY);
    echoes(plain, peer);
}

#[test]
fn a5_the_reply_bears_the_id_of_the_latest_packet() {
    let daemon = Daemon::start();
    let (near, far) = tcp_pair();
    let _peer = Peer::server(far, &daemon.pki.host("peer.example"), None).echo();
    let mut client = daemon.client();
    let first = client.request(Message::StartTls(as_client("peer.example")), Some(near.as_fd()));
    let asked = client.receive();
    assert_eq!(asked.request, first);
    assert_eq!(asked.callback.map(|id| id.0.get()), Some(1024), "the highest first");
    let (_plain, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
    let answer = Message::PlaintextConnect(StartTls::default());
    let second = client.answer(&asked, answer, Some(theirs.as_fd()));
    let reply = client.receive();
    assert_eq!((reply.request, reply.callback), (second, None));
    starttls_of(reply.message);
}

#[test]
fn a10_what_is_wrong_with_a_request() {
    let daemon = Daemon::start();
    let mut client = daemon.client();
    let mut refused = |message: Message, with: bool| {
        let (near, _far) = tcp_pair();
        code_of(&client.call(message, with.then(|| near.as_fd())))
    };
    let starttls = |flags: u32| {
        let flags = StartTlsFlags::from_bits(flags);
        Message::StartTls(StartTls { flags, ..as_client("peer.example") })
    };
    assert_eq!(refused(Message::Ping(Ping::default()), true), 5, "superfluous socket");
    assert_eq!(refused(starttls(0x9), false), 6, "no network socket");
    assert_eq!(refused(starttls(0x0), true), 9, "no role");
    assert_eq!(refused(starttls(0x5), true), 9, "two clients");
    assert_eq!(refused(starttls(0xf), true), 23, "two equals");
    assert_eq!(refused(starttls(0x109), true), 9, "DTLS");
    assert_eq!(refused(starttls(0x40006), true), 9, "a certificate signed on the fly");
    assert_eq!(refused(starttls(0x20009), true), 5, "renegotiation with a socket");
    assert_eq!(refused(starttls(0x20009), false), 19, "renegotiation of nothing");
    assert_eq!(refused(Message::StartTls(as_client("")), true), 23, "nobody to expect");
    assert_eq!(refused(Message::StartTls(as_server("other.example")), true), 23, "not ours");
    let other =
        StartTls { local_id: Identity::new("x@y.example").unwrap(), ..as_client("a.example") };
    assert_eq!(refused(Message::StartTls(other), true), 23, "not ours");
    assert_eq!(refused(Message::Success, false), 8);
    assert_eq!(refused(Message::Error(Failure::from_errno(5)), false), 8);
    assert_eq!(refused(Message::PlaintextConnect(StartTls::default()), true), 8);
    let key = ControlKey::new([9; 16]);
    assert_eq!(client.detach(&key), Err(15));
    assert_eq!(client.reattach(&key), Err(15));
}

#[test]
fn a5_a_callback_id_that_nobody_was_asked_under_is_a_new_request() {
    let daemon = Daemon::start();
    let mut client = daemon.client();
    let message = Message::Ping(Ping::default());
    client
        .send(&Packet { request: RequestId(3), callback: Some(foreign_callback()), message }, None);
    let reply = client.receive();
    assert_eq!(reply.request, RequestId(3));
    assert!(matches!(reply.message, Message::Ping(_)));
}
