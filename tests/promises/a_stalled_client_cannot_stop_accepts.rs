//! Clients that say nothing, or too little, or never read, hold up nobody but themselves.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use crate::harness::{Backend, Pki, Serve, connect};

/// The first bytes of a ClientHello that never goes on.
const BEGINNING: &[u8] = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03";

#[track_caller]
fn assert_served(serve: &Serve, pki: &Pki) {
    let client = connect(&serve.tls_url(), ["--ca", &pki.ca]).run(b"hello");
    assert_eq!(client.stdout, b"hello", "{}", client.stderr);
    assert_eq!(client.code(), 0);
}

#[test]
fn by_saying_nothing_or_too_little() {
    let pki = Pki::new();
    let serve = Serve::tls(&pki, "echo:");
    let stalled: Vec<TcpStream> = (0..200)
        .map(|number| {
            let mut stream = serve.dial();
            stream.write_all(&BEGINNING[..number % BEGINNING.len()]).unwrap();
            stream
        })
        .collect();
    assert_served(&serve, &pki);
    drop(stalled);
}

#[test]
fn nor_trouble_the_target() {
    let (pki, backend) = (Pki::new(), Backend::new());
    let serve = Serve::tls(&pki, &backend.url());
    let mut stalled = serve.dial();
    stalled.write_all(BEGINNING).unwrap();
    // It came first, but the target hears only of clients whose handshake is done.
    let mut client = connect(&serve.tls_url(), ["--ca", &pki.ca]).start();
    client.write(b"hello");
    let mut hello = [0; 5];
    backend.accept().read_exact(&mut hello).unwrap();
    assert_eq!(&hello, b"hello");
}

#[test]
fn by_never_reading() {
    let backend = Backend::new();
    let serve = Serve::start(["--listen", "tcp://127.0.0.1:0", "--to", &backend.url()]);
    let stalled = serve.dial();
    let mut flooding = backend.accept();
    // As much as the pipes take: from there on this stream stands still.
    flooding.set_nonblocking(true).unwrap();
    let chunk = vec![b'a'; 65536];
    let mut times_full = 0;
    while times_full < 3 {
        if flooding.write(&chunk).unwrap_or(0) > 0 {
            times_full = 0;
            continue;
        }
        times_full += 1;
        // A stream beside it, through the same process, goes as ever.
        let (mut client, mut server) = (serve.dial(), backend.accept());
        client.write_all(b"hello").unwrap();
        let mut hello = [0; 5];
        server.read_exact(&mut hello).unwrap();
    }
    drop(stalled);
}

#[test]
fn by_taking_up_every_handshake_for_longer_than_its_deadline() {
    let pki = Pki::new();
    let mut serve = Serve::start([
        "--listen",
        "tls://127.0.0.1:0?deadline-handshake=1s",
        "--cert",
        &pki.localhost,
        "--to",
        "echo:",
        "--max-handshakes",
        "4",
    ]);
    let stalled: Vec<TcpStream> = (0..5).map(|_| serve.dial()).collect();
    // The fifth is one too many: it is refused at once, and that is told.
    let record = serve.next("ended");
    assert_eq!(record["client"]["cause"], "refused_limit", "{record}");
    for _ in 0..4 {
        assert_eq!(serve.next("ended")["client"]["cause"], "timeout_handshake");
    }
    assert_served(&serve, &pki);
    drop(stalled);
}

#[test]
fn by_taking_up_every_connection_and_going_away() {
    let mut serve =
        Serve::start(["--listen", "tcp://127.0.0.1:0", "--to", "echo:", "--max-connections", "2"]);
    let first: Vec<TcpStream> = (0..2).map(|_| serve.dial()).collect();
    assert_eq!(serve.next("full")["connections"], 2);
    // The third waits in the system's queue, and is served when there is room.
    let mut third = serve.dial();
    third.write_all(b"hello").unwrap();
    drop(first);
    let mut hello = [0; 5];
    third.read_exact(&mut hello).unwrap();
    assert_eq!(&hello, b"hello");
}

#[test]
fn nor_can_a_listener_without_clients() {
    let args = ["--listen", "tcp://127.0.0.1:0", "--listen", "tcp://127.0.0.1:0"];
    let serve = Serve::start(args.iter().chain(&["--to", "echo:", "--max-connections", "1"]));
    for _ in 0..3 {
        for nth in [0, 1] {
            let mut client = TcpStream::connect(serve.nth(nth)).unwrap();
            client.write_all(b"hello").unwrap();
            let mut hello = [0; 5];
            client.read_exact(&mut hello).unwrap();
        }
    }
}
