//! A private key may stay on a PKCS#11 token, which made it and lets nobody take it out: OpenSSL and
//! GnuTLS believe in what the token signs, for a server and for a client, by a pool and without one. A
//! token that goes away comes back without anybody's help, and what is wrong is told before the start.

use std::ffi::OsStr;

use levada_pool::wire::body::{Pin, PinEntry};
use levada_pool::wire::{Message, Packet};
use levada_testkit::soft_hsm::{PIN, SoftHsm};
use rcgen::{PublicKeyData, SignatureAlgorithm};

use crate::harness::{Caller, Foreign, Host, Pki, Pool, Serve, connect, levada};

/// A token with one key, and a certificate for localhost that goes with it.
struct Token {
    pki: Pki,
    hsm: SoftHsm,
    cert: String,
    key: String,
    pin: String,
}

/// The public key, as it stands in a certificate.
struct Public(Vec<u8>, &'static SignatureAlgorithm);

impl PublicKeyData for Public {
    fn der_bytes(&self) -> &[u8] {
        &self.0
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        self.1
    }
}

impl Token {
    fn new((kind, algorithm): Kind) -> Self {
        let pki = Pki::new();
        let folder = pki.folder.path().join("hsm");
        std::fs::create_dir(&folder).unwrap();
        let hsm = SoftHsm::new(&folder);
        hsm.token("site");
        hsm.generate("site", kind, "www", "01");
        let public = Public(hsm.public_key(), algorithm);
        let cert = pki.certify_public("token.cert", &["localhost", "127.0.0.1"], &public);
        let key = format!("pkcs11:token=site;object=www?module-path={}", SoftHsm::module());
        let pin = pki.folder.write("pin", &format!("{PIN}\n"));
        Self { pki, hsm, cert, key, pin }
    }

    fn words(&self) -> [&str; 6] {
        ["--cert", &self.cert, "--key", &self.key, "--passphrase-file", &self.pin]
    }

    /// A server whose key is on the token.
    #[track_caller]
    fn serve(&self) -> Serve {
        let listen = ["--listen", "tls://127.0.0.1:0", "--to", "echo:"];
        let (own, config) = (self.words(), self.hsm.config());
        let words = listen.iter().chain(&own);
        Serve::with_variable(("SOFTHSM2_CONF", config.as_os_str()), words)
    }

    /// A hardened pool with the key on the token, and the PIN in a file.
    #[track_caller]
    fn pool(&self) -> Pool {
        self.pool_with(&format!("key-pass-file = {:?}", self.pin))
    }

    #[track_caller]
    fn pool_with(&self, pin: &str) -> Pool {
        let Self { pki, key, cert, .. } = self;
        let policy = format!(
            "anchors = {ca:?}\nclient-anchors = {ca:?}\n[[identity]]\nname = \"localhost\"\n\
             cert = {cert:?}\nkey = {key:?}\n{pin}\ndefault = true\nshow-to = [\".\"]\n",
            ca = pki.ca
        );
        let policy = pki.folder.write("token.toml", &policy);
        let socket = pki.folder.path().join("pool.sock").to_str().unwrap().to_owned();
        let words = ["pool", "--config", &policy, "--socket", &socket, "--log", "json"];
        let tokens = self.hsm.tokens();
        let reach = [OsStr::new("--token-dir"), tokens.parent().unwrap().as_os_str()];
        let command = levada(words).args(reach).env("SOFTHSM2_CONF", self.hsm.config());
        Pool::listening(command, socket)
    }
}

type Kind = (&'static str, &'static SignatureAlgorithm);

const EC: Kind = ("EC:prime256v1", &rcgen::PKCS_ECDSA_P256_SHA256);
const EC_384: Kind = ("EC:secp384r1", &rcgen::PKCS_ECDSA_P384_SHA384);
const RSA: Kind = ("RSA:2048", &rcgen::PKCS_RSA_SHA256);

#[test]
fn for_a_server_and_for_a_client() {
    for kind in [EC, EC_384, RSA] {
        let token = Token::new(kind);
        let serve = token.serve();
        for (program, version) in Foreign::EACH {
            let context = format!("{program:?} {version} {}", kind.0);
            let mut visitor =
                program.client(&token.pki, serve.address(), version, Caller::default());
            assert!(visitor.is_echoed(), "{context}");
            visitor.leave();

            let host = Host { client_ca: Some(&token.pki.ca), ..Host::default() };
            let host = program.server(&token.pki, version, host);
            let client = connect(&host.url(), ["--ca", &token.pki.ca]).args(token.words());
            let client = client.env("SOFTHSM2_CONF", token.hsm.config()).run(b"hello\n");
            let told = (client.code(), &client.stdout[..]);
            assert_eq!(told, (0, host.answer()), "{context}: {}", client.stderr);
        }
    }
}

#[test]
fn and_a_pool_may_have_it_there() {
    for kind in [EC, RSA] {
        let token = Token::new(kind);
        let pool = token.pool();
        let serve = Serve::start(["--listen", &pool.url("127.0.0.1:0"), "--to", "echo:"]);
        for (program, version) in Foreign::EACH {
            let context = format!("{program:?} {version} {}", kind.0);
            let mut visitor =
                program.client(&token.pki, serve.address(), version, Caller::default());
            assert!(visitor.is_echoed(), "{context}");
            visitor.leave();

            let host = Host { client_ca: Some(&token.pki.ca), ..Host::default() };
            let host = program.server(&token.pki, version, host);
            let port = host.address.port();
            let client = connect(&pool.url(format_args!("localhost:{port}")), [""; 0]);
            let client = client.run(b"hello\n");
            let told = (client.code(), &client.stdout[..]);
            assert_eq!(told, (0, host.answer()), "{context}: {}", client.stderr);
        }
        let told = pool.stop().join("\n");
        assert!(!told.contains(PIN), "{told}");
    }
}

#[test]
fn and_a_token_that_was_away_is_found_again() {
    let token = Token::new(EC);
    let serve = token.serve();
    let pool = token.pool();
    let pooled = Serve::start(["--listen", &pool.url("127.0.0.1:0"), "--to", "echo:"]);
    let is_let_in = |serve: &Serve| {
        let client = connect(&format!("tls://{}", serve.address()), ["--ca", &token.pki.ca]);
        client.run(b"hello\n").stdout == b"hello\n"
    };
    for serve in [serve, pooled] {
        assert!(is_let_in(&serve));
        token.hsm.set_away(true);
        // What a module has read of a token it may know for a while.
        while is_let_in(&serve) {}
        token.hsm.set_away(false);
        while !is_let_in(&serve) {}
    }
}

#[test]
fn and_a_person_is_asked_for_its_pin() {
    let token = Token::new(EC);
    let pool = token.pool_with("key-pass = \"ask\"");
    let serve = Serve::start(["--listen", &pool.url("127.0.0.1:0"), "--to", "echo:"]);
    let address = format!("tls://{}", serve.address());
    let visit = || connect(&address, ["--ca", &token.pki.ca]).run(b"hello\n");
    assert_ne!(visit().code(), 0, "nobody can be asked");

    let mut person = pool.speaker();
    let minute = PinEntry { timeout_us: 60_000_000, ..PinEntry::default() };
    person.ask(Message::PinEntry(minute.clone()), None);
    let mut answer = |attempt: u32, pin: &str| {
        let asked = person.hear();
        let Message::PinEntry(question) = &asked.message else { panic!("{asked:?}") };
        let told = (question.label.as_str(), question.model.as_str(), question.attempt);
        assert_eq!(told, (Some("site"), Some("SoftHSM v2"), attempt));
        let pin = Pin::new(pin.as_bytes()).unwrap();
        let message = Message::PinEntry(PinEntry { pin, ..minute.clone() });
        person.send(&Packet { message, ..asked }, None);
    };
    let visitors: Vec<_> = (0..3)
        .map(|_| {
            let mut visitor = connect(&address, ["--ca", &token.pki.ca]).start();
            visitor.write(b"hello\n");
            visitor
        })
        .collect();
    answer(0, "wrong");
    answer(1, PIN);
    for mut visitor in visitors {
        assert_eq!(visitor.stdout.line().as_deref(), Some("hello"), "one login is for all");
        assert_eq!(visitor.finish().code(), 0);
    }
    assert_eq!(visit().code(), 0, "nobody is asked again");

    // Away and back: its login is gone with it.
    token.hsm.set_away(true);
    while visit().code() == 0 {}
    token.hsm.set_away(false);
    std::thread::scope(|scope| {
        // It may take a moment until the module sees it.
        scope.spawn(|| while visit().code() != 0 {});
        answer(0, PIN);
    });
    let told = pool.stop().join("\n");
    assert!(!told.contains(PIN) && !told.contains("wrong\""), "{told}");
}

#[test]
fn and_what_is_wrong_with_it_is_told_before_the_start() {
    let token = Token::new(EC);
    let check = |key: &str, pin: &str| {
        let config = format!(
            "[[route]]\nto = \"echo:\"\n[route.listen]\naddress = \"tls://127.0.0.1:0\"\n\
             cert = {:?}\nkey = {key:?}\npassphrase-file = {pin:?}\n",
            token.cert
        );
        let config = token.pki.folder.write("check.toml", &config);
        let done = levada(["check", &config]).env("SOFTHSM2_CONF", token.hsm.config()).run(b"");
        assert!(!done.stderr.contains(PIN), "{}", done.stderr);
        (done.code(), done.stderr)
    };
    assert_eq!(check(&token.key, &token.pin).0, 0);
    let wrong = token.pki.folder.write("wrong", "1234");
    let other = token.key.replace("token=site", "token=other");
    for (key, pin, words) in [
        (&token.key, &wrong, "does not take the PIN"),
        (&other, &token.pin, "it has \"site\""),
        (&token.key.replace("object=www", "object=mail"), &token.pin, "no private key object=mail"),
        (&"pkcs11:?module-path=/nowhere.so".to_owned(), &token.pin, "cannot load"),
        (&"pkcs11:label=www".to_owned(), &token.pin, "did you mean `object`?"),
    ] {
        let (code, told) = check(key, pin);
        assert!(code == 1 && told.contains(words), "{key}: {code} {told}");
    }
    // A pool tells where it stands.
    let policy = format!(
        "[[identity]]\nname = \"localhost\"\ncert = {:?}\nkey = {other:?}\n\
         key-pass-file = {:?}\n",
        token.cert, token.pin
    );
    let policy = token.pki.folder.write("other.toml", &policy);
    let done = levada(["pool", "--config", &policy, "--socket", "/nowhere/s"]);
    let done = done.env("SOFTHSM2_CONF", token.hsm.config()).run(b"");
    assert_eq!(done.code(), 1);
    assert!(done.stderr.contains("other.toml:4:7: ") && done.stderr.contains("it has \"site\""));
}
