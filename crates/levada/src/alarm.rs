//! The one alarm that a stream has set at a time.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use levada_core::Deadline;
use tokio::time::{Instant, Sleep, sleep_until};

/// A deadline that runs. Those of silence begin anew with every byte.
#[derive(Debug)]
pub(crate) struct Alarm {
    deadline: Deadline,
    time: Duration,
    since: Instant,
    moved: u64,
    sleep: Pin<Box<Sleep>>,
}

impl Alarm {
    /// Sets an alarm on a stream that has moved this many bytes so far.
    pub(crate) fn set(deadline: Deadline, time: Duration, moved: u64) -> Self {
        let since = Instant::now();
        Self { deadline, time, since, moved, sleep: Box::pin(sleep_until(since + time)) }
    }

    /// Ready with the deadline once it has passed, on a stream that has moved this many bytes.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>, moved: u64) -> Poll<Deadline> {
        let of_silence = matches!(self.deadline, Deadline::Close | Deadline::Idle);
        if of_silence && moved != self.moved {
            self.moved = moved;
            self.since = Instant::now();
        }
        loop {
            if self.sleep.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            // The timer is not moved with every byte: when it fires it learns how long it still has.
            let end = self.since + self.time;
            if end <= Instant::now() {
                return Poll::Ready(self.deadline);
            }
            self.sleep.as_mut().reset(end);
        }
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
}
