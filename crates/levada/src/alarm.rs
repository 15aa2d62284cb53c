//! The one alarm that a stream has set at a time, and what deadlines of streams are made of.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use levada_core::Deadline;
use tokio::time::{Instant, Sleep, sleep_until};

/// A deadline that runs. Those of silence begin anew with every byte.
#[derive(Debug)]
pub(crate) struct Alarm {
    deadline: Deadline,
    silence: Silence,
    timer: Timer,
}

impl Alarm {
    /// Sets an alarm on a stream that has moved this many bytes so far.
    pub(crate) fn set(deadline: Deadline, time: Duration, moved: u64) -> Self {
        Self { deadline, silence: Silence::since_now(time, moved), timer: Timer::default() }
    }

    /// Ready with the deadline once it has passed, on a stream that has moved this many bytes.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>, moved: u64) -> Poll<Deadline> {
        let end = match self.deadline {
            Deadline::Close | Deadline::Idle => self.silence.end(moved),
            Deadline::Lookup | Deadline::Connect | Deadline::Handshake => self.silence.begun_end(),
        };
        ready!(self.timer.poll_until(cx, end));
        Poll::Ready(self.deadline)
    }
}

/// A time in which nothing may happen that is counted in bytes moved.
#[derive(Debug)]
pub(crate) struct Silence {
    time: Duration,
    since: Instant,
    moved: u64,
}

impl Silence {
    /// From now on, on a stream that has moved this many bytes so far.
    pub(crate) fn since_now(time: Duration, moved: u64) -> Self {
        Self { time, since: Instant::now(), moved }
    }

    /// When it has lasted long enough, on a stream that has moved this many bytes: each that is new
    /// begins it anew.
    pub(crate) fn end(&mut self, moved: u64) -> Instant {
        if self.moved != moved {
            *self = Self::since_now(self.time, moved);
        }
        self.begun_end()
    }

    /// The same, whatever has moved since it began.
    fn begun_end(&self) -> Instant {
        self.since + self.time
    }
}

/// One timer of the runtime for all that a stream waits for, touched only when it fires or is late.
#[derive(Debug, Default)]
pub(crate) struct Timer(Option<Pin<Box<Sleep>>>);

impl Timer {
    /// Ready when `end` has come; if not, the task is woken then, or before.
    pub(crate) fn poll_until(&mut self, cx: &mut Context<'_>, end: Instant) -> Poll<()> {
        let sleep = self.0.get_or_insert_with(|| Box::pin(sleep_until(end)));
        if sleep.deadline() > end {
            sleep.as_mut().reset(end);
        }
        loop {
            ready!(sleep.as_mut().poll(cx));
            // It is not moved with every byte: when it fires it learns how long it still has.
            if end <= Instant::now() {
                return Poll::Ready(());
            }
            sleep.as_mut().reset(end);
        }
    }

    /// Nothing is waited for.
    pub(crate) fn stop(&mut self) {
        self.0 = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;

    #[tokio::test(start_paused = true)]
    async fn silence_is_counted_from_the_last_byte() {
        let start = Instant::now();
        let mut alarm = Alarm::set(Deadline::Close, Duration::from_secs(120), 0);
        for moved in 1..=3 {
            tokio::time::advance(Duration::from_secs(100)).await;
            assert!(poll_fn(|cx| Poll::Ready(alarm.poll(cx, moved))).await.is_pending());
        }
        assert_eq!(poll_fn(|cx| alarm.poll(cx, 3)).await, Deadline::Close);
        assert_eq!(start.elapsed().as_secs(), 300 + 120);
    }

    #[tokio::test(start_paused = true)]
    async fn bytes_do_not_prolong_a_handshake() {
        let start = Instant::now();
        let mut alarm = Alarm::set(Deadline::Handshake, Duration::from_secs(10), 0);
        let mut moved = 0;
        let passed = poll_fn(|cx| {
            moved += 1;
            alarm.poll(cx, moved)
        });
        assert_eq!(passed.await, Deadline::Handshake);
        assert_eq!(start.elapsed().as_secs(), 10);
    }

    #[tokio::test(start_paused = true)]
    async fn a_timer_serves_an_earlier_end_and_then_a_later_one() {
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        let mut timer = Timer::default();
        assert!(poll_fn(|cx| Poll::Ready(timer.poll_until(cx, after(100)))).await.is_pending());
        poll_fn(|cx| timer.poll_until(cx, after(10))).await;
        assert_eq!(start.elapsed().as_secs(), 10);
        poll_fn(|cx| timer.poll_until(cx, after(50))).await;
        assert_eq!(start.elapsed().as_secs(), 50);
    }
}
