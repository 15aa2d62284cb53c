//! Who is to be woken: over a layer either direction may wait for the other's bytes.

use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Wake, Waker};

/// A half of a stream, for the task that polls it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Half {
    Read = 0,
    Write = 1,
}

/// The tasks that wait for a stream's two halves.
///
/// A layer's reader may have to wait until the transport can be written (it owes an alert, say), and
/// its writer until it can be read (the handshake runs). The transport has one place for a waker in
/// each direction, so where two tasks use one stream, both are woken.
#[derive(Debug, Default)]
pub(crate) struct Wakers {
    waiting: [Option<Waker>; 2],
    both: Option<Arc<Both>>,
}

impl Wakers {
    /// Notes who waits for `half`.
    pub(crate) fn note(&mut self, half: Half, waker: &Waker) {
        let place = &mut self.waiting[half as usize];
        if !place.as_ref().is_some_and(|old| old.will_wake(waker)) {
            *place = Some(waker.clone());
        }
    }

    /// Notes who waits for `half`, and gives the waker that the transport is to be polled with.
    pub(crate) fn wait(&mut self, half: Half, waker: &Waker) -> Waker {
        self.note(half, waker);
        let other = match half {
            Half::Read => Half::Write,
            Half::Write => Half::Read,
        };
        if self.waiting[other as usize].as_ref().is_none_or(|other| other.will_wake(waker)) {
            return waker.clone();
        }
        let both = self.both.get_or_insert_default();
        both.0.lock().unwrap_or_else(PoisonError::into_inner).clone_from(&self.waiting);
        Waker::from(Arc::clone(both))
    }

    /// Notes that nobody waits for `half`: its last call was answered.
    pub(crate) fn answered(&mut self, half: Half) {
        self.waiting[half as usize] = None;
    }

    /// Whether somebody waits for `half`.
    pub(crate) fn is_waiting(&self, half: Half) -> bool {
        self.waiting[half as usize].is_some()
    }

    /// Wakes whoever waits for `half`.
    pub(crate) fn wake(&mut self, half: Half) {
        if let Some(waker) = self.waiting[half as usize].take() {
            waker.wake();
        }
    }
}

#[derive(Debug, Default)]
struct Both(Mutex<[Option<Waker>; 2]>);

impl Wake for Both {
    fn wake(self: Arc<Self>) {
        // Nothing in this file panics while it holds the lock.
        let waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        waiting.into_iter().flatten().for_each(Waker::wake);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn task() -> (Arc<Count>, Waker) {
        let count = Arc::new(Count::default());
        (Arc::clone(&count), Waker::from(count))
    }

    #[test]
    fn k3_two_tasks_are_both_woken_and_neither_takes_the_others_place() {
        let ((read_wakes, reader), (write_wakes, writer)) = (task(), task());
        let mut wakers = Wakers::default();
        let first = wakers.wait(Half::Read, &reader);
        assert!(first.will_wake(&reader), "one task alone is woken directly");
        wakers.wait(Half::Write, &writer).wake();
        assert_eq!(read_wakes.0.load(Ordering::Relaxed), 1);
        assert_eq!(write_wakes.0.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn a_half_that_was_answered_is_not_woken() {
        let ((reads, reader), (_, writer)) = (task(), task());
        let mut wakers = Wakers::default();
        wakers.wait(Half::Read, &reader);
        wakers.answered(Half::Read);
        wakers.wait(Half::Write, &writer).wake();
        assert_eq!(reads.0.load(Ordering::Relaxed), 0);
    }
}
