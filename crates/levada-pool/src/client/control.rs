//! A control connection for whoever waits in their own way.

use std::collections::VecDeque;
use std::io;
use std::mem;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;

use levada_pool_wire::{CallKey, Calls, Heard, Message, Packet, PacketBytes, Reassembler};
use levada_sys::descriptors;

use crate::client::error::PoolError;
use crate::client::request::refusal;

/// Requests at once on one control connection; a pool of ours takes as many.
pub(crate) const CALLS: usize = 64;

/// One control connection that never blocks: for event loops of any kind.
///
/// Watch its [descriptor](AsFd) for reading, and for writing while [`wants_write`](Self::wants_write)
/// says so; call [`process`](Self::process) whenever it is ready, and take what came of it with
/// [`next_event`](Self::next_event).
///
/// Dropping it closes the connection: the pool ends its sessions, but for those that are detached or
/// forked.
///
/// Bounds: 64 requests at once.
///
/// ```no_run
/// use levada_pool::{Control, Event};
/// use levada_pool::wire::{Message, body::Ping};
///
/// let mut control = Control::connect("/run/levada/pool.sock")?;
/// let asked = control.call(Message::Ping(Ping::default()), None)?;
/// // In an event loop: once the descriptor of `control` is readable.
/// control.process()?;
/// while let Some(event) = control.next_event() {
///     if let Event::Reply { call, reply } = event && call == asked {
///         println!("{:?}", reply?);
///     }
/// }
/// # Ok::<(), levada_pool::PoolError>(())
/// ```
#[derive(Debug)]
pub struct Control {
    socket: Arc<UnixStream>,
    calls: Calls,
    input: Reassembler<OwnedFd>,
    /// Packets that wait for room in the socket, each with its descriptor.
    output: VecDeque<(PacketBytes, Option<OwnedFd>)>,
    events: VecDeque<Event>,
    gone: bool,
}

/// What came of a request.
#[derive(Debug)]
pub enum Event {
    /// The request is done.
    Reply {
        /// The request that is no more.
        call: CallKey,
        /// The pool's message; never ERROR, which is [`PoolError::Refused`].
        reply: Result<Message, PoolError>,
    },
    /// The pool asks, and waits: answer with [`Control::answer`] or [`Control::decline`].
    Question {
        /// The request that it is about.
        call: CallKey,
        /// The question.
        question: Message,
    },
}

impl Control {
    /// Connects to the pool's socket. A Unix socket connects at once or not at all.
    ///
    /// # Errors
    ///
    /// [`PoolError::Unreachable`].
    pub fn connect(path: impl AsRef<Path>) -> Result<Self, PoolError> {
        let path = path.as_ref();
        let unreachable = |error| PoolError::unreachable(path, &error);
        Self::adopt(UnixStream::connect(path).map_err(unreachable)?).map_err(unreachable)
    }

    /// Takes over a connection to a pool.
    ///
    /// # Errors
    ///
    /// When it cannot be made non-blocking.
    pub fn adopt(socket: UnixStream) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        Ok(Self {
            socket: Arc::new(socket),
            calls: Calls::new(CALLS),
            input: Reassembler::new(),
            output: VecDeque::new(),
            events: VecDeque::new(),
            gone: false,
        })
    }

    /// Makes a request. `descriptor` goes with it and is closed here then, as the pool owns it.
    ///
    /// # Errors
    ///
    /// [`PoolError::AgainstTheRules`], [`PoolError::Busy`] or [`PoolError::Gone`]; nothing was sent.
    pub fn call(
        &mut self,
        message: Message,
        descriptor: Option<OwnedFd>,
    ) -> Result<CallKey, PoolError> {
        if self.gone {
            return Err(PoolError::Gone);
        }
        let (call, packet) = self.calls.call(message, descriptor.is_some(), None)?;
        self.send(&packet, descriptor);
        Ok(call)
    }

    /// The connection of this STARTTLS may come back: the pool has answered
    /// [`HandBack`](levada_pool_wire::HandBack) with SUCCESS, and we kept our copy of the socket.
    pub fn may_be_handed_back(&mut self, call: CallKey) {
        self.calls.may_be_handed_back(call);
    }

    /// Answers the question of a request.
    ///
    /// # Errors
    ///
    /// [`PoolError::AgainstTheRules`], or [`PoolError::Gone`] when nothing was asked any more.
    pub fn answer(
        &mut self,
        call: CallKey,
        message: Message,
        descriptor: Option<OwnedFd>,
    ) -> Result<(), PoolError> {
        let packet = self.calls.answer(call, message, descriptor.is_some())?;
        self.send(&packet, descriptor);
        Ok(())
    }

    /// Declines the question of a request; the pool ends the request then.
    ///
    /// # Errors
    ///
    /// [`PoolError::Gone`] when nothing was asked any more.
    pub fn decline(&mut self, call: CallKey) -> Result<(), PoolError> {
        self.answer(call, refusal(), None)
    }

    /// Stops waiting for a request: its questions are declined, and its reply is dropped.
    pub fn abandon(&mut self, call: CallKey) {
        // What is gone needs no declining.
        if let Ok(Some(decline)) = self.calls.abandon(call) {
            self.send(&decline.packet(), None);
        }
    }

    /// Sends what waits and takes in what has come, without blocking.
    ///
    /// # Errors
    ///
    /// [`PoolError::Gone`] or [`PoolError::Protocol`] once the connection is of no use any more: every
    /// request that waited has an event about it, and the descriptor has to be watched no longer.
    pub fn process(&mut self) -> Result<(), PoolError> {
        if self.gone {
            return Err(PoolError::Gone);
        }
        // What came before a failure to send is still to be heard.
        let sent = self.flush();
        let read = self.read();
        read.and(sent).map_err(|error| self.lost(error))
    }

    /// What has come of a request, in the order in which it came.
    pub fn next_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Whether the descriptor is to be watched for writing, too.
    pub fn wants_write(&self) -> bool {
        !self.output.is_empty()
    }

    /// Whether as many requests are under way as the connection takes.
    pub(crate) fn is_full(&self) -> bool {
        self.calls.len() >= CALLS
    }

    /// Whether the connection is lost.
    pub fn is_gone(&self) -> bool {
        self.gone
    }

    fn send(&mut self, packet: &Packet, descriptor: Option<OwnedFd>) {
        self.output.push_back((packet.encode(), descriptor));
        // A failure shows in `process`, which the lost connection makes ready.
        let _ = self.flush();
    }

    /// The connection, for who waits for it while somebody else has this.
    pub(crate) fn socket(&self) -> Arc<UnixStream> {
        Arc::clone(&self.socket)
    }

    /// Sends what waits, as far as it goes.
    pub(crate) fn flush(&mut self) -> Result<(), PoolError> {
        while let Some((bytes, descriptor)) = self.output.front() {
            let borrowed: Vec<BorrowedFd<'_>> = descriptor.iter().map(AsFd::as_fd).collect();
            match descriptors::send(&self.socket, bytes.expose(), &borrowed) {
                Ok(sent) if sent == bytes.expose().len() => drop(self.output.pop_front()),
                Ok(_) => return Err(PoolError::Protocol("a packet was cut".to_owned())),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(_) => return Err(PoolError::Gone),
            }
        }
        Ok(())
    }

    fn read(&mut self) -> Result<(), PoolError> {
        loop {
            let received = match descriptors::receive(&self.socket, self.input.unfilled()) {
                Ok(received) => received,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(_) => return Err(PoolError::Gone),
            };
            if received.bytes == 0 {
                return Err(PoolError::Gone);
            }
            // A pool sends no descriptors: what comes is dropped, and by that closed.
            let progress = self.input.advance(received.bytes, received.descriptors);
            let progress = progress.map_err(|error| PoolError::Protocol(error.to_string()))?;
            if let Some(framed) = progress.packet {
                self.take(&framed.bytes)?;
            }
        }
    }

    fn take(&mut self, bytes: &PacketBytes) -> Result<(), PoolError> {
        let packet = Packet::decode(bytes.expose())
            .map_err(|error| PoolError::Protocol(error.to_string()))?;
        match self.calls.handle_packet(&packet) {
            Heard::Reply { call } => {
                let reply = match packet.message {
                    Message::Error(failure) => Err(PoolError::Refused(Box::new(failure))),
                    message => Ok(message),
                };
                self.events.push_back(Event::Reply { call, reply });
            }
            Heard::Question { call, .. } => {
                self.events.push_back(Event::Question { call, question: packet.message });
            }
            Heard::Decline(decline) => self.send(&decline.packet(), None),
            Heard::Late { .. } => {}
            Heard::Unexpected { .. } => {
                let what = format!("an unexpected {}", packet.message.command());
                return Err(PoolError::Protocol(what));
            }
        }
        Ok(())
    }

    /// The connection is of no use any more.
    fn lost(&mut self, error: PoolError) -> PoolError {
        self.gone = true;
        self.output.clear();
        let calls = mem::replace(&mut self.calls, Calls::new(0)).handle_disconnect();
        for call in calls {
            self.events.push_back(Event::Reply { call, reply: Err(error.clone()) });
        }
        // It says so to whoever watches it still.
        let _ = self.socket.shutdown(std::net::Shutdown::Both);
        error
    }
}

impl AsFd for Control {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl AsRawFd for Control {
    fn as_raw_fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }
}
