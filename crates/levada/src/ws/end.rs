//! Events and ending: what the codec tells, and the one place where a life becomes its ending.

use std::io;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use levada_core::{Deadline, Ended, Ending, Event, OsError, Party, State, Step};
use levada_ws::CloseCode;
use levada_ws::connection::{Cut, Ending as WsEnding, Event as WsEvent, Side};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

use super::{WsStream, room};

/// How long the carrier's end may take once the ending is certain.
const LINGER: Duration = Duration::from_secs(5);

/// Reads of one poll whose bytes nobody wants.
const DRAINS: usize = 16;

/// What is left to do for the carrier before the ending that is certain is told: to end our direction
/// of it and, where the peer may still be sending, to take that in, because a reset would take our
/// last bytes away from it.
#[derive(Debug)]
pub(super) struct Farewell {
    ending: Ending,
    /// Whether our direction of the carrier is ended.
    shut: bool,
    /// Whether the peer may still be sending.
    drains: bool,
    pub(super) until: Instant,
}

impl<S> WsStream<S> {
    /// The codec's ending in the words of every stream.
    pub(super) fn ending_of(ending: WsEnding) -> Ending {
        match ending {
            WsEnding::Close { frame, by } => Ending::WsClose {
                code: frame.as_ref().map(|frame| frame.code().number()),
                reason: frame.map_or_else(String::new, |frame| frame.reason().to_owned()),
                by: match by {
                    Side::Local => Party::Local,
                    Side::Peer => Party::Peer,
                },
            },
            WsEnding::TextRefused => Ending::WsProtocol(1003),
            WsEnding::Violation(violation) => Ending::WsProtocol(violation.close_code().number()),
            WsEnding::Truncated(_) => Ending::SocketClose,
            WsEnding::TimedOut(levada_ws::connection::Deadline::Pong) => {
                Ending::TimedOut(Deadline::Idle)
            }
            WsEnding::TimedOut(levada_ws::connection::Deadline::Close) => {
                Ending::TimedOut(Deadline::Close)
            }
            WsEnding::Aborted => Ending::Aborted,
        }
    }

    /// Our Close frame is queued.
    pub(super) fn begin_goodbye(&mut self, first: Party) {
        self.watch.facts.first_goodbye.get_or_insert(first);
        if self.watch.state() == State::Established {
            self.watch.step(Step::Close);
        }
    }

    /// Hands on what the codec tells.
    pub(super) fn hear(&mut self, event: WsEvent) {
        match event {
            WsEvent::Data(_) => debug_assert!(false, "data goes to the reader"),
            WsEvent::Ping(payload) => self.watch.tell(|| Event::Ping(payload.to_vec())),
            WsEvent::Pong(payload) => self.watch.tell(|| Event::Pong(payload.to_vec())),
            WsEvent::TextRefused => {
                self.watch.tell(|| Event::TextRefused);
                self.begin_goodbye(Party::Local);
            }
            WsEvent::CloseFrame(frame) => {
                self.watch.facts.first_goodbye.get_or_insert(Party::Peer);
                let clean = [CloseCode::NORMAL, CloseCode::GOING_AWAY];
                self.broken_off =
                    frame.clone().filter(|frame| !clean.contains(&frame.code())).map(Box::new);
                self.watch.tell(|| Event::CloseFrame {
                    code: frame.as_ref().map(|frame| frame.code().number()),
                    reason: frame.as_ref().map_or("", |frame| frame.reason()).to_owned(),
                });
                self.watch.tell(|| Event::Goodbye(Party::Peer));
                if !self.connection.can_write() {
                    self.begin_goodbye(Party::Peer);
                }
            }
            WsEvent::Violation(violation) => {
                self.watch.tell(|| Event::WsViolation {
                    code: violation.close_code().number(),
                    cause: violation.to_string(),
                });
                self.begin_goodbye(Party::Local);
            }
            WsEvent::Closed(ending) => self.close_carrier(ending),
        }
    }

    /// The WebSocket is over, with what it wanted to say said or not. The carrier may not be.
    fn close_carrier(&mut self, ending: WsEnding) {
        let is_violation = matches!(ending, WsEnding::Violation(_));
        let says_goodbye =
            is_violation || matches!(ending, WsEnding::Close { .. } | WsEnding::TextRefused);
        let ending = Self::ending_of(ending);
        if says_goodbye && self.write_error.is_none() {
            let drains = is_violation && self.connection.role() == levada_ws::Role::Server;
            let until = Instant::now() + LINGER;
            self.farewell = Some(Farewell { ending, shut: false, drains, until });
        } else {
            self.end(ending);
        }
    }

    /// The carrier came to its end of file.
    pub(super) fn carrier_ended(&mut self) {
        let ending = self.at_carriers_end();
        match (ending, self.write_error.take()) {
            (Some(WsEnding::Truncated(_)), Some(ending)) => self.end(ending),
            (Some(ending), _) => self.close_carrier(ending),
            (None, _) => {}
        }
    }

    /// Reading from the carrier failed. After both Close frames nothing is lost by it.
    pub(super) fn carrier_failed(&mut self, error: &io::Error) {
        match self.at_carriers_end() {
            Some(WsEnding::Truncated(_)) => {
                let ending = self.write_error.take();
                let ending = ending.unwrap_or_else(|| self.ending_of_carrier(error));
                self.end(ending);
            }
            Some(ending) => {
                self.watch.tell(|| Event::TransportFailed(OsError::from(error)));
                self.end(Self::ending_of(ending));
            }
            None => {}
        }
    }

    /// What the end of the carrier ends us with. The peer's Close frame makes no clean end where it
    /// has not taken all that we had accepted.
    fn at_carriers_end(&mut self) -> Option<WsEnding> {
        match self.connection.handle_eof()? {
            WsEvent::Closed(ending) if ending.is_clean() && self.outbox.owes_data() => {
                Some(WsEnding::Truncated(Cut::BetweenMessages))
            }
            WsEvent::Closed(ending) => Some(ending),
            _ => None,
        }
    }

    /// What the carrier's error means: the ending of the stream below, if it was one of ours.
    pub(super) fn ending_of_carrier(&mut self, error: &io::Error) -> Ending {
        match Ended::of(error) {
            Some(below) => {
                let facts = &below.facts;
                self.watch.facts.tls = facts.tls.clone().or(self.watch.facts.tls.take());
                self.watch.facts.peer = self.watch.facts.peer.take().or_else(|| facts.peer.clone());
                if below.is_clean() { Ending::SocketClose } else { below.ending.clone() }
            }
            None => Ending::SocketError(OsError::from(error)),
        }
    }

    /// Ends the life, if it has not ended: the first ending is the only one.
    pub(super) fn end(&mut self, ending: Ending) {
        if self.watch.ended().is_some() {
            return;
        }
        self.watch.facts = self.facts();
        self.watch.end(ending);
        self.opening = None;
        self.farewell = None;
        self.outbox.clear();
    }

    /// The carrier has taken too long to end: the ending is certain anyway.
    pub(super) fn end_farewell(&mut self) {
        if let Some(farewell) = self.farewell.take() {
            self.end(farewell.ending);
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> WsStream<S> {
    /// Ends the carrier, and then the life.
    pub(super) fn poll_farewell(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(mut farewell) = self.farewell.take() else { return Poll::Ready(()) };
        if !farewell.shut {
            match self.io().poll_shutdown(cx) {
                Poll::Pending => {
                    self.farewell = Some(farewell);
                    return Poll::Pending;
                }
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(error)) => {
                    // A client has seen the server's end before: what its own meets is no news.
                    if self.connection.role() == levada_ws::Role::Server {
                        self.watch.tell(|| Event::TransportFailed(OsError::from(&error)));
                    }
                    farewell.drains = false;
                }
            }
            farewell.shut = true;
        }
        if farewell.drains && self.poll_drain(cx, farewell.until).is_pending() {
            self.farewell = Some(farewell);
            return Poll::Pending;
        }
        self.end(farewell.ending);
        Poll::Ready(())
    }

    /// Takes in what the peer still sends, until its end or this time.
    fn poll_drain(&mut self, cx: &mut Context<'_>, until: Instant) -> Poll<()> {
        room::with_reading(|room| {
            for _ in 0..DRAINS {
                if Instant::now() >= until {
                    return Poll::Ready(());
                }
                let mut buf = ReadBuf::new(room);
                match ready!(self.io().poll_read(cx, &mut buf)) {
                    Ok(()) if !buf.filled().is_empty() => {
                        self.watch.facts.bytes.wire_read += buf.filled().len() as u64;
                    }
                    Ok(()) | Err(_) => return Poll::Ready(()),
                }
            }
            // A peer that floods does not keep the thread.
            cx.waker().wake_by_ref();
            Poll::Pending
        })
    }

    /// Ends the life now because what stands behind the stream ended badly, and says so with a Close
    /// frame 1011 if that can go without waiting. A peer that has broken off by itself is answered with
    /// its own code, and is the reason, whether or not the answer could go.
    pub(crate) fn break_off(&mut self) {
        let theirs = self.broken_off.clone();
        if self.watch.ended().is_none() && self.opening.is_none() && self.io.is_some() {
            self.seal();
            let code = theirs.as_ref().map_or(CloseCode::INTERNAL, |frame| frame.code());
            self.connection.close(self.ticker.now(), code.into());
            let _ = self.poll_send(&mut Context::from_waker(Waker::noop()));
        }
        let theirs = theirs.map(|frame| WsEnding::Close { frame: Some(*frame), by: Side::Peer });
        self.leave_because(theirs.map(Self::ending_of));
    }

    /// Ends the life now: what was written and a Close frame go only if they can without waiting.
    pub(super) fn leave(&mut self) {
        self.leave_because(None);
    }

    /// As [`leave`](Self::leave); what has happened before may be the reason.
    fn leave_because(&mut self, reason: Option<Ending>) {
        if self.watch.ended().is_some() || self.io.is_none() {
            return;
        }
        if self.opening.is_some() {
            self.end(Ending::Aborted);
            return;
        }
        let mut cx = Context::from_waker(Waker::noop());
        if self.farewell.is_some() {
            let _ = self.poll_farewell(&mut cx);
            self.end_farewell();
            return;
        }
        self.seal();
        let ending = match (self.connection.abort(), reason) {
            (_, Some(reason)) => reason,
            (Some(WsEvent::Closed(ending)), None) => Self::ending_of(ending),
            (_, None) => Ending::Aborted,
        };
        if self.poll_send(&mut cx).is_ready() && self.write_error.is_none() {
            // Behind the Close frame the carrier's end is no lost connection.
            let _ = self.io().poll_shutdown(&mut cx);
        }
        self.end(ending);
    }
}

impl<S> Drop for WsStream<S> {
    fn drop(&mut self) {
        (self.leave)(self);
    }
}
