//! What somebody on the way has slipped in before TLS begins is never taken for the peer's own words
//! under TLS (CVE-2011-0411): not what a buffer holds, and not what the kernel does.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};

use levada::{Options, UpgradeError};

use crate::harness::{Command, PATIENCE, Pki, Upgrader};

#[test]
fn while_an_honest_client_gets_its_echo() {
    let pki = Pki::new();
    let mail = Upgrader::start(&pki, 0, Options::default());
    let address = mail.address.to_string();
    let mut client = Command::new("openssl")
        .args(["s_client", "-starttls", "smtp", "-connect", &address, "-quiet", "-no_ign_eof"])
        .args(["-servername", "localhost", "-verify_return_error", "-CAfile", &pki.ca])
        .start();
    client.write(b"hello\n");
    // The first line is what the plaintext part had left to say.
    while client.stdout.line().expect("it is echoed") != "hello" {}
    drop(client.stdin.take());
    let served = mail.served();
    assert_eq!(served.heard, b"hello\n");
    assert!(served.ended.is_clean(), "{}", served.ended);
    assert!(served.ended.facts.tls.is_some());
    assert_eq!(client.wait().code(), 0);
}

/// Sends the injection in one segment with the word that begins TLS, and then whatever the server says.
fn inject(mail: &Upgrader) -> Vec<u8> {
    let mut client = TcpStream::connect((Ipv4Addr::LOCALHOST, mail.address.port())).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    client.write_all(b"EHLO me\r\nSTARTTLS\r\nRSET\r\n").unwrap();
    let mut got = Vec::new();
    // The server ends it, with or without a reset.
    let _ = client.read_to_end(&mut got);
    got
}

#[test]
fn in_a_buffer() {
    let pki = Pki::new();
    let mail = Upgrader::start(&pki, b"RSET\r\n".len(), Options::default());
    inject(&mail);
    let served = mail.served();
    assert_eq!(served.refused, Some(UpgradeError::Injection { bytes: 6 }));
    assert!(!served.ended.is_clean());
}

#[test]
fn in_the_kernel() {
    let pki = Pki::new();
    let mail = Upgrader::start(&pki, 0, Options::default());
    let got = inject(&mail);
    let served = mail.served();
    assert_eq!(served.refused, None);
    assert_eq!(served.heard, b"", "it is no plaintext, and no word under TLS");
    assert_eq!(served.ended.code(), "ERR_TLS_FATAL_ERROR");
    // Whoever speaks no TLS would not understand an alert.
    assert!(got.ends_with(b"220 go ahead\r\n"), "{}", got.escape_ascii());
}
