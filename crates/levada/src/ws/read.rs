//! Reading: from the carrier, through the codec, to the caller.

use std::io;
use std::ops::Range;
use std::task::{Context, Poll, ready};

use levada_core::Ended;
use levada_ws::close::State as CloseState;
use levada_ws::connection::Event as WsEvent;
use levada_ws::frame::MAX_HEADER;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{WsStream, room};
use crate::wakers::Half;

/// A caller's buffer from this size on is read into straight; for a smaller one we read ahead.
const DIRECT: usize = 4 * 1024;

/// A frame of so many bytes is read by itself, up to the next header: to read it apart costs less than
/// to close the gap in front of it.
const ALONE: u64 = 16 * 1024;

/// What was read from the carrier and not delivered: at most one read ahead, or the prefix.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    bytes: Vec<u8>,
    /// Payload that stands unmasked, to be delivered next.
    ready: Range<usize>,
    /// Where the bytes begin that are not decoded.
    raw: usize,
}

impl Inbox {
    pub(super) fn new(prefix: Vec<u8>) -> Self {
        Self { bytes: prefix, ready: 0..0, raw: 0 }
    }

    /// The payload to be delivered next.
    pub(super) fn ready(&self) -> &[u8] {
        &self.bytes[self.ready.clone()]
    }

    /// This much of it was.
    pub(super) fn consume(&mut self, count: usize) {
        self.ready.start += count.min(self.ready.len());
        self.tidy();
    }

    fn raw(&mut self) -> &mut [u8] {
        &mut self.bytes[self.raw..]
    }

    fn has_raw(&self) -> bool {
        self.raw < self.bytes.len()
    }

    /// Takes the bytes that are not decoded.
    pub(super) fn take_raw(&mut self) -> Vec<u8> {
        let raw = self.bytes.split_off(self.raw);
        *self = Self::default();
        raw
    }

    fn put(&mut self, wire: &[u8]) {
        self.bytes.extend_from_slice(wire);
    }

    /// An idle connection owns state, not buffers.
    fn tidy(&mut self) {
        if self.ready.is_empty() && !self.has_raw() {
            *self = Self::default();
        }
    }
}

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
        // What is decoded cannot be given back: no more of it than the caller takes.
        let most = direct.as_ref().map_or(usize::MAX, |buf| buf.remaining());
        loop {
            if self.inbox.ready().is_empty() {
                self.decode(most);
            }
            // What we owe goes out from here too: a reader alone drives a close to its end.
            if self.owes() {
                let _ = self.poll_send(cx);
            }
            if !self.inbox.ready().is_empty() {
                return Poll::Ready(Ok(()));
            }
            if self.reads() && self.inbox.has_raw() {
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
                Some(buf) if buf.remaining() >= DIRECT && self.reads() => {
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
        if !self.reads() || !self.inbox.has_raw() {
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
            let start = self.inbox.raw;
            self.inbox.raw += received.consumed;
            match received.event {
                Some(WsEvent::Data(chunk)) => {
                    self.inbox.ready = start + chunk.payload.start..start + chunk.payload.end;
                    return;
                }
                Some(event) => {
                    self.hear(event);
                    break;
                }
                None => {}
            }
        }
        self.inbox.tidy();
    }

    /// Reads from the carrier into the caller's buffer and takes the frames off where they stand, as
    /// long as the carrier gives all that it is asked for. Ready with how much payload that gave.
    fn poll_read_direct(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<usize> {
        let before = buf.filled().len();
        loop {
            let start = buf.filled().len();
            let most = buf.remaining().min(self.alone());
            let result = match self.poll_read_part(cx, buf, most) {
                Poll::Ready(result) => result,
                Poll::Pending if start > before => break,
                Poll::Pending => return Poll::Pending,
            };
            let came = buf.filled().len() - start;
            if !self.came(result, came) {
                break;
            }
            let kept = self.take_off(&mut buf.filled_mut()[start..]);
            buf.set_filled(start + kept);
            self.watch.facts.bytes.read += kept as u64;
            if came < most || buf.remaining() < DIRECT || !self.reads() {
                break;
            }
        }
        Poll::Ready(buf.filled().len() - before)
    }

    /// Reads once from the carrier, no more than `most`.
    fn poll_read_part(
        &mut self,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
        most: usize,
    ) -> Poll<io::Result<()>> {
        if most == buf.remaining() {
            return self.io().poll_read(cx, buf);
        }
        let mut part = ReadBuf::new(buf.initialize_unfilled_to(most));
        let result = self.io().poll_read(cx, &mut part);
        let came = part.filled().len();
        buf.advance(came);
        result
    }

    /// How much is read at once. A large frame is read by itself, with the next header behind it,
    /// which the codec keeps: the payload of the frame after it then comes to its place at once, and
    /// no gap has to be closed.
    fn alone(&self) -> usize {
        if self.connection.payload_len() < ALONE {
            return usize::MAX;
        }
        let left = usize::try_from(self.connection.payload_left()).unwrap_or(usize::MAX);
        left.saturating_add(MAX_HEADER)
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
            let received = self.connection.handle_wire(now, &mut wire[at..]);
            match received.event {
                Some(WsEvent::Data(chunk)) => {
                    let payload = at + chunk.payload.start..at + chunk.payload.end;
                    let len = payload.len();
                    if payload.start != kept {
                        wire.copy_within(payload, kept);
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
        while self.watch.ended().is_none() && self.reads() && self.inbox.ready().is_empty() {
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
        while !self.inbox.has_raw() && self.inbox.ready().is_empty() {
            if self.watch.ended().is_some() || self.farewell.is_some() {
                return;
            }
            if self.poll_read_ahead(cx).is_pending() {
                if let Some(ending) = self.write_error.take() {
                    self.end(ending);
                }
                return;
            }
            while self.reads() && self.inbox.has_raw() && self.connection.payload_left() == 0 {
                self.decode(0);
            }
        }
    }

    /// Waits for the end while dropping what comes.
    pub(super) fn poll_closed(&mut self, cx: &mut Context<'_>) -> Poll<Ended> {
        loop {
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
    }
}
