//! What the pool asks applications, and what they make of it.

use std::io::{Read as _, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use levada_pool_daemon::{Notice, PoolLimits};
use levada_pool_wire::body::{Failure, Ping, StartTls};
use levada_pool_wire::{HandshakeTimeout, Identity, Message, Packet, StartTlsFlags};

use crate::endings::wait_until;
use crate::support::{
    Client, Daemon, Peer, as_client, as_server, code_of, starttls_of, tcp_pair, wait,
};

/// A client that was asked for the plain side.
fn asked_for_plain(daemon: &Daemon) -> (Client, Packet, std::net::TcpStream) {
    let (near, far) = tcp_pair();
    let watched = far.try_clone().unwrap();
    let _echo = Peer::server(far, &daemon.pki.host("peer.example"), None).echo();
    let mut client = daemon.client();
    client.request(Message::StartTls(as_client("peer.example")), Some(near.as_fd()));
    let asked = client.receive();
    assert!(matches!(asked.message, Message::PlaintextConnect(_)));
    (client, asked, watched)
}

#[test]
fn a7_what_is_no_answer_to_plaintext_connect() {
    let daemon = Daemon::start();
    let body = StartTls::default;
    for (answer, with, code) in [
        (Message::PlaintextConnect(body()), false, 7),
        (Message::Error(Failure::from_errno(1)), false, 10),
        (Message::StartTlsLocalId(body()), true, 10),
        (Message::Ping(Ping::default()), false, 10),
    ] {
        let (mut client, asked, _) = asked_for_plain(&daemon);
        let (_ours, theirs) = UnixStream::pair().unwrap();
        client.answer(&asked, answer, with.then(|| theirs.as_fd()));
        assert_eq!(code_of(&client.receive().message), code);
        wait_until(|| daemon.pool.sessions() == 0);
    }
}

#[test]
fn a10_a_plain_side_that_is_no_socket() {
    let daemon = Daemon::start();
    let (mut client, asked, _) = asked_for_plain(&daemon);
    let file = std::fs::File::open("/dev/null").unwrap();
    let answer = Message::PlaintextConnect(StartTls::default());
    client.answer(&asked, answer, Some(file.as_fd()));
    assert_eq!(code_of(&client.receive().message), 22);
}

#[test]
fn a10_a_network_side_that_is_no_stream() {
    let daemon = Daemon::start();
    let mut client = daemon.client();
    let file = std::fs::File::open("/dev/null").unwrap();
    let request = || Message::StartTls(as_client("peer.example"));
    assert_eq!(code_of(&client.call(request(), Some(file.as_fd()))), 6);
    let udp = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    assert_eq!(code_of(&client.call(request(), Some(udp.as_fd()))), 9);
}

#[test]
fn b8_an_abandoned_question_costs_its_own_exchange_alone() {
    let mut limits = PoolLimits::default();
    limits.answer = Duration::from_millis(300);
    let daemon = Daemon::with("", limits);
    let (mut client, asked, _) = asked_for_plain(&daemon);
    // The same connection goes on meanwhile, and so do others.
    for client in [&mut client, &mut daemon.client()] {
        let reply = client.call(Message::Ping(Ping::default()), None);
        assert!(matches!(reply, Message::Ping(_)));
    }
    let late = client.receive();
    assert_eq!((late.request, code_of(&late.message)), (asked.request, 3));
    wait_until(|| daemon.pool.sessions() == 0);
    // The late answer opens nothing, and its descriptor is closed.
    let (mut ours, theirs) = UnixStream::pair().unwrap();
    client.answer(&asked, Message::PlaintextConnect(StartTls::default()), Some(theirs.as_fd()));
    drop(theirs);
    assert_eq!(code_of(&client.receive().message), 8);
    assert_eq!(ours.read(&mut [0]).unwrap(), 0);
}

#[test]
fn a7_a_silent_peer_fails_in_time() {
    let daemon = Daemon::start();
    let mut client = daemon.client();
    let (near, _silent) = tcp_pair();
    let request =
        StartTls { timeout: HandshakeTimeout::from_wire(100), ..as_client("peer.example") };
    assert_eq!(code_of(&client.call(Message::StartTls(request), Some(near.as_fd()))), 24);
    let why = daemon.notices.lines().join("\n");
    assert!(why.contains("took too long"), "{why}");
}

#[test]
fn a_peer_that_goes_in_the_handshake_or_while_the_application_is_asked_is_told() {
    let daemon = Daemon::start();
    let mut client = daemon.client();
    let request = || Message::StartTls(as_client("peer.example"));
    let (near, mut far) = tcp_pair();
    client.request(request(), Some(near.as_fd()));
    far.read_exact(&mut [0; 5]).unwrap();
    drop(far);
    assert_eq!(code_of(&client.receive().message), 24);
    let why = daemon.notices.last_failure();
    assert!(why.contains("never established"), "{why}");

    let (near, far) = tcp_pair();
    let peer = Peer::server(far, &daemon.pki.host("peer.example"), None);
    let gone = peer.spawn(|mut peer| async move {
        peer.established().await.unwrap();
        peer.abort();
    });
    client.request(request(), Some(near.as_fd()));
    let asked = client.receive();
    wait(gone);
    let mut plain = client.give_plain(&asked);
    starttls_of(client.receive().message);
    assert_eq!(plain.read(&mut [0]).unwrap(), 0);
    let ending = daemon.notices.wait(|notice| match notice {
        Notice::Ended { tls, .. } => Some(tls.ending.clone()),
        _ => None,
    });
    assert!(!ending.is_clean(), "{ending}");
}

#[test]
fn a6_a_descriptor_with_the_local_identity_spares_the_question_for_it() {
    let daemon = Daemon::start();
    let (near, far) = tcp_pair();
    let _echo = Peer::client(far, &daemon.pki, "pool.example", None).echo();
    let mut client = daemon.client();
    let mut request = as_server("pool.example");
    request.flags = request.flags.with(StartTlsFlags::LOCALID_CHECK);
    client.request(Message::StartTls(request), Some(near.as_fd()));
    let asked = client.receive();
    let Message::StartTlsLocalId(body) = &asked.message else { panic!("{asked:?}") };
    assert_eq!(body.local_id.as_str(), Some("pool.example"));
    let (mut ours, theirs) = UnixStream::pair().unwrap();
    // An empty identity with a descriptor approves.
    let said = StartTls { local_id: Identity::EMPTY, ..body.clone() };
    client.answer(&asked, Message::StartTlsLocalId(said), Some(theirs.as_fd()));
    let reply = starttls_of(client.receive().message);
    assert_eq!(reply.local_id.as_str(), Some("pool.example"));
    ours.write_all(b"x").unwrap();
    let mut room = [0];
    ours.read_exact(&mut room).unwrap();
    assert_eq!(&room, b"x");
}

/// A server that is whoever the client asks for, once the application has agreed.
fn whoever() -> StartTls {
    let flags = StartTlsFlags::SERVER
        .with(StartTlsFlags::LOCALID_CHECK)
        .with(StartTlsFlags::IGNORE_REMOTEID);
    StartTls { flags, ..StartTls::default() }
}

#[test]
fn a7_the_application_is_asked_about_the_name_that_the_client_asks_for() {
    let daemon = Daemon::start();
    let (near, far) = tcp_pair();
    let peer = Peer::client(far, &daemon.pki, "Pool.example", None).echo();
    let mut client = daemon.client();
    client.request(Message::StartTls(whoever()), Some(near.as_fd()));
    let asked = client.receive();
    let Message::StartTlsLocalId(body) = &asked.message else { panic!("{asked:?}") };
    assert_eq!(body.local_id.as_str(), Some("pool.example"));
    // While it thinks, others are served.
    let (other, far) = tcp_pair();
    let _echo = Peer::client(far, &daemon.pki, "pool.example", None).echo();
    client.request(Message::StartTls(as_server("pool.example")), Some(other.as_fd()));
    let question = client.receive();
    let _other = client.give_plain(&question);
    starttls_of(client.receive().message);

    client.answer(&asked, Message::StartTlsLocalId(body.clone()), None);
    let question = client.receive();
    let mut plain = client.give_plain(&question);
    let reply = starttls_of(client.receive().message);
    assert_eq!(reply.local_id.as_str(), Some("pool.example"));
    plain.write_all(b"x").unwrap();
    plain.shutdown(std::net::Shutdown::Write).unwrap();
    let mut text = String::new();
    plain.read_to_string(&mut text).unwrap();
    assert_eq!(text, "x");
    assert!(wait(peer).is_clean());
}

#[test]
fn a7_the_application_may_put_another_identity_in() {
    let more = "[[identity]]\nname = \"tenant.example\"\ncert = \"pool.pem\"\n";
    let more = more.replace("tenant.example", "tenant@pool.example");
    let daemon = Daemon::with(&more, PoolLimits::default());
    let mut client = daemon.client();
    let mut say = |local_id: &str| {
        let (near, far) = tcp_pair();
        let peer = Peer::client(far, &daemon.pki, "pool.example", None).echo();
        client.request(Message::StartTls(whoever()), Some(near.as_fd()));
        let asked = client.receive();
        let Message::StartTlsLocalId(body) = &asked.message else { panic!("{asked:?}") };
        let said = StartTls { local_id: Identity::new(local_id).unwrap(), ..body.clone() };
        client.answer(&asked, Message::StartTlsLocalId(said), None);
        let next = client.receive();
        if let Message::Error(_) = next.message {
            let told = wait(peer).to_string();
            assert!(told.contains("unrecognized_name"), "{told}");
            return Err(code_of(&next.message));
        }
        let _plain = client.give_plain(&next);
        Ok(starttls_of(client.receive().message).local_id)
    };
    let tenant = "tenant@pool.example";
    assert_eq!(say(tenant), Ok(Identity::new(tenant).unwrap()));
    assert_eq!(say("nobody.example"), Err(23), "the policy has none");
}

#[test]
fn a7_without_a_check_the_client_chooses_among_what_the_policy_allows() {
    let daemon = Daemon::start();
    let mut client = daemon.client();
    let (near, far) = tcp_pair();
    let _echo = Peer::client(far, &daemon.pki, "pool.example", None).echo();
    let (_plain, reply) = client.protect(as_server(""), &near);
    assert_eq!(reply.local_id.as_str(), Some("pool.example"));
    for preset in ["", "pool.example"] {
        let (near, far) = tcp_pair();
        let peer = Peer::client(far, &daemon.pki, "other.example", None).echo();
        let reply = client.call(Message::StartTls(as_server(preset)), Some(near.as_fd()));
        assert_eq!(code_of(&reply), 24);
        let told = wait(peer).to_string();
        assert!(told.contains("unrecognized_name"), "{told}");
    }
}

#[test]
fn b7_a_refused_local_identity_is_asked_once_and_the_client_is_told() {
    let daemon = Daemon::start();
    for refusal in
        [Message::Error(Failure::from_errno(13)), Message::StartTlsLocalId(StartTls::default())]
    {
        let (near, far) = tcp_pair();
        let peer = Peer::client(far, &daemon.pki, "pool.example", None).echo();
        let mut client = daemon.client();
        let mut request = as_server("pool.example");
        request.flags = request.flags.with(StartTlsFlags::LOCALID_CHECK);
        client.request(Message::StartTls(request), Some(near.as_fd()));
        let asked = client.receive();
        client.answer(&asked, refusal, None);
        assert_eq!(code_of(&client.receive().message), 3);
        let told = wait(peer).to_string();
        assert!(told.contains("unrecognized_name"), "{told}");
        wait_until(|| daemon.pool.sessions() == 0);
        let failures = daemon.notices.lines();
        assert!(failures.last().unwrap().contains("the application declined"), "{failures:?}");
    }
    assert_eq!(daemon.notices.lines().len(), 2, "each is told once");
}

#[test]
fn a7_flags_in_the_answer_are_honoured() {
    let daemon = Daemon::start();
    let (near, far) = tcp_pair();
    let _echo = Peer::client(far, &daemon.pki, "pool.example", None).echo();
    let mut client = daemon.client();
    // The request wants a certificate, which this peer does not have; the answer does not.
    let request = StartTls {
        flags: StartTlsFlags::SERVER.with(StartTlsFlags::LOCALID_CHECK),
        ..as_server("pool.example")
    };
    client.request(Message::StartTls(request), Some(near.as_fd()));
    let asked = client.receive();
    let Message::StartTlsLocalId(body) = &asked.message else { panic!("{asked:?}") };
    let flags = body.flags.with(StartTlsFlags::IGNORE_REMOTEID);
    let said = StartTls { flags, ..body.clone() };
    client.answer(&asked, Message::StartTlsLocalId(said), None);
    let asked = client.receive();
    let _plain = client.give_plain(&asked);
    let reply = starttls_of(client.receive().message);
    assert!(reply.flags.contains(StartTlsFlags::IGNORE_REMOTEID));
}
