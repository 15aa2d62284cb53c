//! What a session owes its peer behind the handshake, where the kernel does the records.
//!
//! The kernel seals and opens, and tells what sort of record came. All else is here: tickets, new keys,
//! alerts, goodbyes, what a peer may not send, and how much one key may seal. No io: the driver shows what
//! came ([`Duties::received`]), does what it is told, and sends what waits ([`Duties::outgoing`]).
//!
//! Source: RFC 8446 sections 4.6, 5 and 6; RFC 5246 section 7.

use std::collections::VecDeque;
use std::fmt;

use levada_core::{AlertDescription, Ending, Fault, Role};

use crate::reader::Reader;
use crate::record::{ALERT, APPLICATION_DATA, CHANGE_CIPHER_SPEC, HANDSHAKE};
use crate::version::TlsVersion;

/// How far the goodbyes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Data may go both ways.
    Open,
    /// Our close_notify is asked for; the peer's data still comes.
    WeClosed,
    /// The peer's close_notify came; ours is not asked for.
    PeerClosed,
    /// Both.
    Closed,
    /// It ended, and not by goodbyes.
    Failed,
}

/// What a record that came obliges to, in this order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Duty {
    /// As a client: keep this NewSessionTicket, a whole handshake message, if there is somewhere to keep
    /// it. A lost one costs a resumption.
    Keep(Vec<u8>),
    /// Install the next keys for what is received before anything more is read. If that fails, ask
    /// [`Duties::renewal_failed`].
    RenewReceive,
    /// The peer's close_notify: the end of its data. Read nothing more.
    EndOfData,
    /// The session has ended so. Send what [waits](Duties::outgoing), then end the transport.
    End(Ending),
}

/// A record of ours that is no data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outgoing {
    /// What follows it is sealed under the next keys.
    KeyUpdate,
    /// No new handshake is begun (RFC 5246 section 7.2.2).
    NoRenegotiation,
    /// Our goodbye.
    CloseNotify,
    /// A fatal alert.
    Alert(AlertDescription),
}

impl Outgoing {
    /// The record's content type.
    pub const fn content_type(self) -> u8 {
        match self {
            Self::KeyUpdate => HANDSHAKE,
            Self::NoRenegotiation | Self::CloseNotify | Self::Alert(_) => ALERT,
        }
    }

    /// What is in the record.
    pub fn content(self) -> Vec<u8> {
        match self {
            Self::KeyUpdate => vec![KEY_UPDATE, 0, 0, 1, UPDATE_NOT_REQUESTED],
            Self::NoRenegotiation => vec![WARNING, AlertDescription::NO_RENEGOTIATION.0],
            Self::CloseNotify => vec![WARNING, AlertDescription::CLOSE_NOTIFY.0],
            Self::Alert(description) => vec![FATAL, description.0],
        }
    }
}

/// What follows from a record of ours having been sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Sent {
    /// Nothing.
    Done,
    /// Install the next keys for what is sent before anything more is. If that fails, ask
    /// [`Duties::renewal_failed`].
    RenewTransmit,
}

/// Whether data may be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Permit {
    /// So many bytes of it, and tell by [`Duties::data_sent`] how many went.
    Bytes(usize),
    /// Only behind what [waits](Duties::outgoing).
    Behind,
    /// Never again: the keys are used up, and the session has ended so.
    End(Ending),
}

/// Why the kernel could not open a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadRecord {
    /// It does not authenticate.
    Forged,
    /// It is longer than any may be.
    TooLong,
    /// It has a header that none can have.
    Header,
}

/// One of the two directions of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// What we send.
    Transmit,
    /// What we receive.
    Receive,
}

/// The duties of one session. What it keeps of a peer is at most [`Duties::LONGEST_MESSAGE`] bytes.
pub struct Duties {
    state: State,
    role: Role,
    version: TlsVersion,
    /// Whether the kernel takes new keys.
    rekeys: bool,
    /// A handshake message that is not whole yet.
    message: Vec<u8>,
    outbox: VecDeque<Outgoing>,
    /// Records sealed under the keys of now, at most.
    sealed: u64,
    /// How many may be.
    limit: u64,
    patience: Patience,
}

/// What is tolerated of a peer before it counts as misbehaviour, by the numbers of rustls.
struct Patience {
    warnings: u8,
    renegotiations: u8,
    key_updates: u8,
    empty_records: u8,
}

const WARNING: u8 = 1;
const FATAL: u8 = 2;

const HELLO_REQUEST: u8 = 0;
const CLIENT_HELLO: u8 = 1;
const NEW_SESSION_TICKET: u8 = 4;
const KEY_UPDATE: u8 = 24;
const UPDATE_NOT_REQUESTED: u8 = 0;
const UPDATE_REQUESTED: u8 = 1;

/// Plain bytes in a record of the kernel's.
const RECORD: usize = 16 * 1024;
/// Key updates between two records of data.
const KEY_UPDATES: u8 = 32;
/// Records without anything in them, one after the other.
const EMPTY_RECORDS: u8 = 32;

impl Duties {
    /// The longest handshake message that is taken, header included.
    pub const LONGEST_MESSAGE: usize = 64 * 1024;
    /// The longest that is to be kept ([`Duty::Keep`]); longer tickets are dropped.
    pub const LONGEST_TICKET: usize = 16 * 1024;

    /// Records under one key that are kept for KeyUpdate, alerts and the goodbye.
    pub(crate) const RESERVE: u64 = 8;

    /// The duties of a session that has `sealed` records under its keys, which may seal `limit`.
    pub(crate) const fn new(
        role: Role,
        version: TlsVersion,
        rekeys: bool,
        sealed: u64,
        limit: u64,
    ) -> Self {
        Self {
            state: State::Open,
            role,
            version,
            rekeys,
            message: Vec::new(),
            outbox: VecDeque::new(),
            sealed,
            limit,
            patience: Patience {
                warnings: 4,
                renegotiations: 1,
                key_updates: KEY_UPDATES,
                empty_records: EMPTY_RECORDS,
            },
        }
    }

    /// Takes in data that came, `bytes` of it.
    ///
    /// # Errors
    ///
    /// How the session has ended, if no data may come now, or too many records without any.
    pub fn received_data(&mut self, bytes: usize) -> Result<(), Ending> {
        if !self.message.is_empty() {
            let words = "message interleaved with handshake message";
            return Err(self.misbehaved(AlertDescription::UNEXPECTED_MESSAGE, words));
        }
        if bytes == 0 {
            return self.received_nothing();
        }
        self.patience.key_updates = KEY_UPDATES;
        self.patience.empty_records = EMPTY_RECORDS;
        Ok(())
    }

    /// Takes in the `content` of a whole record that is no data.
    pub fn received(&mut self, content_type: u8, content: &[u8]) -> Vec<Duty> {
        let mut duties = Vec::new();
        if self.takes_nothing() {
            return duties;
        }
        let ended = match content_type {
            ALERT => self.received_alert(content, &mut duties),
            HANDSHAKE => self.received_handshake(content, &mut duties),
            APPLICATION_DATA => self.received_data(content.len()),
            other => {
                let what = match other {
                    CHANGE_CIPHER_SPEC => "change_cipher_spec".to_owned(),
                    other => format!("a record of type {other}"),
                };
                Err(self.unexpected(&what))
            }
        };
        if let Err(ending) = ended {
            duties.push(Duty::End(ending));
        }
        duties
    }

    fn received_alert(&mut self, content: &[u8], duties: &mut Vec<Duty>) -> Result<(), Ending> {
        let &[level, description] = content else {
            let words = "an alert that has not two bytes";
            return Err(self.misbehaved(AlertDescription::DECODE_ERROR, words));
        };
        let description = AlertDescription(description);
        if !matches!(level, WARNING | FATAL) {
            let words = format!("an alert of the level {level}");
            return Err(self.misbehaved(AlertDescription::ILLEGAL_PARAMETER, words));
        }
        if description == AlertDescription::CLOSE_NOTIFY {
            self.state = match self.state {
                State::Open => State::PeerClosed,
                _ => State::Closed,
            };
            self.message = Vec::new();
            duties.push(Duty::EndOfData);
            return Ok(());
        }
        // In TLS 1.3 the level says nothing, and all others but one are errors (RFC 8446 section 6).
        let is_harmless = level == WARNING
            && (self.version == TlsVersion::V1_2 || description == AlertDescription::USER_CANCELED);
        if !is_harmless {
            self.outbox.clear();
            self.state = State::Failed;
            return Err(Ending::FatalAlert(description));
        }
        if spend(&mut self.patience.warnings) {
            return Ok(());
        }
        let words = "too many warning alerts received";
        Err(self.misbehaved(AlertDescription::UNEXPECTED_MESSAGE, words))
    }

    fn received_handshake(&mut self, content: &[u8], duties: &mut Vec<Duty>) -> Result<(), Ending> {
        if content.is_empty() {
            return self.received_nothing();
        }
        self.message.extend_from_slice(content);
        let waiting = std::mem::take(&mut self.message);
        let mut rest = Reader(&waiting);
        while !rest.is_empty() {
            let front = rest;
            let Some((kind, body)) = rest.message() else {
                rest = front;
                break;
            };
            let is_last = rest.is_empty();
            let whole = &front.0[..front.0.len() - rest.0.len()];
            self.received_message(kind, body, whole, is_last, duties)?;
        }
        if announced(rest.0).max(rest.0.len()) > Self::LONGEST_MESSAGE {
            return Err(self.misbehaved(
                AlertDescription::DECODE_ERROR,
                "a handshake message that is too long",
            ));
        }
        self.message = rest.0.to_vec();
        Ok(())
    }

    fn received_message(
        &mut self,
        kind: u8,
        body: Reader<'_>,
        whole: &[u8],
        is_last: bool,
        duties: &mut Vec<Duty>,
    ) -> Result<(), Ending> {
        match (self.version, self.role, kind) {
            (TlsVersion::V1_3, Role::Client, NEW_SESSION_TICKET) => {
                if whole.len() <= Self::LONGEST_TICKET {
                    duties.push(Duty::Keep(whole.to_vec()));
                }
                Ok(())
            }
            (TlsVersion::V1_3, _, KEY_UPDATE) => self.received_key_update(body, is_last, duties),
            (TlsVersion::V1_2, Role::Client, HELLO_REQUEST)
            | (TlsVersion::V1_2, Role::Server, CLIENT_HELLO) => {
                if !spend(&mut self.patience.renegotiations) {
                    let words = "too many renegotiation requests";
                    return Err(self.misbehaved(AlertDescription::UNEXPECTED_MESSAGE, words));
                }
                self.send(Outgoing::NoRenegotiation);
                Ok(())
            }
            _ => Err(self.unexpected(&format!("the handshake message {kind}"))),
        }
    }

    /// The peer seals what follows under its next keys (RFC 8446 section 4.6.3).
    fn received_key_update(
        &mut self,
        body: Reader<'_>,
        is_last: bool,
        duties: &mut Vec<Duty>,
    ) -> Result<(), Ending> {
        if !is_last {
            // No message reaches over a change of keys (RFC 8446 section 5.1).
            let words = "key epoch with pending fragment";
            return Err(self.misbehaved(AlertDescription::UNEXPECTED_MESSAGE, words));
        }
        if !spend(&mut self.patience.key_updates) {
            let words = "too many key update requests";
            return Err(self.misbehaved(AlertDescription::UNEXPECTED_MESSAGE, words));
        }
        let is_requested = match *body.0 {
            [UPDATE_NOT_REQUESTED] => false,
            [UPDATE_REQUESTED] => true,
            [_] => {
                let alert = AlertDescription::ILLEGAL_PARAMETER;
                return Err(self.misbehaved(alert, "invalid key update"));
            }
            _ => {
                let alert = AlertDescription::DECODE_ERROR;
                return Err(self.misbehaved(alert, "invalid key update"));
            }
        };
        if !self.rekeys {
            return Err(self.cannot_renew(Direction::Receive));
        }
        duties.push(Duty::RenewReceive);
        // One answer is enough for all requests until it has left, and behind our goodbye there is
        // nothing to be sealed any more.
        if is_requested && !self.outbox.contains(&Outgoing::KeyUpdate) {
            self.send(Outgoing::KeyUpdate);
        }
        Ok(())
    }

    fn received_nothing(&mut self) -> Result<(), Ending> {
        if spend(&mut self.patience.empty_records) {
            return Ok(());
        }
        Err(self.misbehaved(AlertDescription::UNEXPECTED_MESSAGE, "too many empty fragments"))
    }

    /// The kernel could not open what came; how the session has ended by that.
    pub fn bad_record(&mut self, how: BadRecord) -> Ending {
        let (alert, cause) = match how {
            BadRecord::Forged => (AlertDescription::BAD_RECORD_MAC, Fault::BadRecord),
            BadRecord::TooLong => (
                AlertDescription::RECORD_OVERFLOW,
                Fault::Protocol("it sent a record of more than 16384 plain bytes".to_owned()),
            ),
            BadRecord::Header => (
                AlertDescription::DECODE_ERROR,
                Fault::Protocol("it sent a record with a header that none can have".to_owned()),
            ),
        };
        self.fail(alert, cause)
    }

    /// Something else was found wrong with what came, a ticket perhaps; how the session has ended by that.
    pub fn found_wrong(&mut self, ending: Ending) -> Ending {
        match ending {
            Ending::FatalError { alert: Some(alert), cause } => self.fail(alert, cause),
            other => {
                self.state = State::Failed;
                self.outbox.clear();
                other
            }
        }
    }

    /// The kernel did not take the next keys of this direction; how the session has ended by that.
    pub fn renewal_failed(&mut self, direction: Direction) -> Ending {
        self.cannot_renew(direction)
    }

    fn cannot_renew(&mut self, direction: Direction) -> Ending {
        let words = match direction {
            Direction::Receive => {
                "the peer goes on with new keys, which this kernel cannot: kernel TLS renews keys from \
                 Linux 6.14 on"
            }
            Direction::Transmit => {
                "the keys of this session are used up, and this kernel cannot go on with new ones: kernel \
                 TLS renews keys from Linux 6.14 on"
            }
        };
        let cause = Fault::Internal(words.to_owned());
        match direction {
            Direction::Receive => self.fail(AlertDescription::INTERNAL_ERROR, cause),
            // Whatever we would say is sealed under keys that the peer does not expect, or that are
            // used up; and a goodbye would pass the loss off as the end.
            Direction::Transmit => self.fail_silently(cause),
        }
    }

    /// Whether `bytes` of data, at least one, may be sent now.
    pub fn permit(&mut self, bytes: usize) -> Permit {
        if !self.outbox.is_empty() {
            return Permit::Behind;
        }
        let left = self.limit.saturating_sub(self.sealed).saturating_sub(Self::RESERVE);
        if left > 0 {
            let most = usize::try_from(left).unwrap_or(usize::MAX).saturating_mul(RECORD);
            return Permit::Bytes(bytes.min(most));
        }
        match self.version {
            TlsVersion::V1_3 if self.rekeys => {
                self.send(Outgoing::KeyUpdate);
                Permit::Behind
            }
            TlsVersion::V1_3 => Permit::End(self.cannot_renew(Direction::Transmit)),
            TlsVersion::V1_2 => {
                let cause = Fault::Internal(USED_UP.to_owned());
                Permit::End(self.fail_silently(cause))
            }
        }
    }

    /// So many bytes of data went, with one call.
    pub const fn data_sent(&mut self, bytes: usize) {
        self.sealed = self.sealed.saturating_add(bytes.div_ceil(RECORD) as u64);
    }

    /// What is to be sent next, before any data.
    pub fn outgoing(&self) -> Option<Outgoing> {
        self.outbox.front().copied()
    }

    /// [That](Self::outgoing) was sent.
    pub fn sent(&mut self) -> Sent {
        self.sealed = self.sealed.saturating_add(1);
        match self.outbox.pop_front() {
            Some(Outgoing::KeyUpdate) => {
                self.sealed = 0;
                Sent::RenewTransmit
            }
            _ => Sent::Done,
        }
    }

    /// Asks for our goodbye, behind what waits. A second call changes nothing, nor one behind a failure.
    pub fn close(&mut self) {
        self.state = match self.state {
            State::Open => State::WeClosed,
            State::PeerClosed => State::Closed,
            State::WeClosed | State::Closed | State::Failed => return,
        };
        self.outbox.push_back(Outgoing::CloseNotify);
    }

    /// Whether the goodbyes of both ends are said, and ours has left.
    pub fn is_done(&self) -> bool {
        self.state == State::Closed && self.outbox.is_empty()
    }

    /// Whether it ended otherwise than by goodbyes.
    pub fn has_failed(&self) -> bool {
        self.state == State::Failed
    }

    fn takes_nothing(&self) -> bool {
        matches!(self.state, State::PeerClosed | State::Closed | State::Failed)
    }

    /// Queues a record that is not our goodbye: behind that none may follow.
    fn send(&mut self, outgoing: Outgoing) {
        if matches!(self.state, State::Open | State::PeerClosed) {
            self.outbox.push_back(outgoing);
        }
    }

    fn unexpected(&mut self, what: &str) -> Ending {
        let words =
            format!("it sent {what} where only application data or a handshake message may come");
        self.misbehaved(AlertDescription::UNEXPECTED_MESSAGE, words)
    }

    fn misbehaved(&mut self, alert: AlertDescription, how: impl Into<String>) -> Ending {
        self.fail(alert, Fault::Protocol(how.into()))
    }

    /// Ends it, with an alert unless our goodbye went before.
    fn fail(&mut self, alert: AlertDescription, cause: Fault) -> Ending {
        let may_speak = matches!(self.state, State::Open | State::PeerClosed);
        let ending = self.fail_silently(cause);
        let Ending::FatalError { cause, .. } = ending else { return ending };
        if may_speak {
            self.outbox.push_back(Outgoing::Alert(alert));
        }
        Ending::FatalError { alert: may_speak.then_some(alert), cause }
    }

    fn fail_silently(&mut self, cause: Fault) -> Ending {
        self.state = State::Failed;
        self.outbox.clear();
        self.message = Vec::new();
        Ending::FatalError { alert: None, cause }
    }
}

/// Takes one from what is left; `false` where nothing is.
const fn spend(left: &mut u8) -> bool {
    let is_left = *left > 0;
    *left = left.saturating_sub(1);
    is_left
}

/// In the words of a session in this process.
pub(crate) const USED_UP: &str =
    "the keys of this TLS 1.2 session are used up: TLS 1.3 would renew them";

/// The length of the handshake message that begins so, header included; 0 where that is not known yet.
fn announced(front: &[u8]) -> usize {
    match front {
        [_, high, middle, low, ..] => 4 + u32::from_be_bytes([0, *high, *middle, *low]) as usize,
        _ => 0,
    }
}

impl fmt::Debug for Duties {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A ticket may be in the message.
        f.debug_struct("Duties")
            .field("state", &self.state)
            .field("version", &self.version)
            .field("rekeys", &self.rekeys)
            .field("outbox", &self.outbox)
            .field("sealed", &self.sealed)
            .finish_non_exhaustive()
    }
}
