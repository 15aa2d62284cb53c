//! Reading: from the transport, through the layer, to the caller.

use std::io;
use std::task::{Context, Poll, ready};

use levada_core::{Ended, Event, Ours, Party};
use levada_tls::{Engine, Opened};
use tokio::io::ReadBuf;

use super::{Socket, Transport};
use crate::scratch::{SCRATCH, with_wire};

/// Room for what a record adds to its plaintext, and for one more record than the caller can take.
const RECORD_ROOM: usize = 18 * 1024;

/// Plain bytes that may be read ahead in search of why writing failed.
const AHEAD: usize = 256 * 1024;

impl Socket {
    /// Reads plain bytes into `buf`; none is end of file.
    pub(super) fn poll_take(
        &mut self,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if buf.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        ready!(self.poll_up(cx));
        let before = buf.filled().len();
        let result = ready!(self.poll_take_established(cx, buf));
        self.watch.facts.bytes.read += (buf.filled().len() - before) as u64;
        Poll::Ready(result)
    }

    fn poll_take_established(
        &mut self,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            self.poll_alarm(cx);
            // What we owe goes out from here too: a reader alone drives a close to its end.
            let _ = self.poll_owed(cx);
            if !self.ahead.is_empty() {
                let count = self.ahead.len().min(buf.remaining());
                buf.put_slice(&self.ahead[..count]);
                self.ahead.drain(..count);
                return Poll::Ready(Ok(()));
            }
            if let Some(ended) = self.watch.ended() {
                let ended = ended.clone();
                return Poll::Ready(self.take_rest(cx, buf, &ended));
            }
            if self.dying.is_some() {
                return Poll::Pending;
            }
            if self.goodbyes.theirs() {
                return Poll::Ready(Ok(()));
            }
            if self.ending_tls && self.poll_end_tls(cx).is_ready() {
                continue;
            }
            if self.session.is_some() {
                self.notice_goodbye();
                if self.goodbyes.theirs() {
                    continue;
                }
                let room = buf.initialize_unfilled();
                let count = ready!(self.poll_take_in(cx, room));
                if count > 0 {
                    buf.advance(count);
                    return Poll::Ready(Ok(()));
                }
            } else {
                ready!(self.poll_take_plain(cx, buf));
                if self.watch.ended().is_none() && self.dying.is_none() {
                    return Poll::Ready(Ok(()));
                }
            }
        }
    }

    /// Reads a stream without a layer straight into the caller's buffer.
    fn poll_take_plain(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<()> {
        let Transport::Up(carrier) = &mut self.transport else { return Poll::Ready(()) };
        let before = buf.filled().len();
        let read = match self.write_error {
            None => carrier.poll_read(cx, buf),
            Some(_) => carrier.poll_read_now(cx, buf),
        };
        match ready!(read) {
            Ok(()) if buf.filled().len() == before && carrier.is_truncated() => {
                self.transport_ended();
            }
            Ok(()) if buf.filled().len() == before => self.received_goodbye(),
            Ok(()) => self.watch.facts.bytes.wire_read += (buf.filled().len() - before) as u64,
            Err(error) => self.transport_failed(&error),
        }
        Poll::Ready(())
    }

    /// What can still be read after the end: bytes that had come before it.
    fn take_rest(
        &mut self,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
        ended: &Ended,
    ) -> io::Result<()> {
        let before = buf.filled().len();
        if ended.ending.transport_error().is_some()
            && self.session.is_none()
            && !self.goodbyes.theirs()
            && let Transport::Up(carrier) = &mut self.transport
        {
            // Writing failed, but the kernel may hold what the peer said before.
            let read = carrier.poll_read_now(cx, buf);
            if matches!(read, Poll::Ready(Ok(()))) && buf.filled().len() > before {
                return Ok(());
            }
            self.transport = Transport::Gone;
        }
        // Once the peer has said goodbye there is nothing that could be missing.
        if self.goodbyes.theirs() { Ok(()) } else { ended.read_result() }
    }

    /// Reads once from the transport and lets the session open what came, into `plain`. Ready with
    /// the plain bytes, which may be none where only the handshake, or the end, has moved.
    pub(super) fn poll_take_in(&mut self, cx: &mut Context<'_>, plain: &mut [u8]) -> Poll<usize> {
        // It came right behind what was handed out last.
        self.notice_goodbye();
        if self.goodbyes.theirs() {
            return Poll::Ready(0);
        }
        let (Some(session), Transport::Up(carrier)) = (&mut self.session, &mut self.transport)
        else {
            return Poll::Ready(0);
        };
        if session.awaits().is_some() {
            // Nothing can be taken in before it is up, which sees to that.
            return Poll::Pending;
        }
        let opened = with_wire(|scratch| {
            let held = self.wire.len();
            if held > 0 || session.has_plaintext() {
                let opened = session.open(&mut self.wire, plain);
                if opened.as_ref().map_or(true, |opened| *opened != Opened::default()) {
                    if let Ok(opened) = &opened {
                        self.wire.drain(..opened.taken);
                    }
                    return Poll::Ready(Ok(opened));
                }
                scratch[..held].copy_from_slice(&self.wire);
            }
            let end = if self.options.kernel_tls && session.is_handshaking() {
                // What comes behind the handshake is for the kernel.
                held + session.lacks(&self.wire).max(1)
            } else {
                (held + plain.len() + RECORD_ROOM).min(SCRATCH)
            };
            let mut buf = ReadBuf::new(&mut scratch[held..end]);
            let read = match self.write_error {
                None => carrier.poll_read(cx, &mut buf),
                Some(_) => carrier.poll_read_now(cx, &mut buf),
            };
            if let Err(error) = ready!(read) {
                return Poll::Ready(Err(Some(error)));
            }
            let came = buf.filled().len();
            if came == 0 {
                return Poll::Ready(Err(None));
            }
            self.watch.facts.bytes.wire_read += came as u64;
            let all = &mut scratch[..held + came];
            let opened = session.open(all, plain);
            let taken = opened.as_ref().map_or(0, |opened| opened.taken);
            self.wire.clear();
            self.wire.extend_from_slice(&all[taken..]);
            Poll::Ready(Ok(opened))
        });
        if self.wire.is_empty() {
            // An idle connection owns state, not buffers.
            self.wire = Vec::new();
        }
        let count = match ready!(opened) {
            Ok(Ok(opened)) => {
                // The end may have come right behind these bytes. It must be known at once: a session
                // that is over has nothing to write, which a flush would take for having written all.
                if opened.plain > 0
                    && let Some(session) = &mut self.session
                    && let Err(ending) = session.open(&mut [], &mut [])
                {
                    self.die(ending);
                }
                opened.plain
            }
            Ok(Err(ending)) => {
                self.die(ending);
                0
            }
            Err(Some(error)) => {
                self.transport_failed(&error);
                0
            }
            Err(None) => {
                self.transport_ended();
                0
            }
        };
        Poll::Ready(count)
    }

    /// The session may have met the peer's goodbye; it counts once all before it is handed out and
    /// the caller asks for more. Until then TLS may still be taken off instead.
    fn notice_goodbye(&mut self) {
        let Some(session) = &self.session else { return };
        let closed = session.peer_has_closed() && !session.has_plaintext();
        if closed && !session.is_handshaking() && !self.goodbyes.theirs() && !self.ending_tls {
            self.received_goodbye();
        }
    }

    /// Ready when TLS is off: the peer has closed it, all from before is handed out, and our own
    /// close_notify has left.
    pub(super) fn poll_end_tls(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        ready!(self.poll_write_wire(cx));
        let Some(session) = &self.session else { return Poll::Ready(()) };
        if !session.peer_has_closed() || session.has_plaintext() {
            return Poll::Pending;
        }
        self.finish_ending_tls();
        Poll::Ready(())
    }

    pub(super) fn received_goodbye(&mut self) {
        // Only what was never sealed is lost under `ClosePolicy::Both`: that is the queue.
        let was_open = self.goodbyes.ours() == Ours::Open;
        let ending = self.goodbyes.received(self.queue.len() as u64);
        self.watch.tell(|| Event::Goodbye(Party::Peer));
        if was_open && self.goodbyes.ours() == Ours::Asked {
            self.queue = Vec::new();
            self.begin_goodbye();
        }
        if let Some(ending) = ending {
            self.end(ending);
        }
    }

    /// Writing has failed: looks for the reason in what the peer had sent before, an alert perhaps,
    /// and keeps the plain bytes that stand in the way.
    pub(super) fn read_ahead(&mut self, cx: &mut Context<'_>) {
        let mut room = vec![0; RECORD_ROOM];
        while self.ahead.len() < AHEAD
            && self.watch.ended().is_none()
            && self.dying.is_none()
            && !self.goodbyes.theirs()
        {
            let count = if self.session.is_some() {
                self.poll_take_in(cx, &mut room)
            } else {
                let mut buf = ReadBuf::new(&mut room);
                self.poll_take_plain(cx, &mut buf).map(|()| buf.filled().len())
            };
            let Poll::Ready(count) = count else { break };
            self.ahead.extend_from_slice(&room[..count]);
            self.notice_goodbye();
        }
    }

    /// Waits for the end while dropping what comes.
    pub(super) fn poll_closed(&mut self, cx: &mut Context<'_>) -> Poll<Ended> {
        let mut room = [0; 4096];
        loop {
            if let Some(ended) = self.watch.ended() {
                return Poll::Ready(ended.clone());
            }
            if self.goodbyes.theirs() {
                // Only our own goodbye is missing. If nobody asks for it, only a deadline ends this.
                self.poll_alarm(cx);
                if self.goodbyes.ours() == Ours::Open || self.poll_owed(cx).is_pending() {
                    return match self.watch.ended() {
                        Some(ended) => Poll::Ready(ended.clone()),
                        None => Poll::Pending,
                    };
                }
                continue;
            }
            let mut buf = ReadBuf::new(&mut room);
            // An error is the ended socket's: the loop finds it.
            let _ = ready!(self.poll_take(cx, &mut buf));
            let dropped = buf.filled().len() as u64;
            self.watch.facts.bytes.read -= dropped;
            self.watch.facts.bytes.discarded += dropped;
        }
    }
}
