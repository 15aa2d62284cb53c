//! What goes through a pool arrives, however slow its reader is; every client hears the replies to its
//! own questions and no others, however many there are; a client that leaves a question unanswered keeps nobody waiting.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use levada_pool::wire::body::Ping;
use levada_pool::wire::{ControlKey, Document, Facilities, Message, Page};

use levada_testkit::skip::slow_runs;

use crate::harness::{
    Backend, Pki, Pool, Serve, assert_same, compile_client, connect, digits, raise_open_files,
};

/// More than all buffers on the way hold.
const MUCH: usize = 32 << 20;

#[test]
fn a_reader_who_pauses_gets_everything() {
    let pki = Pki::new();
    let pool = Pool::start(&pki);
    let backend = Backend::new();
    let serve = Serve::start(["--listen", &pool.url("127.0.0.1:0"), "--to", &backend.url()]);
    let wanted = digits(MUCH);
    let mut client = connect(&format!("tls://{}", serve.address()), ["--ca", &pki.ca]).start();
    let sending = client.feed(wanted.clone());
    let mut behind = backend.accept();
    let mut upload = vec![0; 1 << 20];
    behind.read_exact(&mut upload).unwrap();
    // Nobody reads the answer before all of it had its chance to be lost.
    let mut writer = behind.try_clone().unwrap();
    let download = wanted.clone();
    let writing = std::thread::spawn(move || {
        writer.write_all(&download).unwrap();
        writer.shutdown(std::net::Shutdown::Write).unwrap();
    });
    upload.resize(MUCH, 0);
    behind.read_exact(&mut upload[1 << 20..]).unwrap();
    assert_same(&upload, &wanted);
    drop(sending.join().unwrap());
    assert_eq!(behind.read(&mut [0; 1]).unwrap(), 0);
    assert_same(&client.stdout.rest(), &wanted);
    writing.join().unwrap();
    assert_eq!(client.wait().code(), 0);
}

#[test]
fn nobody_hears_anothers_replies() {
    let pki = Pki::new();
    let pool = Pool::start(&pki);
    let clients: Vec<_> = (0..32_u32)
        .map(|client| {
            let mut speaker = pool.speaker();
            std::thread::spawn(move || {
                for round in 0..50_u32 {
                    // The same numbers as all others, and an answer that none of them gets.
                    let mine = Facilities::from_bits((client << 16 | round) & !1 | 1);
                    let producer =
                        levada_pool::wire::Text::new(format!("20260101c{client}")).unwrap();
                    let asked =
                        speaker.ask(Message::Ping(Ping { producer, facilities: mine }), None);
                    let key = ControlKey::new([client as u8; 16]);
                    let page = Page::request(Document::Report, key.clone(), 0);
                    let other = speaker.ask(page.into(), None);
                    let mut heard = [speaker.hear(), speaker.hear()];
                    heard.sort_by_key(|packet| packet.request);
                    assert_eq!([heard[0].request, heard[1].request], [asked, other]);
                    assert!(matches!(heard[0].message, Message::Ping(_)), "{:?}", heard[0]);
                    // There is no such session, and nobody else's is told.
                    assert!(matches!(heard[1].message, Message::Error(_)), "{:?}", heard[1]);
                }
            })
        })
        .collect();
    for client in clients {
        client.join().unwrap();
    }
}

#[test]
fn sixteen_processes_are_each_given_their_own() {
    crowd(16, 20);
}

#[test]
fn sixty_four_processes_are_each_given_their_own() {
    if slow_runs("sixty_four_processes_are_each_given_their_own") {
        crowd(64, 20);
    }
}

#[test]
fn two_hundred_and_fifty_six_processes_are_each_given_their_own() {
    if slow_runs("two_hundred_and_fifty_six_processes_are_each_given_their_own") {
        crowd(256, 20);
    }
}

/// As many client processes at once, and as many again in each round. Every fourth asks for somebody
/// who the server is not: it hears that, and all others get back what they have sent.
fn crowd(count: usize, rounds: usize) {
    raise_open_files();
    let pki = Pki::new();
    let pool = Pool::start(&pki);
    let server = Serve::tls(&pki, "echo:");
    let program = compile_client(&pki);
    let port = server.address().port();
    let refused = count / 4;
    for round in 0..rounds {
        let started = |name: &'static str, count: usize| -> Vec<_> {
            (0..count).map(|_| pool.client(&program, port, name).start()).collect()
        };
        let (wrong, mut right) =
            (started("other.example", refused), started("localhost", count - refused));
        for client in &mut right {
            assert_eq!(client.stderr.line().as_deref(), Some("protected, with localhost"));
        }
        let listed = pool.sessions();
        let protected = listed.iter().filter(|session| session["stage"] == "protected");
        assert_eq!(protected.count(), right.len(), "all at once: {listed:?}");
        let words = |number: usize| format!("the words of {number} in round {round}\n").repeat(99);
        for (number, client) in right.iter_mut().enumerate() {
            client.write(words(number).as_bytes());
        }
        for (number, client) in right.into_iter().enumerate() {
            let finished = client.finish();
            assert_eq!(finished.code(), 0, "{}", finished.stderr);
            assert_same(&finished.stdout, words(number).as_bytes());
        }
        for client in wrong {
            let finished = client.finish();
            assert_eq!((finished.code(), &finished.stdout[..]), (1, &b""[..]));
            assert!(finished.stderr.contains("did not complete the TLS handshake"));
        }
    }
    let told = pool.stop();
    let count_of = |what: &str| told.iter().filter(|line| line.contains(what)).count();
    assert_eq!(count_of(" protected: "), (count - refused) * rounds);
    assert_eq!(count_of(" ended: "), (count - refused) * rounds);
    assert_eq!(count_of(" failed for "), refused * rounds);
    assert_eq!(told.last().unwrap(), "stopped, with all sessions ended");
}

#[test]
fn an_abandoned_question_keeps_nobody_waiting() {
    let pki = Pki::new();
    let pool = Pool::start(&pki);
    let server = Serve::tls(&pki, "echo:");
    // Sixteen clients who are asked for their plaintext sockets, and never answer.
    let abandoned: Vec<_> = (0..16_u8)
        .map(|key| {
            let mut speaker = pool.speaker();
            let near = TcpStream::connect(server.address()).unwrap();
            speaker.ask_for_tls(&near, false, 100 + key);
            assert!(matches!(speaker.hear().message, Message::PlaintextConnect(_)));
            (speaker, near)
        })
        .collect();
    // One who answers with nonsense is told, and another is served at once.
    let mut speaker = pool.speaker();
    let near = TcpStream::connect(server.address()).unwrap();
    speaker.ask_for_tls(&near, false, 7);
    let mut question = speaker.hear();
    question.message = Message::Success;
    speaker.send(&question, None);
    assert!(matches!(speaker.hear().message, Message::Error(_)));
    let near = TcpStream::connect(server.address()).unwrap();
    speaker.ask_for_tls(&near, false, 8);
    drop(speaker.finish_tls());
    drop(abandoned);
}
