//! Scripts can tell by the exit code how a stream ended, and by one JSON line what to do about it.

use std::io::{Read as _, Write as _};

use crate::harness::{Backend, Pki, Serve, Server, VERSIONS, connect, free, levada, reset};

#[test]
fn zero_for_a_clean_end() {
    let client = connect("echo:", [""; 0]).run(b"hello");
    assert_eq!((client.code(), &client.stdout[..]), (0, &b"hello"[..]));
    let ended = client.ended();
    assert_eq!((&ended["code"], &ended["clean"]), (&"finished".into(), &true.into()));
    assert_eq!(ended["facts"]["bytes"]["written"], 5);

    let quiet = levada(["connect", "echo:"]).run(b"hello");
    assert_eq!((quiet.code(), quiet.stderr.as_str()), (0, ""));
}

#[test]
fn one_for_words_that_are_wrong() {
    let pki = Pki::new();
    let missing = pki.folder.path().join("missing.pem");
    let missing = missing.to_str().unwrap();
    for (args, words) in [
        (&["connect"][..], "required"),
        (&["connect", "tls://a:1", "--no-such-flag"], "--no-such-flag"),
        (&["connect", "tsl://a:1"], "did you mean `tls`"),
        (&["connect", "tls://a:1?crt=x"], "did you mean `cert`"),
        (&["connect", "tls://a:1", "--deadline-idle", "5"], "a time ends with its unit"),
        (&["connect", "tcp://a:1", "--ca", missing], "--ca means nothing here"),
        (&["connect", "tls://a:1", "--ca", missing], "missing.pem"),
        (&["connect", "stdio:"], "already this end"),
        (&["serve", "--listen", "tls://:0", "--to", "echo:"], "`cert` is needed"),
        (&["dance"], "dance"),
    ] {
        let finished = levada(args).run(b"");
        assert_eq!(finished.code(), 1, "{args:?}: {}", finished.stderr);
        assert!(finished.stderr.contains(words), "{args:?}: {}", finished.stderr);
    }
    for args in [&["--help"][..], &["--version"], &["serve", "--help"], &["connect", "--help"]] {
        assert_eq!(levada(args).run(b"").code(), 0);
    }
}

#[test]
fn two_for_a_stream_that_was_never_established() {
    let pki = Pki::new();
    let serve = Serve::tls(&pki, "echo:");
    let plain = Serve::start(["--listen", "tcp://127.0.0.1:0", "--to", "echo:"]);
    let nobody = free();
    let tls = serve.tls_url();
    let not_tls = format!("tls://{}", plain.address());
    let refused = format!("tcp://{nobody}");
    let socket = format!("unix:{}", pki.folder.path().join("none.sock").display());
    for (address, args, cause) in [
        (&*refused, &[][..], "ECONNREFUSED"),
        (&socket, &[], "ENOENT"),
        (&tls, &[], "ERR_TLS_FATAL_ERROR"),
        (&tls, &["--ca", &pki.ca, "--name", "example.org"], "ERR_TLS_FATAL_ERROR"),
        (&not_tls, &["--ca", &pki.ca], "ERR_TLS_FATAL_ERROR"),
    ] {
        let client = connect(address, args).run(b"");
        let ended = client.ended();
        assert_eq!((client.code(), &ended["cause"]), (2, &cause.into()), "{address}: {ended}");
        assert_eq!(ended["clean"], false);
        assert!(!ended["hint"].as_str().unwrap().is_empty());
    }
    // A name that no resolver has (RFC 6761 section 6.4), or a resolver that does not answer.
    let client = connect("tcp://nobody.invalid:1", ["--deadline-lookup", "2s"]).run(b"");
    assert_eq!((client.code(), client.ended()["phase"].as_str()), (2, Some("host_lookup")));
}

#[test]
fn three_for_a_stream_that_ended_badly() {
    let backend = Backend::new();
    let mut client = connect(&backend.url(), [""; 0]).start();
    let mut stream = backend.accept();
    client.write(b"a");
    stream.read_exact(&mut [0]).unwrap();
    reset(stream);
    let client = client.wait();
    assert_eq!((client.code(), client.ending().as_str()), (3, "ECONNRESET"));

    let client = connect(&backend.url(), ["--deadline-idle", "200ms"]).start();
    let _silent = backend.accept();
    let client = client.wait();
    assert_eq!((client.code(), client.ending().as_str()), (3, "timeout_idle"));
}

#[test]
fn three_for_a_silent_pipe_behind_the_peers_goodbye() {
    let backend = Backend::new();
    let mut client = connect(&backend.url(), ["--deadline-idle", "300ms"]).start();
    let stream = backend.accept();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(client.stdout.rest(), b"");
    // Its input stays open and silent: only the deadline ends this.
    let stdin = client.stdin.take();
    let client = client.wait();
    assert_eq!((client.code(), client.ending().as_str()), (3, "timeout_idle"));
    drop(stdin);
}

#[test]
fn three_for_an_alert_after_the_handshake() {
    let pki = Pki::new();
    for version in VERSIONS {
        let server = Server::start(&pki, version, &["-Verify", "1", "-CAfile", &pki.ca]);
        let client = connect(&server.url(), ["--ca", &pki.ca]).run(b"hello");
        // In TLS 1.3 the server learns that there is no certificate when we are long established.
        let code = if version == "-tls1_2" { 2 } else { 3 };
        let ended = client.ended();
        assert_eq!((client.code(), &ended["cause"]), (code, &"ERR_TLS_FATAL_ALERT".into()));
        assert_eq!(ended["blame"], "config", "{ended}");

        let identity = ["--ca", &pki.ca, "--cert", &pki.client];
        let client = connect(&server.url(), identity).run(b"");
        assert_eq!(client.code(), 0, "{}", client.stderr);
    }
}

#[test]
fn three_when_standard_output_is_closed() {
    let backend = Backend::new();
    let (reader, writer) = std::io::pipe().unwrap();
    let client = connect(&backend.url(), [""; 0]).stdout(writer).start();
    let mut stream = backend.accept();
    drop(reader);
    stream.write_all(b"to nobody").unwrap();
    let client = client.wait();
    let ended = client.ended();
    assert_eq!((client.code(), &ended["stdio"]["code"]), (3, &"EPIPE".into()), "{ended}");
    // And the peer hears that it was not heard.
    assert!(stream.read(&mut [0]).is_err());
}

#[test]
fn three_for_an_interrupt() {
    let backend = Backend::new();
    let client = connect(&backend.url(), ["-v"]);
    let mut client = client.start();
    let mut stream = backend.accept();
    while !client.stderr.line().expect("it is established").contains("established") {}
    client.signal(rustix::process::Signal::INT);
    let client = client.wait();
    assert_eq!((client.code(), client.ending().as_str()), (3, "aborted"));
    assert!(stream.read(&mut [0]).is_err(), "an interrupt is no clean end for the peer");
}
