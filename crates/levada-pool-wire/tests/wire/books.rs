//! A pool's bookkeeping against a small model of A.5: any history, also with keys that are dead.

use std::collections::BTreeSet;
use std::num::NonZeroU16;
use std::time::Duration;

use levada_pool_wire::body::{Failure, PinEntry, Ping, StartTls};
use levada_pool_wire::{
    AskError, CallbackId, Command, ConnectionKey, Envelope, ErrorCode, ExchangeKey, Exchanges,
    Full, Gone, Identity, Incoming, Limits, Message, Moment, Packet, ReplyError, RequestId,
};
use proptest::collection::vec;
use proptest::prelude::*;

const LIMITS: Limits = Limits { connections: 3, exchanges_per_connection: 4 };

#[derive(Clone, Copy, Debug)]
enum Kind {
    Ping,
    StartTls,
    PinEntry,
}

/// How a client answers.
#[derive(Clone, Copy, Debug)]
enum Manner {
    Right,
    WithDescriptor,
    Declined,
    Wrong,
}

/// What happens next. Indices count everything that ever was, so that most keys are dead.
#[derive(Clone, Debug)]
enum Action {
    Connect,
    Disconnect { connection: usize },
    Request { connection: usize, request: u16, callback: u16, kind: Kind },
    Ask { exchange: usize, connect: bool, within: u64 },
    Answer { exchange: usize, connection: Option<usize>, request: u16, manner: Manner },
    Reply { exchange: usize, error: bool },
    Deadline { exchange: usize, within: Option<u64> },
    Wait { ms: u64 },
}

fn action() -> impl Strategy<Value = Action> {
    let kind = prop_oneof![Just(Kind::Ping), Just(Kind::StartTls), Just(Kind::PinEntry)];
    let manner = prop_oneof![
        4 => Just(Manner::Right),
        3 => Just(Manner::WithDescriptor),
        1 => Just(Manner::Declined),
        1 => Just(Manner::Wrong),
    ];
    let (one, callback) = (0..64_usize, prop_oneof![3 => Just(0_u16), 1 => 1020..1026_u16]);
    let elsewhere = proptest::option::weighted(0.2, one.clone());
    prop_oneof![
        2 => Just(Action::Connect),
        1 => one.clone().prop_map(|connection| Action::Disconnect { connection }),
        6 => (one.clone(), 0..4_u16, callback, kind).prop_map(
            |(connection, request, callback, kind)| {
                Action::Request { connection, request, callback, kind }
            }
        ),
        6 => (one.clone(), any::<bool>(), 1..50_u64).prop_map(
            |(exchange, connect, within)| Action::Ask { exchange, connect, within }
        ),
        6 => (one.clone(), elsewhere, 0..4_u16, manner).prop_map(
            |(exchange, connection, request, manner)| {
                Action::Answer { exchange, connection, request, manner }
            }
        ),
        3 => (one.clone(), any::<bool>()).prop_map(
            |(exchange, error)| Action::Reply { exchange, error }
        ),
        2 => (one, proptest::option::of(1..50_u64)).prop_map(
            |(exchange, within)| Action::Deadline { exchange, within }
        ),
        2 => (0..40_u64).prop_map(|ms| Action::Wait { ms }),
    ]
}

#[derive(Debug)]
struct ModelConnection {
    key: ConnectionKey,
    open: bool,
    /// Ids that were asked and that no packet has borne since.
    taken: BTreeSet<u16>,
}

#[derive(Debug)]
struct ModelExchange {
    key: ExchangeKey,
    connection: usize,
    request: u16,
    kind: Kind,
    open: bool,
    plaintext: bool,
    question: Option<(u16, Command, u64)>,
    deadline: Option<u64>,
}

impl ModelExchange {
    fn due(&self) -> Option<u64> {
        self.question.map(|(_, _, due)| due).into_iter().chain(self.deadline).min()
    }
}

/// The real books beside the model: every answer is compared.
#[derive(Default)]
struct Test {
    now: u64,
    connections: Vec<ModelConnection>,
    exchanges: Vec<ModelExchange>,
}

fn at(ms: u64) -> Moment {
    Moment::after_start(Duration::from_millis(ms))
}

fn id(number: u16) -> Option<CallbackId> {
    NonZeroU16::new(number).map(CallbackId)
}

fn body() -> StartTls {
    StartTls { local_id: Identity::new("orvelte.nep").unwrap(), ..StartTls::default() }
}

fn message(command: Command) -> Message {
    match command {
        Command::Ping => Message::Ping(Ping::default()),
        Command::StartTls => Message::StartTls(body()),
        Command::StartTlsLocalId => Message::StartTlsLocalId(body()),
        Command::PlaintextConnect => Message::PlaintextConnect(body()),
        Command::PinEntry => Message::PinEntry(PinEntry::default()),
        _ => Message::Success,
    }
}

impl Test {
    fn open_exchanges(&self, connection: usize) -> usize {
        self.exchanges.iter().filter(|e| e.open && e.connection == connection).count()
    }

    /// The packet goes to the exchange's own connection, under its client's latest id.
    fn assert_address(&self, exchange: usize, envelope: &Envelope) {
        let model = &self.exchanges[exchange];
        assert_eq!(envelope.connection, self.connections[model.connection].key);
        assert_eq!(envelope.packet.request, RequestId(model.request));
    }

    fn run(&mut self, books: &mut Exchanges, action: &Action) {
        match *action {
            Action::Connect => {
                let room = self.connections.iter().filter(|c| c.open).count() < LIMITS.connections;
                match books.connect() {
                    Ok(key) => {
                        assert!(room);
                        assert!(self.connections.iter().all(|c| c.key != key), "keys are new");
                        let taken = BTreeSet::new();
                        self.connections.push(ModelConnection { key, open: true, taken });
                    }
                    Err(Full) => assert!(!room),
                }
            }
            Action::Disconnect { connection } => {
                let Some(at) = connection.checked_rem(self.connections.len()) else { return };
                let mut ended = vec![];
                for exchange in self.exchanges.iter_mut().filter(|e| e.open && e.connection == at) {
                    exchange.open = false;
                    ended.push(exchange.key);
                }
                let model = &mut self.connections[at];
                let wanted = if model.open { Ok(ended) } else { Err(Gone) };
                model.open = false;
                assert_eq!(books.handle_disconnect(model.key), wanted);
            }
            Action::Request { connection, request, callback, kind } => {
                let Some(at) = connection.checked_rem(self.connections.len()) else { return };
                self.request(books, at, request, callback, kind);
            }
            Action::Ask { exchange, connect, within } => {
                let Some(at) = exchange.checked_rem(self.exchanges.len()) else { return };
                self.ask(books, at, connect, within);
            }
            Action::Answer { exchange, connection, request, manner } => {
                let Some(at) = exchange.checked_rem(self.exchanges.len()) else { return };
                let via = connection
                    .map_or(self.exchanges[at].connection, |other| other % self.connections.len());
                self.answer(books, at, via, request, manner);
            }
            Action::Reply { exchange, error } => {
                let Some(at) = exchange.checked_rem(self.exchanges.len()) else { return };
                self.reply(books, at, error);
            }
            Action::Deadline { exchange, within } => {
                let Some(index) = exchange.checked_rem(self.exchanges.len()) else { return };
                let deadline = within.map(|within| self.now + within);
                let model = &mut self.exchanges[index];
                let result = books.set_deadline(model.key, deadline.map(at));
                assert_eq!(result, if model.open { Ok(()) } else { Err(Gone) });
                model.deadline = deadline;
            }
            Action::Wait { ms } => {
                self.now += ms;
                self.expire(books);
            }
        }
    }

    fn request(&mut self, books: &mut Exchanges, at: usize, request: u16, cb: u16, kind: Kind) {
        let ours = |e: &&ModelExchange| e.open && e.connection == at;
        let answers = |e: &ModelExchange| e.question.is_some_and(|(asked, ..)| asked == cb);
        if self.exchanges.iter().filter(ours).any(answers) {
            return; // That would be an answer, which has an action of its own.
        }
        let (command, descriptor) = match kind {
            Kind::Ping => (Command::Ping, false),
            Kind::StartTls => (Command::StartTls, true),
            Kind::PinEntry => (Command::PinEntry, false),
        };
        let packet =
            Packet { request: RequestId(request), callback: id(cb), message: message(command) };
        let room = self.open_exchanges(at) < LIMITS.exchanges_per_connection;
        let model = &mut self.connections[at];
        if model.open {
            model.taken.remove(&cb);
        }
        match books.handle_packet(model.key, &packet, descriptor) {
            Ok(Incoming::Request { exchange: key }) => {
                assert!(model.open && room);
                assert!(self.exchanges.iter().all(|e| e.key != key), "keys are new");
                self.exchanges.push(ModelExchange {
                    key,
                    connection: at,
                    request,
                    kind,
                    open: true,
                    plaintext: false,
                    question: None,
                    deadline: None,
                });
            }
            Ok(Incoming::Refused(refusal)) => {
                assert!(model.open && !room);
                assert_eq!(refusal.code(), ErrorCode::OutOfMemory);
                let envelope = refusal.envelope();
                assert_eq!(envelope.connection, model.key);
                assert_eq!(envelope.packet.request, packet.request);
            }
            Err(Gone) => assert!(!model.open),
            other => panic!("{other:?}"),
        }
    }

    fn ask(&mut self, books: &mut Exchanges, at_index: usize, connect: bool, within: u64) {
        let due = self.now + within;
        let model = &self.exchanges[at_index];
        let question = match (model.kind, connect) {
            (Kind::PinEntry, _) => Command::PinEntry,
            (_, true) => Command::PlaintextConnect,
            (_, false) => Command::StartTlsLocalId,
        };
        let fits = match model.kind {
            Kind::Ping => false,
            Kind::StartTls => !(connect && model.plaintext),
            Kind::PinEntry => true,
        };
        let result = books.ask(model.key, message(question), at(due));
        if !model.open {
            assert_eq!(result, Err(AskError::Gone));
        } else if model.question.is_some() || !fits {
            assert_eq!(result, Err(AskError::NotNow(question)));
        } else {
            let envelope = result.unwrap();
            self.assert_address(at_index, &envelope);
            let taken = &mut self.connections[self.exchanges[at_index].connection].taken;
            let highest = (1..=1024).rev().find(|id| !taken.contains(id)).unwrap();
            assert_eq!(envelope.packet.callback, id(highest));
            taken.insert(highest);
            self.exchanges[at_index].question = Some((highest, question, due));
        }
    }

    /// Answers the question of an exchange, on its own connection or on another.
    fn answer(
        &mut self,
        books: &mut Exchanges,
        index: usize,
        via: usize,
        request: u16,
        manner: Manner,
    ) {
        let Some((callback, question, _)) = self.exchanges[index].question else { return };
        // On another connection the id may belong to a question of that one.
        let asked_there = |e: &ModelExchange| {
            e.open && e.connection == via && e.question.is_some_and(|(id, ..)| id == callback)
        };
        let target = self.exchanges.iter().position(asked_there);
        let descriptor = matches!(manner, Manner::WithDescriptor);
        let reply = match manner {
            Manner::Right | Manner::WithDescriptor => message(question),
            Manner::Declined => Message::Error(Failure::from_errno(1)),
            Manner::Wrong => Message::Success,
        };
        let packet = Packet { request: RequestId(request), callback: id(callback), message: reply };
        let connection = &mut self.connections[via];
        let result = books.handle_packet(connection.key, &packet, descriptor);
        if !connection.open {
            assert_eq!(result, Err(Gone));
            return;
        }
        connection.taken.remove(&callback);
        let Some(target) = target else {
            // Not outstanding there: a new command. Only PINENTRY could be one.
            match result.unwrap() {
                Incoming::Refused(refusal) => {
                    assert_eq!(refusal.envelope().connection, connection.key);
                }
                Incoming::Request { exchange } => {
                    assert!(matches!(question, Command::PinEntry));
                    self.exchanges.push(ModelExchange {
                        key: exchange,
                        connection: via,
                        request,
                        kind: Kind::PinEntry,
                        open: true,
                        plaintext: false,
                        question: None,
                        deadline: None,
                    });
                }
                other => panic!("{other:?}"),
            }
            return;
        };
        let model = &mut self.exchanges[target];
        let (_, question, _) = model.question.take().unwrap();
        model.request = request;
        let same = packet.message.command() == question;
        let code = match (question, manner) {
            (Command::PlaintextConnect, Manner::Declined) => Some(ErrorCode::BadCallbackResponse),
            (_, Manner::Declined) => Some(ErrorCode::ClientRefusesCallback),
            _ if !same => Some(ErrorCode::BadCallbackResponse),
            (Command::PlaintextConnect, Manner::Right) => Some(ErrorCode::PlainSocketNeeded),
            (Command::PinEntry, Manner::WithDescriptor) => Some(ErrorCode::SuperfluousSocket),
            _ => None,
        };
        let exchange = model.key;
        if let Some(code) = code {
            model.open = false;
            let Incoming::Ended { exchange: ended, refusal } = result.unwrap() else {
                panic!("{code:?} was due")
            };
            assert_eq!((ended, refusal.code()), (exchange, code));
            self.assert_address(target, &refusal.envelope());
        } else {
            model.plaintext |= descriptor;
            assert_eq!(result, Ok(Incoming::Answer { exchange, question }));
        }
    }

    fn reply(&mut self, books: &mut Exchanges, index: usize, error: bool) {
        let model = &mut self.exchanges[index];
        let command = match (error, model.kind) {
            (true, _) => Command::Error,
            (false, Kind::StartTls) => Command::StartTls,
            (false, Kind::Ping | Kind::PinEntry) => Command::Ping,
        };
        let fits = match model.kind {
            _ if error => true,
            Kind::Ping => true,
            Kind::StartTls => model.plaintext && model.question.is_none(),
            Kind::PinEntry => false,
        };
        let reply = if error { ErrorCode::HandshakeFailed.into() } else { message(command) };
        let result = books.reply(model.key, reply);
        if !model.open {
            assert_eq!(result, Err(ReplyError::Gone));
        } else if !fits {
            assert_eq!(result, Err(ReplyError::NotNow(command)));
        } else {
            model.open = false;
            let envelope = result.unwrap();
            assert_eq!(envelope.packet.callback, None);
            self.assert_address(index, &envelope);
        }
    }

    fn expire(&mut self, books: &mut Exchanges) {
        while let Some(expired) = books.poll_expired(at(self.now)) {
            let index = self.exchanges.iter().position(|e| e.key == expired.exchange).unwrap();
            let model = &mut self.exchanges[index];
            assert!(model.open && model.due().is_some_and(|due| due <= self.now));
            let code = match model.question {
                Some((_, _, due)) if Some(due) == model.due() => ErrorCode::ClientRefusesCallback,
                _ => ErrorCode::HandshakeFailed,
            };
            model.open = false;
            assert_eq!(expired.refusal.code(), code);
            self.assert_address(index, &expired.refusal.envelope());
        }
        assert!(self.exchanges.iter().all(|e| !e.open || e.due().is_none_or(|d| d > self.now)));
    }
}

proptest! {
    #[test]
    fn a5_b4_any_history_agrees_with_the_model(actions in vec(action(), 1..200)) {
        let (mut books, mut test) = (Exchanges::new(LIMITS), Test::default());
        for action in &actions {
            test.run(&mut books, action);
            let open = || test.exchanges.iter().filter(|e| e.open);
            prop_assert_eq!(books.len(), open().count());
            prop_assert_eq!(
                books.next_deadline(),
                open().filter_map(ModelExchange::due).min().map(at)
            );
        }
    }
}
