//! Drives one stream for JavaScript: a task that carries out its orders, reads as much as it may, and
//! tells JavaScript what happened, in order.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::iter;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};

use levada::{Events, SessionName, Stream, TlsClient, TlsServer, Watched};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::oneshot;

use crate::chunk;
use crate::door::{Door, Notice};
use crate::report;
use crate::runtime;
use crate::stream::PlaintextQuestion;

/// Chunks that one write joins at most.
const SLICES: usize = 64;

/// What JavaScript wants done with the stream; one is done after the other.
pub(crate) enum Order {
    /// To write these bytes, and to see them leave for the kernel.
    Write(Batch),
    /// To say goodbye.
    Shutdown,
    /// To put TLS on.
    StartTls(Tls),
    /// To take TLS off.
    EndTls,
}

/// Which end of TLS we are to be.
pub(crate) enum Tls {
    Client(TlsClient, SessionName),
    Server(TlsServer),
}

/// What goes from JavaScript to the pump.
#[derive(Default)]
struct Inbox {
    orders: VecDeque<Order>,
    /// Chunks that JavaScript has room for.
    room: usize,
    /// Whether the pump waits for room.
    is_starved: bool,
    /// Whether what comes is dropped.
    discards: bool,
    /// The pump's, until it is woken by it.
    waker: Option<Waker>,
}

/// A stream that JavaScript and its pump share. Neither holds a lock for longer than one poll.
pub(crate) struct Shared {
    inbox: Mutex<Inbox>,
    life: Mutex<Life>,
}

/// A stream, and then its ending as JSON.
pub(crate) enum Life {
    Live(Box<Live>),
    Over(String),
}

/// A stream that lives.
pub(crate) struct Live {
    pub(crate) stream: Stream,
    progress: Progress,
}

/// How far a stream has come in JavaScript's eyes.
#[derive(Default)]
struct Progress {
    /// Orders that are not done.
    orders: VecDeque<Order>,
    /// Whether JavaScript was told that every asked-for layer is up.
    told_up: bool,
}

impl Life {
    /// Ends it at once, if it has not ended.
    fn abort(&mut self) {
        if let Self::Live(live) = self {
            live.stream.abort();
            let ending = live.stream.ended().map(report::of_ended);
            *self = Self::Over(ending.unwrap_or_default());
        }
    }
}

impl Shared {
    pub(crate) fn new(stream: Stream) -> Arc<Self> {
        let live = Box::new(Live { stream, progress: Progress::default() });
        Arc::new(Self { inbox: Mutex::default(), life: Mutex::new(Life::Live(live)) })
    }

    pub(crate) fn order(&self, orders: impl IntoIterator<Item = Order>) {
        self.tell(|inbox| inbox.orders.extend(orders));
    }

    /// Writes at once, on this thread, what the transport takes of it; how much that is, and whether it
    /// has all left. Nothing, where the pump has something to do first.
    pub(crate) fn write_now(&self, chunks: &[&[u8]]) -> (usize, bool) {
        const NOTHING: (usize, bool) = (0, false);
        let Ok(mut life) = self.life.try_lock() else { return NOTHING };
        let Life::Live(alive) = &mut *life else { return NOTHING };
        let Live { stream, progress } = &mut **alive;
        if !progress.told_up || !progress.orders.is_empty() {
            return NOTHING;
        }
        let waker = {
            let inbox = lock(&self.inbox);
            if !inbox.orders.is_empty() {
                return NOTHING;
            }
            // Whoever the stream wakes for this is the pump.
            let Some(waker) = inbox.waker.clone() else { return NOTHING };
            waker
        };
        write_now(&mut Context::from_waker(&waker), stream, chunks)
    }

    /// Makes room for so many more chunks.
    pub(crate) fn make_room(&self, chunks: usize) {
        let mut inbox = lock(&self.inbox);
        inbox.room += chunks;
        if std::mem::take(&mut inbox.is_starved) {
            drop(inbox);
            self.tell(|_| ());
        }
    }

    /// From now on drops what comes.
    pub(crate) fn discard(&self) {
        self.tell(|inbox| inbox.discards = true);
    }

    /// The stream, or how it ended.
    pub(crate) fn life(&self) -> MutexGuard<'_, Life> {
        lock(&self.life)
    }

    /// Ends the stream at once, if it has not ended; how it ended.
    pub(crate) fn abort(&self) -> String {
        // A WebSocket still says what can be said without waiting, which sets its alarm.
        let _at_hand = runtime::enter();
        let mut life = self.life();
        life.abort();
        let Life::Over(ending) = &*life else { return String::new() };
        let ending = ending.clone();
        drop(life);
        self.tell(|_| ());
        ending
    }

    fn tell(&self, change: impl FnOnce(&mut Inbox)) {
        let mut inbox = lock(&self.inbox);
        change(&mut inbox);
        let waker = inbox.waker.take();
        drop(inbox);
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A panic in a poll is a bug of ours; JavaScript is not to be hit by a second one.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Drives the stream to its end.
pub(crate) struct Pump {
    shared: Arc<Shared>,
    id: u32,
    door: Door,
    events: Option<Events>,
    room: usize,
    discards: bool,
    /// Whether nothing more can be read.
    read_all: bool,
    /// Whether there is nobody to tell any more.
    deserted: bool,
}

impl Pump {
    pub(crate) fn new(shared: Arc<Shared>, id: u32, door: Door, events: Option<Events>) -> Self {
        Self {
            shared,
            id,
            door,
            events,
            room: 0,
            discards: false,
            read_all: false,
            deserted: false,
        }
    }

    pub(crate) async fn run(mut self) {
        poll_fn(|cx| self.poll(cx)).await;
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let shared = self.shared.clone();
        let mut life = shared.life();
        // JavaScript may have ended it.
        let Life::Live(alive) = &mut *life else { return Poll::Ready(()) };
        let Live { stream, progress } = &mut **alive;
        self.look_into_inbox(cx, progress);
        // A stream that is given up is given up, whatever it is about to come to.
        self.carry_out(cx, stream, progress);
        self.rise(cx, stream, progress);
        self.read(cx, stream, progress);
        if self.deserted {
            life.abort();
            return Poll::Ready(());
        }
        let Some(ended) = stream.ended() else { return Poll::Pending };
        // What had come before is read first, but no write waits for that.
        let unread = !self.read_all && !ended.phase.is_before_established();
        if unread && progress.orders.is_empty() && !self.discards {
            return Poll::Pending;
        }
        let ending = report::of_ended(ended);
        self.tell(Notice::Ended(self.id, ending.clone()));
        *life = Life::Over(ending);
        Poll::Ready(())
    }

    fn look_into_inbox(&mut self, cx: &Context<'_>, progress: &mut Progress) {
        let mut inbox = lock(&self.shared.inbox);
        progress.orders.append(&mut inbox.orders);
        self.room += std::mem::take(&mut inbox.room);
        self.discards = inbox.discards;
        inbox.waker = Some(cx.waker().clone());
    }

    /// Gets the stream up, or sees to what it owes and to its deadlines.
    fn rise(&mut self, cx: &mut Context<'_>, stream: &mut Stream, progress: &mut Progress) {
        if progress.told_up {
            // An error is the ended stream's, which is told of then.
            let _ = Pin::new(stream).poll_flush(cx);
        } else if let Poll::Ready(Ok(())) = stream.poll_established(cx) {
            progress.told_up = true;
            self.tell(Notice::Up(self.id));
        }
    }

    fn carry_out(&mut self, cx: &mut Context<'_>, stream: &mut Stream, progress: &mut Progress) {
        while let Some(order) = progress.orders.front_mut() {
            let done = match order {
                Order::Write(batch) => {
                    batch.poll_write(cx, stream).map_ok(|()| Notice::Wrote(self.id))
                }
                Order::Shutdown => {
                    Pin::new(&mut *stream).poll_shutdown(cx).map_ok(|()| Notice::Shut(self.id))
                }
                Order::StartTls(tls) => {
                    let why_not = start_tls(stream, tls, (self.id, &self.door));
                    progress.told_up &= why_not.is_some();
                    Poll::Ready(Ok(Notice::Turned(self.id, why_not)))
                }
                Order::EndTls => {
                    let why_not = end_tls(stream);
                    Poll::Ready(Ok(Notice::Turned(self.id, why_not)))
                }
            };
            // An error is the ended stream's: the order stays, and JavaScript settles it by the ending.
            let Poll::Ready(Ok(notice)) = done else { return };
            progress.orders.pop_front();
            if !progress.told_up {
                self.rise(cx, stream, progress);
            }
            self.tell(notice);
        }
    }

    fn read(&mut self, cx: &mut Context<'_>, stream: &mut Stream, progress: &Progress) {
        if !progress.told_up && stream.ended().is_none() {
            return;
        }
        if self.discards {
            if let Poll::Ready(_ended) = stream.poll_closed(cx) {
                self.read_all = true;
            }
            return;
        }
        while !self.read_all && self.has_room() {
            let read = chunk::poll_fill(|room| {
                let mut room = ReadBuf::new(room);
                let read = ready!(Pin::new(&mut *stream).poll_read(cx, &mut room));
                Poll::Ready(read.map(|()| room.filled().len()))
            });
            match read {
                Poll::Pending => return,
                Poll::Ready(Ok(bytes)) if !bytes.is_empty() => {
                    self.room -= 1;
                    self.tell(Notice::Data(self.id, bytes));
                }
                Poll::Ready(goodbye_or_error) => {
                    self.read_all = true;
                    if goodbye_or_error.is_ok() {
                        self.tell(Notice::Eof(self.id));
                    }
                }
            }
        }
    }

    /// Whether JavaScript takes another chunk. Where not, the pump is woken when it does.
    fn has_room(&mut self) -> bool {
        if self.room == 0 {
            let mut inbox = lock(&self.shared.inbox);
            // Orders that have come meanwhile, and have woken the pump, come before what is read.
            if inbox.orders.is_empty() {
                self.room = std::mem::take(&mut inbox.room);
                inbox.is_starved = self.room == 0;
            }
        }
        self.room > 0
    }

    /// Tells JavaScript, of the stream's events first: they led here.
    fn tell(&mut self, notice: Notice) {
        while let Some(event) = self.events.as_mut().and_then(Events::try_next) {
            let told = self.door.tell(Notice::Event(self.id, report::of_event(&event)));
            self.deserted |= !told;
        }
        self.deserted |= !self.door.tell(notice);
    }
}

/// Why TLS was not put on; `None` where it was.
fn start_tls(stream: &mut Stream, tls: &Tls, (id, door): (u32, &Door)) -> Option<String> {
    let Stream::Socket(socket) = stream else {
        return Some("TLS cannot be put on a WebSocket that runs".to_owned());
    };
    let begun = match tls {
        Tls::Client(tls, name) => socket.start_client_encryption(tls, name),
        Tls::Server(tls) => {
            let begun = socket.start_server_encryption(tls);
            if begun == Ok(true) {
                let door = door.clone();
                socket.danger_on_plaintext(move |first| ask(first, id, door));
            }
            begun
        }
    };
    match begun {
        Ok(true) => None,
        Ok(false) => {
            Some("TLS begins on an established plain stream that is open both ways".to_owned())
        }
        Err(error) => Some(error.to_string()),
    }
}

/// Asks JavaScript whether a client that speaks no TLS is let through.
async fn ask(first: Vec<u8>, id: u32, door: Door) -> bool {
    let (answer, answered) = oneshot::channel();
    let question = PlaintextQuestion::new(first, answer);
    // Nobody answers where nobody is there any more.
    door.tell(Notice::Plaintext(id, question)) && answered.await.unwrap_or(false)
}

fn end_tls(stream: &mut Stream) -> Option<String> {
    let is_taken_off = match stream {
        Stream::Socket(socket) => socket.end_tls(),
        Stream::WebSocket(_) => false,
    };
    (!is_taken_off).then(|| "there is no TLS to end, or the stream is closing".to_owned())
}

/// The bytes of one write of JavaScript's.
pub(crate) struct Batch {
    chunks: VecDeque<Vec<u8>>,
    /// Bytes of the first chunk that the stream has taken.
    taken: usize,
}

impl Batch {
    /// What of the chunks comes behind the bytes that are `written`.
    pub(crate) fn behind(mut written: usize, chunks: &[&[u8]]) -> Self {
        let mut left = VecDeque::new();
        for chunk in chunks {
            let rest = &chunk[written.min(chunk.len())..];
            written -= chunk.len() - rest.len();
            if !rest.is_empty() {
                left.push_back(rest.to_vec());
            }
        }
        Self { chunks: left, taken: 0 }
    }

    /// Ready when all has left for the kernel.
    fn poll_write(&mut self, cx: &mut Context<'_>, stream: &mut Stream) -> Poll<io::Result<()>> {
        while let Some(first) = self.chunks.front() {
            let first = IoSlice::new(&first[self.taken..]);
            let rest = self.chunks.iter().skip(1).map(|chunk| IoSlice::new(chunk));
            let slices: Vec<_> = iter::once(first).chain(rest).take(SLICES).collect();
            let count = ready!(Pin::new(&mut *stream).poll_write_vectored(cx, &slices))?;
            self.advance(count);
        }
        Pin::new(stream).poll_flush(cx)
    }

    fn advance(&mut self, mut count: usize) {
        while let Some(first) = self.chunks.front() {
            let left = first.len() - self.taken;
            if count < left {
                self.taken += count;
                return;
            }
            count -= left;
            self.taken = 0;
            self.chunks.pop_front();
        }
    }
}

/// Writes what the transport takes; how much that is, and whether it has all left.
fn write_now(cx: &mut Context<'_>, stream: &mut Stream, chunks: &[&[u8]]) -> (usize, bool) {
    let mut slices: Vec<_> = chunks.iter().map(|chunk| IoSlice::new(chunk)).collect();
    let mut slices = &mut slices[..];
    let mut written = 0;
    IoSlice::advance_slices(&mut slices, 0);
    while !slices.is_empty() {
        let some = &slices[..slices.len().min(SLICES)];
        // An error is the ended stream's: the pump meets it.
        let Poll::Ready(Ok(count)) = Pin::new(&mut *stream).poll_write_vectored(cx, some) else {
            return (written, false);
        };
        written += count;
        IoSlice::advance_slices(&mut slices, count);
    }
    (written, matches!(Pin::new(stream).poll_flush(cx), Poll::Ready(Ok(()))))
}
