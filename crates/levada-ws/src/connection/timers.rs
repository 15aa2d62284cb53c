//! The two deadlines of a connection. Times are since any fixed origin.

use core::time::Duration;

use super::{Config, Deadline, Keepalive};
use crate::close::State;

/// What is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    /// A ping is to be sent.
    Ping,
    /// A deadline has run out.
    Deadline(Deadline),
}

#[derive(Clone, Debug)]
pub(super) struct Timers {
    keepalive: Option<Keepalive>,
    close_deadline: Option<Duration>,
    /// When the last byte came.
    heard: Duration,
    /// When the last byte moved, either way.
    moved: Duration,
    /// When the ping was queued that nothing has followed yet.
    pinged: Option<Duration>,
}

impl Timers {
    pub(super) fn new(config: &Config, now: Duration) -> Self {
        Self {
            keepalive: config.keepalive,
            close_deadline: config.close_deadline,
            heard: now,
            moved: now,
            pinged: None,
        }
    }

    /// Bytes came.
    pub(super) fn heard(&mut self, now: Duration) {
        self.heard = now;
        self.moved = now;
        self.pinged = None;
    }

    /// Bytes went, or the close handshake began.
    pub(super) fn moved(&mut self, now: Duration) {
        self.moved = now;
    }

    /// A keepalive ping was queued.
    pub(super) fn pinged(&mut self, now: Duration) {
        self.pinged = Some(now);
    }

    /// What is due next in `state`, and when.
    pub(super) fn next(&self, state: State) -> Option<(Duration, Due)> {
        match state {
            State::Open => self.keepalive.map(|keepalive| match self.pinged {
                None => (self.heard.saturating_add(keepalive.interval), Due::Ping),
                Some(pinged) => {
                    (pinged.saturating_add(keepalive.pong_deadline), Due::Deadline(Deadline::Pong))
                }
            }),
            State::CloseSent | State::Exchanged | State::Failing => {
                self.close_deadline.map(|deadline| {
                    (self.moved.saturating_add(deadline), Due::Deadline(Deadline::Close))
                })
            }
            // The peer waits for us, and may not even pong.
            State::CloseReceived | State::Closed => None,
        }
    }
}
