//! A ClientHello's way from the hook of its session to the task that drives it, and the answer's way back.

use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;

use levada::HelloAnswer;

/// Where the two meet. Both run in one task, which finds here what it has put here itself: so nobody is
/// woken for it. A task that wakes itself has another thread look for work.
#[derive(Default)]
pub(crate) struct Desk(Mutex<OnDesk>);

#[derive(Default)]
struct OnDesk {
    hello: Option<Hello>,
    answer: Option<HelloAnswer>,
}

/// What a ClientHello asks for.
pub(crate) struct Hello {
    pub(crate) sni: Option<String>,
}

impl Desk {
    /// Passes a hello on, and waits for the answer. Whoever drives the session polls it again.
    pub(crate) fn pass(self: Arc<Self>, hello: Hello) -> impl Future<Output = HelloAnswer> + Send {
        self.lock().hello = Some(hello);
        poll_fn(move |_| self.lock().answer.take().map_or(Poll::Pending, Poll::Ready))
    }

    /// The hello, once it is there.
    pub(crate) fn hello(&self) -> Option<Hello> {
        self.lock().hello.take()
    }

    pub(crate) fn answer(&self, answer: HelloAnswer) {
        self.lock().answer = Some(answer);
    }

    fn lock(&self) -> MutexGuard<'_, OnDesk> {
        // Nothing panics while it holds the lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
