//! B1-B9: the bytes.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use levada::ws::WsOptions;
use levada::{Role, WsStream};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};

use crate::support::{Over, Peer, ROLES, Trickle, pair, read_all, with_peer};

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

/// Counts the calls that write.
struct Calls<S> {
    inner: S,
    writes: usize,
}

impl<S: AsyncRead + Unpin> AsyncRead for Calls<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Calls<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.writes += 1;
        Pin::new(&mut self.inner).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.writes += 1;
        Pin::new(&mut self.inner).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

/// B7, B9: small slices leave in one call, and a server's 16 frames of 64 KiB, too. A client's are
/// masked on the way, 128 KiB a call.
#[tokio::test]
async fn b7_the_carrier_is_called_seldom() {
    for (role, large) in [(Role::Server, 1), (Role::Client, 8)] {
        let (near, far) = tokio::io::duplex(3 << 20);
        let near = Calls { inner: near, writes: 0 };
        let mut stream = WsStream::after_upgrade(near, [], role, WsOptions::default());
        let mut peer = Peer::new(far, role);
        let slices = [&b"one "[..], b"two ", b"three"].map(IoSlice::new);
        for _ in 0..100 {
            assert_eq!(stream.write_vectored(&slices).await.unwrap(), 13);
        }
        stream.flush().await.unwrap();
        assert_eq!(stream.get_ref().writes, 1);
        assert_eq!(peer.next().await.1, b"one two three".repeat(100));

        stream.write_all(&pattern(1 << 20)).await.unwrap();
        assert_eq!(stream.get_ref().writes - 1, large, "{role:?}");
        let mut came = Vec::new();
        while came.len() < 1 << 20 {
            came.extend(peer.next().await.1);
        }
        assert!(came == pattern(1 << 20));
    }
}

/// Payload that stands behind others' headers comes to its place whatever the sizes of frames, of the
/// buffer, and of what the carrier gives at once.
#[tokio::test]
async fn b1_frames_of_every_size_are_read_in_place() {
    let sizes = [1, 5000, 16_383, 16_384, 16_385, 3, 65_535, 65_536, 70_000, 0, 100, 40_000];
    for role in ROLES {
        for (room, step) in [(300_000, usize::MAX), (70_000, 10_000), (4096, 4096), (20_000, 7)] {
            let (near, far) = tokio::io::duplex(1 << 20);
            let near = Trickle::new(near, step.min(1 << 20));
            let mut stream = WsStream::after_upgrade(near, [], role, WsOptions::default());
            let mut peer = Peer::new(far, role);
            let all = pattern(sizes.iter().sum());
            let mut rest = &all[..];
            for size in sizes {
                peer.send_any(0x82, rest.split_off(..size).unwrap()).await;
                peer.send(0x8a, b"between").await;
            }
            let mut got = Vec::new();
            let mut room = vec![0; room];
            while got.len() < all.len() {
                let count = stream.read(&mut room).await.unwrap();
                got.extend_from_slice(&room[..count]);
            }
            assert!(got == all, "{role:?}, step {step}");
        }
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

/// A large write is sent in frames of at most 64 KiB, so that pings get through; they are counted
/// (§1.8).
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

/// §1.7: the buffered reader shows what has come, piece by piece.
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
