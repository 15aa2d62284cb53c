//! Where plaintext is allowed instead of TLS, it is so for a client whose first byte is no TLS, and for
//! nobody else: a handshake that fails never ends in plaintext.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, TcpStream};

use levada::{Options, WhyPlain};

use crate::harness::{Command, PATIENCE, Pki, Served, Upgrader};

fn lenient() -> Options {
    let mut options = Options::default();
    options.danger_allow_plaintext = true;
    options
}

/// Says `STARTTLS`, and then this.
fn say(mail: &Upgrader, words: &[u8]) -> Vec<u8> {
    let mut client = TcpStream::connect((Ipv4Addr::LOCALHOST, mail.address.port())).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    client.write_all(b"STARTTLS\r\n").unwrap();
    let mut greeting = [0; b"220 ready\r\n220 go ahead\r\n".len()];
    client.read_exact(&mut greeting).unwrap();
    client.write_all(words).unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    let mut got = Vec::new();
    let _ = client.read_to_end(&mut got);
    got
}

#[track_caller]
fn assert_failed(served: &Served) {
    assert_eq!(served.heard, b"", "nothing was taken in plaintext");
    assert!(!served.ended.is_clean(), "{}", served.ended);
    assert_eq!(served.ended.facts.plain, None, "it never was a plain stream");
}

#[test]
fn but_with_a_first_byte_that_is_none() {
    let pki = Pki::new();
    let mail = Upgrader::start(&pki, 0, lenient());
    assert_eq!(say(&mail, b"hello"), b"hello");
    let served = mail.served();
    assert_eq!(
        (&*served.heard, served.ended.facts.plain),
        (&b"hello"[..], Some(WhyPlain::Fallback))
    );
    assert!(served.ended.is_clean(), "{}", served.ended);
}

#[test]
fn after_a_record_that_is_damaged() {
    let pki = Pki::new();
    for words in [&b"\x16\x03\x01\x00\x05hello, this is plaintext"[..], b"\x16hello", b"\x15\x03"] {
        let mail = Upgrader::start(&pki, 0, lenient());
        let got = say(&mail, words);
        assert!(got.first().is_none_or(|first| *first == 21), "an alert or nothing: {got:?}");
        assert_failed(&mail.served());
    }
}

#[test]
fn after_a_client_that_trusts_nobody() {
    let pki = Pki::new();
    let mail = Upgrader::start(&pki, 0, lenient());
    let client = Command::new("openssl")
        .args(["s_client", "-starttls", "smtp", "-connect", &mail.address.to_string(), "-quiet"])
        .args(["-no_ign_eof", "-verify_return_error", "-no-CAfile", "-no-CApath"])
        .start();
    let client = client.finish();
    assert_ne!(client.code(), 0, "{}", client.stderr);
    let served = mail.served();
    assert_failed(&served);
    assert_eq!(served.ended.ending.cause_code(), "ERR_TLS_FATAL_ALERT");
}
