//! C1-C14: closing, for both ends.

use std::io::ErrorKind;

use levada::ws::{CloseCode, CloseFrame, CloseReply, WsOptions};
use levada::{Ending, Event, Party, Role, State, WsStream};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::{
    Over, ROLES, Trickle, code_in, kind, pair, poll_read, read_all, told, with_peer,
};

fn close(code: Option<u16>, reason: &str, by: Party) -> Ending {
    Ending::WsClose { code, reason: reason.into(), by }
}

/// C1, C2, C3: whoever closes, over every carrier: the data before the Close frame is read, both end
/// with the frame of the side that closed, and later writes say NotConnected.
#[tokio::test]
async fn c1_c2_c3_either_side_closes() {
    for over in Over::ALL {
        for closer in [0, 1] {
            let mut ends = pair(over);
            ends.rotate_left(closer);
            let [mut one, mut other] = ends;
            let ours = async {
                one.write_all(b"last words").await.unwrap();
                one.close(CloseCode::new(4000).unwrap(), "enough").await.unwrap();
                assert_eq!(one.state(), State::Closing);
                let error = one.write(b"more").await.unwrap_err();
                assert_eq!(kind(&error), ErrorKind::NotConnected);
                let (rest, end) = read_all(&mut one).await;
                end.unwrap();
                assert_eq!(rest, b"under way");
                let error = one.write(b"more").await.unwrap_err();
                assert_eq!((kind(&error), code_in(&error)), (ErrorKind::NotConnected, "ws_close"));
                one.closed().await
            };
            let theirs = async {
                other.write_all(b"under way").await.unwrap();
                other.flush().await.unwrap();
                let (words, end) = read_all(&mut other).await;
                end.unwrap();
                assert_eq!(words, b"last words");
                let error = other.write(b"more").await.unwrap_err();
                assert_eq!(kind(&error), ErrorKind::NotConnected);
                other.closed().await
            };
            let (ours, theirs) = tokio::join!(ours, theirs);
            assert_eq!(ours.ending, close(Some(4000), "enough", Party::Local), "{over:?}");
            assert_eq!(theirs.ending, close(Some(4000), "enough", Party::Peer), "{over:?}");
            assert_eq!(theirs.facts.first_goodbye, Some(Party::Peer));
            assert_eq!(theirs.facts.bytes.read, 10);
        }
    }
}

/// C2: shutdown resolves when the Close frame has left, without the peer; its data is read on.
#[tokio::test]
async fn c2_shutdown_does_not_wait_for_the_peer() {
    for role in ROLES {
        let (mut stream, mut peer) = with_peer(role, WsOptions::default());
        stream.shutdown().await.unwrap();
        assert_eq!(peer.next().await, (0x88, vec![3, 0xe8]));
        peer.send(0x82, b"still").await;
        let mut room = [0; 8];
        assert_eq!(stream.read(&mut room).await.unwrap(), 5);
        stream.shutdown().await.unwrap();
        stream.flush().await.unwrap();
        peer.answer_close().await;
        if role == Role::Client {
            peer.io.shutdown().await.unwrap();
        }
        assert_eq!(stream.read(&mut room).await.unwrap(), 0);
        assert!(stream.ended().unwrap().is_clean());
        assert!(peer.is_at_end().await, "C8: one Close frame");
    }
}

/// C3: a server ends the carrier itself, a client's end of file waits for that.
#[tokio::test]
async fn c3_the_server_ends_the_carrier_and_the_client_waits() {
    let (mut server, mut peer) = with_peer(Role::Server, WsOptions::default());
    peer.answer_close().await;
    assert_eq!(server.read(&mut [0; 8]).await.unwrap(), 0);
    assert_eq!(peer.next().await, (0x88, vec![3, 0xe8]));
    assert!(peer.is_at_end().await);

    let (mut client, mut peer) = with_peer(Role::Client, WsOptions::default());
    peer.answer_close().await;
    let reading = tokio::spawn(async move { client.read(&mut [0; 8]).await });
    assert_eq!(peer.next().await, (0x88, vec![3, 0xe8]));
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
    assert!(!reading.is_finished());
    drop(peer);
    assert_eq!(reading.await.unwrap().unwrap(), 0);
}

/// C4: the carrier ends without a Close frame: between messages, in a message, in a frame.
#[tokio::test]
async fn c4_an_end_without_a_close_frame_is_truncation() {
    for role in ROLES {
        for cut in 0..3 {
            let (mut stream, mut peer) = with_peer(role, WsOptions::default());
            let mut events = stream.events();
            match cut {
                0 => peer.send(0x82, b"whole").await,
                1 => peer.send(0x02, b"whole").await,
                _ => {
                    let mut frame = peer.frame(0x82, b"whole!");
                    frame.pop();
                    peer.io.write_all(&frame).await.unwrap();
                }
            }
            drop(peer);
            let (data, end) = read_all(&mut stream).await;
            assert_eq!(data, b"whole");
            let error = end.unwrap_err();
            assert_eq!(kind(&error), ErrorKind::UnexpectedEof);
            assert_eq!(code_in(&error), "ERR_TLS_SOCKET_CLOSE");
            let again = stream.read(&mut [0; 8]).await.unwrap_err();
            assert_eq!(kind(&again), ErrorKind::UnexpectedEof, "X4");
            assert!(
                matches!(&*told(&mut events), [Event::Ended(e)] if e.ending == Ending::SocketClose)
            );
        }
    }
}

/// C6, §1.8: the code and the reason of our choice, the reason cut between characters.
#[tokio::test]
async fn c6_code_and_reason_are_ours_to_choose() {
    for role in ROLES {
        let (mut stream, mut peer) = with_peer(role, WsOptions::default());
        stream.close(CloseCode::new(3456).unwrap(), &"ü".repeat(70)).await.unwrap();
        let (first, body) = peer.next().await;
        assert_eq!((first, &body[..2]), (0x88, &3456_u16.to_be_bytes()[..]));
        assert_eq!(std::str::from_utf8(&body[2..]).unwrap(), "ü".repeat(61));
        assert!(!stream.start_close(CloseFrame::default()), "what was said first stands");
    }
    for code in [999, 1004, 1005, 1006, 1015, 5000] {
        assert!(CloseCode::new(code).is_err());
    }
}

/// C7: a Close frame that cannot be is answered with 1002 or 1007, and the stream ends with it.
#[tokio::test]
async fn c7_a_bad_close_frame_is_a_violation() {
    let cases: [(&[u8], u16); 3] = [(b"\x03", 1002), (&[3, 0xed], 1002), (&[3, 0xe8, 0xff], 1007)];
    for role in ROLES {
        for (body, code) in cases {
            let (mut stream, mut peer) = with_peer(role, WsOptions::default());
            let mut events = stream.events();
            peer.send(0x88, body).await;
            peer.io.shutdown().await.unwrap();
            let error = stream.read(&mut [0; 8]).await.unwrap_err();
            assert_eq!((kind(&error), code_in(&error)), (ErrorKind::InvalidData, "ws_protocol"));
            assert_eq!(peer.next().await.1[..2], code.to_be_bytes());
            let told = told(&mut events);
            assert!(matches!(&told[0], Event::WsViolation { code: told, .. } if *told == code));
        }
    }
}

/// C8: both close at once; each sends one Close frame, and both end.
#[tokio::test]
async fn c8_a_crossing_close_completes() {
    for over in Over::ALL {
        let [mut client, mut server] = pair(over);
        let (one, other) = tokio::join!(
            async {
                client.close(CloseCode::new(4001).unwrap(), "").await.unwrap();
                client.closed().await
            },
            async {
                server.close(CloseCode::new(4002).unwrap(), "").await.unwrap();
                server.closed().await
            }
        );
        assert!(matches!(one.ending, Ending::WsClose { .. }), "{over:?} {one}");
        assert!(matches!(other.ending, Ending::WsClose { .. }), "{over:?} {other}");
    }
}

/// C9: after our Close frame nothing is sent, no pong either.
#[tokio::test]
async fn c9_nothing_follows_our_close_frame() {
    for role in ROLES {
        let (mut stream, mut peer) = with_peer(role, WsOptions::default());
        stream.shutdown().await.unwrap();
        peer.send(0x89, b"ping").await;
        peer.send(0x82, b"data").await;
        assert_eq!(stream.read(&mut [0; 8]).await.unwrap(), 4);
        stream.ping(b"nobody answers").unwrap();
        peer.answer_close().await;
        peer.io.shutdown().await.unwrap();
        assert_eq!(stream.read(&mut [0; 8]).await.unwrap(), 0);
        drop(stream);
        assert_eq!(peer.next().await, (0x88, vec![3, 0xe8]));
        assert!(peer.is_at_end().await);
    }
}

/// C10: after a breach of the protocol the Close frame is on the wire, the carrier is ended behind it,
/// and only then the error is in band. Data before the breach is delivered.
#[tokio::test]
async fn c10_a_violation_says_so_and_then_ends_in_band() {
    for role in ROLES {
        let (mut stream, mut peer) = with_peer(role, WsOptions::default());
        peer.send(0x82, b"before").await;
        peer.send(0xf2, b"reserved bits").await;
        let mut room = [0; 100];
        assert_eq!(stream.read(&mut room).await.unwrap(), 6);
        let reading = tokio::spawn(async move { stream.read(&mut room).await });
        assert_eq!(peer.next().await.1[..2], 1002_u16.to_be_bytes());
        if role == Role::Server {
            assert!(peer.is_at_end().await, "a server ends its direction first");
        }
        assert!(!reading.is_finished(), "C13: read on until the peer ends");
        drop(peer);
        let error = reading.await.unwrap().unwrap_err();
        assert_eq!((kind(&error), code_in(&error)), (ErrorKind::InvalidData, "ws_protocol"));
    }
}

/// C11: with `WhenWeClose` the peer's Close frame is end of file, and our side may write on.
#[tokio::test]
async fn c11_the_answer_may_wait_until_we_have_written_everything() {
    for role in ROLES {
        let mut options = WsOptions::default();
        options.close_reply = CloseReply::WhenWeClose;
        let (mut stream, mut peer) = with_peer(role, options);
        peer.answer_close().await;
        assert_eq!(stream.read(&mut [0; 8]).await.unwrap(), 0);
        stream.write_all(b"the whole tail").await.unwrap();
        stream.shutdown().await.unwrap();
        assert_eq!(peer.next().await, (0x82, b"the whole tail".to_vec()));
        assert_eq!(peer.next().await, (0x88, vec![3, 0xe8]));
        peer.io.shutdown().await.unwrap();
        assert_eq!(stream.closed().await.ending, close(Some(1000), "", Party::Peer));
    }
}

/// What was accepted before the peer's Close frame came goes out before the answer.
#[tokio::test]
async fn c1_the_answer_stands_behind_what_was_accepted() {
    for role in ROLES {
        let (mut stream, mut peer) = with_peer(role, WsOptions::default());
        stream.write_all(b"accepted").await.unwrap();
        peer.answer_close().await;
        peer.io.shutdown().await.unwrap();
        assert_eq!(stream.read(&mut [0; 8]).await.unwrap(), 0);
        assert_eq!(peer.next().await, (0x82, b"accepted".to_vec()));
        assert_eq!(peer.next().await, (0x88, vec![3, 0xe8]));
    }
}

/// C12: a dropped stream says 1001 behind what was written, if it can go without waiting.
#[tokio::test]
async fn c12_dropping_says_going_away_if_it_can() {
    for role in ROLES {
        let (mut stream, mut peer) = with_peer(role, WsOptions::default());
        let mut events = stream.events();
        stream.write_all(b"tail").await.unwrap();
        drop(stream);
        assert_eq!(peer.next().await, (0x82, b"tail".to_vec()));
        assert_eq!(peer.next().await, (0x88, 1001_u16.to_be_bytes().to_vec()));
        assert!(peer.is_at_end().await);
        assert!(
            matches!(told(&mut events).last(), Some(Event::Ended(e)) if e.ending == Ending::Aborted)
        );

        // No room: nobody waits, and the peer sees a stream that was cut.
        let (near, far) = tokio::io::duplex(8);
        let mut stream = WsStream::after_upgrade(near, [], role, WsOptions::default());
        stream.write_all(b"more than there is room for").await.unwrap();
        drop(stream);
        let other = if role == Role::Client { Role::Server } else { Role::Client };
        let mut end = WsStream::after_upgrade(far, [], other, WsOptions::default());
        assert_eq!(kind(&read_all(&mut end).await.1.unwrap_err()), ErrorKind::UnexpectedEof);
    }
}

/// C12: a socket beneath is not reset behind the 1001.
#[tokio::test]
async fn c12_over_a_socket_the_goodbye_is_read() {
    use levada::{Options, Pipe, Socket};
    let (near, far) = Pipe::pair(1000);
    let [near, far] = [near, far].map(|pipe| Socket::adopt(pipe, None, Options::default()));
    let client = WsStream::after_upgrade(near, [], Role::Client, WsOptions::default());
    let mut server = WsStream::after_upgrade(far, [], Role::Server, WsOptions::default());
    drop(client);
    assert_eq!(server.read(&mut [0; 8]).await.unwrap(), 0);
    assert_eq!(server.ended().unwrap().ending, close(Some(1001), "", Party::Peer));
}

/// C13: a server that refuses a flood reads on behind its Close frame, so that no reset takes the
/// frame away.
#[tokio::test]
async fn c13_what_still_comes_is_taken_in_before_the_carrier_ends() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut client = tokio::net::TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (tcp, _) = listener.accept().await.unwrap();
    let mut server = WsStream::after_upgrade(tcp, [], Role::Server, WsOptions::default());
    let serving = tokio::spawn(async move {
        let error = server.read(&mut [0; 8]).await.unwrap_err();
        (code_in(&error), server.facts().bytes.wire_read)
    });
    // Unmasked, and much behind it.
    client.write_all(&vec![0x02; 300_000]).await.unwrap();
    let mut answer = Vec::new();
    client.shutdown().await.unwrap();
    client.read_to_end(&mut answer).await.unwrap();
    assert_eq!(answer[0], 0x88);
    assert_eq!(answer[2..4], 1002_u16.to_be_bytes());
    assert_eq!(serving.await.unwrap(), ("ws_protocol", 300_000));
}

/// C14, §1.8: the carrier comes back with every byte that was read ahead.
#[tokio::test]
async fn c14_the_carrier_is_given_back_with_what_was_read_ahead() {
    for role in ROLES {
        let (mut stream, mut peer) = with_peer(role, WsOptions::default());
        peer.send(0x82, b"read").await;
        let second = peer.frame(0x82, b"not read");
        peer.io.write_all(&second).await.unwrap();
        let mut room = [0; 4];
        stream.read_exact(&mut room).await.unwrap();
        let (io, prefix) = stream.into_inner();
        assert_eq!(prefix, second);

        let mut stream = WsStream::after_upgrade(io, prefix, role, WsOptions::default());
        let mut room = [0; 8];
        stream.read_exact(&mut room).await.unwrap();
        assert_eq!(&room, b"not read");

        // What stands behind the peer's Close frame is another protocol's, with large reads too.
        for size in [10, 10_000] {
            let (mut stream, mut peer) = with_peer(role, WsOptions::default());
            let mut wire = peer.frame(0x88, &[3, 0xe8]);
            wire.extend_from_slice(b"HELO");
            peer.io.write_all(&wire).await.unwrap();
            let _ = poll_read(&mut stream, size);
            assert_eq!(stream.into_inner().1, b"HELO");
        }
    }
}

/// Over a carrier that is Pending everywhere nothing of this hangs.
#[tokio::test]
async fn c2_close_over_a_slow_carrier_keeps_what_was_written() {
    let (near, far) = tokio::io::duplex(16);
    let (near, far) = (Trickle::new(near, 1), Trickle::new(far, 3));
    let mut client = WsStream::after_upgrade(near, [], Role::Client, WsOptions::default());
    let mut server = WsStream::after_upgrade(far, [], Role::Server, WsOptions::default());
    let (ended, read) = tokio::join!(
        async {
            client.write_all(&[9; 5000]).await.unwrap();
            client.shutdown().await.unwrap();
            client.closed().await
        },
        read_all(&mut server)
    );
    assert!(ended.is_clean());
    assert_eq!(read.0.len(), 5000);
}
