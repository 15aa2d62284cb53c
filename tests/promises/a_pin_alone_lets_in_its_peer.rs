//! A certificate that nobody vouches for, such as an appliance makes for itself, is let in by its pin:
//! also one that calls itself an authority. OpenSSL and GnuTLS show it on either side.

use levada::ShownCertificate;

use crate::harness::library::identity;
use crate::harness::{Caller, Command, Foreign, Host, Pki, Serve, connect};

/// What `openssl req -x509` makes, an authority that has signed itself, and its pins.
fn appliance(pki: &Pki) -> (String, [String; 2]) {
    let file = pki.folder.path().join("appliance.pem").to_str().unwrap().to_owned();
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"])
        .args(["-subj", "/CN=appliance", "-days", "30", "-keyout", &file])
        .run(b"");
    assert!(made.status.success(), "{}", made.stderr);
    let certificate = String::from_utf8(made.stdout).unwrap();
    let shown = Command::new("openssl")
        .args(["x509", "-noout", "-fingerprint", "-sha256"])
        .run(certificate.as_bytes());
    let shown = String::from_utf8(shown.stdout).unwrap();
    let (_, fingerprint) = shown.trim().split_once('=').expect("it tells the fingerprint");
    let text = certificate + &std::fs::read_to_string(&file).unwrap();
    let file = pki.folder.write("appliance.pem", &text);
    let identity = identity(&file);
    let ShownCertificate::Read(facts) = identity.certificate() else { panic!("it is read") };
    (file, [format!("spki:{}", facts.spki_pin), format!("cert:{fingerprint}")])
}

const OTHER: &str = "spki:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";

#[test]
fn a_server() {
    let pki = Pki::new();
    let (file, pins) = appliance(&pki);
    for (program, version) in Foreign::EACH {
        let host = Host { own: Some(&file), ..Host::default() };
        let mut host = program.server(&pki, version, host);
        let refused = connect(&host.url(), ["--pin", OTHER]).run(b"hello\n");
        assert_eq!(refused.ended()["cause"], "refused_pin", "{}", refused.stderr);
        assert_eq!(host.alert(), 49, "{program:?} {version}");
        for pin in &pins {
            let client = connect(&host.url(), ["--pin", pin]).run(b"hello\n");
            assert_eq!(client.code(), 0, "{program:?} {version} {pin}: {}", client.stderr);
            assert_eq!(client.stdout, host.answer(), "{program:?} {version} {pin}");
            assert_eq!(client.ended()["facts"]["tls"]["verification"], "pinned");
        }
    }
}

#[test]
fn a_client() {
    let pki = Pki::new();
    let (file, [spki, cert]) = appliance(&pki);
    let caller = Caller { own: Some(&file), ..Caller::default() };
    let listen = |pin: &str| {
        let words = ["--listen", "tls://127.0.0.1:0", "--to", "echo:", "--cert", &pki.localhost];
        Serve::start([&words[..], &["--client-pin", pin]].concat())
    };
    let mut strict = listen(OTHER);
    let mut open = [listen(&spki), listen(&cert)];
    for (program, version) in Foreign::EACH {
        let visitor = program.client(&pki, strict.address(), version, caller);
        assert_eq!(visitor.alert(), 49, "{program:?} {version}");
        assert_eq!(strict.next("ended")["client"]["cause"], "refused_pin");
        for serve in &mut open {
            let mut visitor = program.client(&pki, serve.address(), version, caller);
            assert!(visitor.is_echoed(), "{program:?} {version}");
            visitor.leave();
            let ended = serve.next("ended");
            assert_eq!(ended["client"]["facts"]["tls"]["verification"], "pinned", "{ended}");
        }
    }
}
