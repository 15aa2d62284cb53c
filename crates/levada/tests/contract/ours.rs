//! Our side under watch: one stream, used by several futures of one task.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use levada::{Ended, Event, Events, Facts, Mode, Socket, State, Watched};
use tokio::io::ReadBuf;
use tokio::sync::Notify;

pub(crate) struct Ours<S = Socket> {
    stream: RefCell<Option<S>>,
    events: RefCell<Events>,
    /// Whether a write that has to wait is of interest, and told of then.
    armed: Cell<bool>,
    waits: Notify,
    is_waiting: Cell<bool>,
    /// Told when a write that waits for the peer may begin.
    go: Notify,
    /// Told when our shutdown has resolved.
    said: Notify,
}

/// What we have to write when it happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Writes {
    None,
    /// Accepted before the stream was established.
    Queued,
    /// The peer does not read, and every buffer is full.
    Draining,
}

impl Writes {
    pub(crate) const ALL: [Self; 3] = [Self::None, Self::Queued, Self::Draining];
}

/// What reading to the end gave.
#[derive(Debug)]
pub(crate) struct Read {
    pub(crate) bytes: Vec<u8>,
    pub(crate) error: Option<io::Error>,
}

impl Ours {
    pub(crate) fn facts_mode(&self) -> Mode {
        self.with(|socket| socket.mode())
    }
}

impl<S: Watched> Ours<S> {
    pub(crate) fn new(mut stream: S) -> Self {
        let events = stream.events().into();
        Self {
            stream: RefCell::new(Some(stream)),
            events,
            armed: Cell::new(false),
            waits: Notify::new(),
            is_waiting: Cell::new(false),
            go: Notify::new(),
            said: Notify::new(),
        }
    }

    fn with<R>(&self, work: impl FnOnce(Pin<&mut S>) -> R) -> R {
        work(Pin::new(self.stream.borrow_mut().as_mut().unwrap()))
    }

    pub(crate) fn facts(&self) -> Facts {
        self.with(|stream| stream.facts())
    }

    pub(crate) fn state(&self) -> State {
        self.with(|stream| stream.state())
    }

    pub(crate) fn abort(&self) {
        self.with(|mut stream| stream.abort());
    }

    /// Polls once for the stream to be established.
    pub(crate) fn poll_once_up(&self) {
        let mut cx = Context::from_waker(Waker::noop());
        let flushed = self.with(|stream| stream.poll_flush(&mut cx));
        assert!(flushed.is_pending());
    }

    /// Says goodbye on an established stream.
    pub(crate) async fn shutdown_when_up(&self) {
        self.flush().await.unwrap();
        self.shutdown().await.unwrap();
    }

    pub(crate) async fn read(&self, room: &mut [u8]) -> io::Result<usize> {
        poll_fn(|cx| {
            let mut buf = ReadBuf::new(room);
            let read = self.with(|stream| stream.poll_read(cx, &mut buf));
            read.map_ok(|()| buf.filled().len())
        })
        .await
    }

    /// Reads to end of file, or to an error.
    pub(crate) async fn read_all(&self) -> Read {
        let (mut bytes, mut room) = (Vec::new(), [0; 1000]);
        loop {
            match self.read(&mut room).await {
                Ok(0) => return Read { bytes, error: None },
                Ok(count) => bytes.extend_from_slice(&room[..count]),
                Err(error) => return Read { bytes, error: Some(error) },
            }
        }
    }

    /// Writes once.
    pub(crate) async fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        poll_fn(|cx| {
            let result = self.with(|stream| stream.poll_write(cx, bytes));
            self.watch(result)
        })
        .await
    }

    /// Writes all of it, and flushes.
    pub(crate) async fn write_all(&self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let count = self.write(bytes).await?;
            bytes = &bytes[count..];
        }
        self.flush().await
    }

    pub(crate) async fn flush(&self) -> io::Result<()> {
        poll_fn(|cx| {
            let result = self.with(|stream| stream.poll_flush(cx));
            self.watch(result)
        })
        .await
    }

    pub(crate) async fn shutdown(&self) -> io::Result<()> {
        poll_fn(|cx| {
            let result = self.with(|stream| stream.poll_shutdown(cx));
            self.watch(result)
        })
        .await
        .inspect(|()| self.said.notify_one())
    }

    /// Writes without end; what it gave in the end, and how many bytes were accepted.
    pub(crate) async fn write_without_end(&self) -> (usize, io::Error) {
        let mut accepted = 0;
        loop {
            match self.write(&[b'w'; 8192]).await {
                Ok(count) => accepted += count,
                Err(error) => return (accepted, error),
            }
        }
    }

    /// From now on a write that has to wait is told of.
    pub(crate) fn arm(&self) {
        self.armed.set(true);
    }

    /// Waits until a write, flush or shutdown of ours waits.
    pub(crate) async fn waits(&self) {
        while !self.is_waiting.get() {
            self.waits.notified().await;
        }
    }

    pub(crate) fn go_on(&self) {
        self.go.notify_one();
    }

    pub(crate) async fn may_go_on(&self) {
        self.go.notified().await;
    }

    /// Writes until a write would have to wait.
    pub(crate) async fn fill(&self, bytes: &[u8]) {
        poll_fn(|cx| {
            loop {
                if self.with(|stream| stream.poll_write(cx, bytes)).is_pending() {
                    return Poll::Ready(());
                }
            }
        })
        .await;
    }

    /// Waits until our goodbye is said.
    pub(crate) async fn said_goodbye(&self) {
        self.said.notified().await;
    }

    fn watch<T>(&self, result: Poll<T>) -> Poll<T> {
        self.is_waiting.set(self.armed.get() && result.is_pending());
        if self.is_waiting.get() {
            self.waits.notify_one();
        }
        result
    }

    /// Waits for the end. Each poll asks anew, which cancel safety allows.
    pub(crate) async fn closed(&self) -> Ended {
        poll_fn(|cx| self.with(|stream| stream.get_mut().poll_closed(cx))).await
    }

    pub(crate) fn ended(&self) -> Option<Ended> {
        self.with(|stream| stream.ended().cloned())
    }

    pub(crate) fn is_up(&self) -> bool {
        self.stream.borrow().is_some()
    }

    pub(crate) fn drop_stream(&self) {
        self.stream.borrow_mut().take();
    }

    /// All events so far.
    pub(crate) fn told(&self) -> Vec<Event> {
        let mut events = self.events.borrow_mut();
        std::iter::from_fn(|| events.try_next()).collect()
    }
}

pub(crate) fn kind(error: Option<&io::Error>) -> Option<io::ErrorKind> {
    error.map(io::Error::kind)
}
