//! What is sent before a handshake is over could be played back by anybody (0-RTT): it is neither taken
//! nor sent, also where OpenSSL or GnuTLS would.

use std::io::Write as _;
use std::net::Shutdown;

use rustix::process::Signal;

use crate::harness::{Caller, Foreign, Gnutls, Pki, Serve, Server, VERSIONS};

const VERSION: &str = "1.3";

#[test]
fn none_is_taken() {
    let pki = Pki::new();
    let early = pki.folder.write("early", "too early\n");
    let session = pki.folder.path().join("session").to_str().unwrap().to_owned();
    let mut serve = Serve::tls(&pki, "echo:");
    let visit = |program: Foreign, words: &[&str]| {
        let caller = Caller { words, ..Caller::default() };
        program.client(&pki, serve.address(), VERSION, caller)
    };
    let mut first = visit(Foreign::OpenSsl, &["-sess_out", &session]);
    assert!(first.is_echoed());
    first.leave();
    let openssl = visit(Foreign::OpenSsl, &["-sess_in", &session, "-early_data", &early]);
    let gnutls = ["--resume", "--waitresumption", "--earlydata", &early];
    for mut visitor in [openssl, visit(Foreign::GnuTls, &gnutls)] {
        assert!(visitor.is_echoed(), "nothing comes before that");
        visitor.leave();
        let ended = std::iter::repeat_with(|| serve.next("ended")["client"].clone())
            .find(|ended| ended["facts"]["tls"]["resumed"] == true)
            .expect("it goes on without end");
        assert_eq!(ended["facts"]["bytes"]["read"], 6, "{ended}");
        assert_eq!(ended["code"], "finished", "{ended}");
    }
}

/// Comes to `server` twice over a bridge, where what is to be said waits already.
fn come_twice(pki: &Pki, server: &str, mut heard: impl FnMut()) {
    let to = format!("{server}?ca={}", pki.ca);
    let mut serve = Serve::start(["--listen", "tcp://127.0.0.1:0", "--to", &to]);
    for resumed in [false, true] {
        let mut stream = serve.dial();
        stream.write_all(b"hello\n").unwrap();
        heard();
        stream.shutdown(Shutdown::Write).unwrap();
        let target = serve.next("ended")["target"].clone();
        assert_eq!(target["facts"]["tls"]["resumed"], resumed, "{target}");
    }
}

#[test]
fn none_is_sent() {
    let pki = Pki::new();
    let words = ["-early_data", "-max_early_data", "1000"];
    let mut openssl = Server::start(&pki, VERSIONS[1], &words);
    let url = openssl.url();
    let mut before = String::new();
    come_twice(&pki, &url, || {
        let mut line = String::new();
        while line != "hello" {
            before += &line;
            line = openssl.process.stdout.line().expect("it tells what it hears");
        }
    });
    assert_eq!(before.matches("No early data received").count(), 2, "{before}");

    let gnutls = Gnutls::server("VERS-TLS1.3", &pki.localhost);
    let (gnutls, address) = Gnutls::listen(gnutls.args(["--earlydata", "--debug", "4"]));
    come_twice(&pki, &format!("tls://{address}"), || {});
    gnutls.signal(Signal::TERM);
    let told = gnutls.wait().stderr;
    assert!(
        told.contains("Parsing extension 'Pre Shared Key/41'"),
        "it was asked to resume: {told}"
    );
    assert!(!told.contains("Parsing extension 'Early Data/42'"), "{told}");
}
