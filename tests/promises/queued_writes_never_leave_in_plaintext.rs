//! What is written before TLS is up leaves through TLS, or not at all.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use crate::harness::{Backend, Pki, Serve, Server, VERSIONS, Wire, connect, reset};

const SECRET: &[u8] = b"the-secret-is-4711";

fn assert_hidden(seen: &[u8], case: &str) {
    assert!(!seen.windows(SECRET.len()).any(|part| part == SECRET), "{case}: it is in plain sight");
}

/// What a server does that is none, once it has the client's first bytes.
type Misdeed = fn(&mut TcpStream);

const MISDEEDS: [(&str, Misdeed); 5] = [
    ("it speaks plaintext", |stream| stream.write_all(b"220 mail.example ready\r\n").unwrap()),
    ("it ends", |_| {}),
    ("it sends an alert", |stream| stream.write_all(b"\x15\x03\x03\x00\x02\x02\x28").unwrap()),
    ("it sends a close_notify", |stream| {
        stream.write_all(b"\x15\x03\x03\x00\x02\x01\x00").unwrap();
    }),
    ("it sends garbage in a record", |stream| {
        stream.write_all(b"\x16\x03\x03\x00\x04abcd").unwrap();
    }),
];

/// Reads what the client sends before the misdeed and after it, until it has gone.
fn misbehave(stream: &mut TcpStream, misdeed: Misdeed) -> Vec<u8> {
    let mut seen = vec![0; 64 * 1024];
    let count = stream.read(&mut seen).unwrap();
    seen.truncate(count);
    misdeed(stream);
    let _ = stream.shutdown(std::net::Shutdown::Write);
    let _ = stream.read_to_end(&mut seen);
    seen
}

#[test]
fn whatever_the_server_does_instead_of_a_handshake() {
    for (case, misdeed) in MISDEEDS {
        let backend = Backend::new();
        let url = format!("tls://{}", backend.address);
        let client = std::thread::spawn(move || connect(&url, [""; 0]).run(SECRET));
        let seen = misbehave(&mut backend.accept(), misdeed);
        let client = client.join().unwrap();
        assert_eq!(client.code(), 2, "{case}: {}", client.stderr);
        assert!(seen.starts_with(b"\x16\x03"), "{case}: it begins with a ClientHello");
        assert_hidden(&seen, case);
    }
}

#[test]
fn nor_through_a_bridge() {
    for (case, misdeed) in MISDEEDS {
        let backend = Backend::new();
        let to = format!("tls://{}", backend.address);
        let mut serve = Serve::start(["--listen", "tcp://127.0.0.1:0", "--to", &to]);
        let mut client = serve.dial();
        client.write_all(SECRET).unwrap();
        assert_hidden(&misbehave(&mut backend.accept(), misdeed), case);
        assert_eq!(serve.ended(), ("aborted".into(), "connectFailed".into()), "{case}");
    }
}

#[test]
fn when_the_server_is_reset_or_says_nothing() {
    let backend = Backend::new();
    let url = format!("tls://{}", backend.address);
    let client = std::thread::spawn(move || connect(&url, [""; 0]).run(SECRET));
    let mut stream = backend.accept();
    let mut seen = vec![0; 64 * 1024];
    let count = stream.read(&mut seen).unwrap();
    reset(stream);
    assert_hidden(&seen[..count], "reset");
    assert_eq!(client.join().unwrap().ended()["cause"], "ECONNRESET");

    let url = format!("tls://{}", backend.address);
    let args = ["--deadline-handshake", "300ms"];
    let client = std::thread::spawn(move || connect(&url, args).run(SECRET));
    let mut seen = Vec::new();
    let _ = backend.accept().read_to_end(&mut seen);
    assert_hidden(&seen, "silence");
    let client = client.join().unwrap();
    assert_eq!((client.code(), client.ended()["cause"].as_str()), (2, Some("timeout_handshake")));
}

#[test]
fn nor_when_all_is_well() {
    let pki = Pki::new();
    for version in VERSIONS {
        let server = Server::reversing(&pki, version);
        let wire = Wire::to(server.address);
        let client = connect(&wire.tls_url(), ["--ca", &pki.ca]).run(&[SECRET, b"\n"].concat());
        assert_eq!(client.code(), 0);
        assert_eq!(client.stdout, b"1174-si-terces-eht\n");
        assert!(wire.seen().len() > 1000, "the wire sees both ways");
        assert_hidden(&wire.seen(), version);
    }
}
