//! Work that may block: done by another thread, with the way there and back.
//!
//! rustls asks for signatures and verdicts in the middle of its work, and waits for the answer. So
//! a session that may have to wait goes to another thread for one step, as a [`Work`], and what it
//! leaves behind is a [`Desk`]: there the driver hears of the result, and from there it can give the
//! work up. Nobody else waits meanwhile.

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use crate::waiting::Done;

/// Threads that may block.
pub trait BlockingPool: Send + Sync {
    /// Has `work` run soon, on a thread of its own. With no room left it drops the work, which then
    /// fails in its session.
    fn run(&self, work: Work);
}

/// One step of a handshake that may block. Dropping it fails the session that it belongs to.
#[must_use = "the handshake goes on only when it is run"]
pub struct Work {
    step: Option<Box<dyn FnOnce() -> Done + Send>>,
    desk: Arc<Desk>,
}

impl Work {
    /// Does it, however long it takes. It never panics.
    pub fn run(mut self) {
        let Some(step) = self.step.take() else { return };
        if self.desk.is_abandoned() {
            return;
        }
        let outer = DESK.replace(Some(self.desk.clone()));
        let done = catch_unwind(AssertUnwindSafe(step));
        DESK.set(outer);
        self.desk.finish(done.unwrap_or(Done::Lost("the work on its handshake panicked")));
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        if self.step.is_some() {
            self.desk.finish(Done::Lost("too many handshakes wait for signatures or verdicts"));
        }
    }
}

impl std::fmt::Debug for Work {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Work")
    }
}

/// What a session waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Awaited {
    /// An answer to the ClientHello.
    Hello,
    /// A signature of an external key.
    Signature,
    /// A verdict on the peer's certificates.
    Verdict,
    /// A thread that works on the handshake.
    Thread,
}

/// Why an answer did not come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoAnswer {
    Panicked,
    /// The session does not want it any more.
    Abandoned,
}

/// Where a step of work and the driver of its session meet.
#[derive(Default)]
pub(crate) struct Desk {
    state: Mutex<State>,
    turned: Condvar,
}

#[derive(Default)]
struct State {
    done: Option<Done>,
    awaited: Option<Awaited>,
    driver: Option<Waker>,
    /// What the working thread waits for may have come.
    is_woken: bool,
    is_abandoned: bool,
}

thread_local! {
    /// The desk of the work that this thread does.
    static DESK: RefCell<Option<Arc<Desk>>> = const { RefCell::new(None) };
}

impl Desk {
    /// The work that `step` is, and the desk to wait at for it.
    pub(crate) fn open(step: impl FnOnce() -> Done + Send + 'static) -> (Arc<Self>, Work) {
        let desk = Arc::new(Self::default());
        let work = Work { step: Some(Box::new(step)), desk: desk.clone() };
        (desk, work)
    }

    /// The desk of the work that this thread does.
    pub(crate) fn current() -> Option<Arc<Self>> {
        DESK.with_borrow(Clone::clone)
    }

    /// Blocks this thread until `future` is ready, or nobody wants its answer any more.
    pub(crate) fn wait<T>(
        self: &Arc<Self>,
        awaited: Awaited,
        future: impl Future<Output = T>,
    ) -> Result<T, NoAnswer> {
        let waker = Waker::from(self.clone());
        let mut cx = Context::from_waker(&waker);
        let mut future = pin!(future);
        self.announce(Some(awaited));
        let answer = loop {
            match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(&mut cx))) {
                Ok(Poll::Ready(answer)) => break Ok(answer),
                Ok(Poll::Pending) => {}
                Err(_) => break Err(NoAnswer::Panicked),
            }
            let quiet = |state: &mut State| !state.is_woken && !state.is_abandoned;
            let mut state = self.turned.wait_while(self.state(), quiet);
            let state = state.as_mut().unwrap_or_else(|poisoned| poisoned.get_mut());
            if state.is_abandoned {
                break Err(NoAnswer::Abandoned);
            }
            state.is_woken = false;
        };
        self.announce(None);
        answer
    }

    /// Tells the driver what is waited for: it may set a deadline for it.
    fn announce(&self, awaited: Option<Awaited>) {
        let mut state = self.state();
        state.awaited = awaited;
        let driver = if awaited.is_some() { state.driver.take() } else { None };
        drop(state);
        if let Some(driver) = driver {
            driver.wake();
        }
    }

    fn finish(&self, done: Done) {
        let mut state = self.state();
        state.done = Some(done);
        let driver = state.driver.take();
        drop(state);
        if let Some(driver) = driver {
            driver.wake();
        }
    }

    /// What became of the work, once it is done.
    pub(crate) fn poll(&self, cx: &mut Context<'_>) -> Poll<Done> {
        let mut state = self.state();
        if let Some(done) = state.done.take() {
            return Poll::Ready(done);
        }
        state.driver = Some(cx.waker().clone());
        Poll::Pending
    }

    pub(crate) fn awaited(&self) -> Awaited {
        self.state().awaited.unwrap_or(Awaited::Thread)
    }

    /// Nobody wants the result any more: whoever waits on the working thread stops.
    pub(crate) fn abandon(&self) {
        let mut state = self.state();
        state.is_abandoned = true;
        state.driver = None;
        drop(state);
        self.turned.notify_all();
    }

    fn is_abandoned(&self) -> bool {
        self.state().is_abandoned
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing in this file panics while it holds the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Wake for Desk {
    fn wake(self: Arc<Self>) {
        self.state().is_woken = true;
        self.turned.notify_all();
    }
}
