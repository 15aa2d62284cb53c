//! Each rule about certificates lets the right peer in and refuses the wrong one, with the alert that
//! fits, on both sides and in both versions of TLS, whether the peer is OpenSSL or GnuTLS.

use levada::ShownCertificate;
use rcgen::SanType;
use serde_json::Value;

use crate::harness::library::identity;
use crate::harness::{Caller, Command, Foreign, Host, Pki, Serve, connect, levada};

const SERIAL: u64 = 18;

/// A rule: the options that let the peer in, those that refuse it, the code of that ending, the check
/// that fails, and the alert that the peer is sent.
struct Rule {
    right: Vec<String>,
    wrong: Vec<String>,
    code: &'static str,
    check: &'static str,
    alert: u8,
}

const FATAL: &str = "ERR_TLS_FATAL_ERROR";

/// Makes rules for a server, or for a client: their words begin with `client-`.
struct Words<'a> {
    pki: &'a Pki,
    prefix: &'static str,
}

impl Words<'_> {
    fn options(&self, words: &[(&str, &str)]) -> Vec<String> {
        let option = |&(word, value): &(&str, &str)| {
            let word = match (word, self.prefix) {
                ("danger-ignore", "client-") => "--danger-ignore-client".to_owned(),
                ("danger-ignore", _) => "--danger-ignore".to_owned(),
                (word, prefix) => format!("--{prefix}{word}"),
            };
            [word, value.to_owned()]
        };
        words.iter().flat_map(option).collect()
    }

    /// A rule that is these words beside the authority.
    fn with(
        &self,
        right: &[(&str, &str)],
        wrong: &[(&str, &str)],
        (code, check, alert): (&'static str, &'static str, u8),
    ) -> Rule {
        let ca = [("ca", self.pki.ca.as_str())];
        let [right, wrong] = [right, wrong].map(|words| self.options(&[&ca, words].concat()));
        Rule { right, wrong, code, check, alert }
    }

    fn san(&self, right: &str, wrong: &str) -> Rule {
        self.with(&[("san", right)], &[("san", wrong)], ("refused_san", "san", 49))
    }
}

/// Peers, each with a file for its certificate and key, and the rules about it.
fn peers(pki: &Pki, prefix: &'static str) -> [(String, Vec<Rule>); 2] {
    let named = |file: &str, uri: &str| {
        pki.identity(file, &["localhost", "one.hosts.example", "127.0.0.1"], |params| {
            params.subject_alt_names.push(SanType::URI(uri.try_into().unwrap()));
            params.serial_number = Some(SERIAL.into());
        })
    };
    let words = Words { pki, prefix };
    let workload = named("workload.pem", "spiffe://example.org/web/1");
    let site = named("site.pem", "https://example.org/a");
    let rules = rules(&words, &workload);
    let uri = words.san("uri:https://example.org/a", "uri:https://example.org/b");
    [(workload, rules), (site, vec![uri])]
}

/// The rules about who has the identity in `file`, but for those about other URIs.
fn rules(words: &Words<'_>, file: &str) -> Vec<Rule> {
    let Words { pki, prefix } = words;
    let certificate = identity(file);
    let ShownCertificate::Read(facts) = certificate.certificate() else { panic!("it is read") };
    let spki = format!("spki:{}", facts.spki_pin);
    let told = Command::new("openssl")
        .args(["x509", "-noout", "-fingerprint", "-sha256", "-in", file])
        .run(b"");
    let told = String::from_utf8(told.stdout).unwrap();
    let (_, fingerprint) = told.trim().split_once('=').expect("it tells the fingerprint");
    let cert = format!("cert:{fingerprint}");
    let other_key = format!("spki:{}=", "A".repeat(43));
    let other_cert = format!("cert:{}", "00".repeat(32));

    let good = pki.crl(&format!("{prefix}good.pem"), &[99]);
    let bad = pki.crl(&format!("{prefix}bad.pem"), &[99, SERIAL]);
    // Of an authority of the same name, with another key.
    let other = Pki::new();
    let copy = |name: &str, file: &str| {
        pki.folder.write(&format!("{prefix}{name}"), &std::fs::read_to_string(file).unwrap())
    };
    let unlisted = copy("unlisted.pem", &other.crl("list.pem", &[]));
    let namesake = copy("namesake.pem", &other.ca);

    let pin = |right: &str, wrong: &str| {
        words.with(&[("pin", right)], &[("pin", wrong)], ("refused_pin", "pin", 49))
    };
    let crl = |wrong: &str, alert| {
        words.with(&[("crl", &good)], &[("crl", wrong)], (FATAL, "revocation", alert))
    };
    let (past, present) =
        (("verify-time", "1970-01-31T12:00:00Z"), ("verify-time", "2030-01-31T12:00:00Z"));
    vec![
        Rule {
            right: words.options(&[("ca", &pki.ca)]),
            wrong: words.options(&[("ca", &namesake)]),
            code: FATAL,
            check: "trust",
            alert: 51,
        },
        pin(&spki, &other_cert),
        pin(&cert, &other_key),
        words.san("dns:localhost", "dns:other.example"),
        words.san("dns:*.hosts.example", "dns:*.example"),
        words.san("ip:127.0.0.1", "ip:192.0.2.7"),
        words.san("ip:127.0.0.0/8", "ip:10.0.0.0/8"),
        words.san("spiffe://example.org", "spiffe://example.com"),
        words.san("spiffe://example.org/web/1", "spiffe://example.org/web/2"),
        words.san("spiffe://example.org/web/*", "spiffe://example.org/api/*"),
        crl(&bad, 44),
        crl(&unlisted, 48),
        words.with(&[present], &[past], (FATAL, "validity", 45)),
        words.with(
            &[past, ("danger-ignore", "validity")],
            &[past, ("danger-ignore", "usage")],
            (FATAL, "validity", 45),
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

#[test]
fn for_a_server() {
    let pki = Pki::new();
    for (own, rules) in peers(&pki, "") {
        for (program, version) in Foreign::EACH {
            let host = Host { own: Some(&own), ..Host::default() };
            let mut host = program.server(&pki, version, host);
            for Rule { right, wrong, code, check, alert } in &rules {
                let context = format!("{program:?} {version} {wrong:?}");
                let refused = connect(&host.url(), wrong).run(b"hello\n");
                assert_eq!(refused.code(), 2, "{context}: {}", refused.stderr);
                assert_refused(&refused.ended(), code, check);
                assert_eq!(host.alert(), *alert, "{context}");
                let client = connect(&host.url(), right).run(b"hello\n");
                assert_eq!(client.code(), 0, "{program:?} {version} {right:?}: {}", client.stderr);
                assert_eq!(client.stdout, host.answer(), "{program:?} {version} {right:?}");
            }
        }
    }
}

#[test]
fn for_a_client() {
    let pki = Pki::new();
    let listen = |words: &[String]| {
        let words = words.iter().map(String::as_str);
        let all = ["--listen", "tls://127.0.0.1:0", "--to", "echo:", "--cert", &pki.localhost];
        Serve::start(all.into_iter().chain(words))
    };
    for (own, rules) in peers(&pki, "client-") {
        let caller = Caller { own: Some(&own), ..Caller::default() };
        for Rule { right, wrong, code, check, alert } in rules {
            let (mut strict, mut open) = (listen(&wrong), listen(&right));
            for (program, version) in Foreign::EACH {
                let visitor = program.client(&pki, strict.address(), version, caller);
                assert_eq!(visitor.alert(), alert, "{program:?} {version} {wrong:?}");
                assert_refused(&strict.next("ended")["client"], code, check);

                let mut visitor = program.client(&pki, open.address(), version, caller);
                assert!(visitor.is_echoed(), "{program:?} {version} {right:?}");
                visitor.leave();
                assert_eq!(open.next("ended")["client"]["code"], "finished");
            }
        }
    }
}

/// A name other than the dialled one is verified, and what is wrong is passed over by name alone.
#[test]
fn and_the_name_is_the_one_that_is_said() {
    let pki = Pki::new();
    for (program, version) in Foreign::EACH {
        let mut host = program.server(&pki, version, Host::default());
        let url = host.url();
        let with = |words: &[&str]| connect(&url, ["--ca", &pki.ca]).args(words).run(b"hello\n");
        assert_eq!(with(&["--name", "localhost"]).code(), 0, "{program:?} {version}");
        let refused = with(&["--name", "other.example"]);
        assert_refused(&refused.ended(), "ERR_TLS_FATAL_ERROR", "name");
        assert_eq!(host.alert(), 42, "{program:?} {version}");
        let client = with(&["--name", "other.example", "--danger-ignore", "name"]);
        assert_eq!(client.code(), 0, "{program:?} {version}: {}", client.stderr);
        let tls = &client.ended()["facts"]["tls"];
        assert_eq!(tls["verification"], "danger");
        assert!(!tls["checks"]["name"]["ignored"].is_null(), "{tls}");
        assert!(client.stderr.contains("danger"), "{}", client.stderr);
    }
}

/// Without `ca` it is the authorities of the system that count: OpenSSL's variable names them here.
#[test]
fn and_the_authorities_of_the_system_are_those_that_it_has() {
    let (pki, stranger) = (Pki::new(), Pki::of("a stranger"));
    for (program, version) in Foreign::EACH {
        let mut host = program.server(&pki, version, Host::default());
        let with =
            |ca: &str| connect(&host.url(), [""; 0]).env("SSL_CERT_FILE", ca).run(b"hello\n");
        let (trusting, doubting) = (with(&pki.ca), with(&stranger.ca));
        assert_eq!(trusting.code(), 0, "{program:?} {version}: {}", trusting.stderr);
        assert_refused(&doubting.ended(), "ERR_TLS_FATAL_ERROR", "trust");
        assert_eq!(host.alert(), 48, "{program:?} {version}");
    }
}

/// Everything that is wrong is told at once, in one line.
#[test]
fn and_all_that_is_wrong_is_told_at_once() {
    let pki = Pki::new();
    let expired = pki.identity("expired.pem", &["other.example"], |params| {
        params.not_after = rcgen::date_time_ymd(2001, 1, 1);
        params.not_before = rcgen::date_time_ymd(2000, 1, 1);
    });
    let host = Host { own: Some(&expired), ..Host::default() };
    let server = Foreign::OpenSsl.server(&pki, "1.3", host);
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
