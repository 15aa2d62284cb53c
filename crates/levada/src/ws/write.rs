//! Writing: from the caller, through the codec, to the carrier; and our Close frame behind it.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use levada_core::{Ended, Ending, Event, Party};
use levada_ws::CloseFrame;
use levada_ws::connection::{MAX_CONTROL_BURST, WriteError};
use levada_ws::frame::{Header, HeaderBytes, MAX_FRAME_PAYLOAD, Opcode};
use tokio::io::{AsyncRead, AsyncWrite};

use super::keys::mask_key;
use super::{PRESENT, WsStream, room};

/// A write from this size on is not gathered: its frames go to the carrier at once.
const LARGE: usize = 16 * 1024;

/// Frames in one vectored call.
const FRAMES: usize = 16;

impl<S> WsStream<S> {
    /// Makes what is gathered a frame. Control frames that wait stand before it.
    pub(super) fn seal(&mut self) {
        if self.outbox.gathered() == 0 {
            return;
        }
        self.take_control();
        let compressed = self.connection.compresses()
            && self.outbox.replace(|plain, out| self.connection.deflate(plain, out));
        match self.connection.begin_frame(self.outbox.gathered(), &mut mask_key) {
            Ok(header) => self.outbox.seal(Header { compressed, ..header }),
            // Whoever closes seals first: only a stream that has ended has no use for it.
            Err(_) => self.outbox.clear(),
        }
    }

    /// Moves control frames to the outbox.
    fn take_control(&mut self) {
        if self.connection.wants_transmit() {
            let mut burst = [0; MAX_CONTROL_BURST];
            let len = self.connection.poll_transmit(&mut burst, &mut mask_key);
            self.outbox.push(&burst[..len]);
        }
    }

    /// Whether something is to be sent that does not wait for more.
    pub(super) fn owes(&self) -> bool {
        self.connection.wants_transmit() || !self.outbox.wire().is_empty() || self.dirty
    }

    /// Why nothing can be written any more.
    fn write_refusal(&mut self) -> Option<io::Error> {
        if self.watch.ended().is_some() {
            return self.watch.write_error(true);
        }
        if let Some(ending) = &self.write_error {
            return Some(self.error_of(ending.clone()));
        }
        if self.connection.can_write() {
            return None;
        }
        let error = self.connection.encode(&[], &mut [], &mut mask_key).err()?;
        let kind = match error {
            WriteError::Ended(_) => io::ErrorKind::InvalidData,
            // It was accepted to wait, and then somebody closed.
            _ if self.watch.write_waits => io::ErrorKind::BrokenPipe,
            WriteError::NotConnected | WriteError::ControlFirst => io::ErrorKind::NotConnected,
        };
        Some(io::Error::new(kind, error))
    }

    /// The error of a write that meets an ending which is certain and not told yet.
    fn error_of(&self, ending: Ending) -> io::Error {
        let facts = self.watch.facts.clone().into();
        Ended { ending, phase: self.watch.state(), facts }.pending_write_error()
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> WsStream<S> {
    /// Accepts plain bytes, up to a bound.
    pub(super) fn poll_give(
        &mut self,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        if let Some(error) = self.write_refusal() {
            return Poll::Ready(Err(error));
        }
        if buf.is_empty() {
            return Poll::Ready(Ok(0));
        }
        if self.opening.is_some() {
            return self.poll_give_early(cx, buf);
        }
        // What is to be compressed is gathered, whatever its size.
        let is_large = buf.len() >= LARGE && !self.connection.compresses();
        if !(is_large && self.outbox.gathered() == 0) && self.outbox.room() > 0 {
            return Poll::Ready(Ok(self.gather(cx, buf)));
        }
        self.seal();
        let given = match self.poll_send_frames(cx) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(()) if self.write_error.is_some() => Poll::Ready(0),
            Poll::Ready(()) if !is_large => Poll::Ready(self.gather(cx, buf)),
            Poll::Ready(()) if self.sends_slices() => self.poll_give_slices(cx, buf),
            Poll::Ready(()) => Poll::Ready(self.give_copy(cx, buf)),
        };
        if given.is_pending() {
            self.notice(cx);
            self.tick(cx);
        }
        self.settle(cx);
        match given {
            Poll::Ready(count) if count > 0 && self.write_error.is_none() => Poll::Ready(Ok(count)),
            given => match self.write_refusal() {
                Some(error) => Poll::Ready(Err(error)),
                None => given.map(Ok),
            },
        }
    }

    /// Accepts plain bytes before the stream is established: they wait.
    #[cold]
    fn poll_give_early(&mut self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        if self.poll_up(cx).is_ready() {
            return match self.watch.write_error(false) {
                Some(error) => Poll::Ready(Err(error)),
                None => self.poll_give(cx, buf),
            };
        }
        let count = buf.len().min(self.outbox.room());
        if count == 0 {
            return Poll::Pending;
        }
        self.outbox.gather(&buf[..count]);
        self.watch.facts.bytes.written += count as u64;
        Poll::Ready(Ok(count))
    }

    /// Whether frames can go to the carrier from where the caller has their payload.
    fn sends_slices(&mut self) -> bool {
        self.connection.role() == levada_ws::Role::Server && self.io().is_write_vectored()
    }

    /// As [`poll_give`](Self::poll_give), for several pieces.
    pub(super) fn poll_give_all(
        &mut self,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut given = 0;
        for buf in bufs.iter().filter(|buf| !buf.is_empty()) {
            match self.poll_give(cx, buf) {
                Poll::Ready(Ok(count)) => {
                    given += count;
                    if count < buf.len() {
                        return Poll::Ready(Ok(given));
                    }
                }
                // What was given counts; the next call meets the rest again.
                _ if given > 0 => return Poll::Ready(Ok(given)),
                other => return other,
            }
        }
        if given == 0 { self.poll_give(cx, &[]) } else { Poll::Ready(Ok(given)) }
    }

    /// Gathers as much as there is room for. A frame that is full is sealed and goes.
    fn gather(&mut self, cx: &mut Context<'_>, buf: &[u8]) -> usize {
        let count = buf.len().min(self.outbox.room());
        self.outbox.gather(&buf[..count]);
        self.watch.facts.bytes.written += count as u64;
        if self.outbox.room() == 0 {
            self.seal();
            // What does not leave now does with the next write, flush or read.
            let _ = self.poll_send_frames(cx);
        }
        count
    }

    /// Sends frames whose payload stands in the caller's buffer, several in one call. What a call
    /// has begun of a frame and not finished is kept, since its header is gone.
    fn poll_give_slices(&mut self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<usize> {
        let buf = &buf[..buf.len().min(FRAMES * MAX_FRAME_PAYLOAD)];
        let head = |len: usize| -> HeaderBytes {
            let (opcode, len) = (Opcode::Binary, len as u64);
            Header { fin: true, compressed: false, opcode, mask: None, len }.encode()
        };
        // All frames but the last are full.
        let (full, last) = (head(MAX_FRAME_PAYLOAD), head((buf.len() - 1) % MAX_FRAME_PAYLOAD + 1));
        let head_of = |piece: &[u8]| if piece.len() == MAX_FRAME_PAYLOAD { &full } else { &last };
        let mut slices = [IoSlice::new(&[]); 2 * FRAMES];
        let mut used = 0;
        for piece in buf.chunks(MAX_FRAME_PAYLOAD) {
            slices[used] = IoSlice::new(head_of(piece));
            slices[used + 1] = IoSlice::new(piece);
            used += 2;
        }
        let mut sent = loop {
            match ready!(self.io().poll_write_vectored(cx, &slices[..used])) {
                Ok(count) => break count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    self.write_failed(&error);
                    return Poll::Ready(0);
                }
            }
        };
        if sent == 0 {
            self.write_failed(&io::ErrorKind::WriteZero.into());
        }
        self.left(sent);
        let mut given = 0;
        for piece in buf.chunks(MAX_FRAME_PAYLOAD) {
            if sent == 0 {
                break;
            }
            let head = head_of(piece);
            // Counts the frame; the header is the one that has gone.
            let _ = self.connection.begin_frame(piece.len(), &mut mask_key);
            given += piece.len();
            let whole = head.len() + piece.len();
            if sent < whole {
                self.outbox.push_data(&head[sent.min(head.len())..]);
                self.outbox.push_data(&piece[sent.saturating_sub(head.len())..]);
                break;
            }
            sent -= whole;
        }
        self.watch.facts.bytes.written += given as u64;
        Poll::Ready(given)
    }

    /// Sends frames through a buffer of the thread, masked on the way where we are a client. What
    /// does not leave at once is kept.
    fn give_copy(&mut self, cx: &mut Context<'_>, buf: &[u8]) -> usize {
        let plain = &buf[..buf.len().min(room::BURST)];
        room::with_encoding(|out| {
            let Ok(encoded) = self.connection.encode(plain, out, &mut mask_key) else { return 0 };
            let mut wire = &out[..encoded.written];
            while !wire.is_empty() && self.write_error.is_none() {
                match self.io().poll_write(cx, wire) {
                    Poll::Ready(Ok(0)) => self.write_failed(&io::ErrorKind::WriteZero.into()),
                    Poll::Ready(Ok(count)) => {
                        self.left(count);
                        wire = &wire[count..];
                    }
                    Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
                    Poll::Ready(Err(error)) => self.write_failed(&error),
                    Poll::Pending => {
                        self.outbox.push_data(wire);
                        break;
                    }
                }
            }
            self.watch.facts.bytes.written += encoded.taken as u64;
            encoded.taken
        })
    }

    /// Sends what is sealed and every control frame. Ready when that has left, or cannot.
    fn poll_send_frames(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while self.write_error.is_none() && self.watch.ended().is_none() {
            if self.outbox.wire().is_empty() {
                if !self.connection.wants_transmit() {
                    break;
                }
                self.take_control();
            }
            let io = Pin::new(self.io.as_mut().expect(PRESENT));
            match ready!(io.poll_write(cx, self.outbox.wire())) {
                Ok(0) => self.write_failed(&io::ErrorKind::WriteZero.into()),
                Ok(count) => {
                    self.outbox.advance(count);
                    self.left(count);
                    self.moved.output = true;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => self.write_failed(&error),
            }
        }
        Poll::Ready(())
    }

    /// As [`poll_send_frames`](Self::poll_send_frames), and through the carrier's own buffers.
    pub(super) fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        ready!(self.poll_send_frames(cx));
        if self.write_error.is_some() || self.watch.ended().is_some() {
            return Poll::Ready(());
        }
        while self.dirty {
            match ready!(self.io().poll_flush(cx)) {
                Ok(()) => self.dirty = false,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    self.write_failed(&error);
                    return Poll::Ready(());
                }
            }
        }
        if self.outbox.gathered() == 0 {
            if !self.connection.can_write() && !self.goodbye_left {
                self.goodbye_left = true;
                self.watch.tell(|| Event::Goodbye(Party::Local));
            }
            if let Some(event) = self.connection.handle_flushed() {
                self.hear(event);
                self.moved.input = true;
            }
        }
        Poll::Ready(())
    }

    /// The carrier has taken this much.
    fn left(&mut self, count: usize) {
        self.watch.facts.bytes.wire_written += count as u64;
        self.dirty = true;
        if !self.connection.can_write() {
            self.connection.handle_sent(self.ticker.now());
        }
    }

    /// The carrier does not take our bytes any more: what waits for it never goes.
    fn write_failed(&mut self, error: &io::Error) {
        if self.write_error.is_none() {
            self.write_error = Some(self.ending_of_carrier(error));
            self.outbox.lose();
        }
    }

    /// Resolves when all that was accepted has left for the kernel.
    pub(super) fn poll_push(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_up(cx));
        self.seal();
        if self.watch.ended().is_none() {
            self.notice(cx);
            let sent = self.poll_send(cx);
            self.settle(cx);
            if self.farewell.is_some() {
                let _ = self.poll_farewell(cx);
            }
            if sent.is_pending() {
                self.tick(cx);
                if self.watch.ended().is_none() {
                    return Poll::Pending;
                }
            }
        }
        if let Some(ended) = self.watch.ended() {
            let is_lost = !ended.is_clean() && !self.goodbye_left;
            return Poll::Ready(if is_lost {
                Err(self.watch.pending_write_error())
            } else {
                Ok(())
            });
        }
        match &self.write_error {
            Some(ending) => Poll::Ready(Err(self.error_of(ending.clone()))),
            None => Poll::Ready(Ok(())),
        }
    }

    /// Asks for our Close frame, and resolves when it and all before it has left. A stream that is
    /// not established and that nothing was written to is given up instead.
    pub(super) fn poll_say_goodbye(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // One more look: what is up by now is closed, not given up.
        if self.opening.is_some() && self.buffered() == 0 && self.poll_up(cx).is_pending() {
            let _ = self.io().poll_shutdown(cx);
            self.end(Ending::ConnectFinalized);
        }
        self.start_close(CloseFrame::default());
        self.poll_push(cx)
    }
}
