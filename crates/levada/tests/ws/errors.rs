//! X1, X3, X4: errors in band.

use std::io::ErrorKind;

use levada::ws::{SizeLimits, WsOptions};
use levada::{Ended, Ending, OsErrorKind, Role, WsStream};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::{Peer, ROLES, Scripted, code_in, kind, poll_read, with_peer};

/// X1, X4: a breach of the protocol is InvalidData, now and ever after, for reads and writes.
#[tokio::test]
async fn x1_x4_after_a_violation_every_call_says_the_same() {
    for role in ROLES {
        let (mut stream, mut peer) = with_peer(role, WsOptions::default());
        peer.send(0x80, b"continues nothing").await;
        peer.io.shutdown().await.unwrap();
        for _ in 0..3 {
            let error = stream.read(&mut [0; 8]).await.unwrap_err();
            assert_eq!((kind(&error), code_in(&error)), (ErrorKind::InvalidData, "ws_protocol"));
            let error = stream.write(b"x").await.unwrap_err();
            assert_eq!(kind(&error), ErrorKind::InvalidData);
        }
    }
}

/// X1: a violation under way refuses writes with its own words.
#[tokio::test]
async fn x1_a_write_during_a_violation_leads_to_the_cause() {
    let (mut stream, mut peer) = with_peer(Role::Client, WsOptions::default());
    peer.send(0x83, b"opcode three").await;
    assert!(poll_read(&mut stream, 8).is_pending());
    let error = stream.write(b"x").await.unwrap_err();
    assert_eq!(kind(&error), ErrorKind::InvalidData);
    assert!(error.to_string().contains("reserved opcode 3"), "{error}");
    assert!(std::error::Error::source(&error).is_some());
}

/// X3: what exceeds our limit is answered with 1009 and is an error.
#[tokio::test]
async fn x3_what_exceeds_a_limit_is_answered_with_1009() {
    for role in ROLES {
        let mut options = WsOptions::default();
        options.limits = SizeLimits { frame: 10, message: 15 };
        let (mut stream, mut peer) = with_peer(role, options);
        peer.send(0x02, b"ten bytes!").await;
        peer.send(0x80, b"six...").await;
        peer.io.shutdown().await.unwrap();
        let mut room = [0; 100];
        assert_eq!(stream.read(&mut room).await.unwrap(), 10);
        let error = stream.read(&mut room).await.unwrap_err();
        assert_eq!(kind(&error), ErrorKind::InvalidData);
        assert_eq!(Ended::of(&error).unwrap().ending, Ending::WsProtocol(1009));
        assert_eq!(peer.next().await.1[..2], 1009_u16.to_be_bytes());
    }
}

/// X1: the carrier's own errors keep their kind, and a waiting write fails with them once.
#[tokio::test]
async fn x1_errors_of_the_carrier_keep_their_kind() {
    for role in ROLES {
        let (near, _far) = tokio::io::duplex(64);
        let reads = [ErrorKind::ConnectionReset].into();
        let io = Scripted { inner: near, reads, writes: [].into() };
        let mut stream = WsStream::after_upgrade(io, [], role, WsOptions::default());
        let error = stream.read(&mut [0; 8]).await.unwrap_err();
        assert_eq!((kind(&error), code_in(&error)), (ErrorKind::ConnectionReset, "ECONNRESET"));
        let error = stream.write(b"x").await.unwrap_err();
        assert_eq!(kind(&error), ErrorKind::BrokenPipe);

        let (near, _far) = tokio::io::duplex(64);
        let writes = [ErrorKind::ConnectionReset].into();
        let io = Scripted { inner: near, reads: [].into(), writes };
        let mut stream = WsStream::after_upgrade(io, [], role, WsOptions::default());
        stream.write_all(b"x").await.unwrap();
        let error = stream.flush().await.unwrap_err();
        assert_eq!((kind(&error), code_in(&error)), (ErrorKind::ConnectionReset, "ECONNRESET"));
        let error = stream.read(&mut [0; 8]).await.unwrap_err();
        assert_eq!(kind(&error), ErrorKind::ConnectionReset);
        let Ending::SocketError(os) = &stream.ended().unwrap().ending else { panic!() };
        assert_eq!(os.kind, OsErrorKind::ConnectionReset);
    }
}

/// A write that fails does not hide what the peer said before: its data, and why it closed.
#[tokio::test]
async fn x1_a_failed_write_does_not_hide_the_peers_close() {
    for role in ROLES {
        let (near, far) = tokio::io::duplex(4096);
        let writes = [ErrorKind::BrokenPipe].into();
        let io = Scripted { inner: near, reads: [].into(), writes };
        let mut stream = WsStream::after_upgrade(io, [], role, WsOptions::default());
        let mut peer = Peer::new(far, role);
        peer.send(0x82, b"last").await;
        peer.send(0x88, &4000_u16.to_be_bytes()).await;
        drop(peer);
        stream.write_all(b"x").await.unwrap();
        assert_eq!(kind(&stream.flush().await.unwrap_err()), ErrorKind::BrokenPipe);
        let mut room = [0; 8];
        assert_eq!(stream.read(&mut room).await.unwrap(), 4);
        assert_eq!(stream.read(&mut room).await.unwrap(), 0);
        let ended = stream.ended().unwrap();
        assert!(matches!(ended.ending, Ending::WsClose { code: Some(4000), .. }), "{ended}");
    }
}

/// The ending of a socket beneath is the stream's own, with its facts.
#[tokio::test]
async fn x1_an_ending_below_shows_through() {
    use levada::{Options, Pipe, Socket};
    let (near, far) = Pipe::pair(1000);
    let socket = Socket::adopt(near, None, Options::default());
    let mut options = WsOptions::default();
    options.facts = socket.facts();
    let mut stream = WsStream::after_upgrade(socket, [], Role::Client, options);
    drop(far);
    let error = stream.read(&mut [0; 8]).await.unwrap_err();
    let ended = Ended::of(&error).unwrap();
    assert_eq!(ended.code(), "ECONNRESET");
    assert!(ended.facts.peer.is_some());
}
