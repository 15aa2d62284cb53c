//! A transport that ends without the goodbye of TLS is an error on every side that hears of it.

use std::io::Read as _;

use crate::harness::{Backend, Client, Pki, Serve, Server, VERSIONS, Wire, connect};

#[test]
fn for_a_client_of_ours() {
    let pki = Pki::new();
    for version in VERSIONS {
        let server = Server::reversing(&pki, version);
        let wire = Wire::to(server.address);
        let mut client = connect(&wire.tls_url(), ["--ca", &pki.ca]).start();
        client.write(b"hello\n");
        assert_eq!(client.stdout.take(6), b"olleh\n");
        wire.cut();
        let client = client.wait();
        assert_eq!(client.ending(), "ERR_TLS_SOCKET_CLOSE", "{version}");
        assert_eq!((client.code(), &client.ended()["clean"]), (3, &false.into()));
        assert_eq!(client.ended()["phase"], "established");
    }
}

#[test]
fn for_a_client_of_ours_that_has_said_goodbye() {
    let pki = Pki::new();
    for version in VERSIONS {
        // It answers nothing, and reads on.
        let server = Server::start(&pki, version, &[]);
        let wire = Wire::to(server.address);
        let mut client = connect(&wire.tls_url(), ["--ca", &pki.ca, "-v"]).start();
        while client.stderr.line().expect("it is established")
            != r#"{"event":{"state":"established"}}"#
        {}
        wire.cut();
        let client = client.finish();
        assert_eq!(client.code(), 3, "{version}: {}", client.stderr);
        assert!(!client.ended()["clean"].as_bool().unwrap());
    }
}

#[test]
fn for_a_server_of_ours_and_the_target_behind_it() {
    let pki = Pki::new();
    for version in VERSIONS {
        let backend = Backend::new();
        let mut serve = Serve::tls(&pki, &backend.url());
        let wire = Wire::to(serve.address());
        let mut client = Client::start(&pki, wire.address, version, &[]);
        client.write(b"half a messa");
        let mut stream = backend.accept();
        let mut got = [0; 12];
        stream.read_exact(&mut got).unwrap();
        wire.cut();
        let error = stream.read(&mut got).expect_err("the target must not see a clean end");
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset, "{version}");
        assert_eq!(serve.ended(), ("ERR_TLS_SOCKET_CLOSE".into(), "aborted".into()));
    }
}

#[test]
fn for_a_peer_that_is_killed() {
    let pki = Pki::new();
    let server = Server::reversing(&pki, "-tls1_3");
    let mut client = connect(&server.url(), ["--ca", &pki.ca]).start();
    client.write(b"hello\n");
    assert_eq!(client.stdout.take(6), b"olleh\n");
    drop(server);
    let client = client.wait();
    assert_eq!(client.code(), 3);
    let code = client.ending();
    assert!(["ERR_TLS_SOCKET_CLOSE", "ECONNRESET"].contains(&code.as_str()), "{code}");
}
