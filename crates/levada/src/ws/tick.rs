//! Time: all deadlines of a stream, by one timer.

use std::task::Context;
use std::time::Duration;

use levada_core::{Deadline, Deadlines, Ending, State};
use levada_ws::CloseCode;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;

use super::{WsEnding, WsStream};
use crate::alarm::{Silence, Timer};

/// The clock of one stream, and its timer.
#[derive(Debug)]
pub(super) struct Ticker {
    origin: Instant,
    deadlines: Deadlines,
    timer: Timer,
    idle: Option<Silence>,
}

impl Ticker {
    pub(super) fn new(deadlines: Deadlines) -> Self {
        let idle = deadlines.of(Deadline::Idle).map(|time| Silence::since_now(time, 0));
        Self { origin: Instant::now(), deadlines, timer: Timer::default(), idle }
    }

    /// How long each phase may last.
    pub(super) const fn deadlines(&self) -> Deadlines {
        self.deadlines
    }

    /// The time since the stream was established, as the codec counts it.
    pub(super) fn now(&self) -> Duration {
        self.origin.elapsed()
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> WsStream<S> {
    /// Does what is due by now, and sees to it that the task is woken for what is due next. To be
    /// called before a poll gives `Pending`.
    pub(super) fn tick(&mut self, cx: &mut Context<'_>) {
        while self.watch.ended().is_none() {
            let Some(at) = self.next_deadline() else {
                return self.ticker.timer.stop();
            };
            if self.ticker.timer.poll_until(cx, at).is_pending() {
                return;
            }
            if self.farewell.is_some() {
                self.end_farewell();
            } else if self.idle_at().is_some_and(|at| at <= Instant::now()) {
                self.time_out(cx, Deadline::Idle);
            } else {
                self.seal();
                match self.connection.handle_timeout(self.ticker.now()) {
                    Some(levada_ws::connection::Event::Closed(WsEnding::TimedOut(deadline))) => {
                        let deadline = match deadline {
                            levada_ws::connection::Deadline::Pong => Deadline::Idle,
                            levada_ws::connection::Deadline::Close => Deadline::Close,
                        };
                        self.time_out(cx, deadline);
                    }
                    // Both Close frames had passed, or the peer broke the protocol: that stands.
                    Some(levada_ws::connection::Event::Closed(ending)) => {
                        self.end(Self::ending_of(ending));
                    }
                    // A ping is due.
                    _ => {
                        let _ = self.poll_send(cx);
                    }
                }
            }
        }
    }

    fn next_deadline(&mut self) -> Option<Instant> {
        if let Some(farewell) = &self.farewell {
            return Some(farewell.until);
        }
        let connection = self.connection.poll_timeout().map(|at| self.ticker.origin + at);
        [connection, self.idle_at()].into_iter().flatten().min()
    }

    /// When silence has lasted too long, on a stream that nobody closes yet.
    fn idle_at(&mut self) -> Option<Instant> {
        let end = self.ticker.idle.as_mut()?.end(self.watch.moved());
        (self.watch.state() == State::Established).then_some(end)
    }

    /// A deadline has passed: a Close frame goes if it can go without waiting.
    fn time_out(&mut self, cx: &mut Context<'_>, deadline: Deadline) {
        self.seal();
        self.connection.close(self.ticker.now(), CloseCode::INTERNAL.into());
        let _ = self.connection.abort();
        if self.poll_send(cx).is_ready() {
            let _ = self.io().poll_shutdown(cx);
        }
        self.end(Ending::TimedOut(deadline));
    }
}
