//! Services that a client gives, against a pool that asks what a script says.

use std::time::Duration;

use levada_pool::wire::body::{Lidentry, Pin, PinEntry};
use levada_pool::wire::{Command, ErrorCode, Identity, LidentryFlags, Message, RequestId, Text};
use levada_pool::{Choice, Chooser, Client, PoolError, blocking};

use super::{Pool, Socket};

const MINUTE: Duration = Duration::from_secs(60);

impl Pool {
    /// A registration for PIN entry.
    fn registered(&mut self) -> RequestId {
        let (packet, _) = self.receive();
        let Message::PinEntry(entry) = packet.message else { panic!("{packet:?}") };
        assert!(packet.callback.is_none() && entry.pin.is_empty());
        assert_eq!(entry.timeout_us, 60_000_000);
        packet.request
    }

    fn ask_for_pin(&mut self, request: RequestId, attempt: u32) {
        let prompt = Text::new("The PIN").unwrap();
        let label = Text::new("token").unwrap();
        let entry = PinEntry { attempt, prompt, label, timeout_us: 7_000, ..PinEntry::default() };
        self.send(request, Some(1024), Message::PinEntry(entry));
    }

    fn entered(&mut self) -> (RequestId, Vec<u8>) {
        let (packet, descriptor) = self.receive();
        let Message::PinEntry(entry) = &packet.message else { panic!("{packet:?}") };
        assert!(descriptor.is_none());
        assert_eq!(packet.callback.unwrap().0.get(), 1024);
        assert_eq!(entry.timeout_us, 60_000_000, "it registers anew");
        (packet.request, entry.pin.expose().to_vec())
    }
}

#[tokio::test]
async fn a7_pins_are_entered_over_and_over_and_a_pool_that_comes_back_is_served_again() {
    let socket = Socket::new("pins");
    let (tell, told) = std::sync::mpsc::channel();
    let pool = socket.run::<Box<dyn FnOnce(Pool) + Send>>(vec![
        Box::new(move |mut pool| {
            let request = pool.registered();
            pool.ask_for_pin(request, 0);
            let (request, pin) = pool.entered();
            assert_eq!(pin, b"pin 0");
            pool.ask_for_pin(request, 1);
            assert_eq!(pool.entered().1, b"pin 1");
            // Nobody answers the next one: it lapses.
            pool.ask_for_pin(request, 2);
            told.recv().unwrap();
            pool.send(request, None, ErrorCode::ClientRefusesCallback.into());
            let request = pool.registered();
            pool.ask_for_pin(request, 3);
            assert_eq!(pool.entered().1, b"", "an empty PIN declines");
        }),
        Box::new(|mut pool| {
            let request = pool.registered();
            pool.send(request, None, ErrorCode::PinEntryNotVacant.into());
        }),
    ]);
    let mut asked = Vec::new();
    let why = Client::at(&socket.0)
        .serve_pins(MINUTE, async |question| {
            assert_eq!(question.to_string(), "The PIN (token)");
            assert_eq!(question.time, Duration::from_millis(7));
            asked.push(question.attempt);
            match question.attempt {
                2 => {
                    tell.send(()).unwrap();
                    std::future::pending().await
                }
                3 => None,
                attempt => Pin::new(format!("pin {attempt}").as_bytes()).ok(),
            }
        })
        .await;
    assert_eq!(why.code(), Some(ErrorCode::PinEntryNotVacant), "{why}");
    assert_eq!(asked, [0, 1, 2, 3]);
    pool.join().unwrap();
}

#[tokio::test]
async fn a7_dropping_the_service_closes_its_connection_and_no_other() {
    let socket = Socket::new("pins-drop");
    let pool = socket.run(vec![|mut pool: Pool| {
        let request = pool.registered();
        pool.ask_for_pin(request, 0);
        assert_eq!(pool.receive().0.message.command(), Command::Error, "it is declined");
        assert_eq!(std::io::Read::read(&mut pool.0, &mut [0; 388]).unwrap(), 0);
    }]);
    let client = Client::at(&socket.0);
    let (tell, told) = tokio::sync::oneshot::channel();
    let mut tell = Some(tell);
    let served = client.serve_pins(MINUTE, async |_| {
        let _ = tell.take().unwrap().send(());
        std::future::pending().await
    });
    tokio::select! {
        why = served => panic!("{why}"),
        _ = told => {}
    }
    tokio::task::spawn_blocking(|| pool.join().unwrap()).await.unwrap();
}

#[test]
fn a7_the_blocking_client_enters_pins_until_the_pool_goes() {
    let socket = Socket::new("pins-blocking");
    let pool = socket.run(vec![|mut pool: Pool| {
        let request = pool.registered();
        pool.ask_for_pin(request, 0);
        assert_eq!(pool.entered().1, b"1234");
    }]);
    let client = blocking::Client::connect(&socket.0).unwrap();
    let why = client.serve_pins(MINUTE, |_| Pin::new(b"1234").ok());
    assert_eq!(why, PoolError::Gone);
    pool.join().unwrap();
}

#[tokio::test]
async fn a7_identities_are_chosen_among_those_that_were_told() {
    let socket = Socket::new("chooser");
    let id = |text: &str| Identity::new(text).unwrap();
    let pool = socket.run(vec![|mut pool: Pool| {
        let id = |text: &str| Identity::new(text).unwrap();
        let (packet, _) = pool.receive();
        let Message::LidentryRegister(body) = packet.message else { panic!("{packet:?}") };
        let flags = LidentryFlags::WANT_DBENTRY;
        assert_eq!((body.flags, body.max_levels, body.timeout_s), (flags, 2, 60));
        let ask = |pool: &mut Pool, more: LidentryFlags, local: &str, remote: &str| {
            let (local_id, remote_id) = (id(local), id(remote));
            let body = Lidentry {
                flags: flags.with(more),
                max_levels: 1,
                timeout_s: 9,
                local_id,
                remote_id,
            };
            pool.send(packet.request, Some(1024), Message::LidentryCallback(body));
            let (answer, _) = pool.receive();
            assert_eq!(answer.message.command(), Command::LidentryCallback);
            let Message::LidentryCallback(body) = answer.message else { unreachable!() };
            assert_eq!(body.flags.and(LidentryFlags::REGFLAGS), flags, "they are echoed");
            body
        };
        ask(&mut pool, LidentryFlags::DBENTRY, "a@x", ".b");
        let chosen = ask(&mut pool, LidentryFlags::ONTHEFLY, "a@x", "h.b");
        assert_eq!((chosen.local_id, chosen.remote_id), (id("c@x"), id(".b")));
        assert!(chosen.flags.contains(LidentryFlags::DBINSERT));
        let refused = ask(&mut pool, LidentryFlags::NONE, "", "h.b");
        assert!(refused.local_id.is_empty());
        pool.send(packet.request, None, ErrorCode::LidentryNotVacant.into());
    }]);
    let chooser = Chooser::new(MINUTE).flags(LidentryFlags::WANT_DBENTRY).max_levels(2);
    let mut questions = Vec::new();
    let why = Client::at(&socket.0)
        .serve_identities(chooser, async |question| {
            questions.push(question.clone());
            (questions.len() == 1).then(|| Choice {
                remote_id: id(".b"),
                flags: LidentryFlags::DBINSERT,
                ..Choice::once(id("c@x"))
            })
        })
        .await;
    assert_eq!(why.code(), Some(ErrorCode::LidentryNotVacant));
    assert_eq!(questions[0].disclosed, [(id("a@x"), id(".b"))]);
    assert!(questions[0].on_the_fly && questions[0].max_levels == 1);
    assert!(questions[1].disclosed.is_empty() && !questions[1].on_the_fly);
    pool.join().unwrap();
}
