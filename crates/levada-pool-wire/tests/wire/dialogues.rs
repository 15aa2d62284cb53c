//! Whole dialogues between a client's books and a pool's.

use std::num::NonZeroU16;
use std::time::Duration;

use levada_pool_wire::body::{Control, Failure, PinEntry, Ping, StartTls};
use levada_pool_wire::diagram::{Party, State};
use levada_pool_wire::{
    AnswerError, AskError, CallError, CallbackId, Calls, Command, ConnectionKey, ErrorCode,
    ExchangeKey, Exchanges, Heard, Identity, Incoming, Message, Moment, PACKET_SIZE, Packet,
    RequestId, StartTlsFlags,
};

const NOW: Moment = Moment::after_start(Duration::ZERO);
const SOON: Moment = Moment::after_start(Duration::from_secs(1));
const LATER: Moment = Moment::after_start(Duration::from_secs(2));

fn body(flags: StartTlsFlags) -> StartTls {
    StartTls { flags, local_id: Identity::new("orvelte.nep").unwrap(), ..StartTls::default() }
}

fn server() -> StartTls {
    body(StartTlsFlags::SERVER)
}

fn connected() -> (Exchanges, ConnectionKey) {
    let mut pool = Exchanges::default();
    let connection = pool.connect().unwrap();
    (pool, connection)
}

/// The client's packet opens an exchange.
fn opened(
    pool: &mut Exchanges,
    connection: ConnectionKey,
    packet: &Packet,
    descriptor: bool,
) -> ExchangeKey {
    match pool.handle_packet(connection, packet, descriptor) {
        Ok(Incoming::Request { exchange }) => exchange,
        other => panic!("{other:?}"),
    }
}

/// The code with which the client's packet is refused.
fn refused(pool: &mut Exchanges, connection: ConnectionKey, packet: &Packet, with: bool) -> u8 {
    match pool.handle_packet(connection, packet, with) {
        Ok(Incoming::Refused(refusal)) => {
            assert_eq!(refusal.envelope().packet.request, packet.request);
            refusal.code().offset()
        }
        other => panic!("{other:?}"),
    }
}

fn packet(request: u16, callback: u16, message: Message) -> Packet {
    let callback = NonZeroU16::new(callback).map(CallbackId);
    Packet { request: RequestId(request), callback, message }
}

#[test]
fn a7_the_whole_message_flow_on_both_sides() {
    let (mut pool, connection) = connected();
    let mut client = Calls::new(8);

    let ping = Message::Ping(Ping::default());
    let (call, sent) = client.call(ping.clone(), false, None).unwrap();
    assert_eq!(sent.request, RequestId(0), "0 is a legal id");
    let exchange = opened(&mut pool, connection, &sent, false);
    assert_eq!(pool.state(exchange), Some(State::IdentityAndFeatures));
    let reply = pool.reply(exchange, ping).unwrap();
    assert_eq!(client.handle_packet(&reply.packet), Heard::Reply { call });

    let (call, sent) = client.call(Message::StartTls(server()), true, None).unwrap();
    let exchange = opened(&mut pool, connection, &sent, true);
    let both = |pool: &Exchanges, client: &Calls| {
        assert_eq!(pool.state(exchange), client.state(call), "both sides agree");
        (pool.state(exchange).unwrap(), pool.waits_for(exchange).unwrap())
    };
    assert_eq!(both(&pool, &client), (State::Handshake, Party::Pool));
    for (message, state, descriptor) in [
        (Message::StartTlsLocalId(server()), State::LocalIdentityCheck, false),
        (Message::PlaintextConnect(server()), State::Reconnect, true),
    ] {
        let question = message.command();
        let asked = pool.ask(exchange, message.clone(), SOON).unwrap();
        assert_eq!(client.handle_packet(&asked.packet), Heard::Question { call, question });
        assert_eq!(both(&pool, &client), (state, Party::Application));
        let answer = client.answer(call, message, descriptor).unwrap();
        let incoming = pool.handle_packet(connection, &answer, descriptor);
        assert_eq!(incoming, Ok(Incoming::Answer { exchange, question }));
        assert_eq!(both(&pool, &client), (State::Handshake, Party::Pool));
    }
    let reply = pool.reply(exchange, Message::StartTls(server())).unwrap();
    assert_eq!(client.handle_packet(&reply.packet), Heard::Reply { call });
    assert!(pool.is_empty() && client.is_empty());
}

#[test]
fn a5_an_asynchronous_client_changes_its_request_id_with_every_packet() {
    let (mut pool, connection) = connected();
    let exchange =
        opened(&mut pool, connection, &packet(500, 0, Message::StartTls(server())), true);
    let asked = pool.ask(exchange, Message::StartTlsLocalId(server()), SOON).unwrap().packet;
    assert_eq!(
        (asked.request, asked.callback),
        (RequestId(500), packet(0, 1024, Message::Success).callback)
    );

    let answer = packet(77, 1024, Message::StartTlsLocalId(server()));
    assert!(matches!(
        pool.handle_packet(connection, &answer, false),
        Ok(Incoming::Answer { question: Command::StartTlsLocalId, .. })
    ));
    let asked = pool.ask(exchange, Message::PlaintextConnect(server()), SOON).unwrap().packet;
    assert_eq!(asked.request, RequestId(77));
    let answer = packet(9, 1024, Message::PlaintextConnect(server()));
    assert!(matches!(pool.handle_packet(connection, &answer, true), Ok(Incoming::Answer { .. })));
    let reply = pool.reply(exchange, Message::StartTls(server())).unwrap().packet;
    assert_eq!((reply.request, reply.callback), (RequestId(9), None));
}

#[test]
fn a5_an_answer_counts_only_on_its_own_connection() {
    let (mut pool, connection) = connected();
    let stranger = pool.connect().unwrap();
    let exchange = opened(&mut pool, connection, &packet(0, 0, Message::StartTls(server())), true);
    pool.ask(exchange, Message::PlaintextConnect(server()), SOON).unwrap();
    let answer = packet(0, 1024, Message::PlaintextConnect(server()));
    assert_eq!(refused(&mut pool, stranger, &answer, true), 8, "a new command, and no such");
    assert_eq!(pool.state(exchange), Some(State::Reconnect), "still waiting");
    assert!(matches!(pool.handle_packet(connection, &answer, true), Ok(Incoming::Answer { .. })));
}

#[test]
fn a5_a_callback_id_that_matches_nothing_is_ignored() {
    let (mut pool, connection) = connected();
    for callback in [1, 1024, 1025, u16::MAX] {
        let ping = packet(3, callback, Message::Ping(Ping::default()));
        let exchange = opened(&mut pool, connection, &ping, false);
        assert_eq!(pool.reply(exchange, ping.message).unwrap().packet.callback, None);
    }
}

#[test]
fn a5_requests_are_pipelined_and_replied_to_in_any_order() {
    let (mut pool, connection) = connected();
    let mut client = Calls::new(16);
    let calls: Vec<_> = (0..16)
        .map(|_| {
            let (call, sent) = client.call(Message::Ping(Ping::default()), false, None).unwrap();
            (call, opened(&mut pool, connection, &sent, false))
        })
        .collect();
    let one_more = client.call(Message::Ping(Ping::default()), false, None);
    assert_eq!(one_more.unwrap_err(), CallError::Full);
    for (call, exchange) in calls.into_iter().rev() {
        let reply = pool.reply(exchange, Message::Ping(Ping::default())).unwrap();
        assert_eq!(client.handle_packet(&reply.packet), Heard::Reply { call });
    }
}

#[test]
fn b4_a_late_answer_does_not_pass_for_the_answer_to_the_next_question() {
    let (mut pool, connection) = connected();
    let first = opened(&mut pool, connection, &packet(1, 0, Message::StartTls(server())), true);
    let second = opened(&mut pool, connection, &packet(2, 0, Message::StartTls(server())), true);
    let question = || Message::StartTlsLocalId(server());
    let late = pool.ask(first, question(), SOON).unwrap().packet;
    assert_eq!(pool.poll_expired(NOW), None);
    let expired = pool.poll_expired(LATER).unwrap();
    assert_eq!((expired.exchange, expired.waited_for), (first, Party::Application));
    assert_eq!(expired.refusal.code(), ErrorCode::ClientRefusesCallback);

    let asked = pool.ask(second, question(), LATER.after(Duration::from_secs(1))).unwrap().packet;
    assert_ne!(asked.callback, late.callback, "no packet has borne the old id yet");
    assert_eq!(refused(&mut pool, connection, &late, false), 8);
    assert_eq!(pool.state(second), Some(State::LocalIdentityCheck));
    let incoming = pool.handle_packet(connection, &asked, false);
    assert!(matches!(incoming, Ok(Incoming::Answer { exchange, .. }) if exchange == second));
    let asked = pool.ask(second, question(), LATER.after(Duration::from_secs(2))).unwrap().packet;
    assert_eq!(asked.callback, late.callback, "the late answer has freed it");
}

#[test]
fn a_connection_that_lets_1024_questions_lapse_gets_no_more() {
    let (mut pool, connection) = connected();
    for _ in 0..1024 {
        let request = packet(0, 0, Message::StartTls(server()));
        let exchange = opened(&mut pool, connection, &request, true);
        pool.ask(exchange, Message::PlaintextConnect(server()), NOW).unwrap();
        assert!(pool.poll_expired(NOW).is_some());
    }
    let exchange = opened(&mut pool, connection, &packet(0, 0, Message::StartTls(server())), true);
    let question = Message::PlaintextConnect(server());
    assert_eq!(pool.ask(exchange, question, SOON), Err(AskError::NoCallbackLeft));
    assert_eq!(pool.state(exchange), Some(State::Handshake), "nothing has changed");
}

#[test]
fn a9_a_worker_outlives_its_client_and_reaches_nobody() {
    let (mut pool, connection) = connected();
    let exchange = opened(&mut pool, connection, &packet(0, 0, Message::StartTls(server())), true);
    assert_eq!(pool.handle_disconnect(connection), Ok(vec![exchange]));
    let heir = pool.connect().unwrap();
    let other = opened(&mut pool, heir, &packet(0, 0, Message::StartTls(server())), true);
    assert!(pool.reply(exchange, ErrorCode::HandshakeFailed.into()).is_err());
    assert!(pool.ask(exchange, Message::PlaintextConnect(server()), SOON).is_err());
    assert_eq!(pool.state(exchange), None);
    assert_eq!(pool.state(other), Some(State::Handshake));
}

#[test]
fn a10_what_a_client_may_not_send() {
    let (mut pool, connection) = connected();
    let pool = &mut pool;
    for message in [
        Message::Success,
        Message::Error(Failure::from_errno(1)),
        Message::PlaintextConnect(server()),
        Message::StartTlsLocalId(server()),
    ] {
        assert_eq!(refused(pool, connection, &packet(5, 0, message), false), 8);
    }
    let starttls = Message::StartTls(server());
    assert_eq!(refused(pool, connection, &packet(5, 0, starttls), false), 6);
    let again = Message::StartTls(body(StartTlsFlags::SERVER.with(StartTlsFlags::RENEGOTIATE)));
    assert_eq!(refused(pool, connection, &packet(5, 0, again.clone()), true), 5);
    let exchange = opened(pool, connection, &packet(5, 0, again), false);
    assert_eq!(pool.state(exchange), None, "renegotiation has no part in the message flow");
    assert!(pool.reply(exchange, ErrorCode::WouldBeInsecure.into()).is_ok());
}

#[test]
fn malformed_packets_are_refused_or_end_the_exchange_that_they_answer() {
    let (mut pool, connection) = connected();
    let malformed = |callback| {
        let mut bytes = *packet(7, callback, Message::StartTlsLocalId(server())).encode().expose();
        bytes[20..148].fill(b'x');
        Packet::decode(&bytes).unwrap_err()
    };
    match pool.handle_malformed(connection, &malformed(0)) {
        Ok(Incoming::Refused(refusal)) => assert_eq!(refusal.code().offset(), 9),
        other => panic!("{other:?}"),
    }
    let exchange = opened(&mut pool, connection, &packet(0, 0, Message::StartTls(server())), true);
    pool.ask(exchange, Message::StartTlsLocalId(server()), SOON).unwrap();
    match pool.handle_malformed(connection, &malformed(1024)) {
        Ok(Incoming::Ended { exchange: ended, refusal }) => {
            assert_eq!((ended, refusal.code().offset()), (exchange, 10));
            assert_eq!(refusal.envelope().packet.request, RequestId(7));
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a7_the_answer_with_the_pin_is_the_next_registration() {
    let (mut pool, connection) = connected();
    let mut client = Calls::new(8);
    let pin = || Message::PinEntry(PinEntry::default());
    let (call, sent) = client.call(pin(), false, None).unwrap();
    let exchange = opened(&mut pool, connection, &sent, false);
    for _ in 0..3 {
        let asked = pool.ask(exchange, pin(), SOON).unwrap();
        let question = Command::PinEntry;
        assert_eq!(client.handle_packet(&asked.packet), Heard::Question { call, question });
        let answer = client.answer(call, pin(), false).unwrap();
        let incoming = pool.handle_packet(connection, &answer, false);
        assert_eq!(incoming, Ok(Incoming::Answer { exchange, question }));
    }
    pool.ask(exchange, pin(), SOON).unwrap();
    let error = Message::Error(Failure::from_errno(1));
    let incoming = pool.handle_packet(connection, &packet(0, 1024, error), false);
    let Ok(Incoming::Ended { refusal, .. }) = incoming else { panic!("{incoming:?}") };
    assert_eq!(client.handle_packet(&refusal.envelope().packet), Heard::Reply { call });
}

#[test]
fn a7_a_declined_question_ends_the_call_with_the_pools_error() {
    let (mut pool, connection) = connected();
    let mut client = Calls::new(8);
    let (call, sent) = client.call(Message::StartTls(server()), true, None).unwrap();
    let exchange = opened(&mut pool, connection, &sent, true);
    let asked = pool.ask(exchange, Message::StartTlsLocalId(server()), SOON).unwrap().packet;
    client.handle_packet(&asked);
    let error = || Message::Error(Failure::from_errno(1));
    assert_eq!(
        client.answer(call, error(), true),
        Err(AnswerError::AgainstTheRules(ErrorCode::SuperfluousSocket))
    );
    let declined = client.answer(call, error(), false).unwrap();
    assert_eq!(client.answer(call, error(), false), Err(AnswerError::NotAsked));

    // B.7: the original pool asks again all the same.
    let Heard::Decline(again) = client.handle_packet(&asked) else { panic!() };
    assert_eq!(again.packet().header(), declined.header());

    let incoming = pool.handle_packet(connection, &declined, false);
    let Ok(Incoming::Ended { refusal, .. }) = incoming else { panic!("{incoming:?}") };
    assert_eq!(refusal.code(), ErrorCode::ClientRefusesCallback);
    assert_eq!(client.handle_packet(&refusal.envelope().packet), Heard::Reply { call });
}

#[test]
fn a_client_is_told_what_no_pool_would_take() {
    let mut client = Calls::new(8);
    let against = |code| CallError::AgainstTheRules(code);
    assert_eq!(
        client.call(Message::StartTls(server()), false, None).unwrap_err(),
        against(ErrorCode::CipherSocketNeeded)
    );
    assert_eq!(
        client.call(Message::Success, false, None).unwrap_err(),
        against(ErrorCode::UnknownCommand)
    );
    let (call, _) = client.call(Message::StartTls(server()), true, None).unwrap();
    let question = packet(0, 1024, Message::PlaintextConnect(server()));
    client.handle_packet(&question);
    let answer = |client: &mut Calls, with| client.answer(call, question.message.clone(), with);
    assert_eq!(
        answer(&mut client, false),
        Err(AnswerError::AgainstTheRules(ErrorCode::PlainSocketNeeded))
    );
    assert!(answer(&mut client, true).is_ok(), "the question is still there");
}

#[test]
fn a_lapsed_call_keeps_its_id_and_declines_what_is_still_asked() {
    let mut client = Calls::new(8);
    let (call, sent) = client.call(Message::StartTls(server()), true, Some(SOON)).unwrap();
    let question = packet(sent.request.0, 1024, Message::StartTlsLocalId(server()));
    client.handle_packet(&question);
    assert_eq!(client.next_deadline(), Some(SOON));
    assert_eq!(client.poll_lapsed(NOW), None);
    let lapsed = client.poll_lapsed(SOON).unwrap();
    assert_eq!(lapsed.decline.unwrap().packet().callback, question.callback);
    assert_eq!(client.poll_lapsed(LATER), None);
    assert_eq!(client.next_deadline(), None);
    assert_eq!(client.answer(call, question.message.clone(), false), Err(AnswerError::Gone));

    let (_, other) = client.call(Message::Ping(Ping::default()), false, None).unwrap();
    assert_ne!(other.request, sent.request);
    assert!(matches!(client.handle_packet(&question), Heard::Decline(_)));
    let error = packet(sent.request.0, 0, ErrorCode::ClientRefusesCallback.into());
    assert_eq!(client.handle_packet(&error), Heard::Late { call });
    assert_eq!(client.handle_packet(&error), Heard::Unexpected { call: None });
}

#[test]
fn an_abandoned_call_declines_the_first_question_too() {
    let mut client = Calls::new(8);
    let (call, sent) = client.call(Message::StartTls(server()), true, None).unwrap();
    assert_eq!(client.abandon(call), Ok(None));
    assert_eq!(client.abandon(call), Err(AnswerError::Gone));
    let question = packet(sent.request.0, 1024, Message::PlaintextConnect(server()));
    let Heard::Decline(decline) = client.handle_packet(&question) else { panic!() };
    assert_eq!(decline.packet().message.command(), Command::Error);
    assert_eq!(client.handle_disconnect(), vec![], "nobody waits for it");
}

#[test]
fn a_request_id_is_not_given_twice_at_a_time() {
    let mut client = Calls::new(2);
    let pin = Message::PinEntry(PinEntry::default());
    let (_, registration) = client.call(pin, false, None).unwrap();
    for _ in 0..0x1_0000 {
        let ping = Message::Ping(Ping::default());
        let (call, sent) = client.call(ping, false, None).unwrap();
        assert_ne!(sent.request, registration.request);
        assert_eq!(client.handle_packet(&sent), Heard::Reply { call });
    }
}

#[test]
fn a_pool_that_replies_what_was_not_asked_is_unexpected() {
    let mut client = Calls::new(8);
    let (call, sent) = client.call(Message::StartTls(server()), true, None).unwrap();
    let from_pool = |message| packet(sent.request.0, 0, message);
    let unexpected = Heard::Unexpected { call: Some(call) };
    for message in [
        Message::Success,
        Message::Ping(Ping::default()),
        Message::StartTls(server()),
        Message::PlaintextConnect(server()),
        Message::ControlDetach(Control::default()),
    ] {
        assert_eq!(client.handle_packet(&from_pool(message)), unexpected);
    }
    let error = Packet::decode(&{
        let mut bytes = [b'x'; PACKET_SIZE];
        bytes[..8].copy_from_slice(&sent.encode().expose()[..8]);
        bytes
    });
    assert_eq!(client.handle_malformed(&error.unwrap_err()), unexpected);
    assert_eq!(client.handle_disconnect(), vec![call]);
    assert!(client.is_empty());
}

#[test]
fn a_handshake_deadline_is_the_pools() {
    let (mut pool, connection) = connected();
    let exchange = opened(&mut pool, connection, &packet(0, 0, Message::StartTls(server())), true);
    pool.set_deadline(exchange, Some(LATER)).unwrap();
    pool.ask(exchange, Message::StartTlsLocalId(server()), SOON).unwrap();
    assert_eq!(pool.next_deadline(), Some(SOON), "the earlier of both");
    let answer = packet(0, 1024, Message::StartTlsLocalId(server()));
    pool.handle_packet(connection, &answer, false).unwrap();
    assert_eq!(pool.next_deadline(), Some(LATER));
    let expired = pool.poll_expired(LATER).unwrap();
    assert_eq!(expired.waited_for, Party::Pool);
    assert_eq!(expired.refusal.code(), ErrorCode::HandshakeFailed);
    assert_eq!(pool.next_deadline(), None);
}
