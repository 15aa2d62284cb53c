//! `max-record` limits every TLS record that we send, in the handshake and behind it, and every byte
//! arrives: at OpenSSL and at GnuTLS, on either side.

use crate::harness::{Caller, Foreign, Host, Pki, Serve, Wire, assert_same, connect, digits};

const LIMIT: usize = 100;
const BYTES: usize = 20_000;

/// What protection adds at most: AES-GCM's explicit nonce and tag in TLS 1.2, the true content type and
/// the tag in 1.3.
fn overhead(version: &str) -> usize {
    if version == "1.2" { 8 + 16 } else { 1 + 16 }
}

/// Lines, which foreign servers answer one by one.
fn lines() -> Vec<u8> {
    let mut lines = digits(BYTES);
    lines.chunks_mut(50).for_each(|line| *line.last_mut().unwrap() = b'\n');
    lines
}

#[track_caller]
fn assert_limited(mut wire: &[u8], version: &str, context: &str) {
    let (mut longest, mut total) = (0, 0);
    while let [_, _, _, high, low, rest @ ..] = wire {
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        (longest, total) = (longest.max(length), total + length);
        wire = &rest[length..];
    }
    assert!(wire.is_empty(), "{context}: whole records");
    assert!(longest > LIMIT && longest <= LIMIT + overhead(version), "{context}: {longest}");
    assert!(total > BYTES, "{context}: all went over this wire");
}

#[test]
fn to_a_client() {
    let pki = Pki::new();
    let words = ["--listen", "tls://127.0.0.1:0", "--to", "echo:", "--cert", &pki.localhost];
    let serve = Serve::start([&words[..], &["--max-record", &LIMIT.to_string()]].concat());
    for (program, version) in Foreign::EACH {
        let wire = Wire::to(serve.address());
        let mut visitor = program.client(&pki, wire.address, version, Caller::default());
        let feeding = visitor.running.feed(lines());
        assert_same(&visitor.running.stdout.take(BYTES), &lines());
        drop(feeding.join().unwrap());
        drop(visitor.running.wait());
        let [_, ours] = wire.said_by_each();
        assert_limited(&ours, version, &format!("{program:?} {version}"));
    }
}

#[test]
fn to_a_server() {
    let pki = Pki::new();
    for (program, version) in Foreign::EACH {
        let host = program.server(&pki, version, Host::default());
        let wire = Wire::to(host.address);
        let words = ["--ca", &pki.ca, "--max-record", &LIMIT.to_string()];
        let mut client = connect(&wire.tls_url(), words).start();
        drop(client.feed(lines()).join().unwrap());
        let client = client.wait();
        assert_eq!(client.code(), 0, "{program:?} {version}: {}", client.stderr);
        let mut answer = lines();
        if program == Foreign::OpenSsl {
            // It answers each line backwards.
            answer.chunks_mut(50).for_each(|line| line[..49].reverse());
        }
        assert_same(&client.stdout, &answer);
        let [ours, _] = wire.said_by_each();
        assert_limited(&ours, version, &format!("{program:?} {version}"));
    }
}
