//! One control connection: a task that owns its socket, its exchanges and their work.
//!
//! Nothing of another connection is in here, so that no reply can go to another client.

mod requests;
mod services;

use std::collections::{HashMap, VecDeque};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use levada_pool_wire::diagram::Party;
use levada_pool_wire::{
    ConnectionKey, ControlKey, Envelope, ErrorCode, ExchangeKey, Exchanges, Full, Gone, Identity,
    Incoming, Limits, Message, Moment, Packet, PacketBytes, Page, Reassembler, Report,
};
use levada_sys::{PeerCredentials, descriptors};
use tokio::io::Interest;
use tokio::net::UnixStream;
use tokio::sync::{mpsc, oneshot};
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep_until};

use crate::hand_backs::HandBacks;
use crate::notice::Notice;
use crate::ownership::ClientId;
use crate::pages::Pages;
use crate::pending::Pending;
use crate::pool::Shared;
use crate::service::{Answering, NoAnswer};
use crate::session::given_up;
use crate::starttls::{Answer, Failed, Protected};
use services::Seat;

/// Packets that wait for a client who does not read. Beyond them nothing is read from it.
const BACKLOG: usize = 64;

/// What the work of an exchange has to say.
pub(crate) enum Event {
    /// It asks the application.
    Ask { exchange: ExchangeKey, question: Message, answer: oneshot::Sender<Answer> },
    /// A service is asked, which the exchange has registered.
    Consult { exchange: ExchangeKey, question: Message, within: Duration, answer: Answering },
    /// It has a reply.
    Reply { exchange: ExchangeKey, message: Message },
    /// A session has told of itself for a page, or is no more.
    Told { exchange: ExchangeKey, page: Box<Page>, text: Option<Vec<u8>> },
    /// A handshake is over.
    Over { exchange: ExchangeKey, outcome: Result<Box<Protected>, Failed> },
}

/// One control connection.
pub(crate) struct Control {
    pool: Arc<Shared>,
    stream: UnixStream,
    client: ClientId,
    credentials: Arc<PeerCredentials>,
    born: Instant,
    exchanges: Exchanges,
    connection: ConnectionKey,
    incoming: Reassembler<OwnedFd>,
    outgoing: VecDeque<PacketBytes>,
    work: HashMap<ExchangeKey, Work>,
    /// The services that this client gives.
    seats: HashMap<ExchangeKey, Seat>,
    events: mpsc::Sender<Event>,
    /// The protocols of STARTTLS requests to come. A client may send several before the first of those: its
    /// tasks share the connection.
    offers: Pending<ControlKey, Vec<Vec<u8>>>,
    hand_backs: HandBacks,
    pages: Pages,
}

/// What is done for an exchange. Dropping it ends that.
struct Work {
    task: AbortHandle,
    /// Where the answer goes that the application owes.
    answer: Option<oneshot::Sender<Answer>>,
    /// The number and the key of a handshake's session: its failure is kept under them.
    session: Option<(u64, ControlKey)>,
}

impl Drop for Work {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Also where the task is aborted: what the client owned has to learn of it.
impl Drop for Control {
    fn drop(&mut self) {
        self.vacate_all();
        self.pool.registry.disconnect(self.client, self.credentials.uid);
    }
}

/// The control connection is to be closed.
struct Closed;

impl From<Gone> for Closed {
    fn from(_: Gone) -> Self {
        Self
    }
}

impl Control {
    /// Serves a client until it closes the connection, or the pool stops.
    ///
    /// # Errors
    ///
    /// When the kernel does not say who the client is.
    pub(crate) async fn serve(
        pool: Arc<Shared>,
        stream: UnixStream,
        client: ClientId,
    ) -> io::Result<()> {
        let credentials = Arc::new(PeerCredentials::of(&stream)?);
        let limits = Limits { connections: 1, exchanges_per_connection: pool.limits.exchanges };
        let mut exchanges = Exchanges::new(limits);
        let connection = exchanges.connect().map_err(|full: Full| io::Error::other(full))?;
        // An exchange has one event on its way at a time.
        let (events, mut heard) = mpsc::channel(pool.limits.exchanges.max(1));
        let most = pool.policy.now().clients_per_user();
        if !pool.registry.connect(credentials.uid, most) {
            pool.tell(&Notice::TooMany { uid: credentials.uid, clients: most.unwrap_or_default() });
            return Ok(());
        }
        // From here on its drop leaves the registry again.
        let mut control = Self {
            pool,
            stream,
            client,
            credentials,
            born: Instant::now(),
            exchanges,
            connection,
            incoming: Reassembler::new(),
            outgoing: VecDeque::new(),
            work: HashMap::new(),
            seats: HashMap::new(),
            events,
            offers: Pending::default(),
            hand_backs: HandBacks::default(),
            pages: Pages::default(),
        };
        while control.turn(&mut heard).await.is_ok() {}
        Ok(())
    }

    /// One thing that happens.
    async fn turn(&mut self, heard: &mut mpsc::Receiver<Event>) -> Result<(), Closed> {
        let due = self.exchanges.next_deadline().map(|moment| self.born + moment.elapsed());
        let interest = match (self.outgoing.is_empty(), self.outgoing.len() < BACKLOG) {
            (true, _) => Interest::READABLE,
            (false, true) => Interest::READABLE | Interest::WRITABLE,
            (false, false) => Interest::WRITABLE,
        };
        tokio::select! {
            Some(event) = heard.recv() => self.hear(event),
            () = until(due) => self.expire(),
            ready = self.stream.ready(interest) => {
                ready.map_err(|_| Closed)?;
                self.flush()?;
                if interest.is_readable() { self.read()? }
            }
        }
        self.flush()
    }

    fn now(&self) -> Moment {
        Moment::after_start(self.born.elapsed())
    }

    /// Reads once, never past the end of a packet.
    fn read(&mut self) -> Result<(), Closed> {
        let (stream, room) = (&self.stream, self.incoming.unfilled());
        let read = stream.try_io(Interest::READABLE, || descriptors::receive(stream.as_fd(), room));
        let received = match read {
            Ok(received) => received,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(_) => return Err(Closed),
        };
        if received.bytes == 0 {
            return Err(Closed);
        }
        // What belongs to no packet is closed with the progress.
        let progress = self.incoming.advance(received.bytes, received.descriptors);
        let Some(packet) = progress.map_err(|_| Closed)?.packet else { return Ok(()) };
        let descriptor = packet.descriptor;
        let incoming = match Packet::decode(packet.bytes.expose()) {
            Ok(packet) => {
                let has_descriptor = descriptor.is_some();
                let incoming =
                    self.exchanges.handle_packet(self.connection, &packet, has_descriptor)?;
                match incoming {
                    Incoming::Request { exchange } => {
                        self.request(exchange, packet.message, descriptor);
                        return Ok(());
                    }
                    Incoming::Answer { exchange, .. } => {
                        self.answered(exchange, packet.message, descriptor);
                        return Ok(());
                    }
                    refused => refused,
                }
            }
            Err(error) => self.exchanges.handle_malformed(self.connection, &error)?,
        };
        match incoming {
            Incoming::Refused(refusal) => self.send(&refusal.envelope()),
            Incoming::Ended { exchange, refusal } => {
                let why = "the application declined a question, or answered what is no answer";
                self.leave(exchange, refusal.code(), why);
                self.vacate(
                    exchange,
                    match refusal.code() {
                        ErrorCode::ClientRefusesCallback => NoAnswer::Declined,
                        _ => NoAnswer::Unusable,
                    },
                );
                self.send(&refusal.envelope());
            }
            // Dealt with above; bytes that are no packet open and answer nothing.
            Incoming::Request { .. } | Incoming::Answer { .. } => {}
        }
        Ok(())
    }

    fn answered(&mut self, exchange: ExchangeKey, message: Message, descriptor: Option<OwnedFd>) {
        let Some(message) = self.consulted(exchange, message) else { return };
        let answer = self.work.get_mut(&exchange).and_then(|work| work.answer.take());
        if let Some(answer) = answer
            && let Message::StartTlsLocalId(body) | Message::PlaintextConnect(body) = message
        {
            // A handshake that has failed meanwhile does not listen; its end is on its way.
            let _ = answer.send(Answer { body, descriptor });
        }
    }

    fn hear(&mut self, event: Event) {
        match event {
            Event::Ask { exchange, question, answer } => self.ask(exchange, question, answer),
            Event::Consult { exchange, question, within, answer } => {
                self.consult(exchange, question, within, answer);
            }
            Event::Reply { exchange, message } => {
                self.work.remove(&exchange);
                self.reply(exchange, message);
            }
            Event::Told { exchange, page, text } => self.told(exchange, &page, text),
            Event::Over { exchange, outcome } => match outcome {
                Ok(protected) => self.protected(exchange, *protected),
                Err(failed) => self.failed(exchange, failed),
            },
        }
    }

    fn ask(&mut self, exchange: ExchangeKey, question: Message, answer: oneshot::Sender<Answer>) {
        let due = self.now().after(self.pool.limits.answer);
        match self.exchanges.ask(exchange, question, due) {
            Ok(envelope) => {
                if let Some(work) = self.work.get_mut(&exchange) {
                    work.answer = Some(answer);
                }
                self.send(&envelope);
            }
            Err(error) => {
                let code = ErrorCode::ClientRefusesCallback;
                self.give_up(exchange, code, error.to_string(), given_up(code));
                self.reply(exchange, code.into());
            }
        }
    }

    /// The reply comes first: it is the exchange that says whether there may be a session.
    fn protected(&mut self, exchange: ExchangeKey, protected: Protected) {
        let Protected { reply, mut session, hand_back, place, names, permit } = protected;
        let service = String::from_utf8_lossy(reply.service.as_bytes()).into();
        let envelope = match self.exchanges.reply(exchange, Message::StartTls(reply)) {
            Ok(envelope) => envelope,
            // It has ended meanwhile, and has had its reply: then this one goes nowhere. No other error is
            // possible, since a handshake waits for its last answer, and would leave a client waiting.
            Err(error) => {
                return self.failed(exchange, Failed::new(ErrorCode::HandshakeFailed, error));
            }
        };
        self.work.remove(&exchange);
        let (local_id, remote_id) = names;
        let words = |id: &Identity| String::from_utf8_lossy(id.as_bytes()).into();
        self.pool.tell(&Notice::Protected {
            session: place.number(),
            uid: self.credentials.uid,
            names: (words(&local_id), words(&remote_id)),
            service,
            hand_back: hand_back.clone().map(|outcome| outcome.map(drop)),
        });
        if let Some(outcome) = hand_back {
            self.hand_backs.settle(place.key(), outcome);
        }
        place.protect(&session, local_id, remote_id);
        self.send(&envelope);
        let pool = self.pool.clone();
        tokio::spawn(async move {
            let over = session.run().await;
            let number = place.number();
            place.end(session.reported(over.report()));
            // Not before that: whoever asks a session that is no more looks for what it has left.
            drop(session);
            pool.tell(&over.notice(number));
            drop(permit);
        });
    }

    fn failed(&mut self, exchange: ExchangeKey, failed: Failed) {
        let Failed { code, why, report, .. } = failed;
        let report = report.map_or_else(|| given_up(code), |report| *report);
        self.give_up(exchange, code, why, report);
        self.reply(exchange, code.into());
    }

    fn expire(&mut self) {
        while let Some(expired) = self.exchanges.poll_expired(self.now()) {
            let (exchange, code) = (expired.exchange, expired.refusal.code());
            match expired.waited_for {
                Party::Application => {
                    self.leave(exchange, code, "the application did not answer");
                    self.vacate(exchange, NoAnswer::Late);
                }
                Party::Pool => {
                    self.give_up(exchange, code, "the handshake took too long", given_up(code));
                }
            }
            self.send(&expired.refusal.envelope());
        }
    }

    /// Ends the work of an exchange: what it had in hand is closed. Why is kept, and told.
    fn give_up(
        &mut self,
        exchange: ExchangeKey,
        code: ErrorCode,
        why: impl Into<String>,
        report: Report,
    ) {
        let work = self.work.remove(&exchange);
        if let Some((session, key)) = work.and_then(|mut work| work.session.take()) {
            self.mourn(session, &key, code, why.into(), report);
        }
    }

    /// Leaves the work of an exchange that has no answer to expect: it tells the peer, and ends.
    fn leave(&mut self, exchange: ExchangeKey, code: ErrorCode, why: &str) {
        let Some(work) = self.work.get_mut(&exchange) else { return };
        work.answer = None;
        if let Some((session, key)) = work.session.take() {
            self.mourn(session, &key, code, why.to_owned(), given_up(code));
        }
    }

    fn mourn(&self, session: u64, key: &ControlKey, code: ErrorCode, why: String, report: Report) {
        self.pool.registry.keep(self.client, key, report);
        let uid = self.credentials.uid;
        self.pool.tell(&Notice::Failed { session, uid, code, why });
    }

    fn reply(&mut self, exchange: ExchangeKey, message: Message) {
        // An exchange that has ended meanwhile has had its reply.
        if let Ok(envelope) = self.exchanges.reply(exchange, message) {
            self.send(&envelope);
        }
    }

    fn send(&mut self, envelope: &Envelope) {
        debug_assert_eq!(envelope.connection, self.connection, "each has exchanges of its own");
        self.outgoing.push_back(envelope.packet.encode());
    }

    /// Sends what waits, each packet with one call: the kernel takes it whole or not at all.
    fn flush(&mut self) -> Result<(), Closed> {
        while let Some(packet) = self.outgoing.front() {
            let stream = &self.stream;
            let send = || descriptors::send(stream.as_fd(), packet.expose(), &[]);
            match stream.try_io(Interest::WRITABLE, send) {
                Ok(count) if count == packet.expose().len() => drop(self.outgoing.pop_front()),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                // Half a packet would put every later one out of step.
                Ok(_) | Err(_) => return Err(Closed),
            }
        }
        Ok(())
    }
}

async fn until(due: Option<Instant>) {
    match due {
        Some(due) => sleep_until(due).await,
        None => std::future::pending().await,
    }
}
