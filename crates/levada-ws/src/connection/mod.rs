//! A WebSocket as a byte stream, without io: decoder, encoder and close machine joined.

#[cfg(feature = "deflate")]
mod compression;
mod config;
mod event;
mod queue;
mod timers;

#[cfg(feature = "deflate")]
use alloc::boxed::Box;
use core::time::Duration;

#[cfg(feature = "deflate")]
use compression::Compression;
pub use config::{CloseReply, Config, Keepalive, TextPolicy};
pub use event::{Cut, Deadline, Ending, Event, Side, WriteError};
use queue::ControlQueue;
use timers::{Due, Timers};

use crate::close::{MACHINE, State, Step};
use crate::frame::{
    Chunk, ControlPayload, DataKind, Decoder, Encoded, Encoder, Header, Item, MaskKeys, Opcode,
    PayloadTooLong, Shape,
};
use crate::{CloseCode, CloseFrame, Role, Violation};

/// The most bytes that [`Connection::poll_transmit`] ever holds: three control frames of a client.
pub const MAX_CONTROL_BURST: usize = 3 * (2 + 4 + ControlPayload::MAX);

/// One end of a WebSocket after its opening handshake.
///
/// The methods are of four kinds:
/// - inputs, `handle_*`: what happened outside; each answers with the event that it caused;
/// - commands: [`encode`](Self::encode), [`begin_frame`](Self::begin_frame), [`ping`](Self::ping),
///   [`close`](Self::close), [`abort`](Self::abort);
/// - outputs, `poll_*`: what is to be sent, and when to call again;
/// - questions, which change nothing.
///
/// # How to drive it
///
/// 1. Give what was read to [`handle_wire`](Self::handle_wire), again and again behind what it
///    consumed, until it has no event. An end of the carrier goes to
///    [`handle_eof`](Self::handle_eof).
/// 2. After every event and command drain [`poll_transmit`](Self::poll_transmit) and send it, so
///    that every ping gets its pong. Nothing here waits for the application to read or write.
/// 3. Whenever everything has left, call [`handle_flushed`](Self::handle_flushed): a server's life
///    ends there.
/// 4. Call [`handle_timeout`](Self::handle_timeout) at the time of
///    [`poll_timeout`](Self::poll_timeout), which every other call may change.
///
/// After [`Event::Closed`] end the carrier's write side, send what `poll_transmit` still has only
/// if it can go without waiting, and read on for a while, so that no reset takes the last bytes
/// away from the peer.
///
/// Times are [`Duration`]s since any fixed origin.
#[derive(Debug)]
pub struct Connection {
    state: State,
    role: Role,
    config: Config,
    decoder: Decoder,
    encoder: Encoder,
    queue: ControlQueue,
    timers: Timers,
    #[cfg(feature = "deflate")]
    compression: Option<Box<Compression>>,
    /// What the life ends with as far as it is known; an unclean one never changes.
    ending: Option<Ending>,
    /// Whether our close frame has left for the carrier.
    close_left: bool,
    counters: Counters,
}

/// How far [`Connection::handle_wire`] went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Received {
    /// How many of the bytes given are done with.
    pub consumed: usize,
    /// What they said. When it is `None`, all of them were consumed.
    pub event: Option<Event>,
}

/// What passed, in payload bytes and data frames; compressed payload counts as it is on the wire.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Payload bytes that were delivered.
    pub bytes_received: u64,
    /// Data frames whose header has come.
    pub frames_received: u64,
    /// Payload bytes that were encoded.
    pub bytes_sent: u64,
    /// Data frames that were encoded.
    pub frames_sent: u64,
}

/// Inputs.
impl Connection {
    /// An open connection; `now` is the time at which it opened.
    pub fn new(role: Role, config: Config, now: Duration) -> Self {
        Self {
            state: State::Open,
            role,
            config,
            decoder: Decoder::new(role.peer(), config.limits),
            encoder: Encoder::new(role),
            queue: ControlQueue::default(),
            timers: Timers::new(&config, now),
            #[cfg(feature = "deflate")]
            compression: None,
            ending: None,
            close_left: false,
            counters: Counters::default(),
        }
    }

    /// Takes bytes of the carrier, up to and including the next event. Payload is unmasked where it
    /// stands. Bytes behind the peer's close frame are discarded.
    pub fn handle_wire(&mut self, now: Duration, wire: &mut [u8]) -> Received {
        let mut received = self.handle_wire_masked(now, wire);
        if let Some(Event::Data(chunk)) = &mut received.event {
            unmask(chunk, wire);
        }
        received
    }

    /// As [`handle_wire`](Self::handle_wire), but payload is left as it stands: to unmask it with the
    /// chunk's [`mask`](Chunk::mask) is for the caller, who may have to move it anyway.
    pub fn handle_wire_masked(&mut self, now: Duration, wire: &[u8]) -> Received {
        let mut consumed = 0;
        loop {
            let received = self.receive_masked(now, &wire[consumed..]);
            let before = consumed;
            consumed += received.consumed;
            match received.event {
                Some(Event::Data(chunk)) if !chunk.says_something() => {}
                Some(Event::Data(chunk)) => {
                    let payload = before + chunk.payload.start..before + chunk.payload.end;
                    let event = Some(Event::Data(Chunk { payload, ..chunk }));
                    return Received { consumed, event };
                }
                None if consumed < wire.len() => {}
                event => return Received { consumed, event },
            }
        }
    }

    /// The carrier's end: no byte will come any more. Also for a carrier that broke, whose own
    /// error the driver reports unless the ending here is already known.
    #[must_use]
    pub fn handle_eof(&mut self) -> Option<Event> {
        if self.state == State::Closed {
            return None;
        }
        if !matches!(self.state, State::Exchanged | State::Failing) {
            self.ending = Some(Ending::Truncated(self.cut()));
        }
        Some(self.end(Step::CarrierEnd))
    }

    /// Some of the bytes that were encoded here have left: the close deadline measures idleness, so
    /// that a slow tail is not cut.
    pub fn handle_sent(&mut self, now: Duration) {
        self.timers.moved(now);
    }

    /// All bytes that were encoded here have left for the carrier. Idempotent; to be called
    /// whenever it is so. A server that has nothing more to say ends here and is then to end the
    /// carrier, which the client waits for (RFC 6455 §7.1.1).
    #[must_use]
    pub fn handle_flushed(&mut self) -> Option<Event> {
        self.close_left = !self.state.writes() && self.queue.is_empty();
        let may_end = matches!(self.state, State::Exchanged | State::Failing);
        (self.role == Role::Server && may_end && self.close_left)
            .then(|| self.end(Step::ServerFlushed))
    }

    /// The time of [`poll_timeout`](Self::poll_timeout) has come; too early is harmless.
    #[must_use]
    pub fn handle_timeout(&mut self, now: Duration) -> Option<Event> {
        let (at, due) = self.timers.next(self.state)?;
        if now < at {
            return None;
        }
        match due {
            Due::Ping => {
                self.queue.keepalive();
                self.timers.pinged(now);
                None
            }
            Due::Deadline(deadline) => {
                if self.state.writes() {
                    self.queue.close(CloseFrame::from(CloseCode::INTERNAL).to_body());
                }
                Some(self.give_up(Step::Deadline, Ending::TimedOut(deadline)))
            }
        }
    }
}

/// Commands.
impl Connection {
    /// Puts queued control frames and then data into `out`: see [`Encoder::data`] for how much it
    /// takes. No data puts no frame on the wire.
    ///
    /// # Errors
    ///
    /// [`WriteError::NotConnected`] once our close frame is queued, [`WriteError::Ended`] once the
    /// life has ended badly.
    pub fn encode(
        &mut self,
        data: &[u8],
        out: &mut [u8],
        keys: &mut MaskKeys<'_>,
    ) -> Result<Encoded, WriteError> {
        self.encode_as(Shape::Stream, data, out, keys)
    }

    /// Begins a data frame whose `len` bytes of payload the caller sends itself, without a copy:
    /// behind the header, and masked with its key if there is one. At most
    /// [`MAX_FRAME_PAYLOAD`](crate::frame::MAX_FRAME_PAYLOAD), so that pings get through.
    ///
    /// # Errors
    ///
    /// As [`encode`](Self::encode), and [`WriteError::ControlFirst`] while `poll_transmit` has
    /// something.
    pub fn begin_frame(
        &mut self,
        len: usize,
        keys: &mut MaskKeys<'_>,
    ) -> Result<Header, WriteError> {
        self.may_write()?;
        if !self.queue.is_empty() {
            return Err(WriteError::ControlFirst);
        }
        self.counters.frames_sent += 1;
        self.counters.bytes_sent += len as u64;
        Ok(self.encoder.header(Opcode::Binary, true, len, keys))
    }

    /// Queues a ping of at most 125 bytes, in place of one that has not gone yet. Once either side
    /// has closed nobody would answer, and the ping is dropped.
    ///
    /// # Errors
    ///
    /// When the payload is longer.
    pub fn ping(&mut self, payload: &[u8]) -> Result<(), PayloadTooLong> {
        let payload = ControlPayload::new(payload)?;
        if self.state == State::Open {
            self.queue.ping(payload);
        }
        Ok(())
    }

    /// Queues our close frame and gives whether it will go: only the first one does. Nothing of
    /// ours follows it; the peer's data is delivered until its close frame comes.
    pub fn close(&mut self, now: Duration, frame: CloseFrame) -> bool {
        if !self.state.writes() {
            return false;
        }
        self.queue_close(now, frame.to_body());
        // When the peer closed first, its frame is the one that the ending names.
        self.ending.get_or_insert(Ending::Close { frame: Some(frame), by: Side::Local });
        true
    }

    /// Ends the life at once. A close frame with 1001 is left for
    /// [`poll_transmit`](Self::poll_transmit) if none was queued before. The ending is
    /// [`Ending::Aborted`], unless both close frames had passed or the peer had broken the protocol.
    #[must_use]
    pub fn abort(&mut self) -> Option<Event> {
        if self.state == State::Closed {
            return None;
        }
        if self.state.writes() {
            self.queue.close(CloseFrame::from(CloseCode::GOING_AWAY).to_body());
        }
        Some(self.give_up(Step::Abort, Ending::Aborted))
    }
}

/// Outputs.
impl Connection {
    /// Puts queued control frames into `out` and gives their length in bytes. Never more than
    /// [`MAX_CONTROL_BURST`] bytes wait; only whole frames are put. To be called after every event
    /// and command.
    #[must_use]
    pub fn poll_transmit(&mut self, out: &mut [u8], keys: &mut MaskKeys<'_>) -> usize {
        self.queue.drain(self.encoder, out, keys)
    }

    /// When [`handle_timeout`](Self::handle_timeout) is to be called; `None` is never. Every other
    /// call may change it.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Duration> {
        self.timers.next(self.state).map(|(at, _)| at)
    }
}

/// Questions.
impl Connection {
    /// Where the connection stands.
    pub fn state(&self) -> State {
        self.state
    }

    /// Which end this is.
    pub fn role(&self) -> Role {
        self.role
    }

    /// Whether [`poll_transmit`](Self::poll_transmit) has something.
    pub fn wants_transmit(&self) -> bool {
        !self.queue.is_empty()
    }

    /// Whether data and pings can still be sent.
    pub fn can_write(&self) -> bool {
        self.state.writes()
    }

    /// How many payload bytes of the current frame are still to come: so many can be read straight
    /// into the place where they are wanted.
    pub fn payload_left(&self) -> u64 {
        self.decoder.payload_left()
    }

    /// How the life ended; `None` before [`Event::Closed`].
    pub fn ending(&self) -> Option<&Ending> {
        self.ending.as_ref().filter(|_| self.state == State::Closed)
    }

    /// What has passed so far.
    pub fn counters(&self) -> Counters {
        Counters { frames_received: self.decoder.data_frames(), ..self.counters }
    }
}

/// Beneath the byte stream and the messages.
impl Connection {
    /// As [`handle_wire`](Self::handle_wire), with the empty chunks at the borders of messages. No
    /// event does not mean that all was consumed.
    pub(crate) fn receive(&mut self, now: Duration, wire: &mut [u8]) -> Received {
        let mut received = self.receive_masked(now, wire);
        if let Some(Event::Data(chunk)) = &mut received.event {
            unmask(chunk, wire);
        }
        received
    }

    fn receive_masked(&mut self, now: Duration, wire: &[u8]) -> Received {
        // Bytes that nobody reads are no reason to wait longer.
        if !self.state.reads() {
            return Received { consumed: wire.len(), event: None };
        }
        if !wire.is_empty() {
            self.timers.heard(now);
        }
        let decoded = match self.decoder.decode_masked(wire) {
            Ok(decoded) => decoded,
            Err(violation) => {
                let event = Some(self.fail(now, violation));
                return Received { consumed: wire.len(), event };
            }
        };
        let event = decoded.item.and_then(|item| match item {
            Item::Data(chunk) => self.handle_chunk(now, chunk, wire),
            Item::Ping(payload) => {
                if self.state == State::Open {
                    self.queue.pong(payload.clone());
                }
                Some(Event::Ping(payload))
            }
            Item::Pong(payload) => Some(Event::Pong(payload)),
            Item::Close(frame) => Some(self.handle_close(now, frame)),
        });
        Received { consumed: decoded.consumed, event }
    }

    pub(crate) fn encoder(&self) -> Encoder {
        self.encoder
    }

    pub(crate) fn encode_as(
        &mut self,
        shape: Shape,
        data: &[u8],
        out: &mut [u8],
        keys: &mut MaskKeys<'_>,
    ) -> Result<Encoded, WriteError> {
        self.may_write()?;
        let control = self.poll_transmit(out, keys);
        if !self.queue.is_empty() {
            return Ok(Encoded { written: control, ..Encoded::default() });
        }
        let encoded = self.encoder.data(shape, data, &mut out[control..], keys);
        self.counters.frames_sent += encoded.frames as u64;
        self.counters.bytes_sent += encoded.taken as u64;
        Ok(Encoded { written: control + encoded.written, ..encoded })
    }

    /// Fails the connection (RFC 6455 §7.1.7); only while the peer's frames are read.
    pub(crate) fn fail(&mut self, now: Duration, violation: Violation) -> Event {
        if self.state.writes() {
            let reason = alloc::format!("{violation}");
            let frame = CloseFrame::with_cut_reason(violation.close_code(), &reason);
            self.queue.close(frame.to_body());
        }
        self.step(Step::Violation);
        self.timers.moved(now);
        self.ending = Some(Ending::Violation(violation));
        Event::Violation(violation)
    }

    /// Judges a chunk, whose payload stands in `wire`.
    fn handle_chunk(&mut self, now: Duration, chunk: Chunk, wire: &[u8]) -> Option<Event> {
        if chunk.kind == DataKind::Binary || self.config.text == TextPolicy::AsBytes {
            self.counters.bytes_received += chunk.payload.len() as u64;
            return Some(Event::Data(chunk));
        }
        if chunk.starts_message && self.state == State::Open {
            self.ending = Some(Ending::TextRefused);
            self.queue_close(now, CloseFrame::from(CloseCode::UNSUPPORTED).to_body());
        }
        #[cfg(feature = "deflate")]
        if chunk.compressed
            && let Err(violation) = self.pass_over(&chunk, wire)
        {
            return Some(self.fail(now, violation));
        }
        #[cfg(not(feature = "deflate"))]
        let _ = wire;
        chunk.starts_message.then_some(Event::TextRefused)
    }

    fn handle_close(&mut self, now: Duration, frame: Option<CloseFrame>) -> Event {
        let answers = self.state == State::CloseSent;
        self.step(Step::PeerClose);
        if !answers {
            self.ending = Some(Ending::Close { frame: frame.clone(), by: Side::Peer });
            if self.config.close_reply == CloseReply::Immediate {
                // The code is the one received; without one the answer is empty too.
                let echo = frame.as_ref().map(|frame| CloseFrame::from(frame.code()).to_body());
                self.queue_close(now, echo.unwrap_or(ControlPayload::EMPTY));
            }
        }
        Event::CloseFrame(frame)
    }

    fn queue_close(&mut self, now: Duration, body: ControlPayload) {
        self.queue.close(body);
        self.timers.moved(now);
        self.step(Step::Close);
    }

    fn may_write(&self) -> Result<(), WriteError> {
        if self.state.writes() {
            return Ok(());
        }
        match &self.ending {
            None | Some(Ending::Close { .. } | Ending::TextRefused) => {
                Err(WriteError::NotConnected)
            }
            Some(ending) => Err(WriteError::Ended(ending.clone())),
        }
    }

    fn cut(&self) -> Cut {
        if self.decoder.in_frame() {
            Cut::InFrame
        } else if self.decoder.in_message() {
            Cut::InMessage
        } else {
            Cut::BetweenMessages
        }
    }

    /// Ends the life by our own decision. What is missing below a complete close handshake takes
    /// nothing from it.
    fn give_up(&mut self, step: Step, ending: Ending) -> Event {
        match self.state {
            State::Failing => {}
            State::Exchanged if self.close_left => {}
            _ => self.ending = Some(ending),
        }
        self.end(step)
    }

    /// Goes to [`State::Closed`] and tells it, once.
    fn end(&mut self, step: Step) -> Event {
        self.step(step);
        // Every way to the end names its ending first; if one did not, it was our doing.
        Event::Closed(self.ending.get_or_insert(Ending::Aborted).clone())
    }

    fn step(&mut self, step: Step) {
        match MACHINE.next(self.state, step) {
            Some(next) => self.state = next,
            None => debug_assert!(false, "{step:?} in {:?} is in no row", self.state),
        }
    }
}

/// Unmasks a chunk's payload where it stands.
fn unmask(chunk: &mut Chunk, wire: &mut [u8]) {
    if let Some(mut mask) = chunk.mask.take() {
        mask.apply(&mut wire[chunk.payload.clone()]);
    }
}
