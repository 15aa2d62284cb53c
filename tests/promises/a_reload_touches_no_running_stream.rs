//! SIGHUP: identities, authorities, revocation lists and header fields are read again, all or none of them. The next
//! handshake goes by them; a stream that is there goes on as if nothing had happened.

use std::io::Write as _;

use rustix::process::Signal;

use crate::harness::{Backend, Folder, Pki, Running, Serve, WebSocket, connect};

/// A client of ours that is established: it has its echo.
fn echoed(pki: &Pki, serve: &Serve) -> Running {
    let mut client = connect(&serve.tls_url(), ["--ca", &pki.ca, "--cert", &pki.client]).start();
    client.write(b"one");
    assert_eq!(client.stdout.take(3), b"one");
    client
}

#[track_caller]
fn goes_on(mut client: Running) {
    client.write(b"two");
    assert_eq!(client.stdout.take(3), b"two");
    assert_eq!(client.finish().code(), 0);
}

fn serve(pki: &Pki, crl: &str, cert: &str) -> Serve {
    Serve::start([
        "--listen",
        "tls://127.0.0.1:0",
        "--to",
        "echo:",
        "--cert",
        cert,
        "--client-ca",
        &pki.ca,
        "--client-crl",
        crl,
    ])
}

#[test]
fn a_client_that_is_revoked_meanwhile_stays_and_does_not_come_again() {
    let pki = Pki::new();
    let crl = pki.crl("list.pem", &[]);
    let mut serve = serve(&pki, &crl, &pki.localhost);
    let running = echoed(&pki, &serve);

    pki.crl("list.pem", &[Pki::CLIENT]);
    serve.process.signal(Signal::HUP);
    serve.next("reloaded");
    let client = connect(&serve.tls_url(), ["--ca", &pki.ca, "--cert", &pki.client]).run(b"x");
    assert_eq!(client.code(), 3, "{}", client.stderr);
    assert_eq!(client.ended()["ending"]["fatal_alert"], "certificate_revoked (44)");
    let record = serve.next("ended");
    let cause = &record["client"]["ending"]["connect_failed"]["ended"]["fatal_error"]["cause"];
    assert_eq!(cause["certificate"], "revoked", "{record}");
    assert_eq!(record["client"]["facts"]["tls"]["checks"]["trust"], "passed");

    goes_on(running);
    assert_eq!(serve.ended(), ("finished".into(), "finished".into()));
}

#[test]
fn an_identity_that_is_renewed_is_shown_to_the_next() {
    let pki = Pki::new();
    let crl = pki.crl("list.pem", &[]);
    let own = pki.identity("own.pem", &["localhost", "127.0.0.1"], |params| {
        params.serial_number = Some(1_u64.into());
    });
    let mut serve = serve(&pki, &crl, &own);
    let running = echoed(&pki, &serve);
    let serial = |serve: &Serve| {
        let client = connect(&serve.tls_url(), ["--ca", &pki.ca, "--cert", &pki.client]).run(b"x");
        client.ended()["facts"]["tls"]["peer_chain"][0]["serial"].clone()
    };
    assert_eq!(serial(&serve), "01");
    pki.identity("own.pem", &["localhost", "127.0.0.1"], |params| {
        params.serial_number = Some(2_u64.into());
    });
    assert_eq!(serial(&serve), "01", "a file that changes does nothing by itself");
    serve.process.signal(Signal::HUP);
    serve.next("reloaded");
    assert_eq!(serial(&serve), "02");
    goes_on(running);
}

#[test]
fn what_cannot_be_used_changes_nothing() {
    let pki = Pki::new();
    let crl = pki.crl("list.pem", &[]);
    let mut serve = serve(&pki, &crl, &pki.localhost);
    let running = echoed(&pki, &serve);
    for (file, damaged) in [("list.pem", "no list"), ("ca.pem", "-----BEGIN CERTIFICATE-----\n")] {
        let good = std::fs::read_to_string(pki.folder.path().join(file)).unwrap();
        pki.folder.write(file, damaged);
        serve.process.signal(Signal::HUP);
        let record = serve.next("not_reloaded");
        let error = record["error"].as_str().unwrap();
        assert!(error.contains(file), "{error}");
        pki.folder.write(file, &good);
        drop(echoed(&pki, &serve));
    }
    goes_on(running);
}

#[test]
fn header_fields_that_are_renewed_go_with_the_next_request() {
    let (folder, backend) = (Folder::new(), Backend::new());
    let file = folder.write("fields", "Authorization: Bearer one\n");
    let to = backend.url().replace("tcp", "ws");
    let mut serve =
        Serve::start(["--listen", "tcp://127.0.0.1:0", "--to", &to, "--header-file", &file]);
    let asks = |serve: &Serve, token: &str| {
        let client = serve.dial();
        let target = WebSocket::accept(backend.accept());
        let field = format!("\r\nAuthorization: Bearer {token}\r\n");
        assert!(target.head.contains(&field), "{}", target.head);
        (client, target)
    };
    let (mut running, mut target) = asks(&serve, "one");
    folder.write("fields", "Authorization: Bearer two\n");
    serve.process.signal(Signal::HUP);
    serve.next("reloaded");
    asks(&serve, "two");

    // What is no field changes nothing.
    folder.write("fields", "no field\n");
    serve.process.signal(Signal::HUP);
    let record = serve.next("not_reloaded");
    assert!(record["error"].as_str().unwrap().contains("line 1 is no header field"), "{record}");
    asks(&serve, "two");
    running.write_all(b"on").unwrap();
    assert_eq!(target.take(2), b"on");
}
