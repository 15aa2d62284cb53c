//! A signer that fails, panics, is late or signs wrongly makes the peer see internal_error (80), and
//! not just a stream that breaks off. Everybody else is served as before.

use std::future::pending;
use std::time::Duration;

use levada::{Blame, Ended, Options, SignerError};
use rcgen::{KeyPair, SigningKey as _};

use crate::harness::{Client, Gnutls, Pki, Signed, VERSIONS};

type Start = fn(&Pki) -> Signed;

/// Every way in which a signer fails, and what the server says of it.
const FAILING: [(&str, Start); 4] = [
    ("the card was pulled out", |pki| {
        let failing = |_, _| async { Err(SignerError::from("the card was pulled out")) };
        Signed::start(pki, failing, Options::default())
    }),
    ("the signer panicked", |pki| {
        Signed::start(pki, |_, _| async { panic!("on purpose") }, Options::default())
    }),
    ("no signature in time", |pki| {
        let mut options = Options::default();
        options.signer_deadline = Duration::from_millis(50);
        Signed::start(pki, |_, _| pending(), options)
    }),
    ("is not one of the certificate's key", |pki| {
        let wrong = |_, message: Vec<u8>| async move { Ok(KeyPair::generate()?.sign(&message)?) };
        Signed::start(pki, wrong, Options::default())
    }),
];

/// The server blames its signer in these words.
#[track_caller]
fn assert_blamed(ended: &Ended, words: &str) {
    assert_eq!(ended.code(), "connectFailed");
    assert_eq!(ended.ending.cause_code(), "ERR_TLS_FATAL_ERROR");
    assert_eq!(ended.blame(), Some(Blame::Local), "{ended}");
    let told = ended.to_string();
    assert!(told.contains(words), "{told}");
}

#[test]
fn to_openssl() {
    for (words, start) in FAILING {
        let pki = Pki::new();
        let server = start(&pki);
        for version in VERSIONS {
            let client = Client::start(&pki, server.address, version, &[]).wait();
            assert_eq!(client.code(), 1);
            let told = &client.stderr;
            assert!(told.contains("SSL alert number 80"), "{version}, {words}: {told}");
            assert_blamed(&server.ended(), words);

            let mut client = Client::start(&pki, server.address, version, &Signed::ORDINARY);
            client.write(b"hello\n");
            assert_eq!(client.stdout.line().as_deref(), Some("hello"), "{version}, {words}");
            assert_eq!(client.finish().code(), 0);
            assert!(server.ended().is_clean());
        }
    }
}

#[test]
fn to_gnutls() {
    for (words, start) in FAILING {
        let pki = Pki::new();
        let server = start(&pki);
        for (version, _) in Gnutls::VERSIONS {
            let client = Gnutls::client(&pki, server.address, version).wait();
            assert_eq!(client.code(), 1);
            let told = std::fs::read_to_string(Gnutls::log(&pki, server.address)).unwrap();
            let alerts = told.matches("[80]: Internal error").count();
            assert_eq!(alerts, 1, "{version}, {words}: {told}");
            assert_blamed(&server.ended(), words);
        }
    }
}
