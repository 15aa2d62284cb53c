//! The blocking client and its streams, where threads share it and the pool relays.

use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::mpsc::channel;
use std::thread;

use levada_core::{AlertDescription, Ended, Ending, TlsFacts};
use levada_pool::blocking::{Client, Stream};
use levada_pool::wire::{Cut, ErrorCode, Facilities, Identity, Message, Page, Report};

use super::{Pool, Socket, network, request};

impl Pool {
    /// Takes a STARTTLS to its end and tells the report behind it: our end of the plaintext.
    fn relay(&mut self, report: Option<&Report>) -> UnixStream {
        let (packet, _network) = self.receive();
        let Message::StartTls(mut body) = packet.message else { panic!("{packet:?}") };
        self.send(packet.request, Some(1024), Message::PlaintextConnect(body.clone()));
        let (answer, plain) = self.receive();
        body.remote_id = Identity::new("orvelte.nep").unwrap();
        self.send(answer.request, None, Message::StartTls(body));
        self.tell(report);
        plain.expect("the plaintext socket").into()
    }

    /// Answers a question for the report, as far as there is one.
    fn tell(&mut self, report: Option<&Report>) {
        let (asked, _) = self.receive();
        let page = Page::of(&asked.message).unwrap().unwrap();
        let reply = match report {
            Some(report) => page.reply(&report.encode()).into(),
            None => ErrorCode::UnknownCommand.into(),
        };
        self.send(asked.request, None, reply);
    }

    /// Takes the order to cut a session.
    fn cut(&mut self) -> levada_pool::wire::RequestId {
        let (packet, _) = self.receive();
        assert!(matches!(packet.message, Message::Local(Cut::COMMAND, _)), "{packet:?}");
        packet.request
    }
}

fn open(socket: &Socket) -> Stream {
    let client = Client::connect(&socket.0).unwrap();
    // Whatever this kernel can.
    client.stream(network().0, &request().hand_back(false)).unwrap()
}

fn ending(error: &io::Error) -> Ending {
    Ended::of(error).unwrap().ending.clone()
}

#[test]
fn the_end_of_a_relayed_stream_is_as_the_pool_tells() {
    let ended = |ending: Ending| Report { ending: Some(ending), ..Report::default() };
    let alert = Ending::FatalAlert(AlertDescription::UNKNOWN_CA);
    let stories = [
        (Some(Report { peer_goodbye: true, ..Report::default() }), None),
        (Some(ended(Ending::Finished)), None),
        (Some(ended(alert.clone())), Some((ErrorKind::InvalidData, alert))),
        (Some(Report::default()), Some((ErrorKind::UnexpectedEof, Ending::SocketClose))),
        // A pool of another make.
        (None, Some((ErrorKind::UnexpectedEof, Ending::SocketClose))),
    ];
    for (number, (report, wanted)) in stories.into_iter().enumerate() {
        let socket = Socket::new(&format!("story-{number}"));
        let is_clean = wanted.is_none();
        let pool = socket.run(vec![move |mut pool: Pool| {
            pool.relay(report.as_ref()).write_all(b"plaintext").unwrap();
            pool.tell(report.as_ref());
            if is_clean {
                let cut = pool.cut();
                pool.send(cut, None, Message::Success);
            }
        }]);
        let mut stream = open(&socket);
        let mut text = [0; 9];
        stream.read_exact(&mut text).unwrap();
        match (stream.read(&mut text), wanted) {
            (Ok(0), None) => {}
            (Err(error), Some(wanted)) => {
                assert_eq!((error.kind(), ending(&error)), wanted);
                let again = stream.read(&mut text).unwrap_err();
                assert_eq!(ending(&again), wanted.1, "and it is asked once");
                assert_eq!(stream.ended().unwrap().ending, wanted.1);
            }
            (got, wanted) => panic!("{got:?}, not {wanted:?}"),
        }
        drop(stream);
        pool.join().unwrap();
    }
}

#[test]
fn the_facts_are_the_pools() {
    let tls = TlsFacts { version: Some("1.3"), ..TlsFacts::default() };
    for report in [Some(Report { tls: Some(tls.clone()), ..Report::default() }), None] {
        let socket = Socket::new(if report.is_some() { "facts" } else { "no-facts" });
        let told = report.clone();
        let pool = socket.run(vec![move |mut pool: Pool| drop(pool.relay(told.as_ref()))]);
        let stream = open(&socket);
        let facts = stream.facts().tls.as_ref().unwrap();
        if report.is_some() {
            assert_eq!(**facts, tls);
        } else {
            assert_eq!(facts.verified_name.as_deref(), Some("orvelte.nep"), "no more is known");
        }
        assert_eq!(stream.facts().kernel_tls, None, "nobody has asked");
        pool.join().unwrap();
    }
}

#[test]
fn b3_a_stream_that_is_dropped_is_cut_before_its_socket_closes() {
    let socket = Socket::new("cut");
    let pool = socket.run(vec![|mut pool: Pool| {
        let mut plain = pool.relay(Some(&Report::default()));
        let cut = pool.cut();
        plain.set_nonblocking(true).unwrap();
        let open = plain.read(&mut [0]).unwrap_err();
        assert_eq!(open.kind(), ErrorKind::WouldBlock, "an end would be a goodbye");
        pool.send(cut, None, Message::Success);
        plain.set_nonblocking(false).unwrap();
        assert_eq!(plain.read(&mut [0]).unwrap(), 0);
        assert_eq!(pool.0.read(&mut [0; 388]).unwrap(), 0, "the last to hold the client is gone");
    }]);
    drop(open(&socket));
    pool.join().unwrap();
}

#[test]
fn b3_a_stream_that_has_finished_is_not_cut() {
    let socket = Socket::new("uncut");
    let pool = socket.run(vec![|mut pool: Pool| {
        let mut plain = pool.relay(Some(&Report::default()));
        assert_eq!(plain.read(&mut [0]).unwrap(), 0);
        assert_eq!(pool.0.read(&mut [0; 388]).unwrap(), 0, "nothing more is asked");
    }]);
    let stream = open(&socket);
    stream.finish().unwrap();
    stream.finish().unwrap();
    let late = (&stream).write(b"x").unwrap_err();
    assert_eq!(late.kind(), ErrorKind::BrokenPipe);
    drop(stream);
    pool.join().unwrap();
}

#[test]
fn no_call_of_a_thread_waits_for_anothers() {
    let socket = Socket::new("threads");
    let (tell, told) = channel();
    let (end, ended) = channel();
    let pool = socket.run(vec![move |mut pool: Pool| {
        let (first, _network) = pool.receive();
        tell.send(()).unwrap();
        let (ping, _) = pool.receive();
        pool.send(ping.request, None, ping.message);
        ended.recv().unwrap();
        pool.send(first.request, None, ErrorCode::StartTlsExcluded.into());
    }]);
    let client = Client::connect(&socket.0).unwrap();
    let other = client.clone();
    let waits = thread::spawn(move || other.start_tls(network().0, &request()));
    told.recv().unwrap();
    client.ping(Facilities::STARTTLS).unwrap();
    end.send(()).unwrap();
    let refused = waits.join().unwrap().unwrap_err();
    assert_eq!(refused.code(), Some(ErrorCode::StartTlsExcluded));
    pool.join().unwrap();
}

#[test]
fn more_calls_than_the_pool_takes_wait_for_their_turn() {
    const AT_ONCE: usize = 64;
    let socket = Socket::new("turns");
    let pool = socket.run(vec![|mut pool: Pool| {
        let asked: Vec<_> = (0..AT_ONCE).map(|_| pool.receive().0).collect();
        for packet in asked {
            pool.send(packet.request, None, packet.message);
        }
        for _ in 0..8 {
            let (packet, _) = pool.receive();
            pool.send(packet.request, None, packet.message);
        }
    }]);
    let client = Client::connect(&socket.0).unwrap();
    thread::scope(|scope| {
        for _ in 0..AT_ONCE + 8 {
            scope.spawn(|| client.ping(Facilities::STARTTLS).unwrap());
        }
    });
    pool.join().unwrap();
}

#[test]
fn a_pool_that_goes_away_is_told_to_every_thread() {
    let socket = Socket::new("gone");
    let pool = socket.run(vec![|mut pool: Pool| {
        for _ in 0..8 {
            pool.receive();
        }
    }]);
    let client = Client::connect(&socket.0).unwrap();
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let error = client.ping(Facilities::STARTTLS).unwrap_err();
                assert_eq!(error, levada_pool::PoolError::Gone);
            });
        }
    });
    pool.join().unwrap();
}
