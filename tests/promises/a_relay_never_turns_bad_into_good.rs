//! What ends badly on one side of a bridge does not end well on the other.

use std::io::{ErrorKind, Read as _, Write as _};

use crate::harness::{Backend, Pki, Serve, Server, VERSIONS, connect, free, reset};

#[test]
fn a_target_that_is_reset_ends_a_tls_client_without_close_notify() {
    let pki = Pki::new();
    for version in VERSIONS {
        let (mut serve, mut client, mut stream) = Serve::between(&pki, version);
        stream.write_all(b"half a messa").unwrap();
        assert_eq!(client.stdout.take(12), b"half a messa");
        reset(stream);
        let client = client.wait();
        assert!(client.stderr.contains("unexpected eof"), "{version}: {}", client.stderr);
        assert_eq!(serve.ended(), ("aborted".into(), "ECONNRESET".into()));
    }
}

#[test]
fn a_target_that_is_reset_is_a_bad_end_for_a_client_of_ours() {
    let (pki, backend) = (Pki::new(), Backend::new());
    let serve = Serve::tls(&pki, &backend.url());
    let mut client = connect(&serve.tls_url(), ["--ca", &pki.ca]).start();
    let mut stream = backend.accept();
    stream.write_all(b"half a messa").unwrap();
    assert_eq!(client.stdout.take(12), b"half a messa");
    reset(stream);
    let client = client.wait();
    assert_eq!((client.code(), client.ending().as_str()), (3, "ERR_TLS_SOCKET_CLOSE"));
}

#[test]
fn a_target_that_nobody_listens_at_ends_the_client_without_goodbye() {
    let pki = Pki::new();
    let nobody = format!("tcp://{}", free());
    let mut serve = Serve::tls(&pki, &nobody);
    let client = connect(&serve.tls_url(), ["--ca", &pki.ca]).start().wait();
    assert_eq!((client.code(), client.ending().as_str()), (3, "ERR_TLS_SOCKET_CLOSE"));
    let record = serve.next("ended");
    assert_eq!(record["client"]["code"], "aborted");
    assert_eq!(record["target"]["cause"], "ECONNREFUSED");
    assert_eq!(record["target"]["phase"], "connecting");

    let mut serve = Serve::start(["--listen", "tcp://127.0.0.1:0", "--to", &nobody]);
    let error = serve.dial().read(&mut [0]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    assert_eq!(serve.ended(), ("aborted".into(), "connectFailed".into()));
}

#[test]
fn a_reset_goes_through_plain_tcp_both_ways() {
    for client_dies in [true, false] {
        let backend = Backend::new();
        let mut serve = Serve::start(["--listen", "tcp://127.0.0.1:0", "--to", &backend.url()]);
        let (client, server) = (serve.dial(), backend.accept());
        let (mut dying, mut living) = if client_dies { (client, server) } else { (server, client) };
        let mut byte = [0];
        living.write_all(b"a").unwrap();
        dying.read_exact(&mut byte).unwrap();
        reset(dying);
        assert_eq!(living.read(&mut byte).unwrap_err().kind(), ErrorKind::ConnectionReset);
        let (client, target) = serve.ended();
        let bad = if client_dies { client } else { target };
        assert_eq!(bad, "ECONNRESET");
    }
}

#[test]
fn a_tls_target_that_is_cut_resets_a_plain_client() {
    let pki = Pki::new();
    for version in VERSIONS {
        let server = Server::reversing(&pki, version);
        let to = server.url();
        let mut serve =
            Serve::start(["--listen", "tcp://127.0.0.1:0", "--to", &to, "--ca", &pki.ca]);
        let mut client = serve.dial();
        let mut echo = [0; 6];
        client.write_all(b"hello\n").unwrap();
        client.read_exact(&mut echo).unwrap();
        assert_eq!(&echo, b"olleh\n");
        drop(server);
        assert_eq!(client.read(&mut echo).unwrap_err().kind(), ErrorKind::ConnectionReset);
        assert_eq!(serve.ended().0, "aborted", "{version}");
    }
}
