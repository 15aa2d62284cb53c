//! A client is asked for a certificate where that is wanted: who has none is then nobody or refused, who
//! has a wrong one is refused in either case, and we are refused by OpenSSL and GnuTLS in the same way.

use crate::harness::{Caller, Foreign, Host, Pki, Serve, connect};

#[test]
fn to_us() {
    let pki = Pki::new();
    // By an authority of the same name, with another key.
    let stranger = Pki::new();
    let asked = ["--client-ca", pki.ca.as_str(), "--client-auth"];
    let [requested, required] =
        ["requested", "required"].map(|word| [&asked[..], &[word]].concat());
    let (nobody, right, wrong) = (None, Some(&pki.client), Some(&stranger.client));
    for (words, own, wanted) in [
        (&[][..], nobody, Ok("anonymous")),
        (&[], wrong, Ok("anonymous")),
        (&requested, nobody, Ok("anonymous")),
        (&requested, right, Ok("verified")),
        (&requested, wrong, Err(51)),
        (&required, nobody, Err(116)),
        (&required, right, Ok("verified")),
        (&required, wrong, Err(51)),
    ] {
        let all = ["--listen", "tls://127.0.0.1:0", "--to", "echo:", "--cert", &pki.localhost];
        let mut serve = Serve::start([&all[..], words].concat());
        for (program, version) in Foreign::EACH {
            let caller = Caller { own: own.map(String::as_str), ..Caller::default() };
            let mut visitor = program.client(&pki, serve.address(), version, caller);
            let context = format!("{program:?} {version} {words:?} {wanted:?}");
            match wanted {
                Ok(verification) => {
                    assert!(visitor.is_echoed(), "{context}");
                    visitor.leave();
                    let ended = serve.next("ended");
                    let told = &ended["client"]["facts"]["tls"]["verification"];
                    assert_eq!(told, verification, "{context}: {ended}");
                }
                Err(alert) => {
                    assert_eq!(visitor.alert(), alert, "{context}");
                    assert_eq!(serve.next("ended")["client"]["cause"], "ERR_TLS_FATAL_ERROR");
                }
            }
        }
    }
}

#[test]
fn to_them() {
    let (pki, stranger) = (Pki::new(), Pki::new());
    for (program, version) in Foreign::EACH {
        let host = Host { client_ca: Some(&pki.ca), ..Host::default() };
        let host = program.server(&pki, version, host);
        let with =
            |words: &[&str]| connect(&host.url(), ["--ca", &pki.ca]).args(words).run(b"hello\n");
        let client = with(&["--cert", &pki.client]);
        assert_eq!(client.code(), 0, "{program:?} {version}: {}", client.stderr);
        assert_eq!(client.stdout, host.answer());
        for words in [&[][..], &["--cert", &stranger.client]] {
            let refused = with(words);
            // In TLS 1.3 we are established before they have seen our certificate.
            let code = if version == "1.2" { 2 } else { 3 };
            assert_eq!(refused.code(), code, "{program:?} {version} {words:?}: {}", refused.stderr);
            assert_eq!(refused.ended()["cause"], "ERR_TLS_FATAL_ALERT");
            let tls = &refused.ended()["facts"]["tls"];
            assert_eq!(tls["identity_asked"], true, "{program:?} {version} {words:?}");
        }
    }
}
