//! Bytes that pass through a plain socket inside the kernel, on behalf of a relay.

use std::task::{Context, Poll, ready};

use levada_core::{Ours, State};

use super::Socket;
use crate::carrier::Carrier;
use crate::splice::Pipe;
use crate::wakers::Half;

impl Socket {
    /// Whether what is read and written is what the transport carries, and nothing waits in here.
    pub(crate) fn can_pass(&mut self) -> bool {
        let is_bare = self.session.is_none()
            && self.watch.state() == State::Established
            && self.goodbyes.ours() == Ours::Open
            && !self.goodbyes.theirs()
            && self.dying.is_none()
            && self.write_error.is_none()
            && self.below.is_empty()
            && self.ahead.is_empty();
        is_bare && self.carrier().is_some_and(|carrier| carrier.can_splice())
    }

    /// Fills the empty `pipe`, as a read fills a buffer; 0 is end of file, or a bad end that shows in the
    /// socket's own state.
    pub(crate) fn poll_pass_in(&mut self, cx: &mut Context<'_>, pipe: &mut Pipe) -> Poll<usize> {
        self.poll_half(Half::Read, cx, |socket, cx| {
            socket.poll_alarm(cx);
            let Some(carrier) = socket.passing() else { return Poll::Ready(0) };
            match ready!(carrier.poll_fill(cx, pipe)) {
                Ok(0) => socket.received_goodbye(),
                Ok(count) => {
                    socket.watch.facts.bytes.wire_read += count as u64;
                    socket.watch.facts.bytes.read += count as u64;
                    return Poll::Ready(count);
                }
                Err(error) => socket.transport_failed(&error),
            }
            Poll::Ready(0)
        })
    }

    /// Sends from `pipe`, as a write sends from a buffer. A bad end shows in the socket's own state.
    pub(crate) fn poll_pass_out(&mut self, cx: &mut Context<'_>, pipe: &mut Pipe) -> Poll<()> {
        let passed = self.poll_half(Half::Write, cx, |socket, cx| {
            socket.poll_alarm(cx);
            let Some(carrier) = socket.passing() else { return Poll::Ready(()) };
            match ready!(carrier.poll_drain(cx, pipe)) {
                Ok(count) => {
                    socket.watch.facts.bytes.wire_written += count as u64;
                    socket.watch.facts.bytes.written += count as u64;
                }
                Err(error) => socket.write_failed(cx, error),
            }
            Poll::Ready(())
        });
        self.watch.write_waits = passed.is_pending();
        passed
    }

    /// The transport of a socket that has not ended.
    fn passing(&mut self) -> Option<&mut Carrier> {
        if self.watch.ended().is_some() {
            return None;
        }
        self.carrier()
    }
}
