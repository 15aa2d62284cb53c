//! A client that gets its connection back under kernel TLS and is killed (SIGKILL), wherever in between or
//! behind, costs only itself: its peer hears no clean end, and the pool serves on, holds no session of it, and
//! no descriptor.

use std::io::{ErrorKind, Read as _};
use std::net::TcpStream;

use levada_pool::blocking;
use levada_testkit::skip::cannot_run;
use rustix::process::Signal;

use crate::gate::Gate;
use crate::harness::{Backend, Pki, Pool, Running, Serve, descriptors, digits, until};
use crate::stream::{connect_by_pool, connect_tls, serve_tls};
use crate::way::{PATIENT, Way};

/// More than is through when its client is killed.
const MUCH: usize = 4 << 20;

/// A pool, and two who are on it all the time.
struct Others {
    pool: Pool,
    bystander: Running,
    /// Who asks for its sessions.
    watcher: blocking::Client,
    /// The fewest descriptors that the pool was seen to hold for that.
    held: usize,
}

impl Others {
    #[track_caller]
    fn start(pki: &Pki, server: &Serve) -> Self {
        let pool = Pool::start(pki);
        let mut bystander = connect_by_pool(&Way::Kernel.url(&pool, server.address())).start();
        bystander.write(b"alive");
        assert_eq!(bystander.stdout.take(5), b"alive");
        let watcher = blocking::Client::connect(&pool.socket).unwrap();
        let mut others = Self { pool, bystander, watcher, held: 0 };
        assert_eq!(others.sessions(), 1);
        others.held = descriptors(others.pool.process.id());
        others
    }

    /// How many sessions the pool has.
    #[track_caller]
    fn sessions(&mut self) -> usize {
        self.watcher.sessions().unwrap().lines().count()
    }

    /// Waits until nothing is left of anybody else, and talks.
    #[track_caller]
    fn remain(&mut self) {
        until("its session is gone", || self.sessions() == 1);
        let pool = self.pool.process.id();
        until("its descriptors are closed", || descriptors(pool) <= self.held);
        self.held = self.held.min(descriptors(pool));
        self.bystander.write(b"alive");
        assert_eq!(self.bystander.stdout.take(5), b"alive");
    }

    #[track_caller]
    fn leave(mut self) {
        assert_eq!(self.bystander.finish().code(), 0);
        self.pool.process.signal(Signal::TERM);
        self.pool.hear("stopped, with all sessions ended");
    }
}

/// Whether the descriptors of a pool can be counted: they are root's to see.
fn may_count(test: &str) -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        cannot_run(test, "only root sees the descriptors of a pool");
    }
    root
}

#[test]
fn at_every_packet_of_a_hand_back() {
    if !may_count("at_every_packet_of_a_hand_back") {
        return;
    }
    let pki = Pki::new();
    let mut server = serve_tls(&pki, "echo:");
    let mut others = Others::start(&pki, &server);
    let address = server.address();
    let url = |gate: &Gate| {
        let pool = &gate.socket;
        format!("pool+tls://{address}?pool={pool}&{PATIENT}")
    };

    let gate = Gate::to(&others.pool, &pki, usize::MAX);
    let mut whole = connect_by_pool(&url(&gate)).start();
    whole.write(b"hello");
    assert_eq!(whole.stdout.take(5), b"hello");
    let packets = gate.passed();
    let finished = whole.finish();
    assert_eq!(finished.code(), 0, "{}", finished.stderr);
    Way::Kernel.assert_told(&finished.ended()["facts"]);
    assert_eq!(server.next("ended")["client"]["code"], "finished");
    others.remain();

    for passed in 0..packets {
        let gate = Gate::to(&others.pool, &pki, passed);
        let mut client = connect_by_pool(&url(&gate)).start();
        gate.holds();
        client.signal(Signal::KILL);
        client.join();
        let ended = server.next("ended")["client"].take();
        // Through the relay one that has said nothing wrong cannot be told from one that ends in order.
        let is_told = Way::Kernel.is_past_the_pool();
        assert!(!is_told || ended["clean"] == false, "behind {passed} packets: {ended}");
        others.remain();
    }
    others.leave();
}

#[test]
fn before_the_handshake_is_over() {
    if !may_count("before_the_handshake_is_over") {
        return;
    }
    let pki = Pki::new();
    let server = serve_tls(&pki, "echo:");
    let mut others = Others::start(&pki, &server);

    let silent = Backend::new();
    let url = Way::Kernel.url(&others.pool, silent.address);
    let mut client = connect_by_pool(&url).start();
    let mut far = silent.accept();
    // The hello has come: the pool has the connection, and waits.
    far.read_exact(&mut [0; 5]).unwrap();
    client.signal(Signal::KILL);
    client.join();
    assert_is_let_go(far);
    others.remain();

    let listen = Way::Kernel.url(&others.pool, "127.0.0.1:0");
    let mut serve = Serve::start(["--listen", &listen, "--to", "echo:"]);
    let far = serve.dial();
    until("the pool has the connection", || others.sessions() == 2);
    serve.process.signal(Signal::KILL);
    serve.process.join();
    assert_is_let_go(far);
    others.remain();
    others.leave();
}

/// Waits for the end of a connection.
#[track_caller]
fn assert_is_let_go(mut far: TcpStream) {
    let error = far.read_to_end(&mut Vec::new()).err();
    assert!(
        error.as_ref().is_none_or(|error| error.kind() == ErrorKind::ConnectionReset),
        "{error:?}"
    );
}

#[test]
fn while_its_bytes_are_on_their_way() {
    if !may_count("while_its_bytes_are_on_their_way") {
        return;
    }
    let pki = Pki::new();
    let mut server = serve_tls(&pki, "echo:");
    let mut others = Others::start(&pki, &server);
    let is_told = Way::Kernel.is_past_the_pool();

    // As a client of the pool,
    let url = Way::Kernel.url(&others.pool, server.address());
    let mut client = connect_by_pool(&url).start();
    let feeding = client.feed(digits(MUCH));
    client.stdout.take(1 << 18);
    client.signal(Signal::KILL);
    client.join();
    drop(feeding.join().unwrap());
    let ended = server.next("ended")["client"].take();
    assert!(!is_told || ended["clean"] == false, "{ended}");
    others.remain();

    // and as a server on it.
    let listen = Way::Kernel.url(&others.pool, "127.0.0.1:0");
    let serve = Serve::start(["--listen", &listen, "--to", "echo:"]);
    let mut client = connect_tls(&pki, &serve).start();
    let feeding = client.feed(digits(MUCH));
    client.stdout.take(1 << 18);
    serve.process.signal(Signal::KILL);
    let finished = client.wait();
    drop(feeding.join().unwrap());
    assert!(!is_told || finished.ended()["clean"] == false, "{}", finished.stderr);
    drop(serve);
    others.remain();
    others.leave();
}
