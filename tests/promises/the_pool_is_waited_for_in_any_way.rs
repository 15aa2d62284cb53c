//! A program waits for the pool as it likes: one call after another, in many threads or tasks that share one
//! control connection, or in an event loop of its own. All do all that the pool does.

use std::collections::HashMap;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;

use levada_pool::wire::body::{InfoKind, Ping, StartTls};
use levada_pool::wire::{ControlKey, ErrorCode, Facilities, Identity, Message, StartTlsFlags};
use levada_pool::{Client, Control, Event, TlsRequest, blocking};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tokio::task::JoinSet;

use crate::harness::{Backend, PATIENCE, Pki, Pool, Serve, connect};

const LABEL: &[u8] = b"EXPERIMENTAL levada";

/// What is written to the plain side comes back.
#[track_caller]
fn echoes(plain: &mut UnixStream, words: &[u8]) {
    plain.set_read_timeout(Some(PATIENCE)).unwrap();
    plain.write_all(words).unwrap();
    let mut back = vec![0; words.len()];
    plain.read_exact(&mut back).unwrap();
    assert_eq!(back, words);
}

#[test]
fn one_call_after_another() {
    let pki = Pki::new();
    let pool = Pool::start(&pki);
    let server = Serve::tls(&pki, "echo:");
    let client = blocking::Client::connect(&pool.socket).unwrap();
    assert_eq!(client.ping(Facilities::ALL_CURRENT).unwrap().producer, Ping::V2);

    let network = TcpStream::connect(server.address()).unwrap();
    let session = client.start_tls(network, &TlsRequest::client("localhost").unwrap()).unwrap();
    assert_eq!(session.remote_id.as_str(), Some("localhost"));
    let key = session.control_key;
    let mut plain = UnixStream::from(session.plain);
    echoes(&mut plain, b"hello");

    let keys = client.export(key.clone(), LABEL, Some(b"context"), 350).unwrap();
    assert_eq!(keys.len(), 350);
    let refused = client.export(key.clone(), b"master secret", None, 32).unwrap_err();
    assert_eq!(refused.code(), Some(ErrorCode::PrngUnavailable));
    let subject = client.info(key.clone(), InfoKind::PeerSubject, None).unwrap();
    client.info(key.clone(), InfoKind::PeerSubject, Some(&subject)).unwrap();
    client.info(key.clone(), InfoKind::PeerSubjectAltName, Some(b"\x82\x09localhost")).unwrap();
    let missing = client.info(key.clone(), InfoKind::OwnSubject, None).unwrap_err();
    assert_eq!(missing.code(), Some(ErrorCode::InfoNotFound));

    // It goes to another program, which has the key.
    client.detach(key.clone()).unwrap();
    let heir = blocking::Client::connect(&pool.socket).unwrap();
    heir.reattach(key.clone()).unwrap();
    drop(client);
    echoes(&mut plain, b"still here");
    assert_eq!(heir.report(key.clone()).unwrap().ending, None);
    assert!(heir.sessions().unwrap().contains("\"stage\":\"protected\""));
    plain.shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(plain.read(&mut [0]).unwrap(), 0);
    assert!(heir.report(key).unwrap().ending.unwrap().is_clean());
}

#[test]
fn a_stream_for_each_thread_on_one_control_connection() {
    let pki = Pki::new();
    let pool = Pool::start(&pki);
    let server = Serve::tls(&pki, "echo:");
    let client = blocking::Client::connect(&pool.socket).unwrap();
    std::thread::scope(|scope| {
        for number in 0..16 {
            let (client, address) = (&client, server.address());
            scope.spawn(move || {
                let network = TcpStream::connect(address).unwrap();
                let request = TlsRequest::client("localhost").unwrap();
                let mut stream = client.stream(network, &request).unwrap();
                stream.set_read_timeout(Some(PATIENCE));
                let words = format!("thread {number}");
                stream.write_all(words.as_bytes()).unwrap();
                stream.finish().unwrap();
                let mut back = String::new();
                stream.read_to_string(&mut back).unwrap();
                assert_eq!(back, words);
                assert!(stream.ended().unwrap().is_clean());
            });
        }
    });
}

#[test]
fn a_question_about_the_identity_is_answered() {
    let pki = Pki::new();
    let pool = Pool::start(&pki);
    let backend = Backend::new();
    let url = format!("tls://localhost:{}", backend.address.port());
    let client = blocking::Client::connect(&pool.socket).unwrap();
    let server = TlsRequest::server().with(StartTlsFlags::LOCALID_CHECK);
    let mut peer = connect(&url, ["--ca", &pki.ca]).start();
    let session = client
        .start_tls_with(backend.accept(), &server, |question| {
            assert_eq!(question.local_id.as_str(), Some("localhost"));
            Some(question.local_id)
        })
        .unwrap();
    let mut plain = UnixStream::from(session.plain);
    peer.write(b"hello");
    let mut heard = [0; 5];
    plain.read_exact(&mut heard).unwrap();
    assert_eq!(&heard, b"hello");
    // Who does not answer for it is refused.
    let refused = connect(&url, ["--ca", &pki.ca]).start();
    let error = client.start_tls(backend.accept(), &server).unwrap_err();
    assert_eq!(error.code(), Some(ErrorCode::ClientRefusesCallback));
    assert_ne!(refused.finish().code(), 0);
}

#[test]
fn many_tasks_on_one_control_connection() {
    let pki = Pki::new();
    let pool = Pool::start(&pki);
    let server = Serve::tls(&pki, "echo:");
    let address = server.address();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let client = Client::at(&pool.socket);
        let mut tasks = JoinSet::new();
        // More than there may be at once: the others wait for their turn.
        for number in 0..100_u32 {
            let client = client.clone();
            tasks.spawn(async move {
                let bits = Facilities::from_bits(number << 1 | 1);
                assert_eq!(client.ping(bits).await.unwrap().facilities, Facilities::STARTTLS);
                let name = if number % 4 == 3 { "other.example" } else { "localhost" };
                let network = TcpStream::connect(address).unwrap();
                let request = TlsRequest::client(name).unwrap();
                let session = client.start_tls(network, &request).await;
                if name != "localhost" {
                    let code = session.unwrap_err().code();
                    return assert_eq!(code, Some(ErrorCode::HandshakeFailed));
                }
                let (plain, handle) = session.unwrap().into_parts();
                let keys = handle.export(LABEL, None, 32).await.unwrap();
                assert_eq!(keys, handle.export(LABEL, None, 32).await.unwrap());
                handle.info(InfoKind::PeerIssuer, None).await.unwrap();
                let mut plain = UnixStream::from(plain);
                let words = format!("the words of {number}");
                let work = move || {
                    echoes(&mut plain, words.as_bytes());
                    plain
                };
                let plain = tokio::task::spawn_blocking(work).await.unwrap();
                handle.cut().await.unwrap();
                // Nothing passes for an end: the report says that it was cut.
                let read = move || (&plain).read(&mut [0]);
                tokio::task::spawn_blocking(read).await.unwrap().ok();
                assert!(!handle.report().await.unwrap().ending.unwrap().is_clean());
            });
        }
        while let Some(done) = tasks.join_next().await {
            done.unwrap();
        }
        // They all came by one connection.
        assert_eq!(control_connections(&pool), 1);
    });
}

/// How many control connections the pool has: those of this process to its socket, by proc_net_unix(5).
fn control_connections(pool: &Pool) -> usize {
    const CONNECTED: &str = "03";
    let table = std::fs::read_to_string("/proc/net/unix").unwrap();
    let lines = table.lines().filter(|line| line.ends_with(&pool.socket));
    lines.filter(|line| line.split_whitespace().nth(5) == Some(CONNECTED)).count()
}

/// What an event loop knows of one exchange.
enum Exchange {
    Ping,
    Tls { ours: Option<UnixStream>, name: &'static str },
}

fn start_tls(
    control: &mut Control,
    address: SocketAddr,
    name: &'static str,
) -> (levada_pool::wire::CallKey, Exchange) {
    let network = TcpStream::connect(address).unwrap();
    let remote_id = Identity::new(name).unwrap();
    let flags = StartTlsFlags::CLIENT;
    let body = StartTls { flags, remote_id, ..StartTls::default() };
    let call = control.call(Message::StartTls(body), Some(network.into())).unwrap();
    (call, Exchange::Tls { ours: None, name })
}

#[test]
fn an_event_loop_of_its_own() {
    let pki = Pki::new();
    let pool = Pool::start(&pki);
    let server = Serve::tls(&pki, "echo:");
    let mut control = Control::connect(&pool.socket).unwrap();
    let mut open = HashMap::new();
    open.insert(control.call(Message::Ping(Ping::default()), None).unwrap(), Exchange::Ping);
    for name in ["localhost", "other.example", "localhost"] {
        let (call, exchange) = start_tls(&mut control, server.address(), name);
        open.insert(call, exchange);
    }
    let mut protected = Vec::new();
    while !open.is_empty() {
        // As libev and libuv do: the descriptor is watched for as long as nothing else is said.
        let mut wanted = PollFlags::IN;
        wanted.set(PollFlags::OUT, control.wants_write());
        let mut watched = [PollFd::from_borrowed_fd(control.as_fd(), wanted)];
        let limit = Timespec { tv_sec: PATIENCE.as_secs().cast_signed(), tv_nsec: 0 };
        assert_eq!(poll(&mut watched, Some(&limit)), Ok(1), "in time");
        control.process().unwrap();
        while let Some(event) = control.next_event() {
            match event {
                Event::Question { call, question: Message::PlaintextConnect(body) } => {
                    let (near, theirs) = UnixStream::pair().unwrap();
                    let Some(Exchange::Tls { ours, .. }) = open.get_mut(&call) else { panic!() };
                    *ours = Some(near);
                    let answer = Message::PlaintextConnect(body);
                    control.answer(call, answer, Some(theirs.into())).unwrap();
                }
                Event::Question { .. } => panic!("{event:?}"),
                Event::Reply { call, reply } => match (open.remove(&call).unwrap(), reply) {
                    (Exchange::Ping, Ok(Message::Ping(ping))) => {
                        assert_eq!(ping.producer.as_str(), Some(Ping::V2));
                    }
                    (Exchange::Tls { ours: Some(plain), name }, Ok(Message::StartTls(body))) => {
                        assert_eq!(body.remote_id.as_str(), Some(name));
                        assert_ne!(body.control_key, ControlKey::default());
                        protected.push(plain);
                    }
                    (Exchange::Tls { ours: None, name }, Err(error)) => {
                        assert_eq!(name, "other.example");
                        assert_eq!(error.code(), Some(ErrorCode::HandshakeFailed));
                    }
                    (_, reply) => panic!("{reply:?}"),
                },
            }
        }
    }
    assert_eq!(protected.len(), 2);
    for plain in &mut protected {
        echoes(plain, b"hello");
    }
    // The pool goes away: the descriptor says so, and who waited hears it.
    let waiting = control.call(Message::Ping(Ping::default()), None).unwrap();
    drop(pool);
    while control.process().is_ok() {
        let mut watched = [PollFd::from_borrowed_fd(control.as_fd(), PollFlags::IN)];
        poll(&mut watched, None).unwrap();
    }
    let heard = std::iter::from_fn(|| control.next_event()).last();
    let Some(Event::Reply { call, .. }) = heard else { panic!("{heard:?}") };
    assert_eq!(call, waiting);
    assert!(control.is_gone());
}
