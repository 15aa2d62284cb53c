//! Writing: from the caller, through the layer, to the transport; and our goodbye behind it.

use std::io::{self, IoSlice};
use std::task::{Context, Poll, ready};

use levada_core::{Deadline, Ending, Event, OsError, Ours, Party, Step};
use levada_tls::{Engine, Session};

use super::{Socket, Transport};
use crate::carrier::Writer;
use crate::scratch::with_wire;

/// Plain bytes accepted before the layers are up.
const QUEUE: usize = 64 * 1024;

/// Plain bytes sealed at once: the most that waits inside for a transport that does not take it.
const SEAL: usize = 128 * 1024;

impl Socket {
    /// Accepts plain bytes, of all the buffers in order, up to a bound.
    pub(super) fn poll_give(
        &mut self,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let had_ended = self.watch.ended().is_some();
        if !had_ended && self.goodbyes.ours() != Ours::Open {
            if self.goodbyes.is_cut() {
                // The peer has ended us: the error is to tell so, once our reply is out.
                ready!(self.poll_push(cx))?;
                return Poll::Ready(Err(self.watch.pending_write_error()));
            }
            let text = "the stream was shut down by its owner";
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::BrokenPipe, text)));
        }
        let up = self.poll_up(cx);
        if let Some(error) = self.watch.write_error(had_ended) {
            return Poll::Ready(Err(error));
        }
        let offered: usize = bufs.iter().map(|buf| buf.len()).sum();
        if offered == 0 {
            return Poll::Ready(Ok(0));
        }
        if up.is_pending() || (self.ending_tls && self.poll_end_tls(cx).is_pending()) {
            let count = offered.min(QUEUE - self.queue.len());
            if count == 0 {
                // Whoever reads takes TLS off; a writer alone must not take what is the reader's.
                return Poll::Pending;
            }
            for buf in front(bufs, count) {
                self.queue.extend_from_slice(buf);
            }
            return Poll::Ready(Ok(self.gave(count)));
        }
        self.poll_alarm(cx);
        let owed = self.poll_owed(cx);
        if let Some(error) = self.watch.write_error(had_ended) {
            return Poll::Ready(Err(error));
        }
        ready!(owed);
        let count = match (&mut self.session, &mut self.transport) {
            (Some(session), _) => {
                let count = offered.min(SEAL);
                if !seal(session, bufs, count)
                    && let Err(ending) = session.open(&mut [], &mut [])
                {
                    ready!(self.poll_die_of(cx, ending));
                    return Poll::Ready(Err(self.watch.pending_write_error()));
                }
                // What does not leave now does with the next write, flush or read.
                let _ = self.poll_write_wire(cx);
                count
            }
            (None, Transport::Up(carrier)) => match ready!(carrier.poll_write_vectored(cx, bufs)) {
                Ok(count) => {
                    self.watch.facts.bytes.wire_written += count as u64;
                    count
                }
                Err(error) => {
                    self.write_failed(cx, error);
                    return Poll::Ready(Err(self.watch.pending_write_error()));
                }
            },
            (None, _) => 0,
        };
        // The write may have met the end: what it accepted counts as lost with the stream.
        if self.watch.ended().is_some() {
            return Poll::Ready(Err(self.watch.pending_write_error()));
        }
        Poll::Ready(Ok(self.gave(count)))
    }

    /// Whether something that was accepted waits for the transport.
    pub(crate) fn has_unsent(&self) -> bool {
        !self.below.is_empty() || self.session.as_ref().is_some_and(Engine::wants_write)
    }

    fn gave(&mut self, count: usize) -> usize {
        self.watch.facts.bytes.written += count as u64;
        count
    }

    /// Resolves when all that was accepted has left for the kernel.
    pub(super) fn poll_push(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let had_ended = self.watch.ended().is_some();
        ready!(self.poll_up(cx));
        self.poll_alarm(cx);
        let owed = self.poll_owed(cx);
        if let Some(ended) = self.watch.ended() {
            let lost = !ended.is_clean() && self.goodbyes.ours() != Ours::Sent;
            let error = self.watch.write_error(had_ended).filter(|_| lost);
            return Poll::Ready(error.map_or(Ok(()), Err));
        }
        ready!(owed);
        match self.carrier().map_or(Poll::Ready(Ok(())), |carrier| carrier.poll_flush(cx)) {
            Poll::Ready(Err(error)) => {
                self.write_failed(cx, error);
                Poll::Ready(Err(self.watch.pending_write_error()))
            }
            other => other,
        }
    }

    /// Asks for our goodbye, and resolves when it and all before it has left for the kernel.
    pub(super) fn poll_say_goodbye(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.watch.ended().is_none() && self.goodbyes.ours() == Ours::Open {
            if self.watch.state().is_before_established() && self.queue.is_empty() {
                // One more look: what is up by now is closed, not given up.
                let _ = self.poll_up(cx);
                if self.watch.state().is_before_established() {
                    self.end(Ending::ConnectFinalized);
                }
            }
            self.goodbyes.ask();
            if !self.watch.state().is_before_established() && self.watch.ended().is_none() {
                self.begin_goodbye();
            }
            self.watch.wakers.wake(crate::wakers::Half::Read);
        }
        self.poll_push(cx)
    }

    /// Our goodbye is asked for on an established stream: it goes behind all that is accepted.
    pub(super) fn begin_goodbye(&mut self) {
        self.watch.step(Step::Close);
        self.set_alarm(Deadline::Close);
        if let Some(session) = &mut self.session {
            session.close();
        }
    }

    /// Sends what is owed: what was accepted, then our goodbye if it is asked for. Ready when nothing
    /// is, or nothing can be any more.
    pub(super) fn poll_owed(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.dying.is_some() {
            // What is sealed goes out with the alert behind it. Nothing that waits may be answered
            // before the end: it would be reported as done.
            return self.poll_die(cx);
        }
        if self.ending_tls {
            ready!(self.poll_end_tls(cx));
        }
        ready!(self.poll_write_wire(cx));
        if self.goodbyes.ours() != Ours::Asked || self.watch.ended().is_some() {
            return Poll::Ready(());
        }
        let Transport::Up(carrier) = &mut self.transport else { return Poll::Ready(()) };
        // On a plain stream the transport's end of file is the goodbye. Under a layer it follows
        // when both directions are done.
        let finished = match &self.session {
            None => ready!(carrier.poll_finish(cx)),
            Some(_) => ready!(carrier.poll_flush(cx)),
        };
        match finished {
            Ok(()) => {
                let ending = self.goodbyes.sent();
                self.watch.tell(|| Event::Goodbye(Party::Local));
                if let Some(ending) = ending {
                    self.end(ending);
                }
            }
            Err(error) => self.write_failed(cx, error),
        }
        Poll::Ready(())
    }

    /// Writes what goes straight to the transport, below every layer.
    fn poll_write_below(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while !self.below.is_empty() {
            let Transport::Up(carrier) = &mut self.transport else { return Poll::Ready(()) };
            match ready!(carrier.poll_write(cx, &self.below)) {
                Ok(count) => {
                    self.watch.facts.bytes.wire_written += count as u64;
                    self.below.drain(..count);
                }
                Err(error) => {
                    self.below = Vec::new();
                    self.write_failed(cx, error);
                }
            }
        }
        // An idle connection owns state, not buffers.
        self.below = Vec::new();
        Poll::Ready(())
    }

    /// Writes the session's records. Ready when none waits, or none can go out any more.
    pub(super) fn poll_write_wire(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        ready!(self.poll_write_below(cx));
        loop {
            let (Some(session), Transport::Up(carrier)) = (&mut self.session, &mut self.transport)
            else {
                return Poll::Ready(());
            };
            if !session.wants_write() || self.write_error.is_some() {
                return Poll::Ready(());
            }
            // Behind our goodbye, where the peer has said its own, comes the end of the transport.
            let more_follows = self.goodbyes.theirs() && self.goodbyes.ours() == Ours::Asked;
            match session.write_wire(&mut Writer { carrier, cx, more_follows }) {
                Ok(0) => {
                    self.write_failed(cx, io::ErrorKind::WriteZero.into());
                    return Poll::Ready(());
                }
                Ok(count) => self.watch.facts.bytes.wire_written += count as u64,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Poll::Pending,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    self.write_failed(cx, error);
                    return Poll::Ready(());
                }
            }
        }
    }

    /// The transport does not take our bytes any more. Why it does not may have been said by the
    /// peer before: users are not to read "connection reset" where an alert was sent.
    pub(super) fn write_failed(&mut self, cx: &mut Context<'_>, mut error: io::Error) {
        if self.write_error.is_some() || self.watch.ended().is_some() {
            return;
        }
        if error.kind() == io::ErrorKind::BrokenPipe
            && let Transport::Up(carrier) = &self.transport
            && let Some(reason) = carrier.reason()
        {
            error = reason;
        }
        self.write_error = Some(Box::new(OsError::from(&error)));
        // A pool has been asked for the reason already; what it had relayed before waits in the socket.
        let may_tell = match &self.transport {
            Transport::Up(carrier) if carrier.is_pooled() => true,
            _ => {
                (self.session.is_some() || self.kernel().is_some()) && Ending::of(&error).is_none()
            }
        };
        if may_tell && self.dying.is_none() {
            self.read_ahead(cx);
        }
        match self.dying.take().map(|ending| *ending) {
            // No alert of ours can go out.
            Some(Ending::FatalError { cause, .. }) => {
                self.end(Ending::FatalError { alert: None, cause });
            }
            Some(ending) => self.end(ending),
            None => self.transport_failed(&error),
        }
    }
}

/// The first `count` bytes of the buffers, buffer by buffer.
fn front<'a>(bufs: &'a [IoSlice<'a>], count: usize) -> impl Iterator<Item = &'a [u8]> {
    let mut left = count;
    bufs.iter().map(move |buf| {
        let part = &buf[..left.min(buf.len())];
        left -= part.len();
        part
    })
}

/// Seals the first `count` bytes of the buffers, at most [`SEAL`]: small ones share a record.
fn seal(session: &mut Session, bufs: &[IoSlice<'_>], count: usize) -> bool {
    if let Some(first) = bufs.first().filter(|first| first.len() >= count) {
        return session.seal(&first[..count]);
    }
    with_wire(|scratch| {
        let mut end = 0;
        for part in front(bufs, count) {
            scratch[end..end + part.len()].copy_from_slice(part);
            end += part.len();
        }
        session.seal(&scratch[..end])
    })
}
