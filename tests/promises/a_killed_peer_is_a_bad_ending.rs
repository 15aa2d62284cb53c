//! A program that is killed in mid-transfer (SIGKILL) leaves no clean end to anybody, and the log names
//! whose end it was.
//!
//! On plain TCP the system says goodbye for the dead, unless it throws away what had come for them: only
//! a layer with a goodbye of its own can always tell. So it is TLS that the victims speak.

use std::io::{ErrorKind, Read, Write as _};
use std::net::TcpStream;
use std::process::ChildStdin;
use std::thread::JoinHandle;

use rustix::process::Signal;
use serde_json::Value;

use crate::harness::{Backend, Pki, Running, Serve, Server, VERSIONS, Wire, connect};

/// What must have gone through before the blow.
const SOME: usize = 1 << 20;

/// What the victim is given to send; its input stays open behind it.
fn much() -> Vec<u8> {
    vec![b'1'; 16 * SOME]
}

fn read_some(from: &mut impl Read) {
    from.read_exact(&mut vec![0; SOME]).unwrap();
}

/// Writes until that fails; the failure.
fn write_on(to: &mut TcpStream) -> ErrorKind {
    let chunk = much();
    loop {
        if let Err(error) = to.write_all(&chunk) {
            return error.kind();
        }
    }
}

/// Lets `openssl s_server` send once the first line has come from its client: what it finds to send
/// during the handshake makes it wait for the client.
fn begin(server: &mut Server) -> JoinHandle<ChildStdin> {
    while server.process.stdout.line().expect("a client comes") != "begin" {}
    server.process.feed(much())
}

/// One side is named as the one whose peer ended it, the other as dropped by us because of that.
#[track_caller]
fn assert_named(record: &Value, dead: &str, other: &str) {
    let code = record[dead]["code"].as_str().unwrap();
    assert!(["ERR_TLS_SOCKET_CLOSE", "ECONNRESET", "EPIPE"].contains(&code), "{record}");
    assert_eq!((&record[dead]["blame"], &record[dead]["clean"]), (&"peer".into(), &false.into()));
    assert_eq!(record[dead]["facts"]["first_goodbye"], Value::Null, "{record}");
    assert_eq!(record[other]["code"], "aborted", "{record}");
    assert_eq!((&record[other]["blame"], &record["cut"]), (&"local".into(), &false.into()));
}

#[test]
fn of_a_client_that_fetches() {
    let pki = Pki::new();
    for version in VERSIONS {
        let (mut serve, mut client, mut stream) = Serve::between(&pki, version);
        let writing = std::thread::spawn(move || write_on(&mut stream));
        client.stdout.take(SOME);
        client.signal(Signal::KILL);
        let error = writing.join().unwrap();
        let reset = [ErrorKind::ConnectionReset, ErrorKind::BrokenPipe];
        assert!(reset.contains(&error), "{version}: {error}");
        assert_named(&serve.next("ended"), "client", "target");
    }
}

#[test]
fn of_a_client_that_brings() {
    let pki = Pki::new();
    for version in VERSIONS {
        let (mut serve, mut client, mut stream) = Serve::between(&pki, version);
        let feeding = client.feed(much());
        read_some(&mut stream);
        client.signal(Signal::KILL);
        let error = stream.read_to_end(&mut Vec::new()).expect_err("this is not all of it");
        assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{version}");
        drop(feeding.join().unwrap());
        assert_named(&serve.next("ended"), "client", "target");
    }
}

#[test]
fn of_a_target() {
    let pki = Pki::new();
    for version in VERSIONS {
        let mut target = Server::start(&pki, version, &[]);
        let to = target.url();
        let mut serve =
            Serve::start(["--listen", "tcp://127.0.0.1:0", "--to", &to, "--ca", &pki.ca]);
        let mut client = serve.dial();
        client.write_all(b"begin\n").unwrap();
        let feeding = begin(&mut target);
        read_some(&mut client);
        target.process.signal(Signal::KILL);
        let error = client.read_to_end(&mut Vec::new()).expect_err("this is not all of it");
        assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{version}");
        drop(feeding.join().unwrap());
        assert_named(&serve.next("ended"), "target", "client");
    }
}

#[test]
fn of_the_bridge_itself() {
    let (pki, backend) = (Pki::new(), Backend::new());
    let serve = Serve::tls(&pki, &backend.url());
    let mut client = connect(&serve.tls_url(), ["--ca", &pki.ca]).start();
    let mut stream = backend.accept();
    let writing = std::thread::spawn(move || write_on(&mut stream));
    client.stdout.take(SOME);
    serve.process.signal(Signal::KILL);
    assert!(writing.join().is_ok(), "the target's writes fail");
    assert_client_was_cut(client);
}

#[test]
fn of_a_server() {
    let pki = Pki::new();
    for version in VERSIONS {
        let mut server = Server::start(&pki, version, &[]);
        let wire = Wire::to(server.address);
        let mut client = connect(&wire.tls_url(), ["--ca", &pki.ca]).start();
        client.write(b"begin\n");
        let feeding = begin(&mut server);
        client.stdout.take(SOME);
        server.process.signal(Signal::KILL);
        drop(feeding.join().unwrap());
        assert_client_was_cut(client);
    }
}

/// The client of ours has got some, and knows that it was not all.
#[track_caller]
fn assert_client_was_cut(client: Running) {
    let client = client.wait();
    let ended = client.ended();
    assert_eq!((client.code(), &ended["blame"]), (3, &"peer".into()), "{ended}");
    let code = ended["code"].as_str().unwrap();
    assert!(["ERR_TLS_SOCKET_CLOSE", "ECONNRESET"].contains(&code), "{ended}");
}
