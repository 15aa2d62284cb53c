//! K1-K4, B10, E9: who is woken, and that nobody is forgotten.

use std::io::ErrorKind;
use std::pin::Pin;
use std::task::{Context, Poll};

use levada::WsStream;
use levada::ws::WsOptions;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};

use crate::support::{Count, Over, ROLES, Scripted, code_in, pair, poll_read, with_peer};

/// K1: over a carrier that is Pending at every byte, polled by hand: each Pending is followed by a
/// wake, and there are not many more wakes than bytes.
#[test]
fn k1_a_carrier_that_waits_at_every_byte_is_enough() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let _guard = runtime.enter();
    for writer in [0, 1] {
        let mut ends = pair(Over::Trickle);
        ends.rotate_left(writer);
        let [mut from, mut to] = ends;
        let (wakes, task) = Count::waker();
        let mut cx = Context::from_waker(&task);
        let data: Vec<u8> = (0..1000_u32).map(|n| n as u8).collect();
        let (mut sent, mut got) = (0, Vec::new());
        let mut polls = 0;
        while got.len() < data.len() {
            let before = wakes.get();
            let mut moved = false;
            if sent < data.len() {
                if let Poll::Ready(count) = Pin::new(&mut from).poll_write(&mut cx, &data[sent..]) {
                    sent += count.unwrap();
                    moved = true;
                }
            } else if Pin::new(&mut from).poll_flush(&mut cx).is_ready() {
                moved = true;
            }
            let mut room = [0; 100];
            let mut buf = ReadBuf::new(&mut room);
            if Pin::new(&mut to).poll_read(&mut cx, &mut buf).is_ready() {
                got.extend_from_slice(buf.filled());
                moved = true;
            }
            assert!(moved || wakes.get() > before, "nobody will wake us");
            polls += 1;
        }
        assert_eq!(got, data);
        assert!(wakes.get() < 10 * data.len(), "{} wakes", wakes.get());
        assert!(polls < 10 * data.len());
    }
}

/// K2: a carrier that says WouldBlock has registered nobody: that is an error, no hang.
#[tokio::test]
async fn k2_would_block_from_a_carrier_is_an_error() {
    for role in ROLES {
        for writes in [false, true] {
            let (near, _far) = tokio::io::duplex(64);
            let script = || [ErrorKind::WouldBlock].into();
            let io = Scripted {
                inner: near,
                reads: if writes { [].into() } else { script() },
                writes: if writes { script() } else { [].into() },
            };
            let mut stream = WsStream::after_upgrade(io, [], role, WsOptions::default());
            let error = if writes {
                stream.write_all(b"x").await.unwrap();
                stream.flush().await.unwrap_err()
            } else {
                stream.read(&mut [0; 8]).await.unwrap_err()
            };
            assert_eq!(code_in(&error), "EIO", "{error}");
        }
    }
}

/// K3, B10: the reader answers a ping while a writer of another task waits for room; the pong goes
/// out before the writer's turn, and the writer is woken all the same.
#[tokio::test]
async fn k3_b10_a_pong_goes_out_while_the_writer_waits() {
    for role in ROLES {
        let (near, far) = tokio::io::duplex(100);
        let stream = WsStream::after_upgrade(near, [], role, WsOptions::default());
        let mut peer = crate::support::Peer::new(far, role);
        let (mut reader, mut writer) = tokio::io::split(stream);
        let writing = tokio::spawn(async move {
            let data = vec![7; 200_000];
            writer.write_all(&data).await.unwrap();
            writer.flush().await.unwrap();
            writer
        });
        let reading = tokio::spawn(async move {
            let mut room = [0; 64];
            let count = reader.read(&mut room).await.unwrap();
            assert_eq!(&room[..count], b"data");
            // Nothing more comes for now: the reader drives what is owed.
            let more = reader.read(&mut room).await.unwrap();
            assert_eq!(&room[..more], b"more");
            reader
        });
        tokio::task::yield_now().await;
        peer.send(0x89, b"are you there").await;
        peer.send(0x82, b"data").await;
        let (mut got, mut pongs) = (0, 0);
        while got < 200_000 || pongs == 0 {
            match peer.next().await {
                (0x82, payload) => got += payload.len(),
                (0x8a, payload) => {
                    assert_eq!(payload, b"are you there");
                    pongs += 1;
                }
                other => panic!("{other:?}"),
            }
        }
        writing.await.unwrap();
        peer.send(0x82, b"more").await;
        reading.await.unwrap();
    }
}

/// K3: the answer to a Close frame leaves through the reader alone.
#[tokio::test]
async fn k3_a_close_reply_goes_out_through_the_reader_alone() {
    for role in ROLES {
        let (mut stream, mut peer) = with_peer(role, WsOptions::default());
        peer.send(0x88, &4000_u16.to_be_bytes()).await;
        let reading = tokio::spawn(async move { stream.read(&mut [0; 8]).await });
        assert_eq!(peer.next().await, (0x88, 4000_u16.to_be_bytes().to_vec()));
        if role == levada::Role::Client {
            tokio::task::yield_now().await;
            assert!(!reading.is_finished(), "C3: a client waits for the carrier's end");
            peer.io.shutdown().await.unwrap();
        }
        assert_eq!(reading.await.unwrap().unwrap(), 0);
    }
}

/// A flood of pings from a peer that takes nothing: only the latest is answered (RFC 6455 section
/// 5.5.3), so what waits does not grow.
#[tokio::test]
async fn k3_a_flood_of_pings_costs_no_memory() {
    for role in ROLES {
        let (near, far) = tokio::io::duplex(200);
        let mut stream = WsStream::after_upgrade(near, [], role, WsOptions::default());
        let mut peer = crate::support::Peer::new(far, role);
        for _ in 0..5000 {
            peer.send(0x89, &[b'x'; 125]).await;
            // tokio's budget for one turn makes every io wait once it is used up.
            tokio::task::yield_now().await;
            assert!(poll_read(&mut stream, 8192).is_pending());
            assert!(stream.buffered() < 400, "{}", stream.buffered());
        }
    }
}

/// K4: an interrupted call is made again.
#[tokio::test]
async fn k4_interrupted_calls_are_retried() {
    for role in ROLES {
        let (near, far) = tokio::io::duplex(4096);
        let script = || [ErrorKind::Interrupted; 3].into();
        let io = Scripted { inner: near, reads: script(), writes: script() };
        let mut stream = WsStream::after_upgrade(io, [], role, WsOptions::default());
        let mut peer = crate::support::Peer::new(far, role);
        stream.write_all(b"out").await.unwrap();
        stream.flush().await.unwrap();
        assert_eq!(peer.next().await, (0x82, b"out".to_vec()));
        peer.send(0x82, b"in").await;
        let mut room = [0; 2];
        stream.read_exact(&mut room).await.unwrap();
        assert_eq!(&room, b"in");
    }
}

/// E9: a ping is answered although the application only writes and flushes; data that it does not
/// read stays where it is.
#[tokio::test]
async fn e9_a_writer_alone_answers_a_ping() {
    for role in ROLES {
        let (mut stream, mut peer) = with_peer(role, WsOptions::default());
        peer.send(0x89, b"hello").await;
        peer.send(0x82, b"later").await;
        peer.send(0x89, b"behind data").await;
        stream.write_all(b"x").await.unwrap();
        stream.flush().await.unwrap();
        let mut frames = vec![peer.next().await, peer.next().await];
        frames.sort();
        assert_eq!(frames, [(0x82, b"x".to_vec()), (0x8a, b"hello".to_vec())]);
        let mut room = [0; 5];
        stream.read_exact(&mut room).await.unwrap();
        assert_eq!(&room, b"later");
        assert!(poll_read(&mut stream, 8).is_pending());
        assert_eq!(peer.next().await, (0x8a, b"behind data".to_vec()));
    }
}

/// B10, §1.7: two tasks on the halves move much both ways, over every carrier.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b10_two_tasks_on_the_halves_finish() {
    for over in Over::ALL {
        let len = if matches!(over, Over::Trickle | Over::TlsTrickle) { 30_000 } else { 2_000_000 };
        let mut tasks = Vec::new();
        for end in pair(over) {
            let (mut reader, mut writer) = tokio::io::split(end);
            tasks.push(tokio::spawn(async move {
                for _ in 0..len / 1000 {
                    writer.write_all(&[7; 1000]).await.unwrap();
                    writer.flush().await.unwrap();
                }
            }));
            tasks.push(tokio::spawn(async move {
                let mut room = vec![0; len];
                reader.read_exact(&mut room).await.unwrap();
            }));
        }
        for task in tasks {
            task.await.unwrap();
        }
    }
}
