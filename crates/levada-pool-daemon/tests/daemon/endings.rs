//! When connections close (A.9), whose sessions are (A.7), and how a session's end is told.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;

use levada::Ending;
use levada_pool_daemon::Notice;
use levada_pool_wire::body::StartTls;
use levada_pool_wire::{
    ControlKey, Document, ErrorCode, Identity, Message, Page, Report, StartTlsFlags,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::support::{Client, Daemon, Peer, Plain, as_client, as_server, code_of, tcp_pair, wait};

/// A session with an echo behind it, and what asked for it.
fn session(daemon: &Daemon, client: &mut Client, flags: StartTlsFlags) -> (Plain, ControlKey) {
    let (near, far) = tcp_pair();
    let _echo = Peer::server(far, &daemon.pki.host("peer.example"), None).echo();
    let request = as_client("peer.example");
    let request = StartTls { flags: request.flags.with(flags), ..request };
    let (plain, reply) = client.protect(request, &near);
    (plain, reply.control_key)
}

#[track_caller]
fn assert_alive(mut plain: &UnixStream) {
    plain.write_all(b"still here").unwrap();
    let mut answer = [0; 10];
    plain.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"still here");
}

/// Waits until the plain side has ended, without a byte.
#[track_caller]
fn assert_torn_down(mut plain: &UnixStream) {
    assert_eq!(plain.read(&mut [0]).unwrap(), 0);
}

fn wait_for_end(daemon: &Daemon) -> Ending {
    daemon.notices.wait(|notice| match notice {
        Notice::Ended { tls, .. } => Some(tls.ending.clone()),
        _ => None,
    })
}

#[test]
fn a9_a_session_without_flags_goes_with_its_control_connection() {
    let daemon = Daemon::start();
    let mut client = daemon.client();
    let (plain, key) = session(&daemon, &mut client, StartTlsFlags::NONE);
    assert_alive(&plain);
    drop(client);
    assert_torn_down(&plain);
    assert_eq!(wait_for_end(&daemon), Ending::Aborted);
    assert_eq!(daemon.client().reattach(&key), Err(15), "its key is gone");
}

#[test]
fn a9_a_forked_session_lives_on_and_can_be_attached_again() {
    let daemon = Daemon::start();
    let mut client = daemon.client();
    let (plain, key) = session(&daemon, &mut client, StartTlsFlags::FORK);
    let mut other = daemon.client();
    assert_eq!(other.reattach(&key), Err(18));
    drop(client);
    wait_until(|| other.reattach(&key) == Ok(()));
    assert_alive(&plain);
    drop(other);
    wait_until(|| daemon.client().reattach(&key) == Ok(()));
    assert_alive(&plain);
}

#[test]
fn a9_a_detached_session_lives_on() {
    let daemon = Daemon::start();
    let mut client = daemon.client();
    let (born_so, first) = session(&daemon, &mut client, StartTlsFlags::DETACH);
    let (made_so, second) = session(&daemon, &mut client, StartTlsFlags::NONE);
    assert_eq!(client.detach(&first), Err(17));
    assert_eq!(client.detach(&second), Ok(()));
    // A third without flags tells when the pool has noticed.
    let (witness, _) = session(&daemon, &mut client, StartTlsFlags::NONE);
    drop(client);
    assert_torn_down(&witness);
    for (plain, key) in [(born_so, first), (made_so, second)] {
        assert_alive(&plain);
        assert_eq!(daemon.client().reattach(&key), Ok(()));
    }
}

#[test]
fn a9_a_session_follows_its_new_owner() {
    let daemon = Daemon::start();
    let (mut old, mut new) = (daemon.client(), daemon.client());
    let (plain, key) = session(&daemon, &mut old, StartTlsFlags::NONE);
    assert_eq!(new.detach(&key), Err(16));
    assert_eq!(old.detach(&key), Ok(()));
    assert_eq!(new.reattach(&key), Ok(()));
    let (witness, _) = session(&daemon, &mut old, StartTlsFlags::NONE);
    drop(old);
    assert_torn_down(&witness);
    assert_alive(&plain);
    drop(new);
    assert_torn_down(&plain);
}

#[test]
fn a7_detach_and_reattach_in_the_order_of_the_sample_client() {
    let daemon = Daemon::start();
    let mut client = daemon.client();
    let (plain, key) = session(&daemon, &mut client, StartTlsFlags::NONE);
    assert_eq!(client.reattach(&key), Err(18));
    assert_eq!(client.detach(&key), Ok(()));
    assert_eq!(client.detach(&key), Err(17));
    assert_eq!(client.reattach(&key), Ok(()));
    assert_eq!(client.reattach(&key), Err(18));
    assert_alive(&plain);
}

#[test]
fn a9_a_handshake_goes_with_its_control_connection() {
    let daemon = Daemon::start();
    let mut client = daemon.client();
    let (near, mut silent) = tcp_pair();
    client.request(Message::StartTls(as_client("peer.example")), Some(near.as_fd()));
    drop(near);
    // Its ClientHello, and then nothing more.
    let mut hello = vec![0; 5];
    silent.read_exact(&mut hello).unwrap();
    drop(client);
    ends(&silent);
    wait_until(|| daemon.pool.sessions() == 0);
}

#[test]
fn a6_who_keeps_the_network_socket_keeps_no_peer_waiting() {
    let daemon = Daemon::start();
    // Refused before TLS, refused by TLS, given up with the control connection, and cut with it.
    let mut kept = Vec::new();
    let mut client = daemon.client();
    let (near, far) = tcp_pair();
    let request = Message::StartTls(as_server("other.example"));
    assert_eq!(code_of(&client.call(request, Some(near.as_fd()))), 23);
    ends(&far);
    kept.push(near);
    let (near, far) = tcp_pair();
    let peer = Peer::server(far, &daemon.pki.host("other.example"), None).echo();
    let request = Message::StartTls(as_client("peer.example"));
    assert_eq!(code_of(&client.call(request, Some(near.as_fd()))), 24);
    assert!(!wait(peer).is_clean());
    kept.push(near);
    let (near, far) = tcp_pair();
    client.request(Message::StartTls(as_client("peer.example")), Some(near.as_fd()));
    let (protected, peer) = tcp_pair();
    let peer = Peer::server(peer, &daemon.pki.host("peer.example"), None).echo();
    let (_plain, _) = daemon.client().protect(as_client("peer.example"), &protected);
    kept.extend([near, protected]);
    drop(client);
    ends(&far);
    assert!(!wait(peer).is_clean());
    wait_until(|| daemon.pool.sessions() == 0);
    drop(kept);
}

/// Reads until the connection ends, in whatever way.
fn ends(mut stream: &TcpStream) {
    stream.set_read_timeout(Some(crate::support::PATIENCE)).unwrap();
    let mut rest = Vec::new();
    match stream.read_to_end(&mut rest) {
        Ok(_) => {}
        Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset),
    }
}

#[test]
fn a9_who_ends_with_data_on_its_way_loses_none() {
    let daemon = Daemon::start();
    let (near, far) = tcp_pair();
    let peer = Peer::server(far, &daemon.pki.host("peer.example"), None);
    let taken = peer.spawn(|mut socket| async move {
        let mut all = Vec::new();
        let read = socket.read_to_end(&mut all).await.map(|_| all.len());
        let _ = socket.shutdown().await;
        (read, socket.closed().await)
    });
    let mut client = daemon.client();
    let (mut plain, _) = client.protect(as_client("peer.example"), &near);
    // As when a process ends: the control connection first, with all written and nothing awaited.
    let data = vec![b'x'; 3 << 20];
    plain.write_all(&data).unwrap();
    drop(client);
    drop(plain);
    let (read, ended) = wait(taken);
    assert_eq!(read.unwrap(), data.len());
    assert!(ended.is_clean(), "{ended}");
}

#[test]
fn a7_a_half_closed_session_goes_on_in_the_other_direction() {
    let daemon = Daemon::start();
    let (near, far) = tcp_pair();
    let peer = Peer::server(far, &daemon.pki.host("peer.example"), None);
    let served = peer.spawn(|mut socket| async move {
        // Says goodbye first, and still hears everything.
        socket.write_all(b"all I have").await.unwrap();
        socket.shutdown().await.unwrap();
        let mut heard = Vec::new();
        socket.read_to_end(&mut heard).await.unwrap();
        (heard, socket.closed().await)
    });
    let mut client = daemon.client();
    let (mut plain, _) = client.protect(as_client("peer.example"), &near);
    let mut text = String::new();
    plain.read_to_string(&mut text).unwrap();
    assert_eq!(text, "all I have");
    plain.write_all(b"and I go on").unwrap();
    plain.shutdown(Shutdown::Write).unwrap();
    let (heard, ended) = wait(served);
    assert_eq!(heard, b"and I go on");
    assert!(ended.is_clean());
    assert_eq!(wait_for_end(&daemon), Ending::Finished);
}

/// The report about a session, page by page.
pub(crate) fn report(client: &mut Client, key: &ControlKey) -> Result<Report, u8> {
    let mut bytes = Vec::new();
    loop {
        let asked = Page::request(Document::Report, key.clone(), bytes.len() as u32);
        let reply = client.call(asked.into(), None);
        let Some(page) = Page::of(&reply) else { return Err(code_of(&reply)) };
        let page = page.unwrap();
        bytes.extend_from_slice(page.bytes());
        if bytes.len() == page.total as usize {
            return Ok(Report::decode(&bytes).unwrap());
        }
    }
}

#[test]
fn d5_how_a_session_ended_is_told_to_its_owner_alone() {
    let daemon = Daemon::start();
    let mut client = daemon.client();
    let (near, far) = tcp_pair();
    let peer = Peer::server(far, &daemon.pki.host("peer.example"), None);
    let (go, gone) = tokio::sync::oneshot::channel::<()>();
    peer.spawn(|mut socket| async move {
        socket.write_all(b"half of").await.unwrap();
        socket.flush().await.unwrap();
        let _ = gone.await;
        socket.abort();
    });
    let (mut plain, reply) = client.protect(as_client("peer.example"), &near);
    let mut room = [0; 7];
    plain.read_exact(&mut room).unwrap();
    let living = report(&mut client, &reply.control_key).unwrap();
    assert_eq!((living.ending, living.peer_goodbye), (None, false));
    let tls = living.tls.unwrap();
    assert_eq!(tls.verified_name.as_deref(), Some("peer.example"));
    assert_eq!(tls.version, Some("1.3"));

    go.send(()).unwrap();
    assert_torn_down(&plain);
    // The end of file is all that a Unix socket can show; the report shows the truncation.
    let told = report(&mut client, &reply.control_key).unwrap().ending.unwrap();
    assert!(!told.is_clean(), "{told}");
    assert_eq!(report(&mut daemon.client(), &reply.control_key), Err(15));
    let notice = daemon.notices.wait(|notice| match notice {
        Notice::Ended { .. } => Some(notice.to_string()),
        _ => None,
    });
    assert!(notice.contains("session 1 ended"), "{notice}");
}

#[test]
fn d5_why_a_handshake_failed_is_told_by_the_key_of_its_request() {
    let daemon = Daemon::start();
    let mut client = daemon.client();
    let (near, far) = tcp_pair();
    let _peer = Peer::server(far, &daemon.pki.host("other.example"), None).echo();
    let key = ControlKey::new([5; 16]);
    let request = StartTls { control_key: key.clone(), ..as_client("peer.example") };
    let reply = client.call(Message::StartTls(request), Some(near.as_fd()));
    assert_eq!(code_of(&reply), ErrorCode::HandshakeFailed.offset());
    let ending = report(&mut client, &key).unwrap().ending.unwrap();
    assert!(ending.to_string().contains("peer.example"), "{ending}");
}

#[test]
fn a7_a_control_key_belongs_to_one_session_at_a_time() {
    let daemon = Daemon::start();
    let mut client = daemon.client();
    let key = ControlKey::new([7; 16]);
    let request = StartTls { control_key: key.clone(), ..as_client("peer.example") };
    let (near, far) = tcp_pair();
    let _echo = Peer::server(far, &daemon.pki.host("peer.example"), None).echo();
    let (plain, reply) = client.protect(request.clone(), &near);
    assert_eq!(reply.control_key, key, "the client's own");
    let (again, other) = tcp_pair();
    let refused = client.call(Message::StartTls(request), Some(again.as_fd()));
    assert_eq!(code_of(&refused), 14);
    drop(again);
    ends(&other);
    assert_alive(&plain);
}

#[test]
fn a8_renegotiation_is_refused_and_the_session_left_alone() {
    let daemon = Daemon::start();
    let mut client = daemon.client();
    let (plain, key) = session(&daemon, &mut client, StartTlsFlags::NONE);
    let request = StartTls {
        flags: StartTlsFlags::CLIENT.with(StartTlsFlags::RENEGOTIATE),
        control_key: key,
        remote_id: Identity::new("peer.example").unwrap(),
        ..StartTls::default()
    };
    assert_eq!(code_of(&client.call(Message::StartTls(request.clone()), None)), 21);
    assert_eq!(code_of(&daemon.client().call(Message::StartTls(request), None)), 19);
    assert_alive(&plain);
}

/// Asks until it is so. Each round asks another thread, which yields to it.
#[track_caller]
pub(crate) fn wait_until(mut is: impl FnMut() -> bool) {
    let start = tokio::time::Instant::now();
    while !is() {
        assert!(start.elapsed() < crate::support::PATIENCE, "in time");
        std::thread::yield_now();
    }
}
