//! Events of a stream, handed to whoever listens.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use levada_core::Event;

/// Events that wait for one slow listener at most; then the oldest are dropped and counted.
const BOUND: usize = 256;

/// A listener's end of a stream's events: made by [`Socket::events`](crate::Socket::events).
///
/// A listener never stops the data. One that is too slow loses the oldest events and is told how
/// many by [`Event::Lost`]; the last event, [`Event::Ended`], is never lost.
#[derive(Debug)]
pub struct Events(Arc<Mutex<Queue>>);

impl Events {
    /// The next event, or `None` behind the last one.
    ///
    /// # Cancel safety
    ///
    /// A call that is dropped has taken nothing.
    pub async fn next(&mut self) -> Option<Event> {
        poll_fn(|cx| self.poll_next(cx)).await
    }

    /// The next event if one waits, without waiting for it.
    pub fn try_next(&mut self) -> Option<Event> {
        lock(&self.0).take()
    }

    /// Polls for the next event; `None` behind the last one.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Event>> {
        let mut queue = lock(&self.0);
        if let Some(event) = queue.take() {
            return Poll::Ready(Some(event));
        }
        if queue.closed {
            return Poll::Ready(None);
        }
        queue.waker = Some(cx.waker().clone());
        Poll::Pending
    }
}

/// The stream's end: hands each event to every listener. Costs nothing while there is none.
#[derive(Debug, Default)]
pub(crate) struct Teller(Vec<Arc<Mutex<Queue>>>);

impl Teller {
    pub(crate) fn listen(&mut self) -> Events {
        let queue = Arc::new(Mutex::new(Queue::default()));
        self.0.push(Arc::clone(&queue));
        Events(queue)
    }

    pub(crate) fn is_heard(&self) -> bool {
        !self.0.is_empty()
    }

    /// Tells one event. [`Event::Ended`] closes every queue behind it.
    pub(crate) fn tell(&mut self, event: &Event) {
        self.0.retain(|queue| Arc::strong_count(queue) > 1);
        for queue in &self.0 {
            lock(queue).put(event.clone());
        }
    }
}

impl Drop for Teller {
    fn drop(&mut self) {
        for queue in &self.0 {
            lock(queue).close();
        }
    }
}

#[derive(Debug, Default)]
struct Queue {
    waiting: VecDeque<Event>,
    lost: u64,
    closed: bool,
    waker: Option<Waker>,
}

impl Queue {
    fn put(&mut self, event: Event) {
        if self.waiting.len() == BOUND {
            self.waiting.pop_front();
            self.lost += 1;
        }
        self.closed |= matches!(event, Event::Ended(_));
        self.waiting.push_back(event);
        self.wake();
    }

    fn take(&mut self) -> Option<Event> {
        if self.lost > 0 {
            return Some(Event::Lost(std::mem::take(&mut self.lost)));
        }
        self.waiting.pop_front()
    }

    fn close(&mut self) {
        self.closed = true;
        self.wake();
    }

    fn wake(&mut self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

fn lock(queue: &Mutex<Queue>) -> MutexGuard<'_, Queue> {
    // Nothing in this file panics while it holds the lock.
    queue.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use levada_core::{Party, State};

    #[test]
    fn a_slow_listener_loses_the_oldest_and_is_told_how_many() {
        let mut teller = Teller::default();
        let mut events = teller.listen();
        for _ in 0..BOUND + 3 {
            teller.tell(&Event::Goodbye(Party::Peer));
        }
        teller.tell(&Event::State(State::Closing));
        drop(teller);
        assert_eq!(events.try_next(), Some(Event::Lost(4)));
        let rest: Vec<_> = std::iter::from_fn(|| events.try_next()).collect();
        assert_eq!(rest.len(), BOUND);
        assert_eq!(rest.last(), Some(&Event::State(State::Closing)));
    }

    #[test]
    fn a_listener_that_went_away_is_forgotten() {
        let mut teller = Teller::default();
        drop(teller.listen());
        teller.tell(&Event::Goodbye(Party::Local));
        assert!(!teller.is_heard());
    }
}
