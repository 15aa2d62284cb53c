//! GnuTLS, of which neither we nor OpenSSL hold a line, is understood on both sides: both versions,
//! echo, half-close.

use std::io::{Read as _, Write as _};
use std::net::Shutdown;

use crate::harness::{Backend, Gnutls, Pki, Serve, assert_same, connect, digits};

const TAIL: usize = 300_000;

/// Lines: `gnutls-serv` keeps back what does not end with one.
fn lines() -> Vec<u8> {
    let mut lines = digits(TAIL);
    lines.chunks_mut(50).for_each(|line| *line.last_mut().unwrap() = b'\n');
    lines
}

#[test]
fn as_a_client_that_is_echoed() {
    let pki = Pki::new();
    for (version, number) in Gnutls::VERSIONS {
        let mut serve = Serve::tls(&pki, "echo:");
        let mut client = Gnutls::client(&pki, serve.address(), version);
        drop(client.feed(digits(TAIL)).join().unwrap());
        let client = client.wait();
        assert_same(&client.stdout, &digits(TAIL));
        assert_eq!(client.code(), 0, "{version}: {}", client.stderr);
        let record = serve.next("ended");
        assert_eq!(record["client"]["code"], "finished", "{record}");
        assert_eq!(record["client"]["facts"]["tls"]["version"], number);
        assert_eq!(record["client"]["facts"]["tls"]["sni"], "localhost");
    }
}

#[test]
fn as_a_client_that_says_goodbye_first() {
    let pki = Pki::new();
    for (version, _) in Gnutls::VERSIONS {
        let backend = Backend::new();
        let mut serve = Serve::tls(&pki, &backend.url());
        let mut client = Gnutls::client(&pki, serve.address(), version);
        client.write(b"a question");
        drop(client.stdin.take());
        let mut stream = backend.accept();
        let mut question = Vec::new();
        stream.read_to_end(&mut question).unwrap();
        assert_eq!(question, b"a question");
        // Its close_notify has come all the way here, and only now is there an answer.
        stream.write_all(&digits(TAIL)).unwrap();
        drop(stream);
        assert_same(&client.wait().stdout, &digits(TAIL));
        let record = serve.next("ended");
        for side in ["client", "target"] {
            assert_eq!(record[side]["code"], "finished", "{version}: {record}");
        }
        assert_eq!(record["client"]["facts"]["first_goodbye"], "peer");
        assert_eq!(record["target"]["facts"]["first_goodbye"], "local");
    }
}

#[test]
fn as_a_server() {
    let pki = Pki::new();
    for (version, number) in Gnutls::VERSIONS {
        let (_server, address) = Gnutls::echo(&pki, version);
        let mut client = connect(&format!("tls://{address}"), ["--ca", &pki.ca]).start();
        drop(client.feed(lines()).join().unwrap());
        let client = client.wait();
        assert_same(&client.stdout, &lines());
        assert_eq!((client.code(), client.ending().as_str()), (0, "finished"), "{version}");
        let facts = &client.ended()["facts"];
        assert_eq!(facts["tls"]["version"], number);
        assert_eq!(facts["first_goodbye"], "local");
    }
}

#[test]
fn as_the_target_of_a_bridge() {
    let pki = Pki::new();
    for (version, _) in Gnutls::VERSIONS {
        let (_server, address) = Gnutls::echo(&pki, version);
        let to = format!("tls://{address}");
        let mut serve =
            Serve::start(["--listen", "tcp://127.0.0.1:0", "--to", &to, "--ca", &pki.ca]);
        let mut client = serve.dial();
        let mut writer = client.try_clone().unwrap();
        let writing = std::thread::spawn(move || {
            writer.write_all(&lines()).unwrap();
            writer.shutdown(Shutdown::Write).unwrap();
        });
        let mut echo = Vec::new();
        client.read_to_end(&mut echo).unwrap();
        writing.join().unwrap();
        assert_same(&echo, &lines());
        assert_eq!(serve.ended(), ("finished".into(), "finished".into()), "{version}");
    }
}
