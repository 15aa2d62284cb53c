//! Whoever says goodbye first still gets all that the other one has to say.

use std::io::{Read as _, Write as _};
use std::net::Shutdown;

use crate::harness::{
    Backend, Pki, Serve, Server, VERSIONS, Wire, assert_same, connect, digits, levada,
};

const TAIL: usize = 3_000_000;

#[test]
fn of_the_server_when_the_client_says_goodbye_first() {
    let (pki, backend) = (Pki::new(), Backend::new());
    let mut serve = Serve::tls(&pki, &backend.url());
    let client = connect(&serve.tls_url(), ["--ca", &pki.ca]).start();
    let server = std::thread::spawn(move || {
        let mut stream = backend.accept();
        let mut question = Vec::new();
        stream.read_to_end(&mut question).unwrap();
        assert_eq!(question, b"a question");
        stream.write_all(&digits(TAIL)).unwrap();
    });
    let mut client = client;
    client.write(b"a question");
    let client = client.finish();
    server.join().unwrap();
    assert_same(&client.stdout, &digits(TAIL));
    assert_eq!((client.code(), client.ending().as_str()), (0, "finished"));
    assert_eq!(serve.ended(), ("finished".into(), "finished".into()));
}

#[test]
fn of_the_client_when_the_server_says_goodbye_first() {
    let (pki, backend) = (Pki::new(), Backend::new());
    let mut serve = Serve::tls(&pki, &backend.url());
    let mut client = connect(&serve.tls_url(), ["--ca", &pki.ca]).start();
    let mut stream = backend.accept();
    stream.write_all(b"that was all").unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    // The client has passed the end on, and only then begins to speak.
    assert_eq!(client.stdout.rest(), b"that was all");
    let feeding = client.feed(digits(TAIL));
    let reading = std::thread::spawn(move || {
        let mut tail = Vec::new();
        stream.read_to_end(&mut tail).unwrap();
        tail
    });
    drop(feeding.join().unwrap());
    assert_same(&reading.join().unwrap(), &digits(TAIL));
    let client = client.wait();
    assert_eq!((client.code(), client.ending().as_str()), (0, "finished"));
    assert_eq!(serve.ended(), ("finished".into(), "finished".into()));
}

#[test]
fn of_openssl_as_server_when_we_say_goodbye_first() {
    let pki = Pki::new();
    for version in VERSIONS {
        let server = Server::reversing(&pki, version);
        // The wire shows that the answer came behind our close_notify.
        let wire = Wire::to(server.address);
        let client = connect(&wire.tls_url(), ["--ca", &pki.ca]).run(b"hello\nworld\n");
        assert_eq!(client.stdout, b"olleh\ndlrow\n", "{version}");
        assert_eq!((client.code(), client.ending().as_str()), (0, "finished"), "{version}");
        let tls = &client.ended()["facts"]["tls"]["version"];
        assert_eq!(tls, if version == "-tls1_2" { "1.2" } else { "1.3" });
    }
}

#[test]
fn of_us_to_openssl_as_server() {
    let pki = Pki::new();
    for version in VERSIONS {
        let mut server = Server::start(&pki, version, &["-naccept", "1"]);
        let client = connect(&server.url(), ["--ca", &pki.ca]).run(&digits(TAIL));
        assert_eq!((client.code(), client.ending().as_str()), (0, "finished"), "{version}");
        let got = server.process.stdout.rest();
        let words = got.windows(14).position(|part| part == &digits(14)[..]).expect("it came");
        assert_same(&got[words..][..TAIL.min(got.len() - words)], &digits(TAIL));
    }
}

#[test]
fn of_openssl_as_client() {
    let pki = Pki::new();
    for version in VERSIONS {
        let (mut serve, mut client, mut stream) = Serve::between(&pki, version);
        let reading = std::thread::spawn(move || {
            let mut all = Vec::new();
            stream.read_to_end(&mut all).unwrap();
            all
        });
        drop(client.feed(digits(TAIL)).join().unwrap());
        assert_same(&reading.join().unwrap(), &digits(TAIL));
        assert_eq!(serve.ended(), ("finished".into(), "finished".into()), "{version}");
    }
}

#[test]
fn through_the_standard_streams_of_serve() {
    let args = ["serve", "--listen", "stdio:", "--to", "echo:"];
    let mut serve = levada(args).start();
    let feeding = serve.feed(digits(TAIL));
    assert_same(&serve.stdout.take(TAIL), &digits(TAIL));
    drop(feeding.join().unwrap());
    // Nobody else can come: it ends with its only stream.
    let serve = serve.wait();
    assert_eq!(serve.code(), 0, "{}", serve.stderr);
}
