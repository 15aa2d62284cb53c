//! A pool's bookkeeping: which packet belongs to which exchange, and where replies go.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;
use core::error::Error;
use core::fmt;

use crate::arena::{Arena, Key};
use crate::callbacks::CallbackIds;
use crate::codec::DecodeError;
use crate::command::Command;
use crate::conversation::Conversation;
use crate::diagram::{Party, State};
use crate::error_code::ErrorCode;
use crate::packet::{CallbackId, Header, Message, Packet, RequestId};
use crate::time::Moment;

/// All exchanges of all control connections of a pool.
///
/// Its methods come in four kinds:
///
/// * inputs: [`connect`](Self::connect), [`handle_packet`](Self::handle_packet),
///   [`handle_malformed`](Self::handle_malformed), [`handle_disconnect`](Self::handle_disconnect);
/// * commands: [`ask`](Self::ask), [`reply`](Self::reply), [`set_deadline`](Self::set_deadline);
/// * time: [`next_deadline`](Self::next_deadline), then [`poll_expired`](Self::poll_expired) until
///   it has nothing more to tell; the answer of both may change after every call above;
/// * questions: [`state`](Self::state), [`waits_for`](Self::waits_for).
///
/// A key dies with what it names and never names anything else, also when ids and slots are used
/// again: a worker that is late cannot reach another client, it gets [`Gone`]. Keys are good only
/// for the book that gave them.
///
/// Bounds: [`Limits`], and one question an exchange; a connection can have 1024 callbacks that no
/// packet has borne yet.
///
/// Source: TLS Pool protocol V2, ids.
#[derive(Debug)]
pub struct Exchanges {
    limits: Limits,
    connections: Arena<Connection>,
    open: Arena<Exchange>,
    /// Every exchange that has a deadline, under the earliest that it has.
    due: BTreeSet<(Moment, ExchangeKey)>,
}

/// How much a pool keeps track of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Control connections at once. 1024 by default.
    pub connections: usize,
    /// Exchanges at once on one control connection, registrations among them. 64 by default.
    pub exchanges_per_connection: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { connections: 1024, exchanges_per_connection: 64 }
    }
}

/// One control connection. Another one in its place has another key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionKey(Key);

/// One exchange. Another one in its place has another key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ExchangeKey(Key);

/// A packet with the one control connection to which it may go. Never with a descriptor: the
/// clients in the field would lose it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope {
    /// Where it goes.
    pub connection: ConnectionKey,
    /// What goes there.
    pub packet: Packet,
}

/// What a client's packet is to the pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Incoming {
    /// It opens an exchange.
    Request {
        /// The new exchange.
        exchange: ExchangeKey,
    },
    /// It answers the question of an exchange, which goes on.
    Answer {
        /// The exchange, as before.
        exchange: ExchangeKey,
        /// The question that it answers.
        question: Command,
    },
    /// It breaks a rule and opens nothing. Its descriptor, if it has one, is to be closed.
    Refused(Refusal),
    /// It answers a question so that the exchange ends: declined, or against the rules. Its
    /// descriptor and the exchange's are to be closed.
    Ended {
        /// The exchange that is no more.
        exchange: ExchangeKey,
        /// What to send.
        refusal: Refusal,
    },
}

/// An ERROR that is to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    connection: ConnectionKey,
    request: RequestId,
    code: ErrorCode,
}

impl Refusal {
    /// Why.
    pub const fn code(&self) -> ErrorCode {
        self.code
    }

    /// The packet to send, and where to.
    pub fn envelope(&self) -> Envelope {
        let message = Message::from(self.code);
        let packet = Packet { request: self.request, callback: None, message };
        Envelope { connection: self.connection, packet }
    }
}

/// An exchange that ended because somebody did not act in time. Its descriptors are to be closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expired {
    /// The exchange that is no more.
    pub exchange: ExchangeKey,
    /// Who was late.
    pub waited_for: Party,
    /// What to send.
    pub refusal: Refusal,
}

#[derive(Debug, Default)]
struct Connection {
    /// At most `exchanges_per_connection`.
    exchanges: Vec<ExchangeKey>,
    callbacks: CallbackIds,
}

#[derive(Debug)]
struct Exchange {
    connection: ConnectionKey,
    /// The id of the client's latest packet in this exchange.
    request: RequestId,
    conversation: Conversation,
    /// When the question lapses; set exactly while there is one.
    answer_due: Option<Moment>,
    /// When the exchange as a whole lapses.
    deadline: Option<Moment>,
}

impl Exchange {
    fn due(&self) -> Option<Moment> {
        self.answer_due.into_iter().chain(self.deadline).min()
    }

    fn refusal(&self, code: ErrorCode) -> Refusal {
        Refusal { connection: self.connection, request: self.request, code }
    }

    fn envelope(&self, callback: Option<CallbackId>, message: Message) -> Envelope {
        let packet = Packet { request: self.request, callback, message };
        Envelope { connection: self.connection, packet }
    }
}

impl Exchanges {
    /// A pool without clients.
    pub const fn new(limits: Limits) -> Self {
        let exchanges = limits.connections.saturating_mul(limits.exchanges_per_connection);
        Self {
            limits,
            connections: Arena::new(limits.connections),
            open: Arena::new(exchanges),
            due: BTreeSet::new(),
        }
    }

    /// A client has connected.
    ///
    /// # Errors
    ///
    /// [`Full`] when there are as many connections as [`Limits`] allow: close it, or accept later.
    pub fn connect(&mut self) -> Result<ConnectionKey, Full> {
        self.connections.insert(Connection::default()).map(ConnectionKey).map_err(|_| Full)
    }

    /// A client's packet has come; `descriptor` tells whether one is bound to it.
    ///
    /// A packet with the callback id of an outstanding question of this connection is its answer,
    /// whatever its request id, and the exchange goes on under that. Any other packet is a new
    /// request. Requests beyond [`Limits`] are refused with [`ErrorCode::OutOfMemory`].
    ///
    /// # Errors
    ///
    /// [`Gone`] when the connection is closed.
    pub fn handle_packet(
        &mut self,
        connection: ConnectionKey,
        packet: &Packet,
        descriptor: bool,
    ) -> Result<Incoming, Gone> {
        match self.question_answered_by(connection, &packet.header())? {
            Some(exchange) => self.answer(exchange, &packet.message, descriptor),
            None => self.open(connection, packet, descriptor),
        }
    }

    /// A client's 388 bytes are no packet. As an answer they end the exchange with
    /// [`ErrorCode::BadCallbackResponse`].
    ///
    /// # Errors
    ///
    /// [`Gone`] when the connection is closed.
    pub fn handle_malformed(
        &mut self,
        connection: ConnectionKey,
        error: &DecodeError,
    ) -> Result<Incoming, Gone> {
        let Some(exchange) = self.question_answered_by(connection, &error.header)? else {
            let (request, code) = (error.header.request, error.code());
            return Ok(Incoming::Refused(Refusal { connection, request, code }));
        };
        self.end(exchange, ErrorCode::BadCallbackResponse)
    }

    /// A control connection is closed. All its exchanges end and are returned, for their work to
    /// be aborted and their descriptors to be closed.
    ///
    /// # Errors
    ///
    /// [`Gone`] when it was closed before.
    pub fn handle_disconnect(
        &mut self,
        connection: ConnectionKey,
    ) -> Result<Vec<ExchangeKey>, Gone> {
        let Connection { exchanges, .. } = self.connections.remove(connection.0).ok_or(Gone)?;
        for &key in &exchanges {
            self.remove(key);
        }
        Ok(exchanges)
    }

    /// Asks the client something within an exchange, to be answered before `due`. An answer is
    /// late once [`poll_expired`](Self::poll_expired) has said so, not before.
    ///
    /// # Errors
    ///
    /// [`AskError`]; nothing has changed then.
    pub fn ask(
        &mut self,
        exchange: ExchangeKey,
        question: Message,
        due: Moment,
    ) -> Result<Envelope, AskError> {
        let entry = self.open.get(exchange.0).ok_or(AskError::Gone)?;
        let command = question.command();
        let rule = entry.conversation.may_ask(command).ok_or(AskError::NotNow(command))?;
        let connection = self.connections.get_mut(entry.connection.0).ok_or(AskError::Gone)?;
        let callback = connection.callbacks.take().ok_or(AskError::NoCallbackLeft)?;
        self.amend(exchange, |entry| {
            entry.conversation.ask(rule, callback);
            entry.answer_due = Some(due);
            entry.envelope(Some(callback), question)
        })
        .ok_or(AskError::Gone)
    }

    /// Ends an exchange with its reply. ERROR is always possible, also while a question is out.
    ///
    /// # Errors
    ///
    /// [`ReplyError`]; nothing has changed then.
    pub fn reply(
        &mut self,
        exchange: ExchangeKey,
        message: Message,
    ) -> Result<Envelope, ReplyError> {
        let entry = self.open.get(exchange.0).ok_or(ReplyError::Gone)?;
        if !entry.conversation.may_reply(message.command()) {
            return Err(ReplyError::NotNow(message.command()));
        }
        let entry = self.remove(exchange).ok_or(ReplyError::Gone)?;
        Ok(entry.envelope(None, message))
    }

    /// The application wants its connection back, so that a STARTTLS may end without a plaintext socket
    /// (see [`HandBack`](crate::HandBack)).
    ///
    /// # Errors
    ///
    /// [`Gone`] when the exchange has ended.
    pub fn may_hand_back(&mut self, exchange: ExchangeKey) -> Result<(), Gone> {
        self.amend(exchange, |entry| entry.conversation.may_hand_back()).ok_or(Gone)
    }

    /// Sets or lifts the deadline of an exchange as a whole: the handshake timeout of STARTTLS.
    ///
    /// # Errors
    ///
    /// [`Gone`] when the exchange has ended.
    pub fn set_deadline(
        &mut self,
        exchange: ExchangeKey,
        deadline: Option<Moment>,
    ) -> Result<(), Gone> {
        self.amend(exchange, |entry| entry.deadline = deadline).ok_or(Gone)
    }

    /// The earliest deadline of all.
    pub fn next_deadline(&self) -> Option<Moment> {
        self.due.first().map(|&(moment, _)| moment)
    }

    /// Ends one exchange whose deadline is `now` or earlier.
    ///
    /// A client that does not answer has declined ([`ErrorCode::ClientRefusesCallback`]); a pool
    /// that does not get ready has not completed the handshake ([`ErrorCode::HandshakeFailed`]).
    #[must_use = "the client has to be told, and the work to be aborted"]
    pub fn poll_expired(&mut self, now: Moment) -> Option<Expired> {
        let &(due, exchange) = self.due.first()?;
        if due > now {
            return None;
        }
        let entry = self.remove(exchange)?;
        let (waited_for, code) = if entry.answer_due == Some(due) {
            (Party::Application, ErrorCode::ClientRefusesCallback)
        } else {
            (Party::Pool, ErrorCode::HandshakeFailed)
        };
        Some(Expired { exchange, waited_for, refusal: entry.refusal(code) })
    }

    /// Where an exchange stands in the message flow. `None` when it has ended, or has no part in
    /// the flow.
    pub fn state(&self, exchange: ExchangeKey) -> Option<State> {
        self.open.get(exchange.0)?.conversation.state()
    }

    /// Who has to act next in an exchange. `None` when it has ended.
    pub fn waits_for(&self, exchange: ExchangeKey) -> Option<Party> {
        let entry = self.open.get(exchange.0)?;
        Some(entry.conversation.question().map_or(Party::Pool, |_| Party::Application))
    }

    /// How many exchanges there are.
    pub fn len(&self) -> usize {
        self.open.len()
    }

    /// Whether there is no exchange.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The exchange whose question this header answers. Frees the callback id in any case: a
    /// packet bears it.
    fn question_answered_by(
        &mut self,
        connection: ConnectionKey,
        header: &Header,
    ) -> Result<Option<ExchangeKey>, Gone> {
        let entry = self.connections.get_mut(connection.0).ok_or(Gone)?;
        let Some(callback) = header.callback else { return Ok(None) };
        entry.callbacks.release(callback);
        let asks = |key: &&ExchangeKey| {
            let question = self.open.get(key.0).and_then(|entry| entry.conversation.question());
            question.is_some_and(|question| question.callback == callback)
        };
        let exchange = entry.exchanges.iter().find(asks).copied();
        if let Some(exchange) = exchange {
            self.amend(exchange, |entry| entry.request = header.request);
        }
        Ok(exchange)
    }

    fn answer(
        &mut self,
        exchange: ExchangeKey,
        message: &Message,
        descriptor: bool,
    ) -> Result<Incoming, Gone> {
        let answered = self.amend(exchange, |entry| {
            entry.answer_due = None;
            entry.conversation.answer(message, descriptor)
        });
        match answered.ok_or(Gone)? {
            Ok(question) => {
                let question = question.ok_or(Gone)?.rule.question;
                Ok(Incoming::Answer { exchange, question })
            }
            Err(code) => self.end(exchange, code),
        }
    }

    fn open(
        &mut self,
        connection: ConnectionKey,
        packet: &Packet,
        descriptor: bool,
    ) -> Result<Incoming, Gone> {
        let request = packet.request;
        let refused = |code| Ok(Incoming::Refused(Refusal { connection, request, code }));
        let conversation = match Conversation::open(&packet.message, descriptor) {
            Ok(conversation) => conversation,
            Err(code) => return refused(code),
        };
        let entry = self.connections.get_mut(connection.0).ok_or(Gone)?;
        if entry.exchanges.len() >= self.limits.exchanges_per_connection {
            return refused(ErrorCode::OutOfMemory);
        }
        let exchange =
            Exchange { connection, request, conversation, answer_due: None, deadline: None };
        let Ok(key) = self.open.insert(exchange) else {
            return refused(ErrorCode::OutOfMemory);
        };
        entry.exchanges.push(ExchangeKey(key));
        Ok(Incoming::Request { exchange: ExchangeKey(key) })
    }

    fn end(&mut self, exchange: ExchangeKey, code: ErrorCode) -> Result<Incoming, Gone> {
        let entry = self.remove(exchange).ok_or(Gone)?;
        Ok(Incoming::Ended { exchange, refusal: entry.refusal(code) })
    }

    /// Changes an exchange and keeps the deadlines in step with it.
    fn amend<R>(
        &mut self,
        exchange: ExchangeKey,
        change: impl FnOnce(&mut Exchange) -> R,
    ) -> Option<R> {
        let entry = self.open.get_mut(exchange.0)?;
        let before = entry.due();
        let result = change(entry);
        let after = entry.due();
        if before != after {
            if let Some(due) = before {
                self.due.remove(&(due, exchange));
            }
            if let Some(due) = after {
                self.due.insert((due, exchange));
            }
        }
        Some(result)
    }

    /// Forgets an exchange. The callback id of a question that is still out stays taken.
    fn remove(&mut self, exchange: ExchangeKey) -> Option<Exchange> {
        let entry = self.open.remove(exchange.0)?;
        if let Some(due) = entry.due() {
            self.due.remove(&(due, exchange));
        }
        if let Some(connection) = self.connections.get_mut(entry.connection.0) {
            connection.exchanges.retain(|&key| key != exchange);
        }
        Some(entry)
    }
}

impl Default for Exchanges {
    fn default() -> Self {
        Self::new(Limits::default())
    }
}

/// As many control connections as [`Limits`] allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

impl fmt::Display for Full {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("as many control connections as the limit allows")
    }
}

impl Error for Full {}

/// What the key names has ended, and nothing else has taken its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gone;

impl fmt::Display for Gone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the connection or exchange has ended")
    }
}

impl Error for Gone {}

/// Why a question cannot be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AskError {
    /// The exchange has ended: abort the work.
    Gone,
    /// The caller's fault: the rules or the message flow have no place for this question, or
    /// another one is out.
    NotNow(Command),
    /// 1024 questions of this connection ended without a packet that bears their id: close it.
    NoCallbackLeft,
}

impl fmt::Display for AskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gone => Gone.fmt(f),
            Self::NotNow(command) => write!(f, "{command} cannot be asked in this exchange now"),
            Self::NoCallbackLeft => f.write_str("1024 questions of this connection lapsed"),
        }
    }
}

impl Error for AskError {}

/// Why a reply cannot be given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplyError {
    /// The exchange has ended: abort the work.
    Gone,
    /// The caller's fault: this does not reply to the request, or not now.
    NotNow(Command),
}

impl fmt::Display for ReplyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gone => Gone.fmt(f),
            Self::NotNow(command) => write!(f, "{command} cannot end this exchange now"),
        }
    }
}

impl Error for ReplyError {}
