//! Plain sides of every type, and readers that pause.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::fd::{AsFd, OwnedFd};

use levada_pool_wire::Message;
use levada_pool_wire::body::StartTls;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, Shutdown, SocketFlags, SocketType, recv, send, shutdown,
    socketpair,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::task::JoinHandle;

use crate::support::{Client, Daemon, Peer, as_client, echoes, starttls_of, tcp_pair, wait};

pub(crate) fn pair(kind: SocketType) -> (OwnedFd, OwnedFd) {
    socketpair(AddressFamily::UNIX, kind, SocketFlags::CLOEXEC, None).unwrap()
}

/// Protects `near` with `plain` as plain side.
pub(crate) fn protect(client: &mut Client, near: &TcpStream, plain: impl AsFd) {
    client.request(Message::StartTls(as_client("peer.example")), Some(near.as_fd()));
    let asked = client.receive();
    let answer = Message::PlaintextConnect(StartTls::default());
    client.answer(&asked, answer, Some(plain.as_fd()));
    starttls_of(client.receive().message);
}

/// A session whose plain side is a packet socket, with its own end of that.
fn with_packets<T>(
    peer: impl FnOnce(Peer) -> JoinHandle<T>,
) -> (Daemon, Client, OwnedFd, JoinHandle<T>) {
    let daemon = Daemon::start();
    let (near, far) = tcp_pair();
    let peer = peer(Peer::server(far, &daemon.pki.host("peer.example"), None));
    let mut client = daemon.client();
    let (ours, theirs) = pair(SocketType::SEQPACKET);
    protect(&mut client, &near, &theirs);
    (daemon, client, ours, peer)
}

fn packet<'r>(socket: &OwnedFd, room: &'r mut [u8]) -> &'r [u8] {
    let (count, _) = recv(socket, &mut *room, RecvFlags::empty()).unwrap();
    &room[..count]
}

#[test]
fn b3_a_packet_socket_carries_messages_whole_both_ways() {
    let (_daemon, _client, ours, peer) = with_packets(Peer::echo);
    let mut room = vec![0; 100_000];
    for len in [1, 3001, 16_384] {
        let message: Vec<u8> = (0..len).map(|n| n as u8).collect();
        assert_eq!(send(&ours, &message, SendFlags::empty()).unwrap(), len);
        assert_eq!(packet(&ours, &mut room), message);
    }
    // A longer one than a record is taken whole, and comes back in the peer's records.
    let message = vec![b'x'; 100_000];
    assert_eq!(send(&ours, &message, SendFlags::empty()).unwrap(), message.len());
    let mut back = 0;
    while back < message.len() {
        back += packet(&ours, &mut room).len();
    }
    assert_eq!(back, message.len());
    shutdown(&ours, Shutdown::Write).unwrap();
    assert_eq!(packet(&ours, &mut room), b"", "end of file");
    assert!(wait(peer).is_clean());
}

#[test]
fn f_one_record_is_one_message_and_none_are_joined() {
    let peer = |peer: Peer| {
        peer.spawn(|mut socket| async move {
            // Before that they would be queued, and sealed together.
            socket.established().await.unwrap();
            // The pool finds them all in one read of the connection, or in few.
            for len in 1..=100_usize {
                socket.write_all(&vec![len as u8; len]).await.unwrap();
            }
            socket.shutdown().await.unwrap();
            let mut heard = Vec::new();
            socket.read_to_end(&mut heard).await.unwrap();
            (heard, socket.closed().await)
        })
    };
    let (_daemon, _client, ours, peer) = with_packets(peer);
    let mut room = [0; 1000];
    for len in 1..=100 {
        assert_eq!(packet(&ours, &mut room), vec![len as u8; len]);
    }
    assert_eq!(packet(&ours, &mut room), b"");
    send(&ours, b"and back", SendFlags::empty()).unwrap();
    shutdown(&ours, Shutdown::Write).unwrap();
    let (heard, ended) = wait(peer);
    assert_eq!(heard, b"and back");
    assert!(ended.is_clean());
}

#[test]
fn f_an_empty_packet_is_the_end() {
    let (_daemon, _client, ours, peer) = with_packets(Peer::echo);
    send(&ours, b"last", SendFlags::empty()).unwrap();
    send(&ours, b"", SendFlags::empty()).unwrap();
    let mut room = [0; 10];
    assert_eq!(packet(&ours, &mut room), b"last");
    assert_eq!(packet(&ours, &mut room), b"");
    assert!(wait(peer).is_clean());
}

#[test]
fn a6_a_tcp_connection_can_be_the_plain_side() {
    let daemon = Daemon::start();
    let (near, far) = tcp_pair();
    let peer = Peer::server(far, &daemon.pki.host("peer.example"), None).echo();
    let mut client = daemon.client();
    let (ours, theirs) = tcp_pair();
    protect(&mut client, &near, &theirs);
    // B6: what is small leaves at once. An option is the socket's, whoever holds it.
    assert!(near.nodelay().unwrap() && theirs.nodelay().unwrap());
    drop((near, theirs));
    echoes(ours, peer);
}

/// Sends `total` bytes each way at once, through readers that pause, and counts them.
fn flood(total: usize) {
    let daemon = Daemon::start();
    let (near, far) = tcp_pair();
    let peer = Peer::server(far, &daemon.pki.host("peer.example"), None);
    let peer = peer.spawn(move |socket| async move {
        let (mut read, mut write) = socket.into_split();
        let writer = tokio::spawn(async move {
            let block = vec![b'p'; 1 << 20];
            let mut left = total;
            while left > 0 {
                let count = left.min(block.len());
                write.write_all(&block[..count]).await.unwrap();
                left -= count;
            }
            write.shutdown().await.unwrap();
        });
        let (mut got, mut room) = (0, vec![0; 1 << 16]);
        loop {
            let count = read.read(&mut room).await.unwrap();
            if count == 0 {
                break;
            }
            assert!(room[..count].iter().all(|&byte| byte == b'a'));
            got += count;
        }
        writer.await.unwrap();
        got
    });
    let mut client = daemon.client();
    let (plain, _) = client.protect(as_client("peer.example"), &near);
    let mut write = plain.try_clone().unwrap();
    let writer = std::thread::spawn(move || {
        let block = vec![b'a'; 1 << 20];
        let mut left = total;
        while left > 0 {
            let count = left.min(block.len());
            write.write_all(&block[..count]).unwrap();
            left -= count;
        }
        write.shutdown(std::net::Shutdown::Write).unwrap();
    });
    // The pause is a reader that begins when the writer has filled every buffer on the way: after
    // that it reads in small pieces.
    let (mut got, mut room, mut plain) = (0, vec![0; 7919], plain);
    loop {
        let count = plain.read(&mut room).unwrap();
        if count == 0 {
            break;
        }
        assert!(room[..count].iter().all(|&byte| byte == b'p'));
        got += count;
        if got % 97 == 0 {
            std::thread::yield_now();
        }
    }
    writer.join().unwrap();
    assert_eq!((got, wait(peer)), (total, total));
}

#[test]
fn b2_back_pressure_loses_nothing() {
    flood(24 << 20);
}

#[test]
fn b2_a_gibibyte_each_way_arrives() {
    if levada_testkit::skip::slow_runs("b2_a_gibibyte_each_way_arrives") {
        flood(1 << 30);
    }
}
