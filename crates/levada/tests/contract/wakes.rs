//! Waking: nobody waits for ever, and nobody is woken for nothing. Polls are counted.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use levada::{Carrier, Ending, Options, Pipe, Role, Socket};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf};

use crate::world::{Layer, patient, session};

/// A carrier that moves one byte at a time, and is pending before each.
struct Drip {
    stream: DuplexStream,
    reads: bool,
    writes: bool,
}

/// Answers every second time alone, and wakes its caller for the other.
fn drips(turn: &mut bool, cx: &Context<'_>) -> bool {
    *turn = !*turn;
    if *turn {
        cx.waker().wake_by_ref();
    }
    *turn
}

impl AsyncRead for Drip {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if drips(&mut self.reads, cx) {
            return Poll::Pending;
        }
        let mut byte = [0];
        let mut one = ReadBuf::new(&mut byte);
        let read = Pin::new(&mut self.stream).poll_read(cx, &mut one);
        buf.put_slice(one.filled());
        read
    }
}

impl AsyncWrite for Drip {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        if drips(&mut self.writes, cx) {
            return Poll::Pending;
        }
        Pin::new(&mut self.stream).poll_write(cx, &buf[..buf.len().min(1)])
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// Counts the polls of a future.
async fn counted<F: Future>(count: Arc<AtomicUsize>, future: F) -> F::Output {
    let mut future = std::pin::pin!(future);
    std::future::poll_fn(|cx| {
        count.fetch_add(1, Ordering::Relaxed);
        future.as_mut().poll(cx)
    })
    .await
}

fn sockets(layer: Layer, carriers: [Carrier; 2], options: Options) -> [Socket; 2] {
    let [client, server] = carriers;
    [
        Socket::adopt(client, session(layer, Role::Client), options),
        Socket::adopt(server, session(layer, Role::Server), options),
    ]
}

/// Sends and receives this much in two tasks, and ends.
async fn talk(socket: Socket, count: Arc<AtomicUsize>, size: usize) -> Socket {
    let (mut reader, mut writer) = tokio::io::split(socket);
    let reading = tokio::spawn(counted(count.clone(), async move {
        let mut all = Vec::new();
        reader.read_to_end(&mut all).await.unwrap();
        (reader, all)
    }));
    let writing = tokio::spawn(counted(count, async move {
        let all: Vec<u8> = (0..size).map(|n| n as u8).collect();
        for part in all.chunks(700) {
            writer.write_all(part).await.unwrap();
        }
        writer.shutdown().await.unwrap();
        writer
    }));
    let ((reader, all), writer) = (reading.await.unwrap(), writing.await.unwrap());
    assert!(all.len() == size && all.iter().enumerate().all(|(n, &byte)| byte == n as u8));
    reader.unsplit(writer)
}

#[tokio::test]
async fn a_carrier_that_is_pending_at_every_byte_completes_in_bounded_polls() {
    const SIZE: usize = 3000;
    for layer in Layer::ALL {
        let (near, far) = tokio::io::duplex(64);
        let drip = |stream| Carrier::foreign(Drip { stream, reads: false, writes: false });
        let [client, server] = sockets(layer, [drip(near), drip(far)], patient());
        let counts = [(); 2].map(|()| Arc::new(AtomicUsize::new(0)));
        let ends = tokio::join!(
            talk(client, counts[0].clone(), SIZE),
            talk(server, counts[1].clone(), SIZE)
        );
        for (mut socket, count) in [ends.0, ends.1].into_iter().zip(counts) {
            let ended = socket.closed().await;
            assert_eq!(ended.ending, Ending::Finished, "{layer:?}");
            let moved = ended.facts.bytes.wire_read + ended.facts.bytes.wire_written;
            let polls = count.load(Ordering::Relaxed) as u64;
            // Each byte makes both tasks look, once for the pending and once for the byte.
            assert!(polls <= 6 * moved + 100, "{layer:?}: {polls} polls for {moved} bytes");
        }
    }
}

/// Halves in two tasks of a runtime with several threads: no wakeup is lost, whoever drives the
/// handshake, and however small the pipe.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn halves_in_two_tasks_lose_no_wakeup() {
    const SIZE: usize = 100_000;
    for layer in Layer::ALL {
        for capacity in [1, 100, 5000, 100_000] {
            let size = if capacity == 1 { 3000 } else { SIZE };
            let (near, far) = Pipe::pair(capacity);
            let [client, server] = sockets(layer, [near.into(), far.into()], patient());
            let none = Arc::new(AtomicUsize::new(0));
            let ends =
                tokio::join!(talk(client, none.clone(), size), talk(server, none.clone(), size));
            for mut socket in [ends.0, ends.1] {
                assert_eq!(socket.closed().await.ending, Ending::Finished, "{layer:?} {capacity}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn nobody_is_polled_while_nothing_happens_and_seldom_when_it_does() {
    const WORDS: usize = 200;
    for layer in Layer::ALL {
        let (near, far) = Pipe::pair(4096);
        let [client, mut server] = sockets(layer, [near.into(), far.into()], Options::default());
        let count = Arc::new(AtomicUsize::new(0));
        let (mut reader, writer) = tokio::io::split(client);
        let reading = tokio::spawn(counted(count.clone(), async move {
            let mut all = Vec::new();
            let _ = reader.read_to_end(&mut all).await;
            all.len()
        }));
        server.established().await.unwrap();
        tokio::time::sleep(Duration::from_secs(1)).await;
        let before = count.load(Ordering::Relaxed);
        tokio::time::sleep(Duration::from_secs(3600)).await;
        assert_eq!(count.load(Ordering::Relaxed), before, "{layer:?}: polled while idle");
        for _ in 0..WORDS {
            server.write_all(b"word").await.unwrap();
            server.flush().await.unwrap();
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let polls = count.load(Ordering::Relaxed) - before;
        assert!(polls <= 2 * WORDS, "{layer:?}: {polls} polls for {WORDS} words");
        server.shutdown().await.unwrap();
        assert_eq!(reading.await.unwrap(), 4 * WORDS);
        drop(writer);
    }
}

/// The alarm of a plain stream wakes one task alone: the other half is told by it.
#[tokio::test(start_paused = true)]
async fn a_deadline_ends_both_halves() {
    let mut options = Options::default();
    options.deadlines.idle = Some(Duration::from_secs(5));
    for layer in Layer::ALL {
        let (near, far) = Pipe::pair(100);
        let [client, mut server] = sockets(layer, [near.into(), far.into()], options);
        let (mut reader, mut writer) = tokio::io::split(client);
        let reading =
            tokio::spawn(async move { reader.read(&mut [0; 1]).await.unwrap_err().kind() });
        let writing =
            tokio::spawn(
                async move { writer.write_all(&vec![0; 300_000]).await.unwrap_err().kind() },
            );
        server.established().await.unwrap();
        let both = async { (reading.await.unwrap(), writing.await.unwrap()) };
        // Virtual time: a half that nobody wakes is told at once.
        let kinds = tokio::time::timeout(Duration::from_secs(3600), both).await.unwrap();
        assert_eq!(kinds, (io::ErrorKind::TimedOut, io::ErrorKind::BrokenPipe), "{layer:?}");
    }
}
