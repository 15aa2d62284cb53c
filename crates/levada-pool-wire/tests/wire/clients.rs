//! Many clients on one pool, with slow workers and clients that go away (B.3, B.4): every client
//! hears its own replies, and nobody else's.

use std::collections::BTreeMap;
use std::time::Duration;

use levada_pool_wire::body::{Failure, StartTls};
use levada_pool_wire::{
    CallKey, Calls, ConnectionKey, ErrorNumber, ExchangeKey, Exchanges, Heard, Identity, Incoming,
    Limits, Message, Moment, Packet, Text,
};
use proptest::collection::vec;
use proptest::prelude::*;

const CLIENTS: usize = 4;
const LIMITS: Limits = Limits { connections: CLIENTS, exchanges_per_connection: 8 };

/// A client on its connection. `tags` is what it knows of its calls: the `local` that it sent.
struct Client {
    connection: ConnectionKey,
    calls: Calls,
    tags: BTreeMap<CallKey, u32>,
}

impl Client {
    fn connect(pool: &mut Exchanges) -> Self {
        let connection = pool.connect().expect("as many as the limit");
        Self { connection, calls: Calls::new(8), tags: BTreeMap::new() }
    }
}

/// What a worker of the pool works on.
#[derive(Clone)]
struct Job {
    exchange: ExchangeKey,
    request: StartTls,
    plaintext: bool,
}

#[derive(Clone, Copy, Debug)]
enum Action {
    Call { client: usize },
    Reconnect { client: usize },
    Work { job: usize, ask: bool },
    Fail { job: usize },
}

fn action() -> impl Strategy<Value = Action> {
    let client = 0..CLIENTS;
    prop_oneof![
        4 => client.clone().prop_map(|client| Action::Call { client }),
        1 => client.prop_map(|client| Action::Reconnect { client }),
        8 => (any::<usize>(), any::<bool>()).prop_map(|(job, ask)| Action::Work { job, ask }),
        1 => any::<usize>().prop_map(|job| Action::Fail { job }),
    ]
}

struct Test {
    pool: Exchanges,
    clients: Vec<Client>,
    /// Workers forget nothing: jobs of clients that went away stay.
    jobs: Vec<Job>,
    next_tag: u32,
}

impl Test {
    fn new() -> Self {
        let mut pool = Exchanges::new(LIMITS);
        let clients = (0..CLIENTS).map(|_| Client::connect(&mut pool)).collect();
        Self { pool, clients, jobs: Vec::new(), next_tag: 1 }
    }

    fn run(&mut self, action: Action) {
        match action {
            Action::Call { client } => {
                let client = &mut self.clients[client];
                let request = StartTls {
                    local: self.next_tag,
                    local_id: Identity::new(self.next_tag.to_string()).unwrap(),
                    ..StartTls::default()
                };
                let message = Message::StartTls(request.clone());
                let Ok((call, packet)) = client.calls.call(message, true, None) else { return };
                client.tags.insert(call, self.next_tag);
                self.next_tag += 1;
                let incoming = self.pool.handle_packet(client.connection, &packet, true);
                let Ok(Incoming::Request { exchange }) = incoming else { panic!("{incoming:?}") };
                self.jobs.push(Job { exchange, request, plaintext: false });
            }
            Action::Reconnect { client } => {
                let gone = self.clients[client].connection;
                self.pool.handle_disconnect(gone).expect("it was there");
                self.clients[client] = Client::connect(&mut self.pool);
            }
            Action::Work { job, ask } => {
                let Some(at) = job.checked_rem(self.jobs.len()) else { return };
                self.work(at, ask);
            }
            Action::Fail { job } => {
                let Some(at) = job.checked_rem(self.jobs.len()) else { return };
                // The number says whose it is.
                let Job { exchange, request, .. } = self.jobs[at].clone();
                let number = ErrorNumber::from_wire(request.local.cast_signed());
                let failure = Failure { number, message: Text::EMPTY };
                if let Ok(envelope) = self.pool.reply(exchange, Message::Error(failure)) {
                    self.deliver(envelope.connection, &envelope.packet);
                }
            }
        }
    }

    fn work(&mut self, at: usize, ask: bool) {
        let Job { exchange, request, plaintext } = self.jobs[at].clone();
        if plaintext && !ask {
            if let Ok(envelope) = self.pool.reply(exchange, Message::StartTls(request)) {
                self.deliver(envelope.connection, &envelope.packet);
            }
            return;
        }
        let (question, due) = if plaintext {
            (Message::StartTlsLocalId(request), Moment::after_start(Duration::MAX))
        } else {
            (Message::PlaintextConnect(request), Moment::after_start(Duration::MAX))
        };
        if let Ok(envelope) = self.pool.ask(exchange, question, due) {
            self.deliver(envelope.connection, &envelope.packet);
            self.jobs[at].plaintext = true;
        }
    }

    /// A packet arrives; the client checks that it is about its own call, and answers at once.
    fn deliver(&mut self, connection: ConnectionKey, packet: &Packet) {
        let client =
            self.clients.iter_mut().find(|c| c.connection == connection).expect("it is open");
        let tag = match &packet.message {
            Message::StartTls(body)
            | Message::StartTlsLocalId(body)
            | Message::PlaintextConnect(body) => body.local,
            Message::Error(failure) => failure.number.to_wire().cast_unsigned(),
            other => panic!("{other:?}"),
        };
        match client.calls.handle_packet(packet) {
            Heard::Reply { call } => {
                assert_eq!(client.tags.remove(&call), Some(tag), "another call's reply");
            }
            Heard::Question { call, .. } => {
                assert_eq!(client.tags.get(&call), Some(&tag), "another call's question");
                let descriptor = matches!(packet.message, Message::PlaintextConnect(_));
                let answer = client.calls.answer(call, packet.message.clone(), descriptor).unwrap();
                let incoming = self.pool.handle_packet(connection, &answer, descriptor);
                assert!(matches!(incoming, Ok(Incoming::Answer { .. })), "{incoming:?}");
            }
            other => panic!("{other:?}"),
        }
    }
}

proptest! {
    #[test]
    fn b4_every_client_hears_its_own_replies_and_nobody_elses(
        actions in vec(action(), 1..300),
    ) {
        let mut test = Test::new();
        for action in actions {
            test.run(action);
        }
        // What is left is replied to, and then nobody waits.
        for at in 0..test.jobs.len() {
            test.work(at, false);
            test.work(at, false);
        }
        prop_assert!(test.pool.is_empty());
        prop_assert!(test.clients.iter().all(|client| client.calls.is_empty()));
        prop_assert!(test.clients.iter().all(|client| client.tags.is_empty()));
    }
}
