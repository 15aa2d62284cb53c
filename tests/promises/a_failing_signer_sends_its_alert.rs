//! A private key may be with a signer elsewhere. One that fails, panics, is late or signs wrongly makes
//! the peer see internal_error (80), and not just a stream that breaks off; everybody else is served as
//! before. So it is for a server's key and for a client's, with OpenSSL and with GnuTLS.

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use levada::{Anchors, Blame, Ended, Identity, Options, Signer, SignerError, Signing, TlsClient};
use rcgen::{KeyPair, SigningKey as _};

use crate::harness::library::{Library, call, key};
use crate::harness::{Caller, Foreign, Host, Pki};

type Sign = fn() -> Signing;

/// Ways in which a signer fails, and what is said of each.
const FAILING: [(&str, Sign); 3] = [
    ("the card was pulled out", || {
        Box::pin(async { Err(SignerError::from("the card was pulled out")) })
    }),
    ("the signer panicked", || Box::pin(async { panic!("on purpose") })),
    (LATE, || Box::pin(pending())),
];
const LATE: &str = "no signature in time";
const WRONG: &str = "is not one of the certificate's key";

/// Signs as the key in `file` does.
fn signing(file: &str) -> impl Signer + use<> {
    let key = Arc::new(key(file));
    move |_, message: Vec<u8>| {
        let key = key.clone();
        async move { Ok(key.sign(&message)?) }
    }
}

/// Signs with another key each time.
fn wrong() -> impl Signer {
    |_, message: Vec<u8>| async move { Ok(KeyPair::generate()?.sign(&message)?) }
}

fn options(words: &str) -> Options {
    let mut options = Options::default();
    if words == LATE {
        options.signer_deadline = Duration::from_millis(50);
    }
    options
}

/// We blame our signer in these words.
#[track_caller]
fn assert_blamed(ended: &Ended, words: &str) {
    assert_eq!(ended.code(), "connectFailed");
    assert_eq!(ended.ending.cause_code(), "ERR_TLS_FATAL_ERROR");
    assert_eq!(ended.blame(), Some(Blame::Local), "{ended}");
    let told = ended.to_string();
    assert!(told.contains(words), "{told}");
}

#[test]
fn to_clients() {
    let pki = Pki::new();
    let failing = FAILING
        .map(|(words, sign)| (words, Library::signed(&pki, move |_, _| sign(), options(words))));
    let wrong = (WRONG, Library::signed(&pki, wrong(), Options::default()));
    for (words, server) in failing.into_iter().chain([wrong]) {
        for (program, version) in Foreign::EACH {
            let context = format!("{program:?} {version}, {words}");
            let visitor = program.client(&pki, server.address, version, Caller::default());
            assert_eq!(visitor.alert(), 80, "{context}");
            assert_blamed(&server.ended(), words);

            let caller = Caller { name: Some(Library::ORDINARY), ..Caller::default() };
            let mut visitor = program.client(&pki, server.address, version, caller);
            assert!(visitor.is_echoed(), "{context}");
            visitor.leave();
            assert!(server.ended().is_clean(), "{context}");
        }
    }
}

/// A client whose key is with `signer`.
fn client(pki: &Pki, signer: impl Signer + 'static) -> TlsClient {
    let chain = std::fs::read(&pki.client).unwrap();
    let anchors = Anchors::from_pem(&std::fs::read(&pki.ca).unwrap()).unwrap();
    let identity = Identity::with_signer(&chain, signer).unwrap();
    TlsClient::builder().anchors(anchors).identity(identity).build().unwrap()
}

#[test]
fn to_servers() {
    let pki = Pki::new();
    let failing = FAILING.map(|(words, sign)| (words, client(&pki, move |_, _| sign())));
    let wrong = (WRONG, client(&pki, wrong()));
    let clients: Vec<_> = failing.into_iter().chain([wrong]).collect();
    for (program, version) in Foreign::EACH {
        let host = Host { client_ca: Some(&pki.ca), ..Host::default() };
        let mut host = program.server(&pki, version, host);
        for (words, client) in &clients {
            let (_, ended) = call(client, host.address, options(words));
            assert_blamed(&ended, words);
            assert_eq!(host.alert(), 80, "{program:?} {version}, {words}");
        }
    }
}

#[test]
fn and_one_that_signs_is_as_good_as_a_key_at_hand() {
    let pki = Pki::new();
    let server = Library::signed(&pki, signing(&pki.localhost), Options::default());
    let client = client(&pki, signing(&pki.client));
    for (program, version) in Foreign::EACH {
        let mut visitor = program.client(&pki, server.address, version, Caller::default());
        assert!(visitor.is_echoed(), "{program:?} {version}");
        visitor.leave();
        assert!(server.ended().is_clean(), "{program:?} {version}");

        let host = Host { client_ca: Some(&pki.ca), ..Host::default() };
        let host = program.server(&pki, version, host);
        let (heard, ended) = call(&client, host.address, Options::default());
        assert_eq!(heard, host.answer(), "{program:?} {version}: {ended}");
        assert!(ended.facts.tls.as_ref().unwrap().identity.is_some());
    }
}
