//! A certificate that is renewed on disk is shown from the next handshake on: streams that run go on
//! as they are, and a bad one changes nothing.

use std::fs;

use rustix::process::Signal;

use crate::harness::{Client, Gnutls, Pki, Running, Serve, VERSIONS};

/// What comes back to `client` through an echo.
fn answer(mut client: Running) -> Option<String> {
    client.write(b"hello\n");
    client.stdout.line()
}

/// Whether a client that trusts `pki` alone is served.
fn is_served(pki: &Pki, serve: &Serve, version: &str) -> bool {
    answer(Client::start(pki, serve.address(), version, &[])).as_deref() == Some("hello")
}

#[test]
fn on_sighup() {
    let (old, new) = (Pki::new(), Pki::new());
    for version in VERSIONS {
        let cert = old.folder.write("live.pem", &fs::read_to_string(&old.localhost).unwrap());
        let listen = ["--listen", "tls://127.0.0.1:0", "--cert", &cert, "--to", "echo:"];
        let mut serve = Serve::start(listen);
        let mut running = Client::start(&old, serve.address(), version, &[]);
        running.write(b"before\n");
        assert_eq!(running.stdout.line().as_deref(), Some("before"));

        fs::copy(&new.localhost, &cert).unwrap();
        serve.process.signal(Signal::HUP);
        serve.next("reloaded");
        assert!(is_served(&new, &serve, version), "the next handshake shows it");
        assert!(!is_served(&old, &serve, version));
        let gnutls = Gnutls::client(&new, serve.address(), "VERS-TLS1.3");
        assert_eq!(answer(gnutls).as_deref(), Some("hello"));

        // A certificate without its key: what there is stays.
        let text = fs::read_to_string(&old.localhost).unwrap();
        let (certificate, _) = text.split_once("-----BEGIN PRIVATE KEY").unwrap();
        fs::write(&cert, certificate).unwrap();
        serve.process.signal(Signal::HUP);
        let failed = serve.next("not_reloaded");
        assert_eq!(failed["level"], "error");
        assert!(failed["error"].as_str().unwrap().contains("live.pem"), "{failed}");
        assert!(is_served(&new, &serve, version), "a bad one changes nothing");

        running.write(b"after\n");
        assert_eq!(running.stdout.line().as_deref(), Some("after"), "this stream never noticed");
        running.finish();
        let (code, records) = serve.stop();
        assert_eq!(code, 0, "{records:?}");
    }
}

#[test]
fn without_a_signal_once_the_files_have_changed() {
    let (old, new) = (Pki::new(), Pki::new());
    let mut serve = Serve::tls(&old, "echo:");
    assert!(is_served(&old, &serve, VERSIONS[1]));
    fs::copy(&new.localhost, &old.localhost).unwrap();
    serve.next("reloaded");
    assert!(is_served(&new, &serve, VERSIONS[1]));
}
