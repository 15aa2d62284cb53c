//! What a relay needs of a WebSocket: a goodbye that tells of something missing is not passed on as a
//! good one, and a bad end behind the stream is told to its peer.

use levada::ws::{CloseCode, CloseFrame, WsOptions};
use levada::{Ended, Ending, Options, Party, Pipe, Role, Socket, Watched, WsStream, relay};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

use crate::support::{Peer, ROLES, with_peer};

fn socket_pair() -> [Socket; 2] {
    let (near, far) = Pipe::pair(1000);
    [near, far].map(|pipe| Socket::adopt(pipe, None, Options::default()))
}

/// Ends the carrier as a peer does that has said its last.
async fn end(mut peer: Peer) {
    peer.io.shutdown().await.unwrap();
    while !peer.is_at_end().await {}
}

/// C1: only 1000, 1001 and no code at all say that nothing is missing.
#[tokio::test]
async fn c1_the_peers_code_tells_whether_something_is_missing() {
    for role in ROLES {
        let codes = [(None, false), (Some(1000), false), (Some(1001), false)];
        for (code, breaks_off) in
            codes.into_iter().chain([1002, 1011, 4000].map(|n| (Some(n), true)))
        {
            let (mut stream, mut peer) = with_peer(role, WsOptions::default());
            assert!(!stream.breaks_off(), "it has said nothing yet");
            let code: Option<u16> = code;
            peer.send(0x88, code.map(u16::to_be_bytes).as_ref().map_or(&[], |code| code)).await;
            let (ended, ()) = tokio::join!(stream.closed(), end(peer));
            assert_eq!(
                (stream.breaks_off(), ended.is_clean()),
                (breaks_off, !breaks_off),
                "{ended}"
            );
        }
    }
}

/// `fail` says 1011 behind what was accepted, if that can go without waiting, and ends the life at
/// once.
#[tokio::test]
async fn c12_a_stream_that_fails_says_1011_if_it_can() {
    for role in ROLES {
        let (mut stream, mut peer) = with_peer(role, WsOptions::default());
        stream.write_all(b"accepted").await.unwrap();
        stream.fail();
        assert_eq!(stream.ended().unwrap().ending, Ending::Aborted);
        assert_eq!(peer.next().await, (0x82, b"accepted".to_vec()));
        assert_eq!(peer.next().await, (0x88, 1011_u16.to_be_bytes().to_vec()));
        assert!(peer.is_at_end().await);

        // Our Close frame had gone out: what it said stands.
        let (mut stream, mut peer) = with_peer(role, WsOptions::default());
        stream.close(CloseCode::new(4000).unwrap(), "").await.unwrap();
        stream.fail();
        drop(stream);
        assert_eq!(peer.next().await, (0x88, 4000_u16.to_be_bytes().to_vec()));
        assert!(peer.is_at_end().await);

        // No room: nobody waits.
        let (near, far) = tokio::io::duplex(8);
        let mut stream = WsStream::after_upgrade(near, [], role, WsOptions::default());
        stream.write_all(b"more than there is room for").await.unwrap();
        stream.fail();
        drop(stream);
        let mut peer = Peer::new(far, role);
        let mut rest = Vec::new();
        peer.io.read_to_end(&mut rest).await.unwrap();
        assert_eq!(rest.len(), 8, "a frame that is cut off");
    }
}

/// What came of a relay between a WebSocket and a socket, and the peer of the WebSocket.
struct Relayed {
    ends: (Ended, Ended),
    peer: Peer,
}

/// Relays between a WebSocket and a plain socket while `them` do what they do: the WebSocket's peer,
/// and the socket's.
async fn relayed<T>(role: Role, them: impl AsyncFnOnce(&mut Peer, Socket) -> T) -> (Relayed, T) {
    let (mut stream, mut peer): (WsStream<DuplexStream>, Peer) =
        with_peer(role, WsOptions::default());
    let [mut behind, target] = socket_pair();
    let relaying = async {
        let ends = relay(&mut stream, &mut behind).await;
        drop((stream, behind));
        ends
    };
    let (ends, told) = tokio::join!(relaying, them(&mut peer, target));
    (Relayed { ends, peer }, told)
}

/// The socket behind the WebSocket breaks: its peer is told with 1011, behind all that had come.
#[tokio::test]
async fn c10_a_broken_end_behind_a_relay_is_1011() {
    for role in ROLES {
        let (mut relayed, ()) = relayed(role, async |peer, mut target| {
            target.write_all(b"half an answ").await.unwrap();
            assert_eq!(peer.next().await, (0x82, b"half an answ".to_vec()));
            target.abort();
        })
        .await;
        assert_eq!(relayed.peer.next().await, (0x88, 1011_u16.to_be_bytes().to_vec()));
        assert!(relayed.peer.is_at_end().await);
        let (stream, socket) = relayed.ends;
        assert_eq!((stream.code(), socket.code()), ("aborted", "ECONNRESET"));
    }
}

/// The WebSocket's peer breaks off with a code: the socket behind it sees a reset and no FIN.
#[tokio::test]
async fn c1_a_peer_that_breaks_off_is_passed_on_as_a_reset() {
    for role in ROLES {
        let (relayed, read) = relayed(role, async |peer, mut target| {
            peer.send(0x82, b"half a quest").await;
            peer.send(0x88, &4000_u16.to_be_bytes()).await;
            assert_eq!(peer.next().await.0, 0x88);
            peer.io.shutdown().await.unwrap();
            let mut all = Vec::new();
            let error = target.read_to_end(&mut all).await.unwrap_err();
            (all, error.kind())
        })
        .await;
        assert_eq!(read, (b"half a quest".to_vec(), std::io::ErrorKind::ConnectionReset));
        assert_eq!(relayed.ends.1.code(), "aborted");
    }
}

/// Good goodbyes are passed on as such, either way.
#[tokio::test]
async fn c1_c2_a_good_goodbye_is_passed_on_either_way() {
    for role in ROLES {
        let (relayed, ()) = relayed(role, async |peer, mut target| {
            peer.send(0x82, b"question").await;
            let mut question = [0; 8];
            target.read_exact(&mut question).await.unwrap();
            target.write_all(b"answer").await.unwrap();
            target.shutdown().await.unwrap();
            assert_eq!(peer.next().await, (0x82, b"answer".to_vec()));
            assert_eq!(peer.next().await, (0x88, 1000_u16.to_be_bytes().to_vec()));
            // It had more to say before its own Close frame.
            peer.send(0x82, b", and more").await;
            peer.answer_close().await;
            peer.io.shutdown().await.unwrap();
            let mut more = Vec::new();
            target.read_to_end(&mut more).await.unwrap();
            assert_eq!(more, b", and more");
        })
        .await;
        let (stream, socket) = relayed.ends;
        let code = Some(1000);
        let ending = Ending::WsClose { code, reason: String::new(), by: Party::Local };
        assert_eq!((stream.ending, socket.ending), (ending, Ending::Finished));
    }
}

/// What was asked for once is not asked for again.
#[tokio::test]
async fn c8_start_close_is_taken_once() {
    for role in ROLES {
        let (mut stream, mut peer) = with_peer(role, WsOptions::default());
        assert!(stream.start_close(CloseFrame::from(CloseCode::GOING_AWAY)));
        assert!(!stream.start_close(CloseFrame::default()));
        stream.flush().await.unwrap();
        assert_eq!(peer.next().await, (0x88, 1001_u16.to_be_bytes().to_vec()));
    }
}
