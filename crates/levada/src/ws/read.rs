//! Reading: from the carrier, through the codec, to the caller.

use std::io;
use std::task::{Context, Poll, ready};

use levada_core::Ended;
use levada_ws::close::State as CloseState;
use levada_ws::connection::Event as WsEvent;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::inbox::DIRECT;
use super::{WsStream, room};
use crate::wakers::Half;

/// As much is dropped at once, in pieces of at most 16 KiB, before other tasks have their turn: a
/// compressed message may become a thousand times what came.
const DROPS: usize = 64;

impl<S: AsyncRead + AsyncWrite + Unpin> WsStream<S> {
    /// Reads payload into `buf`; none is end of file.
    pub(super) fn poll_take(
        &mut self,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if buf.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        let before = buf.filled().len();
        ready!(self.poll_input(cx, Some(buf)))?;
        let count = self.inbox.ready().len().min(buf.remaining());
        if buf.filled().len() == before && count > 0 {
            buf.put_slice(&self.inbox.ready()[..count]);
            self.consume(count);
        }
        Poll::Ready(Ok(()))
    }

    /// Delivers payload that stands in the inbox.
    pub(super) fn consume(&mut self, count: usize) {
        self.watch.facts.bytes.read += count.min(self.inbox.ready().len()) as u64;
        self.inbox.consume(count);
    }

    /// Sees to it that payload is ready: in the inbox, or in `direct` where it was put already. When
    /// there is none in either, the peer's direction has ended.
    pub(super) fn poll_input(
        &mut self,
        cx: &mut Context<'_>,
        mut direct: Option<&mut ReadBuf<'_>>,
    ) -> Poll<io::Result<()>> {
        ready!(self.poll_up(cx));
        let compresses = self.connection.compresses();
        // What is decoded cannot be given back: no more of it than the caller takes.
        let most = direct.as_ref().map_or(usize::MAX, |buf| buf.remaining());
        loop {
            self.decode(if compresses { usize::MAX } else { most });
            let unpacked = compresses && self.unpack(direct.as_deref_mut());
            // What we owe goes out from here too: a reader alone drives a close to its end.
            if self.owes() {
                let _ = self.poll_send(cx);
            }
            if unpacked || !self.inbox.ready().is_empty() {
                return Poll::Ready(Ok(()));
            }
            if self.inbox.holds_payload() || self.reads() && self.inbox.has_raw() {
                continue;
            }
            if let Some(ended) = self.watch.ended() {
                return Poll::Ready(ended.read_result());
            }
            if self.farewell.is_some() {
                if self.poll_farewell(cx).is_pending() {
                    self.tick(cx);
                    if self.watch.ended().is_none() {
                        return Poll::Pending;
                    }
                }
                continue;
            }
            if self.connection.state() == CloseState::CloseReceived {
                return Poll::Ready(Ok(()));
            }
            let came = match &mut direct {
                Some(buf) if buf.remaining() >= DIRECT && self.reads() && !compresses => {
                    self.poll_read_direct(cx, buf)
                }
                _ => self.poll_read_ahead(cx),
            };
            match came {
                Poll::Ready(0) => {}
                Poll::Ready(_) => {
                    if self.owes() {
                        let _ = self.poll_send(cx);
                    }
                    return Poll::Ready(Ok(()));
                }
                Poll::Pending => {
                    if !self.park(cx) {
                        return Poll::Pending;
                    }
                }
            }
        }
    }

    /// Nothing comes for now: what is gathered leaves (B9), and deadlines are watched. Gives whether
    /// that has changed what there is to wait for.
    fn park(&mut self, cx: &mut Context<'_>) -> bool {
        self.seal();
        let _ = self.poll_send(cx);
        self.settle(cx);
        self.tick(cx);
        self.watch.ended().is_some() || self.farewell.is_some()
    }

    /// Whether the peer's frames are still read.
    fn reads(&self) -> bool {
        self.connection.state().reads()
    }

    /// Decodes raw bytes of the inbox up to the next event or, if that is payload, up to `most` bytes
    /// of it. Byte by byte where a header may stand, so that no payload is taken with it.
    fn decode(&mut self, most: usize) {
        if !self.reads() || !self.inbox.has_raw() || self.inbox.holds_payload() {
            return;
        }
        // An answer goes behind what was accepted before it.
        self.seal();
        let now = self.ticker.now();
        while self.inbox.has_raw() {
            let raw = self.inbox.raw();
            let len = match self.connection.payload_left() {
                0 => 1,
                left => raw.len().min(most).min(usize::try_from(left).unwrap_or(usize::MAX)),
            };
            if len == 0 {
                return;
            }
            let received = self.connection.handle_wire(now, &mut raw[..len]);
            match received.event {
                Some(WsEvent::Data(chunk)) => {
                    return self.inbox.decoded(received.consumed, Some(&chunk));
                }
                Some(event) => {
                    self.inbox.decoded(received.consumed, None);
                    self.hear(event);
                    break;
                }
                None => self.inbox.decoded(received.consumed, None),
            }
        }
        self.inbox.tidy();
    }

    /// Decompresses what comes next, unless something is ready; whether there was anything in it.
    fn unpack(&mut self, direct: Option<&mut ReadBuf<'_>>) -> bool {
        if !self.inbox.ready().is_empty() {
            return false;
        }
        // What does not decompress is no news once the stream is over.
        let is_read = self.reads();
        let (connection, now) = (&mut self.connection, self.ticker.now());
        let unpacked = self
            .inbox
            .unpack(direct, |piece, ends, room| connection.inflate(now, piece, ends, room));
        match unpacked {
            Ok(count) => {
                // What stands in the inbox counts when it is delivered.
                if self.inbox.ready().is_empty() {
                    self.watch.facts.bytes.read += count as u64;
                }
                count > 0
            }
            Err(violation) => {
                if is_read {
                    self.hear(WsEvent::Violation(violation));
                }
                false
            }
        }
    }

    /// Reads from the carrier into the caller's buffer and takes the frames off where they stand.
    /// Ready with how much payload that gave.
    fn poll_read_direct(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<usize> {
        let before = buf.filled().len();
        let result = ready!(self.io().poll_read(cx, buf));
        let came = buf.filled().len() - before;
        if !self.came(result, came) {
            return Poll::Ready(0);
        }
        let kept = self.take_off(&mut buf.filled_mut()[before..]);
        buf.set_filled(before + kept);
        self.watch.facts.bytes.read += kept as u64;
        Poll::Ready(kept)
    }

    /// Takes the frames off `wire`, and leaves their payload at its beginning. Gives how much that is.
    fn take_off(&mut self, wire: &mut [u8]) -> usize {
        let now = self.ticker.now();
        let (mut at, mut kept) = (0, 0);
        while at < wire.len() {
            if !self.reads() {
                self.inbox.put(&wire[at..]);
                break;
            }
            self.seal();
            let received = self.connection.handle_wire_masked(now, &wire[at..]);
            match received.event {
                Some(WsEvent::Data(chunk)) => {
                    let payload = at + chunk.payload.start..at + chunk.payload.end;
                    let len = payload.len();
                    match chunk.mask {
                        // One way through memory for both.
                        Some(mut mask) => mask.shift(wire, payload, kept),
                        None if payload.start != kept => wire.copy_within(payload, kept),
                        None => {}
                    }
                    kept += len;
                }
                Some(event) => self.hear(event),
                None => {}
            }
            at += received.consumed;
        }
        kept
    }

    /// Reads from the carrier into the inbox. Ready when something has happened, with 0: nothing is
    /// decoded yet.
    fn poll_read_ahead(&mut self, cx: &mut Context<'_>) -> Poll<usize> {
        room::with_reading(|room| {
            let mut buf = ReadBuf::new(room);
            let result = ready!(self.io().poll_read(cx, &mut buf));
            // Behind the peer's Close frame nothing is of use, but for the carrier's end.
            if self.came(result, buf.filled().len()) && self.reads() {
                self.inbox.put(buf.filled());
            }
            Poll::Ready(0)
        })
    }

    /// Notes what a read of the carrier gave; `false` when it was no bytes.
    fn came(&mut self, result: io::Result<()>, count: usize) -> bool {
        match result {
            Ok(()) if count > 0 => {
                self.watch.facts.bytes.wire_read += count as u64;
                self.moved.input = true;
                return true;
            }
            Ok(()) => self.carrier_ended(),
            // K4: the next turn of the loop tries again.
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => self.carrier_failed(&error),
        }
        false
    }

    /// Looks for control frames on behalf of the writer, as long as no data stands before them: a
    /// ping is answered although nobody reads (E9). Where somebody waits to read, he does it.
    pub(super) fn notice(&mut self, cx: &mut Context<'_>) {
        if self.watch.wakers.is_waiting(Half::Read) {
            return;
        }
        while self.watch.ended().is_none() && self.reads() && !self.inbox.holds_payload() {
            if self.inbox.has_raw() {
                self.decode(0);
                if self.connection.payload_left() > 0 {
                    return;
                }
            } else if self.poll_read_ahead(cx).is_pending() {
                return;
            }
        }
    }

    /// Writing has failed. The reason may have been said by the peer before, so what it sent is read
    /// first: the life ends here only when nothing of it is left.
    pub(super) fn settle(&mut self, cx: &mut Context<'_>) {
        if self.write_error.is_none() || self.watch.ended().is_some() {
            return;
        }
        while !self.inbox.has_raw() && !self.inbox.holds_payload() {
            if self.watch.ended().is_some() || self.farewell.is_some() {
                return;
            }
            if self.poll_read_ahead(cx).is_pending() {
                if let Some(ending) = self.write_error.take() {
                    self.end(ending);
                }
                return;
            }
            while self.reads()
                && self.inbox.has_raw()
                && !self.inbox.holds_payload()
                && self.connection.payload_left() == 0
            {
                self.decode(0);
            }
        }
    }

    /// Waits for the end while dropping what comes.
    pub(super) fn poll_closed(&mut self, cx: &mut Context<'_>) -> Poll<Ended> {
        for _ in 0..DROPS {
            // An error is the ended stream's: it is found below.
            let _ = ready!(self.poll_input(cx, None));
            let dropped = self.inbox.ready().len();
            if dropped > 0 {
                self.inbox.consume(dropped);
                self.watch.facts.bytes.discarded += dropped as u64;
                continue;
            }
            if let Some(ended) = self.watch.ended() {
                return Poll::Ready(ended.clone());
            }
            // The peer has closed, and our own Close frame is asked for by nobody yet.
            if !self.park(cx) {
                return Poll::Pending;
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}
