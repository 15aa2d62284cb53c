//! The footpath beside a stream: its life, what is known of it, and who watches it or waits for it.
//!
//! Every driver of a stream owns one [`Watch`] and tells it what happens; what a stream's life looks
//! like from outside (states, events, facts, the one ending, which error a write gets, who is woken)
//! is written here and nowhere else. What a driver adds is its own goodbye, and what the ending does
//! to the transport.

use std::io;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use levada_core::{Ended, Ending, Event, Facts, Life, Mode, State, Step};
use tokio::time::Instant;

use crate::events::{Events, Teller};
use crate::wakers::{Half, Wakers};

/// What can be watched of one stream.
#[derive(Debug)]
pub(crate) struct Watch {
    pub(crate) life: Life,
    pub(crate) facts: Facts,
    pub(crate) wakers: Wakers,
    /// Whether a write waits, or waited when the stream ended: it fails with the original error, once.
    pub(crate) write_waits: bool,
    teller: Teller,
    born: Instant,
    phase_began: Instant,
}

impl Watch {
    /// A life that begins now.
    pub(crate) fn new(facts: Facts) -> Self {
        let now = Instant::now();
        Self {
            life: Life::new(),
            facts,
            wakers: Wakers::default(),
            write_waits: false,
            teller: Teller::default(),
            born: now,
            phase_began: now,
        }
    }

    pub(crate) const fn state(&self) -> State {
        self.life.state()
    }

    pub(crate) const fn ended(&self) -> Option<&Ended> {
        self.life.ended()
    }

    pub(crate) fn events(&mut self) -> Events {
        self.teller.listen()
    }

    /// Tells an event, if somebody listens. Nothing is told behind the end.
    pub(crate) fn tell(&mut self, event: impl FnOnce() -> Event) {
        if self.teller.is_heard() && self.life.ended().is_none() {
            self.teller.tell(&event());
        }
    }

    /// Takes a step of the lifecycle and tells of it.
    pub(crate) fn step(&mut self, step: Step) {
        match self.life.step(step) {
            Ok(event) => self.teller.tell(&event),
            Err(undeclared) => debug_assert!(false, "{undeclared}"),
        }
    }

    /// Notes what is wrapped around the transport, and tells of it.
    pub(crate) fn wrap(&mut self, mode: Mode) {
        if let Some(event) = self.life.wrap(mode) {
            self.teller.tell(&event);
        }
    }

    /// How long the phase took that ended at this moment; the next one begins with it.
    pub(crate) fn end_of_phase(&mut self, at: Instant) -> Duration {
        at - std::mem::replace(&mut self.phase_began, at)
    }

    /// Bytes that have moved on the wire, either way: what silence is measured by.
    pub(crate) fn moved(&self) -> u64 {
        self.facts.bytes.wire_read + self.facts.bytes.wire_written
    }

    /// Ends the life, if it has not ended: the first ending is the only one. Whoever waits is woken.
    pub(crate) fn end(&mut self, ending: Ending) {
        if self.life.ended().is_some() {
            return;
        }
        self.facts.times.total = Some(self.born.elapsed());
        // From here on they are the ending's.
        let facts = Arc::new(std::mem::take(&mut self.facts));
        if let Some(event) = self.life.end(ending, facts) {
            self.teller.tell(&event);
        }
        self.wakers.wake(Half::Read);
        self.wakers.wake(Half::Write);
    }

    /// Notes whether the writer's call waits.
    pub(crate) fn writer<R>(&mut self, result: Poll<R>) -> Poll<R> {
        self.write_waits = result.is_pending();
        result
    }

    /// The error of a call of the writer on a stream that has ended: the original one, once, if the
    /// call waited or has met the end itself.
    pub(crate) fn write_error(&mut self, had_ended: bool) -> Option<io::Error> {
        let ended = self.life.ended()?;
        let waited = std::mem::take(&mut self.write_waits) || !had_ended;
        Some(if waited { ended.pending_write_error() } else { ended.later_write_error() })
    }

    /// The error of a call of the writer that the end has overtaken.
    pub(crate) fn pending_write_error(&mut self) -> io::Error {
        self.write_error(false).unwrap_or_else(|| io::ErrorKind::BrokenPipe.into())
    }
}
