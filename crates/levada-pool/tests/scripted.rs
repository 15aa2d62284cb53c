//! The clients against a pool that does what a script says, packet by packet.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

#[path = "scripted/services.rs"]
mod services;
#[path = "scripted/streams.rs"]
mod streams;

use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use levada_core::{Ending, Fault};
use levada_pool::wire::body::Ping;
use levada_pool::wire::{
    CallbackId, Command, ErrorCode, Facilities, Identity, Message, Offer, Packet, Page, Report,
    RequestId, StartTlsFlags,
};
use levada_pool::{Client, PoolError, TlsRequest, blocking};
use levada_sys::descriptors;
use tokio::io::AsyncReadExt;
use tokio::time::Instant;

/// A pool's end of a control connection.
struct Pool(UnixStream);

impl Pool {
    fn receive(&mut self) -> (Packet, Option<OwnedFd>) {
        let mut bytes = [0; 388];
        let received = descriptors::receive(&self.0, &mut bytes).unwrap();
        assert_eq!(received.bytes, 388, "packets are sent whole");
        (Packet::decode(&bytes).unwrap(), received.descriptors.into_iter().next())
    }

    fn send(&mut self, request: RequestId, callback: Option<u16>, message: Message) {
        let callback = callback.map(|id| CallbackId(id.try_into().unwrap()));
        let packet = Packet { request, callback, message };
        self.0.write_all(packet.encode().expose()).unwrap();
    }

    /// Takes a STARTTLS to its end: echoes the plaintext socket.
    fn protect(&mut self) -> (Packet, OwnedFd) {
        let (packet, network) = self.receive();
        let Message::StartTls(body) = &packet.message else { panic!("{packet:?}") };
        self.send(packet.request, Some(1024), Message::PlaintextConnect(body.clone()));
        let (answer, plain) = self.receive();
        assert_eq!(answer.callback.unwrap().0.get(), 1024);
        assert_eq!(answer.message.command(), Command::PlaintextConnect);
        let mut plain = UnixStream::from(plain.expect("the plaintext socket"));
        let mut reply = body.clone();
        reply.remote_id = Identity::new("orvelte.nep").unwrap();
        self.send(answer.request, None, Message::StartTls(reply));
        plain.write_all(b"plaintext").unwrap();
        (packet, network.expect("the network socket"))
    }
}

/// A pool's socket in a directory of its own.
struct Socket(PathBuf);

impl Socket {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("levada-{name}-{}", std::process::id()));
        let _ = std::fs::remove_file(&path);
        Self(path)
    }

    /// Accepts as many connections as there are scripts, one after another.
    fn run<F: FnOnce(Pool) + Send + 'static>(&self, scripts: Vec<F>) -> JoinHandle<()> {
        let listener = UnixListener::bind(&self.0).unwrap();
        thread::spawn(move || {
            for script in scripts {
                script(Pool(listener.accept().unwrap().0));
            }
        })
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn request() -> TlsRequest {
    TlsRequest::client("orvelte.nep").unwrap()
}

/// The end of the connection that the pool is given, and its peer's.
fn network() -> (UnixStream, UnixStream) {
    UnixStream::pair().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a7_a_connection_is_protected_and_its_socket_leaves_us() {
    let socket = Socket::new("protect");
    let pool = socket.run(vec![|mut pool: Pool| {
        let (packet, network) = pool.protect();
        let Message::StartTls(body) = packet.message else { panic!("no STARTTLS") };
        assert_eq!(body.flags, StartTlsFlags::CLIENT);
        assert_ne!(body.control_key.expose(), &[0; 16]);
        drop(network);
        // The client hangs up with its last handle.
        assert_eq!(pool.0.read(&mut [0; 388]).unwrap(), 0);
    }]);
    let client = Client::at(&socket.0);
    let (ours, mut peer) = network();
    let session = client.start_tls(ours, &request()).await.unwrap();
    assert_eq!(session.protected().remote_id.as_str(), Some("orvelte.nep"));
    let (plain, handle) = session.into_parts();
    let mut text = [0; 9];
    UnixStream::from(plain).read_exact(&mut text).unwrap();
    assert_eq!(&text, b"plaintext");
    // The pool has closed the network socket, and we have no copy of it.
    assert_eq!(peer.read(&mut [0; 1]).unwrap(), 0);
    drop((handle, client));
    pool.join().unwrap();
}

#[test]
fn a7_the_blocking_client_protects_a_connection() {
    let socket = Socket::new("blocking");
    let pool = socket.run(vec![|mut pool: Pool| {
        let (ping, _) = pool.receive();
        assert_eq!(ping.message.command(), Command::Ping);
        pool.send(ping.request, None, ping.message);
        let (offer, descriptor) = pool.receive();
        assert_eq!(
            (offer.message.command(), descriptor.is_none()),
            (Command::Local(Offer::COMMAND), true)
        );
        pool.send(offer.request, None, Message::Success);
        drop(pool.protect());
    }]);
    let client = blocking::Client::connect(&socket.0).unwrap();
    let identity = client.ping(Facilities::ALL_CURRENT).unwrap();
    assert_eq!(identity.producer, Ping::V2);
    let protected = client.start_tls(network().0, &request().alpn(["h2"])).unwrap();
    let mut text = String::new();
    UnixStream::from(protected.plain).read_to_string(&mut text).unwrap();
    assert_eq!(text, "plaintext");
    pool.join().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a7_a_question_about_our_identity_is_the_applications_to_answer() {
    let socket = Socket::new("localid");
    let script = |mut pool: Pool| {
        let (packet, _network) = pool.receive();
        let Message::StartTls(mut body) = packet.message else { panic!("no STARTTLS") };
        body.local_id = Identity::new("orvelte.nep").unwrap();
        pool.send(packet.request, Some(1024), Message::StartTlsLocalId(body));
        let (answer, _) = pool.receive();
        match answer.message {
            Message::StartTlsLocalId(body) => assert_eq!(body.local_id.as_str(), Some("other.nep")),
            other => assert_eq!(other.command(), Command::Error),
        }
        pool.send(answer.request, None, ErrorCode::ClientRefusesCallback.into());
    };
    let pool = socket.run(vec![script, script]);
    let server = TlsRequest::server().with(StartTlsFlags::LOCALID_CHECK);
    let client = Client::at(&socket.0);
    let stands_for = async |question: &levada_pool::LocalIdQuestion| {
        assert_eq!(question.local_id.as_str(), Some("orvelte.nep"));
        Some(Identity::new("other.nep").unwrap())
    };
    let error = client.start_tls_with(network().0, &server, stands_for).await.unwrap_err();
    assert_eq!(error.code(), Some(ErrorCode::ClientRefusesCallback));
    drop(client);
    let error = Client::at(&socket.0).start_tls(network().0, &server).await.unwrap_err();
    assert_eq!(error.code(), Some(ErrorCode::ClientRefusesCallback));
    pool.join().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a5_replies_out_of_order_reach_whoever_asked() {
    let socket = Socket::new("order");
    let pool = socket.run(vec![|mut pool: Pool| {
        let mut asked: Vec<_> = (0..16).map(|_| pool.receive().0).collect();
        asked.reverse();
        for packet in asked {
            pool.send(packet.request, None, packet.message);
        }
        assert_eq!(pool.0.read(&mut [0; 388]).unwrap(), 0);
    }]);
    let client = Client::at(&socket.0);
    let tasks: Vec<_> = (0..16)
        .map(|bits| {
            let client = client.clone();
            tokio::spawn(async move {
                let facilities = Facilities::from_bits(bits);
                assert_eq!(client.ping(facilities).await.unwrap().facilities, facilities);
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    drop(client);
    pool.join().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a9_a_pool_that_dies_is_told_and_the_next_request_connects_anew() {
    let socket = Socket::new("dies");
    let pool = socket.run(vec![(|mut pool: Pool| drop(pool.receive())) as fn(Pool), |mut pool| {
        let (ping, _) = pool.receive();
        pool.send(ping.request, None, ping.message);
    }]);
    let client = Client::at(&socket.0);
    let error = client.start_tls(network().0, &request()).await.unwrap_err();
    assert_eq!(error, PoolError::Gone);
    assert_eq!(error.code(), Some(ErrorCode::ClientDisconnect));
    client.ping(Facilities::STARTTLS).await.unwrap();
    pool.join().unwrap();
}

#[tokio::test]
async fn a9_a_pool_that_was_there_is_waited_for_with_pauses_and_not_for_ever() {
    let socket = Socket::new("away");
    let answer_once = |mut pool: Pool| {
        let (ping, _) = pool.receive();
        pool.send(ping.request, None, ping.message);
    };
    let pool = socket.run(vec![answer_once]);
    let client = Client::at(&socket.0);
    client.ping(Facilities::STARTTLS).await.unwrap();
    pool.join().unwrap();
    std::fs::remove_file(&socket.0).unwrap();

    tokio::time::pause();
    let begun = Instant::now();
    let error = loop {
        match client.ping(Facilities::STARTTLS).await {
            // That the old connection is gone may be news.
            Err(PoolError::Gone) => {}
            other => break other.unwrap_err(),
        }
    };
    assert!(matches!(error, PoolError::Unreachable { .. }), "{error:?}");
    let waited = begun.elapsed();
    assert!((4..=5).contains(&waited.as_secs()), "{waited:?}");

    // It comes back while somebody waits for it.
    let back = async {
        tokio::time::sleep(Duration::from_secs(2)).await;
        let pool = socket.run(vec![answer_once]);
        tokio::time::resume();
        pool
    };
    let (answer, pool) = tokio::join!(client.ping(Facilities::STARTTLS), back);
    answer.unwrap();
    pool.join().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn where_no_pool_is_the_error_says_where_and_what_to_do() {
    let error = Client::at("/nonexistent/pool.sock").ping(Facilities::NONE).await.unwrap_err();
    let text = error.to_string();
    assert!(text.contains("/nonexistent/pool.sock") && text.contains("levada pool"), "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_abandoned_request_leaves_no_question_unanswered() {
    let socket = Socket::new("abandon");
    let (asked, heard) = std::sync::mpsc::channel();
    let pool = socket.run(vec![move |mut pool: Pool| {
        let (packet, network) = pool.receive();
        asked.send(()).unwrap();
        let (ping, _) = pool.receive();
        let Message::StartTls(body) = packet.message else { panic!("no STARTTLS") };
        // The one who asked is gone, the client is not: it declines.
        pool.send(packet.request, Some(1024), Message::PlaintextConnect(body));
        let (answer, _) = pool.receive();
        assert_eq!(
            (answer.callback.unwrap().0.get(), answer.message.command()),
            (1024, Command::Error)
        );
        pool.send(answer.request, None, ErrorCode::BadCallbackResponse.into());
        drop(network);
        pool.send(ping.request, None, ping.message);
    }]);
    let client = Client::at(&socket.0);
    let abandoned = tokio::spawn({
        let client = client.clone();
        async move { client.start_tls(network().0, &request()).await.map(drop) }
    });
    tokio::task::spawn_blocking(move || heard.recv().unwrap()).await.unwrap();
    abandoned.abort();
    assert!(abandoned.await.unwrap_err().is_cancelled());
    client.ping(Facilities::STARTTLS).await.unwrap();
    pool.join().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_failed_handshake_tells_how_it_ended() {
    let ending = Ending::FatalError { alert: None, cause: Fault::OldVersion };
    let report = Report { ending: Some(ending.clone()), ..Report::default() };
    let socket = Socket::new("story");
    let pool = socket.run(vec![move |mut pool: Pool| {
        let (packet, _network) = pool.receive();
        pool.send(packet.request, None, ErrorCode::HandshakeFailed.into());
        let (asked, _) = pool.receive();
        let page = Page::of(&asked.message).unwrap().unwrap();
        pool.send(asked.request, None, page.reply(&report.encode()).into());
    }]);
    let error = Client::at(&socket.0).start_tls(network().0, &request()).await.unwrap_err();
    assert_eq!(error, PoolError::Handshake { ending: Box::new(ending), tls: None });
    pool.join().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_pool_that_breaks_the_protocol_is_left() {
    let socket = Socket::new("protocol");
    let pool = socket.run(vec![|mut pool: Pool| {
        let (ping, _) = pool.receive();
        pool.send(RequestId(ping.request.0 + 1), None, ping.message);
        assert_eq!(pool.0.read(&mut [0; 388]).unwrap(), 0, "it hangs up");
    }]);
    let error = Client::at(&socket.0).ping(Facilities::NONE).await.unwrap_err();
    assert!(matches!(error, PoolError::Protocol(_)), "{error:?}");
    pool.join().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn what_a_pool_sends_as_descriptors_is_closed() {
    let socket = Socket::new("descriptor");
    let (reader, writer) = std::io::pipe().unwrap();
    let pool = socket.run(vec![move |mut pool: Pool| {
        let (ping, _) = pool.receive();
        let bytes = ping.encode();
        descriptors::send(&pool.0, bytes.expose(), &[writer.as_fd()]).unwrap();
        drop(writer);
    }]);
    Client::at(&socket.0).ping(Facilities::NONE).await.unwrap();
    pool.join().unwrap();
    let mut reader = tokio::net::unix::pipe::Receiver::from_owned_fd(reader.into()).unwrap();
    assert_eq!(reader.read(&mut [0; 1]).await.unwrap(), 0);
}
