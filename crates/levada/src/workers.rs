//! Threads for what blocks: signatures and verdicts that somebody else gives.

use std::collections::VecDeque;
use std::sync::{Condvar, LazyLock, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use levada_tls::{BlockingPool, Work};
use tokio::runtime::Handle;

/// Threads at most: so many signatures and verdicts can be on their way at once.
const THREADS: usize = 64;
/// Handshakes that wait for a thread at most; those beyond fail.
const QUEUE: usize = 1024;
/// After so long without work a thread ends.
const IDLE: Duration = Duration::from_secs(10);

/// The threads of this process. They are their own: neither the runtime's tasks nor what it has for
/// blocking work waits for them, and a process can end while one hangs.
pub(crate) fn workers() -> &'static Workers {
    static WORKERS: LazyLock<Workers> = LazyLock::new(Workers::default);
    &WORKERS
}

#[derive(Default)]
pub(crate) struct Workers {
    state: Mutex<State>,
    has_work: Condvar,
}

#[derive(Default)]
struct State {
    queue: VecDeque<Job>,
    threads: usize,
    idle: usize,
}

/// Work, with the runtime of the stream that it is for.
type Job = (Work, Option<Handle>);

impl BlockingPool for &'static Workers {
    fn run(&self, work: Work) {
        let job = (work, Handle::try_current().ok());
        let mut state = self.state();
        if state.queue.len() >= QUEUE {
            drop(state);
            // Dropping it tells its stream.
            drop(job);
            return;
        }
        state.queue.push_back(job);
        if state.idle >= state.queue.len() || state.threads == THREADS {
            self.has_work.notify_one();
            return;
        }
        state.threads += 1;
        drop(state);
        let workers = *self;
        let name = "levada-worker".to_owned();
        if thread::Builder::new().name(name).spawn(move || workers.serve()).is_err() {
            let mut state = self.state();
            state.threads -= 1;
            // Nobody would ever do it.
            let orphans =
                if state.threads == 0 { std::mem::take(&mut state.queue) } else { VecDeque::new() };
            drop(state);
            drop(orphans);
        }
    }
}

impl Workers {
    /// A thread's life.
    fn serve(&self) {
        while let Some((work, runtime)) = self.next() {
            let _at_hand = runtime.as_ref().map(Handle::enter);
            work.run();
        }
    }

    /// The next job; `None` when there was none for long.
    fn next(&self) -> Option<Job> {
        let mut state = self.state();
        state.idle += 1;
        let no_work = |state: &mut State| state.queue.is_empty();
        let (mut state, _) = self
            .has_work
            .wait_timeout_while(state, IDLE, no_work)
            .unwrap_or_else(PoisonError::into_inner);
        state.idle -= 1;
        let job = state.queue.pop_front();
        state.threads -= usize::from(job.is_none());
        job
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing in this file panics while it holds the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
