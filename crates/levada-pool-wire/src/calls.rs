//! A client's bookkeeping: which reply and which question belong to which request.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use core::error::Error;
use core::fmt;

use crate::arena::{Arena, Key};
use crate::body::Failure;
use crate::codec::DecodeError;
use crate::command::Command;
use crate::conversation::Conversation;
use crate::diagram::State;
use crate::error_code::ErrorCode;
use crate::packet::{CallbackId, Header, Message, Packet, RequestId};
use crate::time::Moment;

/// All requests of one control connection, as its client sees them.
///
/// Its methods come in four kinds:
///
/// * inputs: [`handle_packet`](Self::handle_packet), [`handle_malformed`](Self::handle_malformed),
///   [`handle_disconnect`](Self::handle_disconnect);
/// * commands: [`call`](Self::call), [`answer`](Self::answer), [`abandon`](Self::abandon);
/// * time: [`next_deadline`](Self::next_deadline), then [`poll_lapsed`](Self::poll_lapsed) until
///   it has nothing more to tell; the answer of both may change after every call above;
/// * questions: [`state`](Self::state).
///
/// Request ids start at 0; none is used twice at a time. A request that is abandoned keeps its id
/// until the pool has replied, so that a late reply cannot pass for another's, and the questions
/// that the pool still asks for it are declined.
///
/// Bounds: `limit` requests, abandoned ones among them, and one question each.
///
/// Source: TLS Pool protocol V2, ids.
#[derive(Debug)]
pub struct Calls {
    open: Arena<Call>,
    by_request: BTreeMap<RequestId, CallKey>,
    /// Every request that has a deadline.
    due: BTreeSet<(Moment, CallKey)>,
    next: u16,
}

/// One request of a client. Another one with its id has another key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CallKey(Key);

#[derive(Debug)]
struct Call {
    request: RequestId,
    conversation: Conversation,
    due: Option<Moment>,
    /// Nobody waits for the reply any more.
    abandoned: bool,
}

/// What a pool's packet is to the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// It is the reply: the request is done.
    Reply {
        /// The request that is no more.
        call: CallKey,
    },
    /// It is a question, to be answered with [`Calls::answer`].
    Question {
        /// The request.
        call: CallKey,
        /// What is asked.
        question: Command,
    },
    /// It is a question that nobody is there to answer: send this instead.
    Decline(Decline),
    /// It is the reply to an abandoned request: drop it. After a STARTTLS reply the pool holds a
    /// session that nobody wants; its control key is in the packet.
    Late {
        /// The request that is no more.
        call: CallKey,
    },
    /// It belongs to no request, or its request has no place for it: the pool and we no longer
    /// agree, and the control connection is to be closed.
    Unexpected {
        /// The request whose id it bears. It stays until [`Calls::handle_disconnect`].
        call: Option<CallKey>,
    },
}

/// An ERROR that declines a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decline {
    request: RequestId,
    callback: CallbackId,
}

impl Decline {
    /// The system's error number for "canceled", the reason that we give.
    const ECANCELED: u8 = 125;

    /// The packet to send.
    pub fn packet(&self) -> Packet {
        Packet {
            request: self.request,
            callback: Some(self.callback),
            message: Message::Error(Failure::from_errno(Self::ECANCELED)),
        }
    }
}

/// A request whose reply did not come in time. It is abandoned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lapsed {
    /// The request.
    pub call: CallKey,
    /// What to send when its question was still unanswered.
    pub decline: Option<Decline>,
}

impl Calls {
    /// A connection without requests, for at most `limit` at a time; more than 65535 have no ids.
    pub fn new(limit: usize) -> Self {
        Self {
            open: Arena::new(limit.min(usize::from(u16::MAX))),
            by_request: BTreeMap::new(),
            due: BTreeSet::new(),
            next: 0,
        }
    }

    /// Makes a request, to be replied to before `due`; `descriptor` tells whether one goes with it.
    ///
    /// # Errors
    ///
    /// [`CallError`]; nothing has changed then.
    pub fn call(
        &mut self,
        message: Message,
        descriptor: bool,
        due: Option<Moment>,
    ) -> Result<(CallKey, Packet), CallError> {
        let conversation =
            Conversation::open(&message, descriptor).map_err(CallError::AgainstTheRules)?;
        // There are fewer requests than ids, so this ends.
        while self.by_request.contains_key(&RequestId(self.next)) {
            self.next = self.next.wrapping_add(1);
        }
        let request = RequestId(self.next);
        let call = Call { request, conversation, due, abandoned: false };
        let key = self.open.insert(call).map(CallKey).map_err(|_| CallError::Full)?;
        self.next = self.next.wrapping_add(1);
        self.by_request.insert(request, key);
        self.due.extend(due.map(|due| (due, key)));
        Ok((key, Packet { request, callback: None, message }))
    }

    /// The connection of this STARTTLS may come back, so that its reply may come without a question for the
    /// plaintext socket (see [`HandBack`](crate::HandBack)).
    pub fn may_be_handed_back(&mut self, call: CallKey) {
        if let Some(call) = self.waiting(call) {
            call.conversation.may_hand_back();
        }
    }

    /// The pool's packet has come.
    pub fn handle_packet(&mut self, packet: &Packet) -> Heard {
        let Header { request, callback, command } = packet.header();
        let Some((key, call)) = self.by_request(request) else {
            return Heard::Unexpected { call: None };
        };
        let deaf = call.abandoned || call.conversation.state() == Some(State::Ended);
        if call.conversation.may_reply(command) {
            let late = call.abandoned;
            self.remove(key);
            return if late { Heard::Late { call: key } } else { Heard::Reply { call: key } };
        }
        match (callback, call.conversation.may_ask(command)) {
            (Some(callback), _) if deaf && call.conversation.may_hear(command) => {
                Heard::Decline(Decline { request, callback })
            }
            (Some(callback), Some(rule)) => {
                call.conversation.ask(rule, callback);
                Heard::Question { call: key, question: command }
            }
            _ => Heard::Unexpected { call: Some(key) },
        }
    }

    /// The pool's 388 bytes are no packet: always [`Heard::Unexpected`].
    pub fn handle_malformed(&mut self, error: &DecodeError) -> Heard {
        Heard::Unexpected { call: self.by_request(error.header.request).map(|(key, _)| key) }
    }

    /// The control connection is closed. All requests end; those that somebody waits for are
    /// returned, to fail with [`ErrorCode::ClientDisconnect`].
    pub fn handle_disconnect(&mut self) -> Vec<CallKey> {
        let calls = core::mem::take(&mut self.by_request).into_values();
        self.due.clear();
        calls.filter(|key| self.open.remove(key.0).is_some_and(|call| !call.abandoned)).collect()
    }

    /// Answers the question of a request; `descriptor` tells whether one goes with the answer.
    /// ERROR declines, and then the pool ends the request.
    ///
    /// # Errors
    ///
    /// [`AnswerError`]; nothing has changed then.
    pub fn answer(
        &mut self,
        call: CallKey,
        message: Message,
        descriptor: bool,
    ) -> Result<Packet, AnswerError> {
        let call = self.waiting(call).ok_or(AnswerError::Gone)?;
        let question = match message {
            Message::Error(_) if !descriptor => call.conversation.decline(),
            Message::Error(_) => {
                return Err(AnswerError::AgainstTheRules(ErrorCode::SuperfluousSocket));
            }
            _ => call
                .conversation
                .answer(&message, descriptor)
                .map_err(AnswerError::AgainstTheRules)?,
        };
        let callback = question.ok_or(AnswerError::NotAsked)?.callback;
        Ok(Packet { request: call.request, callback: Some(callback), message })
    }

    /// Stops waiting for a reply. What is returned has to be sent: a question left alone would
    /// keep the pool waiting.
    ///
    /// # Errors
    ///
    /// [`AnswerError::Gone`] when the request is done or abandoned.
    pub fn abandon(&mut self, call: CallKey) -> Result<Option<Decline>, AnswerError> {
        let entry = self.waiting(call).ok_or(AnswerError::Gone)?;
        entry.abandoned = true;
        let request = entry.request;
        let decline = entry
            .conversation
            .decline()
            .map(|question| Decline { request, callback: question.callback });
        if let Some(due) = entry.due.take() {
            self.due.remove(&(due, call));
        }
        Ok(decline)
    }

    /// The earliest deadline of all.
    pub fn next_deadline(&self) -> Option<Moment> {
        self.due.first().map(|&(moment, _)| moment)
    }

    /// Abandons one request whose deadline is `now` or earlier.
    #[must_use = "somebody waits for the reply, and the pool may wait for an answer"]
    pub fn poll_lapsed(&mut self, now: Moment) -> Option<Lapsed> {
        let &(due, call) = self.due.first()?;
        if due > now {
            return None;
        }
        let decline = self.abandon(call).ok()?;
        Some(Lapsed { call, decline })
    }

    /// Where a request stands in the message flow. `None` when it is done or abandoned, or has no
    /// part in the flow.
    pub fn state(&self, call: CallKey) -> Option<State> {
        let call = self.open.get(call.0).filter(|call| !call.abandoned)?;
        call.conversation.state()
    }

    /// How many requests there are, abandoned ones among them.
    pub fn len(&self) -> usize {
        self.open.len()
    }

    /// Whether there is no request.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn waiting(&mut self, call: CallKey) -> Option<&mut Call> {
        self.open.get_mut(call.0).filter(|call| !call.abandoned)
    }

    fn by_request(&mut self, request: RequestId) -> Option<(CallKey, &mut Call)> {
        let key = *self.by_request.get(&request)?;
        Some((key, self.open.get_mut(key.0)?))
    }

    fn remove(&mut self, key: CallKey) {
        let Some(call) = self.open.remove(key.0) else { return };
        self.by_request.remove(&call.request);
        if let Some(due) = call.due {
            self.due.remove(&(due, key));
        }
    }
}

/// Why a request cannot be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallError {
    /// As many requests as the limit allows: wait for a reply.
    Full,
    /// The caller's fault: a pool would refuse it with this code.
    AgainstTheRules(ErrorCode),
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full => f.write_str("as many requests as the limit allows"),
            Self::AgainstTheRules(code) => write!(f, "no pool would take this request: {code}"),
        }
    }
}

impl Error for CallError {}

/// Why an answer cannot be given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AnswerError {
    /// The request is done or abandoned.
    Gone,
    /// The caller's fault: no question is out.
    NotAsked,
    /// The caller's fault: a pool would end the exchange with this code. ERROR declines.
    AgainstTheRules(ErrorCode),
}

impl fmt::Display for AnswerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gone => f.write_str("the request is done or abandoned"),
            Self::NotAsked => f.write_str("nothing was asked"),
            Self::AgainstTheRules(code) => write!(f, "no pool would take this answer: {code}"),
        }
    }
}

impl Error for AnswerError {}
