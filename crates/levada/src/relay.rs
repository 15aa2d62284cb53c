//! The relay: two streams joined, byte for byte and end for end.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};

use levada_core::Ended;
use tokio::io::ReadBuf;

use crate::scratch::{SCRATCH, with_plain};
use crate::socket::Socket;
use crate::splice::Pipe;
use crate::stream::Watched;

/// Rounds of both directions before other tasks of the thread have their turn.
const ROUNDS: usize = 8;

/// Steps of one direction, each of up to 256 KiB, before the other one has its turn.
const STEPS: usize = 8;

/// A read of so many bytes is one of many: what follows goes through the kernel where it can.
const BULK: usize = 64 * 1024;

/// The first read of a direction is no larger.
const FIRST_READ: usize = BULK;

/// By so much reads grow while the other side takes all of them.
const GROWTH: usize = 32 * 1024;

/// No read is smaller because the other side is slow: a record of TLS.
const LEAST_READ: usize = 16 * 1024;

/// Where one direction of a relay is in its life.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Phase {
    /// Bytes flow.
    #[default]
    Flowing,
    /// The source has said goodbye: it is passed on behind the bytes.
    Ending,
    /// The goodbye is passed on, or there is nobody to pass anything on to.
    Done,
}

/// Joins two streams until both have ended, and tells how each did, `left` first.
///
/// Each direction is closed on its own: a goodbye on one side is passed on behind all that came
/// before it, and the other direction goes on. A relay never turns a bad ending into a good one:
/// when one side ends badly, or says goodbye with words that tell of something missing, the other
/// [fails](Watched::fail): a reset on plain TCP, an end without close_notify on TLS, a Close frame with
/// 1011 on a WebSocket.
///
/// A WebSocket has no half-close. A goodbye that is passed on to one is a Close frame; what its peer
/// still sends before its own Close frame goes on the other way.
///
/// Neither side is read while what came from it waits for the other, sealed or not, so at most 256 KiB
/// wait in each direction. Mostly it is less: reads begin small, grow while the other side takes all of
/// them, and shrink when it does not.
///
/// # Cancel safety
///
/// Dropping the future leaves both sockets as they are, but loses what was read from one and not yet
/// taken by the other: abort or drop them then.
pub async fn relay(left: &mut impl Watched, right: &mut impl Watched) -> (Ended, Ended) {
    let mut relay = Relay::default();
    poll_fn(|cx| relay.poll(cx, left, right)).await
}

/// What [`relay()`] knows between two polls: for a task that has more to do with its two streams than
/// to join them.
#[derive(Debug, Default)]
pub struct Relay {
    there: Lane,
    back: Lane,
}

impl Relay {
    /// Moves what can be moved between the two streams, always the same two; ready when both have
    /// ended. What was read from one and not yet taken by the other waits in here.
    pub fn poll(
        &mut self,
        cx: &mut Context<'_>,
        left: &mut impl Watched,
        right: &mut impl Watched,
    ) -> Poll<(Ended, Ended)> {
        let Self { there, back } = self;
        // A step of one direction may set the other free: go on until neither moves.
        for _ in 0..ROUNDS {
            let moved = there.step(cx, left, right) | back.step(cx, right, left);
            if let (Some(left), Some(right)) = (left.ended(), right.ended()) {
                return Poll::Ready((left.clone(), right.clone()));
            }
            if there.phase == Phase::Done && back.phase == Phase::Done {
                // Both goodbyes are passed on both ways; what is missing are the last endings.
                let ends = (left.poll_closed(cx), right.poll_closed(cx));
                if let (Poll::Ready(left), Poll::Ready(right)) = ends {
                    return Poll::Ready((left, right));
                }
                return Poll::Pending;
            }
            if !moved {
                return Poll::Pending;
            }
        }
        // Two fast ends must not keep the thread from its other streams.
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

/// One direction of a relay.
#[derive(Debug)]
struct Lane {
    phase: Phase,
    /// The most that the next read takes.
    appetite: usize,
    /// Bytes read that the other side has not taken; freed when empty.
    left_over: Vec<u8>,
    /// The same, of a relay that passes them inside the kernel; given back when empty.
    pipe: Option<Pipe>,
    /// Whether the last read was so large that more of the kind may follow.
    in_bulk: bool,
}

impl Default for Lane {
    fn default() -> Self {
        Self {
            phase: Phase::default(),
            appetite: FIRST_READ,
            left_over: Vec::new(),
            pipe: None,
            in_bulk: false,
        }
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        if let Some(pipe) = self.pipe.take() {
            pipe.give_back();
        }
    }
}

impl Lane {
    /// Moves what can be moved without waiting; whether anything did.
    fn step(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut impl Watched,
        to: &mut impl Watched,
    ) -> bool {
        let mut moved = false;
        for _ in 0..STEPS {
            let phase = self.phase;
            let step = match phase {
                Phase::Flowing | Phase::Ending if self.pipe.is_some() => self.drain(cx, to),
                Phase::Flowing if self.in_bulk && self.can_pass(from, to) => self.fill(cx, from),
                Phase::Flowing if self.left_over.is_empty() => self.move_on(cx, from, to),
                Phase::Flowing | Phase::Ending if !self.left_over.is_empty() => {
                    self.push_left_over(cx, to)
                }
                Phase::Ending => Pin::new(&mut *to).poll_shutdown(cx).map(|_| {
                    self.phase = Phase::Done;
                }),
                _ => return moved,
            };
            // One side's bad end is the other's.
            let is_bad = |ended: Option<&Ended>| ended.is_some_and(|ended| !ended.is_clean());
            let broken_off = self.phase == Phase::Ending && from.breaks_off();
            if is_bad(from.ended()) || is_bad(to.ended()) || broken_off {
                from.fail();
                to.fail();
                self.phase = Phase::Done;
                return true;
            }
            if step.is_pending() {
                return moved;
            }
            moved = true;
        }
        moved
    }

    /// Reads as much as one call gives, and hands it on.
    fn move_on(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut impl Watched,
        to: &mut impl Watched,
    ) -> Poll<()> {
        if to.has_unsent() && Pin::new(&mut *to).poll_flush(cx).is_pending() {
            return Poll::Pending;
        }
        with_plain(|scratch| {
            let mut buf = ReadBuf::new(&mut scratch[..self.appetite]);
            let read = Pin::new(&mut *from).poll_read(cx, &mut buf);
            let bytes = buf.filled();
            match read {
                Poll::Pending => {
                    // Nothing more for now: see that what was handed on does leave.
                    let _ = Pin::new(to).poll_flush(cx);
                    return Poll::Pending;
                }
                // A bad end: the caller sees it in the socket's own state.
                Poll::Ready(Err(_)) => return Poll::Ready(()),
                Poll::Ready(Ok(())) if bytes.is_empty() => {
                    self.phase = Phase::Ending;
                    return Poll::Ready(());
                }
                Poll::Ready(Ok(())) => {}
            }
            self.in_bulk = bytes.len() >= BULK.min(self.appetite);
            let mut rest = bytes;
            while !rest.is_empty() {
                match Pin::new(&mut *to).poll_write(cx, rest) {
                    Poll::Ready(Ok(count)) => rest = &rest[count..],
                    Poll::Ready(Err(_)) => return Poll::Ready(()),
                    Poll::Pending => {
                        self.left_over.extend_from_slice(rest);
                        break;
                    }
                }
            }
            if !self.left_over.is_empty() || to.has_unsent() {
                self.appetite = (self.appetite / 2).max(LEAST_READ);
            } else if bytes.len() == self.appetite {
                self.appetite = (self.appetite + GROWTH).min(SCRATCH);
            }
            Poll::Ready(())
        })
    }

    /// Whether bytes can go from one side to the other inside the kernel; takes a pipe for it if so.
    fn can_pass(&mut self, from: &mut impl Watched, to: &mut impl Watched) -> bool {
        let passes = |socket: Option<&mut Socket>| socket.is_some_and(Socket::can_pass);
        if !self.left_over.is_empty() || !passes(from.as_socket()) || !passes(to.as_socket()) {
            return false;
        }
        self.pipe = Pipe::take();
        self.pipe.is_some()
    }

    /// Takes in what has come, inside the kernel.
    fn fill(&mut self, cx: &mut Context<'_>, from: &mut impl Watched) -> Poll<()> {
        let (Some(pipe), Some(socket)) = (&mut self.pipe, from.as_socket()) else {
            return Poll::Ready(());
        };
        let filled = socket.poll_pass_in(cx, pipe);
        match filled {
            Poll::Ready(0) => self.phase = Phase::Ending,
            Poll::Ready(count) => self.in_bulk = count >= BULK,
            Poll::Pending => {}
        }
        self.tidy();
        filled.map(|_| ())
    }

    /// Hands it on.
    fn drain(&mut self, cx: &mut Context<'_>, to: &mut impl Watched) -> Poll<()> {
        let (Some(pipe), Some(socket)) = (&mut self.pipe, to.as_socket()) else {
            return Poll::Ready(());
        };
        let drained = socket.poll_pass_out(cx, pipe);
        self.tidy();
        drained
    }

    /// Other relays of the thread may need the pipe.
    fn tidy(&mut self) {
        if let Some(pipe) = self.pipe.take_if(|pipe| pipe.is_empty()) {
            pipe.give_back();
        }
    }

    fn push_left_over(&mut self, cx: &mut Context<'_>, to: &mut impl Watched) -> Poll<()> {
        match Pin::new(to).poll_write(cx, &self.left_over) {
            Poll::Ready(Ok(count)) => {
                self.left_over.drain(..count);
                if self.left_over.is_empty() {
                    self.left_over = Vec::new();
                }
                Poll::Ready(())
            }
            Poll::Ready(Err(_)) => Poll::Ready(()),
            Poll::Pending => Poll::Pending,
        }
    }
}
