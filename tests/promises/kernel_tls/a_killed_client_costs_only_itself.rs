//! A client that gets its connection back under kernel TLS and is killed (SIGKILL), wherever in between or
//! behind, costs only itself: its peer hears no clean end, and the pool serves on, holds no session of it, and
//! no descriptor.

use levada_testkit::skip::cannot_run;
use rustix::process::Signal;

use crate::gate::Gate;
use crate::harness::{Pki, Pool, Running, Serve, connect, descriptors, digits, until};
use crate::way::Way;

/// More than is through when its client is killed.
const MUCH: usize = 4 << 20;

/// A pool, and somebody who is on it all the time.
struct Others {
    pool: Pool,
    bystander: Running,
    /// The fewest descriptors that the pool was seen to hold for that.
    held: usize,
}

impl Others {
    #[track_caller]
    fn start(pki: &Pki, server: &Serve) -> Self {
        let pool = Pool::start(pki);
        let mut bystander = connect(&pool.url(server.address()), ["--name", "localhost"]).start();
        bystander.write(b"alive");
        assert_eq!(bystander.stdout.take(5), b"alive");
        let held = descriptors(pool.process.id());
        Self { pool, bystander, held }
    }

    /// Waits until nothing is left of anybody else, and talks.
    #[track_caller]
    fn remain(&mut self) {
        until("its session is gone", || self.pool.sessions().len() == 1);
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
    let mut server = Serve::tls(&pki, "echo:");
    let mut others = Others::start(&pki, &server);
    let address = server.address();
    let url = |gate: &Gate| format!("pool+tls://{address}?name=localhost&pool={}", gate.socket);

    let gate = Gate::to(&others.pool, &pki, usize::MAX);
    let mut whole = connect(&url(&gate), [""; 0]).start();
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
        let mut client = connect(&url(&gate), [""; 0]).start();
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
fn while_its_bytes_are_on_their_way() {
    if !may_count("while_its_bytes_are_on_their_way") {
        return;
    }
    let pki = Pki::new();
    let mut server = Serve::tls(&pki, "echo:");
    let mut others = Others::start(&pki, &server);
    let is_told = Way::Kernel.is_past_the_pool();

    // As a client of the pool,
    let url = others.pool.url(server.address());
    let mut client = connect(&url, ["--name", "localhost"]).start();
    let feeding = client.feed(digits(MUCH));
    client.stdout.take(1 << 18);
    client.signal(Signal::KILL);
    client.join();
    drop(feeding.join().unwrap());
    let ended = server.next("ended")["client"].take();
    assert!(!is_told || ended["clean"] == false, "{ended}");
    others.remain();

    // and as a server on it.
    let serve = Serve::start(["--listen", &others.pool.url("127.0.0.1:0"), "--to", "echo:"]);
    let mut client = connect(&serve.tls_url(), ["--ca", &pki.ca]).start();
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
