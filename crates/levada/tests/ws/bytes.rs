//! B1-B9: the bytes.

use std::io::IoSlice;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use levada::WsStream;
use levada::ws::WsOptions;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};

use crate::support::{Over, ROLES, Trickle, pair, read_all, with_peer};

fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|index| (index % 251) as u8).collect()
}

/// B1: both ways at once, over every carrier.
#[tokio::test]
async fn b1_bytes_come_out_as_they_went_in() {
    for over in Over::ALL {
        let len = if matches!(over, Over::Trickle | Over::TlsTrickle) { 70_000 } else { 3_000_000 };
        let all = pattern(len);
        let exchange = async |end: crate::support::End| {
            let (mut reader, mut writer) = tokio::io::split(end);
            let write = async {
                let mut rest = &all[..];
                for size in [1, 125, 126, 127, 65_535, 65_536, 1 << 20].into_iter().cycle() {
                    let piece = &rest[..size.min(rest.len())];
                    writer.write_all(piece).await.unwrap();
                    rest = &rest[piece.len()..];
                    if rest.is_empty() {
                        break;
                    }
                }
                writer.shutdown().await.unwrap();
            };
            let read = async {
                let mut got = Vec::new();
                for size in [1, 3, 100, 4096, 65_536].into_iter().cycle() {
                    let mut room = vec![0; size];
                    let count = reader.read(&mut room).await.unwrap();
                    if count == 0 {
                        break;
                    }
                    got.extend_from_slice(&room[..count]);
                }
                got
            };
            tokio::join!(write, read).1
        };
        let [client, server] = pair(over);
        let (from_server, from_client) = tokio::join!(exchange(client), exchange(server));
        // Whoever closes second has his writes cut: `both_ways` of `properties` waits for the bytes.
        assert!(all.starts_with(&from_server), "{over:?}");
        assert!(all.starts_with(&from_client), "{over:?}");
        assert!(from_server.len() == len || from_client.len() == len, "{over:?}");
    }
}

/// B2: a carrier that takes nothing makes the writer wait at the stated bound, for both families of
/// traits alike since one stands on the other.
#[tokio::test]
async fn b2_a_write_is_accepted_up_to_a_bound() {
    for role in ROLES {
        for size in [1, 1000, 200_000] {
            let (near, _far) = tokio::io::duplex(1);
            let mut stream = WsStream::after_upgrade(near, [], role, WsOptions::default());
            let mut cx = Context::from_waker(Waker::noop());
            let mut accepted = 0;
            let data = vec![7; size];
            while let Poll::Ready(count) = Pin::new(&mut stream).poll_write(&mut cx, &data) {
                accepted += count.unwrap();
            }
            assert!(accepted >= 64 * 1024, "{accepted}");
            assert!(accepted <= 128 * 1024, "{accepted}");
            assert!(stream.buffered() <= 128 * 1024 + 64, "{}", stream.buffered());
        }
    }
}

/// B3, B4: payload is readable as it arrives, whatever its frame claims.
#[tokio::test]
async fn b3_b4_a_frame_is_not_waited_for() {
    for role in ROLES {
        let (mut stream, mut peer) = with_peer(role, WsOptions::default());
        let mut head = peer.frame(0x82, &[]);
        // 2^62 bytes to come.
        head[1] |= 127;
        head.splice(2..2, (1_u64 << 62).to_be_bytes());
        peer.io.write_all(&head).await.unwrap();
        let mut room = vec![0; 100];
        for byte in 0..100 {
            peer.io.write_all(&[byte]).await.unwrap();
            assert_eq!(stream.read(&mut room).await.unwrap(), 1);
            assert_eq!(room[0], byte);
        }
    }
}

/// B5: what is empty is no end.
#[tokio::test]
async fn b5_empty_messages_and_fragments_are_no_end() {
    for role in ROLES {
        let (mut stream, mut peer) = with_peer(role, WsOptions::default());
        peer.send(0x82, b"").await;
        peer.send(0x02, b"").await;
        peer.send(0x00, b"").await;
        peer.send(0x80, b"x").await;
        let mut room = [0; 8];
        assert_eq!(stream.read(&mut room).await.unwrap(), 1);
        peer.send(0x82, b"").await;
        peer.send(0x82, b"y").await;
        assert_eq!(stream.fill_buf().await.unwrap(), b"y");
    }
}

/// B6: an empty write is no frame.
#[tokio::test]
async fn b6_an_empty_write_puts_nothing_on_the_wire() {
    for role in ROLES {
        let (mut stream, mut peer) = with_peer(role, WsOptions::default());
        assert_eq!(stream.write(b"").await.unwrap(), 0);
        assert_eq!(stream.write_vectored(&[IoSlice::new(b"")]).await.unwrap(), 0);
        stream.flush().await.unwrap();
        assert_eq!(stream.facts().bytes.wire_written, 0);
        stream.write_all(b"x").await.unwrap();
        stream.flush().await.unwrap();
        assert_eq!(peer.next().await, (0x82, b"x".to_vec()));
    }
}

/// B7: all slices, in order, in one frame.
#[tokio::test]
async fn b7_a_vectored_write_takes_all_slices_in_order() {
    for role in ROLES {
        let (mut stream, mut peer) = with_peer(role, WsOptions::default());
        assert!(stream.is_write_vectored());
        let slices = [&b"one "[..], b"", b"two ", b"three"].map(IoSlice::new);
        assert_eq!(stream.write_vectored(&slices).await.unwrap(), 13);
        stream.flush().await.unwrap();
        assert_eq!(peer.next().await, (0x82, b"one two three".to_vec()));
    }
}

/// B8: every call is dropped after one poll, and nothing is lost.
#[tokio::test]
async fn b8_cancelled_calls_lose_nothing() {
    for role in ROLES {
        let (near, far) = tokio::io::duplex(64);
        let options = WsOptions::default;
        let mut stream = WsStream::after_upgrade(Trickle::new(near, 3), [], role, options());
        let other = if role == ROLES[0] { ROLES[1] } else { ROLES[0] };
        let mut peer = WsStream::after_upgrade(Trickle::new(far, 2), [], other, options());
        let data = pattern(5000);
        let (mut sent, mut got) = (0, Vec::new());
        while got.len() < data.len() {
            tokio::select! {
                biased;
                count = stream.write(&data[sent..]), if sent < data.len() => {
                    sent += count.unwrap();
                }
                () = async {} => {}
            }
            let mut flush = Box::pin(stream.flush());
            let _ = flush.as_mut().poll(&mut Context::from_waker(Waker::noop()));
            drop(flush);
            let mut room = [0; 7];
            tokio::select! {
                biased;
                count = peer.read(&mut room) => got.extend_from_slice(&room[..count.unwrap()]),
                () = async {} => {}
            }
        }
        assert_eq!(got, data);
    }
}

/// B9: what is gathered leaves on flush, on close, and when the reader has to wait; not before.
#[tokio::test]
async fn b9_small_writes_are_gathered_and_leave() {
    for role in ROLES {
        let (mut stream, mut peer) = with_peer(role, WsOptions::default());
        let written = |stream: &WsStream<_>| stream.facts().bytes.wire_written;
        stream.write_all(b"by ").await.unwrap();
        stream.write_all(b"flush").await.unwrap();
        assert_eq!((written(&stream), stream.buffered()), (0, 8));
        stream.flush().await.unwrap();
        assert_eq!(peer.next().await, (0x82, b"by flush".to_vec()));

        stream.write_all(b"by a reader").await.unwrap();
        let mut room = [0; 8];
        let mut buf = ReadBuf::new(&mut room);
        let mut cx = Context::from_waker(Waker::noop());
        assert!(Pin::new(&mut stream).poll_read(&mut cx, &mut buf).is_pending());
        assert_eq!(peer.next().await, (0x82, b"by a reader".to_vec()));

        stream.write_all(&vec![7; 64 * 1024]).await.unwrap();
        assert_eq!(peer.next().await, (0x82, vec![7; 64 * 1024]));

        stream.write_all(b"by close").await.unwrap();
        stream.shutdown().await.unwrap();
        assert_eq!(peer.next().await, (0x82, b"by close".to_vec()));
        assert_eq!(peer.next().await, (0x88, vec![3, 0xe8]));
    }
}

/// A large write is sent in frames of at most 64 KiB, so that pings get through.
#[tokio::test]
async fn b1_frames_have_at_most_64_kib() {
    for role in ROLES {
        let (mut stream, mut peer) = with_peer(role, WsOptions::default());
        let data = pattern(1 << 20);
        let write = async {
            stream.write_all(&data).await.unwrap();
            stream.flush().await.unwrap();
        };
        let read = async {
            let mut got = Vec::new();
            while got.len() < data.len() {
                let (first, payload) = peer.next().await;
                assert_eq!(first, 0x82);
                assert!(payload.len() <= 64 * 1024);
                got.extend_from_slice(&payload);
            }
            got
        };
        let ((), got) = tokio::join!(write, read);
        assert!(got == data);
        assert_eq!(stream.counters().frames_sent, 16);
        assert_eq!(stream.counters().bytes_sent, 1 << 20);
    }
}

/// The buffered reader shows what has come, piece by piece.
#[tokio::test]
async fn b3_a_buffered_reader_works() {
    for over in Over::ALL {
        let [mut client, mut server] = pair(over);
        let write = async {
            client.write_all(b"one\ntwo\nthr").await.unwrap();
            client.flush().await.unwrap();
            client.write_all(b"ee\n").await.unwrap();
            client.shutdown().await.unwrap();
            read_all(&mut client).await
        };
        let read = async {
            let mut lines = (&mut server).lines();
            let mut got = Vec::new();
            while let Some(line) = lines.next_line().await.unwrap() {
                got.push(line);
            }
            got
        };
        let ((_, end), lines) = tokio::join!(write, read);
        assert_eq!(lines, ["one", "two", "three"], "{over:?}");
        end.unwrap();
    }
}

/// B4: a stream that waits owns state, not buffers.
#[tokio::test]
async fn b4_an_idle_stream_is_small() {
    assert!(size_of::<WsStream<tokio::net::TcpStream>>() < 2048);
}

/// It goes between threads, and needs no pinning (§1.7).
#[test]
fn b10_the_stream_is_send_and_unpin() {
    fn holds<T: Send + Unpin>() {}
    holds::<WsStream>();
    holds::<WsStream<tokio::net::TcpStream>>();
    holds::<WsStream<WsStream>>();
}
