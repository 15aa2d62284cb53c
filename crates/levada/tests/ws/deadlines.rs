//! C5 and keepalive, in virtual time.

use std::io::ErrorKind;
use std::time::Duration;

use levada::ws::{ClientOptions, HandshakeError, Keepalive, ServerOptions, WsOptions};
use levada::{Deadline, Ending, Role, WsStream};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::Instant;

use crate::support::{ROLES, kind, with_peer};

const fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

/// C5: a peer that does not answer our Close frame is given up after 120 s of silence.
#[tokio::test(start_paused = true)]
async fn c5_a_close_that_stands_still_ends() {
    for role in ROLES {
        let (mut stream, mut peer) = with_peer(role, WsOptions::default());
        let start = Instant::now();
        stream.shutdown().await.unwrap();
        let slow = async {
            for _ in 0..3 {
                tokio::time::sleep(seconds(100)).await;
                peer.send(0x82, b"still here").await;
            }
            peer
        };
        let (error, _peer) = tokio::join!(
            async {
                let mut room = [0; 100];
                loop {
                    if let Err(error) = stream.read(&mut room).await {
                        break error;
                    }
                }
            },
            slow
        );
        assert_eq!(kind(&error), ErrorKind::TimedOut);
        assert_eq!(stream.ended().unwrap().ending, Ending::TimedOut(Deadline::Close));
        assert_eq!(start.elapsed().as_secs(), 300 + 120);
    }
}

/// C5: a server that never ends the carrier is not waited for for ever, and nothing is lost by it.
#[tokio::test(start_paused = true)]
async fn c5_a_server_that_keeps_the_carrier_is_left() {
    let (mut client, mut peer) = with_peer(Role::Client, WsOptions::default());
    let start = Instant::now();
    client.shutdown().await.unwrap();
    peer.answer_close().await;
    assert_eq!(client.read(&mut [0; 8]).await.unwrap(), 0);
    assert!(client.ended().unwrap().is_clean());
    assert_eq!(start.elapsed().as_secs(), 120);
}

/// C5: a peer that takes no byte does not keep our Close frame for ever.
#[tokio::test(start_paused = true)]
async fn c5_a_close_frame_that_cannot_leave_ends() {
    for role in ROLES {
        let (near, _far) = tokio::io::duplex(1);
        let mut stream = WsStream::after_upgrade(near, [], role, WsOptions::default());
        let start = Instant::now();
        let error = stream.shutdown().await.unwrap_err();
        assert_eq!(kind(&error), ErrorKind::BrokenPipe);
        assert_eq!(stream.ended().unwrap().ending, Ending::TimedOut(Deadline::Close));
        assert_eq!(start.elapsed().as_secs(), 120);
        assert_eq!(kind(&stream.read(&mut [0; 8]).await.unwrap_err()), ErrorKind::TimedOut);
    }
}

/// §1.8: silence is met with a ping, and silence after it ends the stream.
#[tokio::test(start_paused = true)]
async fn e3_keepalive_pings_and_gives_up() {
    for role in ROLES {
        let mut options = WsOptions::default();
        options.keepalive = Some(Keepalive { interval: seconds(30), pong_deadline: seconds(10) });
        let (mut stream, mut peer) = with_peer(role, options);
        let start = Instant::now();
        let reading = tokio::spawn(async move {
            let error = stream.read(&mut [0; 8]).await.unwrap_err();
            (error, stream)
        });
        for round in 1..=3 {
            assert_eq!(peer.next().await, (0x89, vec![]));
            assert_eq!(start.elapsed().as_secs(), 30 * round);
            peer.send(0x8a, b"").await;
        }
        assert_eq!(peer.next().await, (0x89, vec![]));
        assert_eq!(peer.next().await.1[..2], 1011_u16.to_be_bytes(), "a goodbye that can go goes");
        let (error, stream) = reading.await.unwrap();
        assert_eq!(kind(&error), ErrorKind::TimedOut);
        assert_eq!(stream.ended().unwrap().ending, Ending::TimedOut(Deadline::Idle));
        assert_eq!(start.elapsed().as_secs(), 120 + 10);
    }
}

/// §1.8: the idle deadline counts silence both ways.
#[tokio::test(start_paused = true)]
async fn c5_an_idle_stream_ends_when_that_is_asked_for() {
    for role in ROLES {
        let mut options = WsOptions::default();
        options.deadlines.idle = Some(seconds(60));
        let (mut stream, mut peer) = with_peer(role, options);
        let start = Instant::now();
        let talk = async {
            tokio::time::sleep(seconds(50)).await;
            peer.send(0x82, b"x").await;
            peer
        };
        let (error, mut peer) = tokio::join!(
            async {
                assert_eq!(stream.read(&mut [0; 8]).await.unwrap(), 1);
                stream.read(&mut [0; 8]).await.unwrap_err()
            },
            talk
        );
        assert_eq!(kind(&error), ErrorKind::TimedOut);
        assert_eq!(start.elapsed().as_secs(), 110);
        assert_eq!(peer.next().await.0, 0x88);
    }
}

/// The opening handshake has its deadline, on both sides.
#[tokio::test(start_paused = true)]
async fn c5_an_opening_handshake_that_stands_still_ends() {
    let (near, _far) = tokio::io::duplex(4096);
    let start = Instant::now();
    let options = ClientOptions::new("a", "/").unwrap();
    let client = WsStream::connect(near, options).await.unwrap_err();
    let (_near, far) = tokio::io::duplex(4096);
    let server = WsStream::accept(far, ServerOptions::default()).await.unwrap_err();
    for error in [client, server] {
        assert!(matches!(error, HandshakeError::Ended(_)));
        assert_eq!(error.ended().ending.cause_code(), "timeout_handshake");
        assert_eq!(kind(&error.into()), ErrorKind::TimedOut);
    }
    assert_eq!(start.elapsed().as_secs(), 20);
}

/// A violation's Close frame goes, and a client that never ends does not keep the server.
#[tokio::test(start_paused = true)]
async fn c13_a_client_that_never_ends_is_left() {
    let (mut server, mut peer) = with_peer(Role::Server, WsOptions::default());
    let start = Instant::now();
    peer.io.write_all(&[0xff; 2]).await.unwrap();
    let error = server.read(&mut [0; 8]).await.unwrap_err();
    assert_eq!(kind(&error), ErrorKind::InvalidData);
    assert_eq!(start.elapsed().as_secs(), 5);
    assert_eq!(peer.next().await.1[..2], 1002_u16.to_be_bytes());
}
