//! One HTTP/2 connection: the task that drives it, and what it shares with its streams.

use std::future::{Future, poll_fn};
use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker, ready};
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use futures_util::task::AtomicWaker;
use hyper::rt::Executor;
use levada_core::Ending;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

use super::LINGER;
use crate::socket::Socket;

type Work = Pin<Box<dyn Future<Output = ()> + Send>>;

/// What the streams of a connection share with its driver. It is also the executor of hyper, whose tasks
/// are the driver's own work.
#[derive(Clone, Default)]
pub(super) struct Link(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    /// What hyper wants to be run, and the driver has not taken over yet.
    work: Vec<Work>,
    /// Streams that use the connection.
    streams: usize,
    /// Turns of the driver that have begun.
    begun: u64,
    /// The last of them that is over.
    over: u64,
    /// The last of them that has sent all there was.
    sent: u64,
    /// Whether the transport holds bytes back.
    holds_back: bool,
    /// Why the connection ended badly.
    ended: Option<Ending>,
    /// Whether the driver is gone.
    gone: bool,
    driver: Option<Waker>,
    /// Who waits for a turn to end.
    waiting: Vec<Waker>,
}

impl Link {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing in this file panics while it holds the lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One stream more, until the answer is dropped.
    pub(super) fn enter(&self) -> Entry {
        self.lock().streams += 1;
        Entry(self.clone())
    }

    /// Why the connection ended badly, if it has.
    pub(super) fn ended(&self) -> Option<Ending> {
        self.lock().ended.clone()
    }

    /// Ready when all that was handed to hyper before the first call has left for the kernel. `turn` is
    /// the caller's, `None` at first.
    pub(super) fn poll_sent(&self, cx: &mut Context<'_>, turn: &mut Option<u64>) -> Poll<()> {
        self.poll_until(cx, turn, |state| state.sent)
    }

    /// Ready when hyper has had a turn since the first call.
    pub(super) fn poll_turn(&self, cx: &mut Context<'_>, turn: &mut Option<u64>) -> Poll<()> {
        self.poll_until(cx, turn, |state| state.over)
    }

    fn poll_until(
        &self,
        cx: &mut Context<'_>,
        turn: &mut Option<u64>,
        done: impl Fn(&State) -> u64,
    ) -> Poll<()> {
        let mut state = self.lock();
        let is_new = turn.is_none();
        // The turn that runs may have looked already.
        let turn = *turn.get_or_insert(state.begun + 1);
        if state.gone || done(&state) >= turn {
            return Poll::Ready(());
        }
        if !state.waiting.iter().any(|waker| waker.will_wake(cx.waker())) {
            state.waiting.push(cx.waker().clone());
        }
        let driver = state.driver.take_if(|_| is_new);
        drop(state);
        driver.into_iter().for_each(Waker::wake);
        Poll::Pending
    }
}

impl<F: Future<Output = ()> + Send + 'static> Executor<F> for Link {
    fn execute(&self, work: F) {
        let mut state = self.lock();
        // What nobody would run is dropped here: it may hold the link itself.
        if !state.gone {
            state.work.push(Box::pin(work));
            let driver = state.driver.take();
            drop(state);
            driver.into_iter().for_each(Waker::wake);
        }
    }
}

/// A stream that uses a connection.
pub(super) struct Entry(Link);

impl Entry {
    pub(super) const fn link(&self) -> &Link {
        &self.0
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.streams -= 1;
        let driver = state.driver.take();
        drop(state);
        driver.into_iter().for_each(Waker::wake);
    }
}

/// Drives a connection of hyper's.
pub(super) struct Driver<C> {
    connection: Option<Pin<Box<C>>>,
    work: FuturesUnordered<Work>,
    bell: Arc<Bell>,
    link: Link,
}

/// Rung where work can go on. `FuturesUnordered` may give way before it has polled all that can, which does
/// not show in what it returns.
#[derive(Default)]
struct Bell {
    is_rung: AtomicBool,
    driver: AtomicWaker,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.is_rung.store(true, Ordering::Release);
        self.driver.wake();
    }
}

impl<C: Future> Driver<C> {
    pub(super) fn new(connection: C, link: Link) -> Self {
        let connection = Some(Box::pin(connection));
        Self { connection, work: FuturesUnordered::new(), bell: Arc::default(), link }
    }

    /// Goes on until the connection has ended. That is asked for by `leave`, once: when `closing` is
    /// ready, and when nobody has used the connection for so long.
    pub(super) async fn run(
        mut self,
        closing: impl Future,
        idle: Option<Duration>,
        leave: impl Fn(Pin<&mut C>),
    ) {
        let mut closing = pin!(closing);
        let mut alarm: Option<Pin<Box<Sleep>>> = None;
        let mut leaving = false;
        poll_fn(|cx| {
            loop {
                if self.poll_turn(cx).is_ready() {
                    return Poll::Ready(());
                }
                let is_used = self.link.lock().streams > 0;
                if is_used {
                    alarm = None;
                }
                let closes = !leaving && closing.as_mut().poll(cx).is_ready();
                if !closes {
                    let time = if leaving { Some(LINGER) } else { idle };
                    let Some(time) = time.filter(|_| !is_used) else { return Poll::Pending };
                    let alarm = alarm.get_or_insert_with(|| Box::pin(sleep(time)));
                    ready!(alarm.as_mut().poll(cx));
                    if leaving {
                        return Poll::Ready(());
                    }
                }
                (leaving, alarm) = (true, None);
                if let Some(connection) = &mut self.connection {
                    leave(connection.as_mut());
                }
            }
        })
        .await;
    }

    /// Does what can be done now; ready when the connection has ended.
    fn poll_turn(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let turn = {
            let mut state = self.link.lock();
            state.begun += 1;
            state.driver = Some(cx.waker().clone());
            state.begun
        };
        self.bell.driver.register(cx.waker());
        loop {
            let new = std::mem::take(&mut self.link.lock().work);
            let is_rung = self.bell.is_rung.swap(false, Ordering::Acquire);
            if is_rung || !new.is_empty() {
                self.work.extend(new);
                let bell = Waker::from(Arc::clone(&self.bell));
                let mut cx = Context::from_waker(&bell);
                while let Poll::Ready(Some(())) = self.work.poll_next_unpin(&mut cx) {}
                continue;
            }
            if let Some(connection) = &mut self.connection
                && connection.as_mut().poll(cx).is_ready()
            {
                self.connection = None;
            }
            if self.link.lock().work.is_empty() && !self.bell.is_rung.load(Ordering::Acquire) {
                break;
            }
        }
        let mut state = self.link.lock();
        state.over = turn;
        if !state.holds_back {
            state.sent = turn;
        }
        let waiting = std::mem::take(&mut state.waiting);
        drop(state);
        waiting.into_iter().for_each(Waker::wake);
        if self.connection.is_none() && self.work.is_empty() {
            return Poll::Ready(());
        }
        Poll::Pending
    }
}

impl<C> Drop for Driver<C> {
    fn drop(&mut self) {
        let mut state = self.link.lock();
        state.gone = true;
        let (work, waiting) = (std::mem::take(&mut state.work), std::mem::take(&mut state.waiting));
        drop(state);
        drop(work);
        waiting.into_iter().for_each(Waker::wake);
    }
}

/// The socket of a connection, as hyper sees it. HTTP/2 forgets why its transport failed, so that is
/// noted here.
pub(super) struct Wire {
    socket: Socket,
    link: Link,
}

impl Wire {
    pub(super) fn new(socket: Socket, link: Link) -> Self {
        Self { socket, link }
    }

    fn note<T>(&self, result: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        let ended = self.socket.ended().filter(|ended| !ended.is_clean());
        if let (Poll::Ready(Err(_)), Some(ended)) = (&result, ended) {
            self.link.lock().ended.get_or_insert_with(|| ended.ending.clone());
        }
        result
    }

    fn note_whether_it_holds_back<T>(&self, result: Poll<T>) -> Poll<T> {
        self.link.lock().holds_back = result.is_pending();
        result
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let result = Pin::new(&mut self.socket).poll_read(cx, buf);
        self.note(result)
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(buf)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.socket).poll_write_vectored(cx, bufs);
        let result = self.note_whether_it_holds_back(result);
        self.note(result)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let result = Pin::new(&mut self.socket).poll_flush(cx);
        let result = self.note_whether_it_holds_back(result);
        self.note(result)
    }

    /// Ready when the peer has ended the connection, too: what it still sends would make a reset of it,
    /// which takes our last bytes away from the peer. The driver is patient for [`LINGER`].
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let result = ready!(Pin::new(&mut self.socket).poll_shutdown(cx));
        if result.is_ok() {
            ready!(self.socket.poll_end(cx));
        }
        self.note(Poll::Ready(result))
    }
}
