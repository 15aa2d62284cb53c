//! Each rule about certificates lets the right peer in and refuses the wrong one, with the alert that
//! fits, on both sides and in both versions of TLS, whether the peer is OpenSSL or GnuTLS.

use serde_json::Value;

use crate::harness::{Client, Command, Gnutls, Pki, Serve, Server, VERSIONS, connect, levada};

/// One rule: the words that let the peer in, the words that refuse it, the code of that ending, the
/// check that fails, and the alert as OpenSSL names it.
type Rule = ([String; 2], [String; 2], &'static str, &'static str, &'static str);

/// The rules for a peer with the pin `pin` and the name `name`; `serial` is that of its certificate.
/// The words begin with `prefix`.
fn rules(pki: &Pki, prefix: &str, pin: &str, name: &str, serial: u64) -> Vec<Rule> {
    let word = |word: &str, value: &str| [format!("--{prefix}{word}"), value.to_owned()];
    let zeros = "cert:".to_owned() + &"00".repeat(32);
    let good = pki.crl(&format!("{prefix}good.pem"), &[99]);
    let bad = pki.crl(&format!("{prefix}bad.pem"), &[99, serial]);
    // By an authority of the same name, with another key.
    let stranger = Pki::new();
    let list = std::fs::read_to_string(stranger.crl("list.pem", &[])).unwrap();
    let unlisted = pki.folder.write(&format!("{prefix}other.pem"), &list);
    vec![
        (word("pin", pin), word("pin", &zeros), "refused_pin", "pin", "access denied"),
        (
            word("san", &format!("dns:{name}")),
            word("san", "spiffe://prod.example/web"),
            "refused_san",
            "san",
            "access denied",
        ),
        (
            word("crl", &good),
            word("crl", &bad),
            "ERR_TLS_FATAL_ERROR",
            "revocation",
            "certificate revoked",
        ),
        (
            word("verify-time", "2030-01-31T12:00:00Z"),
            word("verify-time", "1970-01-31T12:00:00Z"),
            "ERR_TLS_FATAL_ERROR",
            "validity",
            "certificate expired",
        ),
        (
            word("crl", &good),
            word("crl", &unlisted),
            "ERR_TLS_FATAL_ERROR",
            "revocation",
            "unknown ca",
        ),
    ]
}

/// The ending of a stream that the rule refused: its code, and the check that failed.
#[track_caller]
fn assert_refused(ended: &Value, code: &str, check: &str) {
    assert_eq!(ended["cause"], code, "{ended}");
    let failed = &ended["facts"]["tls"]["checks"][check]["failed"];
    assert!(!failed.is_null(), "{check}: {ended}");
    assert_eq!(ended["facts"]["tls"]["verification"], "refused");
}

/// The pin of a peer, as we are told it when another one is pinned.
fn pin_of(ended: &Value) -> String {
    let failed = &ended["facts"]["tls"]["checks"]["pin"]["failed"];
    failed["not_pinned"]["presented"].as_str().expect("the pin is told").to_owned()
}

#[test]
fn for_a_server() {
    let pki = Pki::new();
    let zeros = "cert:".to_owned() + &"00".repeat(32);
    let first = Server::reversing(&pki, VERSIONS[1]);
    let told = connect(&first.url(), ["--ca", &pki.ca, "--pin", &zeros]).run(b"");
    let pin = pin_of(&told.ended());
    for (version, gnutls) in VERSIONS.into_iter().zip(Gnutls::VERSIONS) {
        for (right, wrong, code, check, _) in rules(&pki, "", &pin, "localhost", Pki::LOCALHOST) {
            let openssl = Server::reversing(&pki, version);
            let (_gnutls, address) = Gnutls::echo(&pki, gnutls.0);
            for (url, wanted) in
                [(openssl.url(), &b"olleh\n"[..]), (format!("tls://{address}"), &b"hello\n"[..])]
            {
                let with = |words: &[String; 2]| {
                    connect(&url, ["--ca", &pki.ca]).args(words).run(b"hello\n")
                };
                let refused = with(&wrong);
                assert_eq!(refused.code(), 2, "{version} {wrong:?}: {}", refused.stderr);
                assert_refused(&refused.ended(), code, check);
                let client = with(&right);
                assert_eq!(client.code(), 0, "{version} {right:?}: {}", client.stderr);
                assert_eq!(client.stdout, wanted, "{version} {right:?}");
            }
        }
    }
}

#[test]
fn for_a_client() {
    let pki = Pki::new();
    let listen = |words: &[String; 2]| {
        let words = words.iter().map(String::as_str);
        let all = ["--listen", "tls://127.0.0.1:0", "--to", "echo:", "--cert", &pki.localhost];
        Serve::start(all.into_iter().chain(["--client-ca", &pki.ca]).chain(words))
    };
    let zeros = "cert:".to_owned() + &"00".repeat(32);
    let mut first = listen(&["--client-pin".to_owned(), zeros]);
    drop(connect(&first.tls_url(), ["--ca", &pki.ca, "--cert", &pki.client]).run(b""));
    let pin = pin_of(&first.next("ended")["client"]);
    let cert = ["-cert", &pki.client, "-key", &pki.client];
    for (version, gnutls) in VERSIONS.into_iter().zip(Gnutls::VERSIONS) {
        for (right, wrong, code, check, alert) in
            rules(&pki, "client-", &pin, "client", Pki::CLIENT)
        {
            let mut serve = listen(&wrong);
            // Its input stays open: what ends it is the alert.
            let openssl = Client::start(&pki, serve.address(), version, &cert).wait().stderr;
            assert_refused(&serve.next("ended")["client"], code, check);
            assert!(openssl.contains(&format!("alert {alert}")), "{version} {wrong:?}: {openssl}");
            assert_ne!(Gnutls::client_with(&pki, serve.address(), gnutls.0).wait().code(), 0);
            assert_refused(&serve.next("ended")["client"], code, check);

            let mut serve = listen(&right);
            let mut openssl = Client::start(&pki, serve.address(), version, &cert);
            openssl.write(b"hello\n");
            assert_eq!(openssl.stdout.take(6), b"hello\n", "{version} {right:?}");
            drop(openssl.finish());
            assert_eq!(serve.next("ended")["client"]["code"], "finished");
            let mut gnutls = Gnutls::client_with(&pki, serve.address(), gnutls.0);
            gnutls.write(b"hello\n");
            assert_eq!(gnutls.stdout.take(6), b"hello\n", "{version} {right:?}");
            drop(gnutls.finish());
            assert_eq!(serve.next("ended")["client"]["code"], "finished");
        }
    }
}

/// What `openssl req -x509` makes, an authority that has signed itself, is let in by its pin alone.
#[test]
fn and_a_self_signed_authority_is_let_in_by_its_pin_alone() {
    let pki = Pki::new();
    let path = pki.folder.path().join("self.pem").to_str().unwrap().to_owned();
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"])
        .args(["-subj", "/CN=appliance", "-days", "30", "-keyout", &path, "-out"])
        .args([&format!("{path}.cert")])
        .run(b"");
    assert!(made.status.success(), "{}", made.stderr);
    let cert = format!("{path}.cert");
    for version in VERSIONS {
        let server = Server::start(&pki, version, &["-rev", "-cert", &cert, "-key", &path]);
        let zeros = "cert:".to_owned() + &"00".repeat(32);
        let refused = connect(&server.url(), ["--pin", &zeros]).run(b"hello\n");
        assert_refused(&refused.ended(), "refused_pin", "pin");
        let pin = pin_of(&refused.ended());
        let client = connect(&server.url(), ["--pin", &pin]).run(b"hello\n");
        assert_eq!((client.code(), &client.stdout[..]), (0, &b"olleh\n"[..]), "{}", client.stderr);
        assert_eq!(client.ended()["facts"]["tls"]["verification"], "pinned");
    }
}

/// A name other than the dialled one is verified, and what is wrong is passed over by name alone.
#[test]
fn and_the_name_is_the_one_that_is_said() {
    let pki = Pki::new();
    let server = Server::reversing(&pki, VERSIONS[1]);
    let with = |words: &[&str]| connect(&server.url(), ["--ca", &pki.ca]).args(words).run(b"a\n");
    assert_eq!(with(&["--name", "localhost"]).code(), 0);
    let refused = with(&["--name", "other.example"]);
    assert_refused(&refused.ended(), "ERR_TLS_FATAL_ERROR", "name");
    let client = with(&["--name", "other.example", "--danger-ignore", "name"]);
    assert_eq!(client.code(), 0, "{}", client.stderr);
    let tls = &client.ended()["facts"]["tls"];
    assert_eq!(tls["verification"], "danger");
    assert!(!tls["checks"]["name"]["ignored"].is_null(), "{tls}");
    assert!(client.stderr.contains("danger"), "{}", client.stderr);
}

/// Everything that is wrong is told at once, in one line.
#[test]
fn and_all_that_is_wrong_is_told_at_once() {
    let pki = Pki::new();
    let expired = pki.identity("expired.pem", &["other.example"], |params| {
        params.not_after = rcgen::date_time_ymd(2001, 1, 1);
        params.not_before = rcgen::date_time_ymd(2000, 1, 1);
    });
    let server = Server::start(&pki, VERSIONS[1], &["-rev", "-cert", &expired, "-key", &expired]);
    // Of the same name, and with another key.
    let stranger = Pki::new();
    let client = connect(&server.url(), ["--ca", &stranger.ca]).run(b"");
    let checks = &client.ended()["facts"]["tls"]["checks"];
    for check in ["trust", "validity", "name"] {
        assert!(!checks[check]["failed"].is_null(), "{check}: {checks}");
    }
    let text = levada(["connect", &server.url(), "--ca", &stranger.ca]).run(b"").stderr;
    for words in ["a signature does not verify", "it has expired", "it is not for \"127.0.0.1\""] {
        assert!(text.contains(words), "{words}: {text}");
    }
}
