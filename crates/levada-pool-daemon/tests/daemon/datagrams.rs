//! Datagram sockets as plain side (F): borders, limits, pauses, and what is an end there.

use std::net::{Ipv4Addr, UdpSocket};
use std::os::fd::AsFd as _;

use levada::{Ending, OsError};
use levada_pool_daemon::Notice;
use levada_pool_wire::Message;
use levada_pool_wire::body::StartTls;
use rustix::net::sockopt::{set_socket_recv_buffer_size, set_socket_send_buffer_size};
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, Shutdown, SocketType, recv, send, shutdown, socket,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::plain_sides::{pair, protect};
use crate::support::{Daemon, PATIENCE, Peer, as_client, code_of, tcp_pair, wait};

/// How the plain side of the session that ended first did.
fn plain_ending(daemon: &Daemon) -> Ending {
    daemon.notices.wait(|notice| match notice {
        Notice::Ended { plain, .. } => Some(plain.ending.clone()),
        _ => None,
    })
}

#[track_caller]
fn symbol(ending: &Ending) -> &'static str {
    let Ending::SocketError(error) = ending else { panic!("{ending:?}") };
    OsError::symbol(error)
}

/// Two UDP sockets of the loopback that hear nobody but each other.
fn udp_pair() -> (UdpSocket, UdpSocket) {
    let bind = || UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let (ours, theirs) = (bind(), bind());
    ours.connect(theirs.local_addr().unwrap()).unwrap();
    theirs.connect(ours.local_addr().unwrap()).unwrap();
    ours.set_read_timeout(Some(PATIENCE)).unwrap();
    (ours, theirs)
}

#[test]
fn f_each_datagram_comes_whole_and_an_empty_one_is_nothing() {
    let daemon = Daemon::start();
    let (near, far) = tcp_pair();
    let _peer = Peer::server(far, &daemon.pki.host("peer.example"), None).echo();
    let mut client = daemon.client();
    let (ours, theirs) = pair(SocketType::DGRAM);
    protect(&mut client, &near, &theirs);
    drop(theirs);
    let mut room = vec![0; 100_000];
    send(&ours, b"", SendFlags::empty()).unwrap();
    for len in [1, 3001, 16_384] {
        let message: Vec<u8> = (0..len).map(|n: i32| n.to_le_bytes()[0]).collect();
        send(&ours, &message, SendFlags::empty()).unwrap();
        let (count, _) = recv(&ours, &mut room[..], RecvFlags::empty()).unwrap();
        assert_eq!(&room[..count], &message[..]);
    }
    // A longer one than a record is taken whole, and comes back in the peer's records.
    let message = vec![b'x'; 60_000];
    send(&ours, &message, SendFlags::empty()).unwrap();
    let mut back = 0;
    while back < message.len() {
        let (count, _) = recv(&ours, &mut room[..], RecvFlags::empty()).unwrap();
        assert!(count <= 16_384 && room[..count].iter().all(|&byte| byte == b'x'));
        back += count;
    }
    assert_eq!(back, message.len());
}

#[test]
fn f_one_record_is_one_datagram_by_udp() {
    let daemon = Daemon::start();
    let (near, far) = tcp_pair();
    let peer = Peer::server(far, &daemon.pki.host("peer.example"), None);
    let peer = peer.spawn(|mut socket| async move {
        socket.established().await.unwrap();
        let mut heard = vec![0; 100];
        for len in 1..=100_usize {
            socket.write_all(&vec![len as u8; len]).await.unwrap();
            // UDP drops what comes faster than it is read: one is on its way at a time.
            let count = socket.read(&mut heard).await.unwrap();
            assert_eq!(&heard[..count], b"next");
        }
        socket
    });
    let mut client = daemon.client();
    let (ours, theirs) = udp_pair();
    protect(&mut client, &near, &theirs);
    drop(theirs);
    let mut room = [0; 1000];
    for len in 1..=100 {
        let count = ours.recv(&mut room).unwrap();
        assert_eq!(&room[..count], vec![len as u8; len]);
        ours.send(b"next").unwrap();
    }
    // The application is gone: the next datagram finds nobody, and that is a bad end.
    let mut socket = wait(peer);
    drop(ours);
    let peer = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async move {
            while socket.write_all(b"anybody?").await.is_ok() && socket.flush().await.is_ok() {}
            socket.closed().await
        })
    });
    assert_eq!(symbol(&plain_ending(&daemon)), "ECONNREFUSED");
    assert!(!peer.join().unwrap().is_clean(), "no bad end becomes a good one");
}

#[test]
fn f_a_datagram_for_an_application_that_is_gone_ends_the_session() {
    let daemon = Daemon::start();
    let (near, far) = tcp_pair();
    let peer = Peer::server(far, &daemon.pki.host("peer.example"), None);
    let (gone, is_gone) = tokio::sync::oneshot::channel();
    let peer = peer.spawn(|mut socket| async move {
        socket.established().await.unwrap();
        is_gone.await.unwrap();
        socket.write_all(b"anybody?").await.unwrap();
        let _ = socket.read_to_end(&mut Vec::new()).await;
        socket.closed().await
    });
    let mut client = daemon.client();
    let (ours, theirs) = pair(SocketType::DGRAM);
    protect(&mut client, &near, &theirs);
    drop((ours, theirs));
    gone.send(()).unwrap();
    assert_eq!(symbol(&plain_ending(&daemon)), "ECONNREFUSED");
    assert!(!wait(peer).is_clean(), "no bad end becomes a good one");
}

#[test]
fn f_a_datagram_socket_that_hears_anybody_is_refused() {
    let daemon = Daemon::start();
    for open in [AddressFamily::INET, AddressFamily::UNIX] {
        let (near, far) = tcp_pair();
        let _peer = Peer::server(far, &daemon.pki.host("peer.example"), None).echo();
        let mut client = daemon.client();
        let plain = socket(open, SocketType::DGRAM, None).unwrap();
        client.request(Message::StartTls(as_client("peer.example")), Some(near.as_fd()));
        let asked = client.receive();
        let answer = Message::PlaintextConnect(StartTls::default());
        client.answer(&asked, answer, Some(plain.as_fd()));
        assert_eq!(code_of(&client.receive().message), 22);
        let told = daemon.notices.last_failure();
        assert!(told.contains("plain socket cannot be used: "), "{told}");
        assert!(told.contains("not connected"), "{told}");
    }
}

#[test]
fn f_a_record_that_the_socket_cannot_take_ends_the_session() {
    for kind in [SocketType::DGRAM, SocketType::SEQPACKET] {
        let daemon = Daemon::start();
        let (near, far) = tcp_pair();
        let peer = Peer::server(far, &daemon.pki.host("peer.example"), None);
        let peer = peer.spawn(|mut socket| async move {
            socket.established().await.unwrap();
            socket.write_all(&[b'x'; 16_384]).await.unwrap();
            socket.flush().await.unwrap();
            let _ = socket.read_to_end(&mut Vec::new()).await;
            socket.closed().await
        });
        let mut client = daemon.client();
        let (_ours, theirs) = pair(kind);
        set_socket_send_buffer_size(&theirs, 4096).unwrap();
        protect(&mut client, &near, &theirs);
        drop(theirs);
        assert_eq!(symbol(&plain_ending(&daemon)), "EMSGSIZE", "{kind:?}");
        assert!(!wait(peer).is_clean(), "no bad end becomes a good one");
    }
}

#[test]
fn f_a_pause_loses_no_datagram_either_way() {
    const COUNT: u32 = 20_000;
    let daemon = Daemon::start();
    let (near, far) = tcp_pair();
    let peer = Peer::server(far, &daemon.pki.host("peer.example"), None);
    let peer = peer.spawn(|mut socket| async move {
        socket.established().await.unwrap();
        let (mut read, mut write) = socket.into_split();
        let writer = tokio::spawn(async move {
            for number in 0..COUNT {
                write.write_all(&number.to_be_bytes().repeat(64)).await.unwrap();
                // Or they would be sealed together.
                write.flush().await.unwrap();
            }
            write
        });
        let mut heard = vec![0; 256];
        for number in 0..COUNT {
            read.read_exact(&mut heard).await.unwrap();
            assert_eq!(heard, number.to_be_bytes().repeat(64));
        }
        drop((writer.await.unwrap(), read));
    });
    let mut client = daemon.client();
    let (ours, theirs) = pair(SocketType::DGRAM);
    set_socket_recv_buffer_size(&theirs, 4096).unwrap();
    protect(&mut client, &near, &theirs);
    drop(theirs);
    let sender = ours.try_clone().unwrap();
    let writer = std::thread::spawn(move || {
        for number in 0..COUNT {
            send(&sender, &number.to_be_bytes().repeat(64), SendFlags::empty()).unwrap();
        }
    });
    // Nothing is read before all has been sent, and so every buffer on the way back is full.
    writer.join().unwrap();
    let mut room = [0; 1000];
    for number in 0..COUNT {
        let (count, _) = recv(&ours, &mut room[..], RecvFlags::empty()).unwrap();
        assert_eq!(&room[..count], &number.to_be_bytes().repeat(64)[..]);
    }
    wait(peer);
}

#[test]
fn f_a_datagram_side_ends_with_its_control_connection_or_where_it_is_shut_down() {
    let daemon = Daemon::start();
    let (near, far) = tcp_pair();
    let peer = Peer::server(far, &daemon.pki.host("peer.example"), None).echo();
    let mut client = daemon.client();
    let (ours, theirs) = pair(SocketType::DGRAM);
    protect(&mut client, &near, &theirs);
    drop((ours, theirs));
    // Nothing is on its way, so nobody sees that the application has closed its end.
    drop(client);
    assert!(!wait(peer).is_clean(), "it was cut");

    let (near, far) = tcp_pair();
    let peer = Peer::server(far, &daemon.pki.host("peer.example"), None).echo();
    let mut client = daemon.client();
    let (ours, theirs) = pair(SocketType::DGRAM);
    protect(&mut client, &near, &theirs);
    send(&ours, b"last", SendFlags::empty()).unwrap();
    let mut room = [0; 10];
    assert_eq!(recv(&ours, &mut room[..], RecvFlags::empty()).unwrap().0, 4);
    // The socket that was passed is the application's as well.
    shutdown(&theirs, Shutdown::Read).unwrap();
    assert!(wait(peer).is_clean());
}
