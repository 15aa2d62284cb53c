//! Connections that are asked for back: what the clients make of each answer that a pool may give.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::thread::{self, JoinHandle};

use levada_core::{Ending, NoKernelTls};
use levada_pool::wire::body::StartTls;
use levada_pool::wire::{
    CallbackId, ErrorCode, HandBack, HandBackOutcome, KernelState, Message, Packet, Page, Report,
};
use levada_pool::{Client, PoolError, Protected, TlsRequest, blocking};
use levada_sys::descriptors;

/// What a pool does with a wish.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    /// It is of another make, and does not know it.
    Unknown,
    Relays,
    HandsBack,
    /// It hands back, and has no state then.
    Forgets,
}

/// A pool's end of a control connection.
struct Pool(UnixStream);

impl Pool {
    fn receive(&mut self) -> (Packet, Option<OwnedFd>) {
        let mut bytes = [0; 388];
        let received = descriptors::receive(&self.0, &mut bytes).unwrap();
        assert_eq!(received.bytes, 388, "packets are sent whole");
        (Packet::decode(&bytes).unwrap(), received.descriptors.into_iter().next())
    }

    fn reply(&mut self, to: &Packet, callback: Option<u16>, message: Message) {
        let callback = callback.map(|id| CallbackId(id.try_into().unwrap()));
        let packet = Packet { request: to.request, callback, message };
        self.0.write_all(packet.encode().expose()).unwrap();
    }

    /// Takes the question about a hand-back.
    fn asked(&mut self) -> (Packet, HandBack) {
        let (packet, descriptor) = self.receive();
        assert!(descriptor.is_none());
        let Message::Local(HandBack::COMMAND, body) = &packet.message else { panic!("{packet:?}") };
        let asked = HandBack::from_body(body).unwrap();
        assert_eq!(asked.outcome, None);
        (packet, asked)
    }

    /// Takes a STARTTLS to its end, and gives what was passed for it to use.
    fn protect(&mut self, way: Way) -> OwnedFd {
        let (packet, wish) = self.asked();
        let known = way != Way::Unknown;
        let unknown = || Message::from(ErrorCode::UnknownCommand);
        self.reply(&packet, None, if known { Message::Success } else { unknown() });
        let (packet, network) = self.receive();
        let Message::StartTls(body) = packet.message.clone() else { panic!("{packet:?}") };
        assert_eq!(body.control_key, wish.control_key);
        if matches!(way, Way::HandsBack | Way::Forgets) {
            self.reply(&packet, None, Message::StartTls(body));
            let (packet, asked) = self.asked();
            let state = (way == Way::HandsBack).then(|| Ok(KernelState::new(b"state").unwrap()));
            self.reply(&packet, None, HandBack { outcome: state, ..asked }.into());
            return network.unwrap();
        }
        let plain = self.ask_for_plain(&packet, body);
        if known {
            let (packet, asked) = self.asked();
            let outcome = Some(Err(NoKernelTls::Suite));
            self.reply(&packet, None, HandBack { outcome, ..asked }.into());
        }
        plain
    }

    fn ask_for_plain(&mut self, packet: &Packet, body: StartTls) -> OwnedFd {
        self.reply(packet, Some(1024), Message::PlaintextConnect(body.clone()));
        let (answer, plain) = self.receive();
        self.reply(&answer, None, Message::StartTls(body));
        plain.unwrap()
    }
}

/// A pool's socket, gone with the test.
struct Socket(PathBuf);

impl Socket {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("levada-back-{name}-{}", std::process::id()));
        let _ = std::fs::remove_file(&path);
        Self(path)
    }

    fn run(&self, script: impl FnOnce(Pool) + Send + 'static) -> JoinHandle<()> {
        let listener = UnixListener::bind(&self.0).unwrap();
        thread::spawn(move || script(Pool(listener.accept().unwrap().0)))
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn request() -> TlsRequest {
    TlsRequest::client("orvelte.nep").unwrap().hand_back(true)
}

/// That what is written to what the pool uses arrives at `plain`.
fn connects(theirs: OwnedFd, plain: OwnedFd) {
    UnixStream::from(theirs).write_all(b"x").unwrap();
    UnixStream::from(plain).read_exact(&mut [0]).unwrap();
}

/// What came of it, in either client, and the pool's end of the plaintext.
async fn outcomes(
    name: &str,
    way: Way,
) -> Vec<(Result<Protected, PoolError>, OwnedFd, UnixStream)> {
    let mut all = Vec::new();
    for is_blocking in [false, true] {
        let socket = Socket::new(&format!("{name}-{is_blocking}"));
        let (tell, told) = std::sync::mpsc::channel();
        let pool = socket.run(move |mut pool| {
            tell.send(pool.protect(way)).unwrap();
            // Until the client has heard it.
            let _ = pool.0.read(&mut [0; 388]);
        });
        let (ours, peer) = UnixStream::pair().unwrap();
        let protected = if is_blocking {
            let path = socket.0.clone();
            let run = move || blocking::Client::connect(path)?.start_tls(ours, &request());
            tokio::task::spawn_blocking(run).await.unwrap()
        } else {
            let session = Client::at(&socket.0).start_tls(ours, &request()).await;
            session.map(|session| {
                let hand_back = session.protected().hand_back.clone();
                let (plain, handle) = session.into_parts();
                let (local_id, remote_id) = (*handle.local_id(), *handle.remote_id());
                let control_key = handle.control_key().clone();
                Protected { plain, hand_back, control_key, local_id, remote_id }
            })
        };
        pool.join().unwrap();
        all.push((protected, told.recv().unwrap(), peer));
    }
    all
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn d3_a_connection_comes_back_with_its_state() {
    for (protected, network, mut peer) in outcomes("back", Way::HandsBack).await {
        let protected = protected.unwrap();
        let state = KernelState::new(b"state").unwrap();
        assert_eq!(protected.hand_back, Some(Ok(state)));
        // It is the same connection: the pool's copy and ours have one peer.
        drop(network);
        UnixStream::from(protected.plain).write_all(b"x").unwrap();
        peer.read_exact(&mut [0]).unwrap();
        assert_eq!(peer.read(&mut [0]).unwrap(), 0, "nobody else holds it");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn d3_a_pool_that_does_not_hand_back_relays() {
    let ways: [(Way, Option<HandBackOutcome>); 2] =
        [(Way::Unknown, None), (Way::Relays, Some(Err(NoKernelTls::Suite)))];
    for (number, (way, outcome)) in ways.into_iter().enumerate() {
        for (protected, plain, mut peer) in outcomes(&format!("relay-{number}"), way).await {
            let protected = protected.unwrap();
            assert_eq!(protected.hand_back, outcome);
            connects(plain, protected.plain);
            assert_eq!(peer.read(&mut [0]).unwrap(), 0, "we kept no copy of the connection");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn d3_a_connection_that_comes_back_without_its_state_is_an_error() {
    for (protected, _network, _peer) in outcomes("forgets", Way::Forgets).await {
        assert!(matches!(protected, Err(PoolError::Protocol(_))), "{protected:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn d3_no_connection_comes_back_that_was_not_asked_for() {
    let socket = Socket::new("unasked");
    let pool = socket.run(|mut pool| {
        let (packet, _network) = pool.receive();
        pool.reply(&packet, None, packet.message.clone());
        assert_eq!(pool.0.read(&mut [0; 388]).unwrap(), 0, "the client leaves");
    });
    let (ours, _peer) = UnixStream::pair().unwrap();
    let request = request().hand_back(false);
    let error = Client::at(&socket.0).start_tls(ours, &request).await.unwrap_err();
    assert!(matches!(error, PoolError::Protocol(_)), "{error}");
    pool.join().unwrap();
}

#[test]
fn d3_a_ticket_and_a_farewell_go_page_by_page() {
    let socket = Socket::new("pages");
    let pool = socket.run(|mut pool| {
        drop(pool.protect(Way::HandsBack));
        let mut texts = [Vec::new(), Vec::new()];
        for text in &mut texts {
            loop {
                let (packet, _) = pool.receive();
                let page = Page::of(&packet.message).unwrap().unwrap();
                text.extend_from_slice(page.bytes());
                pool.reply(&packet, None, Message::Success);
                if text.len() == page.total as usize {
                    break;
                }
            }
        }
        assert_eq!(texts[0], [7; 800]);
        let report = Report::decode(&texts[1]).unwrap();
        assert_eq!(report.ending, Some(Ending::Finished));
    });
    let client = blocking::Client::connect(&socket.0).unwrap();
    let (ours, _peer) = UnixStream::pair().unwrap();
    let key = client.start_tls(ours, &request()).unwrap().control_key;
    client.ticket(&key, &[7; 800]).unwrap();
    let report = Report { ending: Some(Ending::Finished), ..Report::default() };
    client.farewell(&key, &report).unwrap();
    pool.join().unwrap();
}
