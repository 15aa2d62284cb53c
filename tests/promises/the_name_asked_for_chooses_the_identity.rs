//! The name that a client asks for chooses the identity that it is shown: exactly, by a wildcard, or by
//! default. Who asks for a name that nobody has may be refused in words, and a hook may choose for all.
//! OpenSSL and GnuTLS see that, and we see the same of them.

use levada::{AlertDescription, Anchors, ClientAuth, HelloAnswer, Identities, Options, TlsServer};

use crate::harness::library::{Library, identity};
use crate::harness::{Caller, Foreign, Gnutls, Pki, Serve, Server, connect};

/// One that asks for `name`, and verifies another one.
const fn asking<'a>(name: &'a str, verified: &'a str) -> Caller<'a> {
    Caller { name: Some(name), verified: Some(verified), own: None, words: &[] }
}

#[test]
fn exactly_by_wildcard_or_by_default() {
    let pki = Pki::new();
    let exact = pki.identity("exact.pem", &["exact.example"], |_| {});
    let wild = pki.identity("wild.pem", &["*.wild.example"], |_| {});
    let mut words = vec!["--listen", "tls://127.0.0.1:0", "--to", "echo:"];
    for cert in [&pki.localhost, &exact, &wild] {
        words.extend(["--cert", cert]);
    }
    let mut serve = Serve::start(words);
    for (program, version) in Foreign::EACH {
        for (name, verified) in [
            ("exact.example", "exact.example"),
            ("any.wild.example", "any.wild.example"),
            ("unknown.example", "localhost"),
        ] {
            let caller = asking(name, verified);
            let mut visitor = program.client(&pki, serve.address(), version, caller);
            assert!(visitor.is_echoed(), "{program:?} {version} {name}");
            visitor.leave();
            assert_eq!(serve.next("ended")["client"]["facts"]["tls"]["sni"], name);
        }
        // They do verify the name.
        let caller = asking("exact.example", "localhost");
        let mut visitor = program.client(&pki, serve.address(), version, caller);
        assert!(!visitor.is_echoed(), "{program:?} {version}");
        serve.next("ended");
    }
}

#[test]
fn and_who_asks_for_a_name_that_nobody_has_is_refused_where_there_is_no_default() {
    let pki = Pki::new();
    let table = Identities::builder().with(&identity(&pki.localhost)).unwrap().build().unwrap();
    let tls = TlsServer::builder(table.clone()).build().unwrap();
    let server = Library::start(tls, Options::default(), |_| {});
    let late = identity(&pki.identity("late.pem", &["late.example"], |_| {}));
    for (program, version) in Foreign::EACH {
        let come = |name| {
            let caller = Caller { name: Some(name), ..Caller::default() };
            program.client(&pki, server.address, version, caller)
        };
        assert_eq!(come("late.example").alert(), 112, "{program:?} {version}");
        let told = server.ended().to_string();
        assert!(told.contains("unrecognized_name") && told.contains("late.example"), "{told}");

        // Added while it runs, and taken away again.
        table.change(|table| table.with(&late)).unwrap();
        let mut visitor = come("late.example");
        assert!(visitor.is_echoed(), "{program:?} {version}");
        visitor.leave();
        assert!(server.ended().is_clean());
        table.change(|table| table.without("late.example")).unwrap();
        assert_eq!(come("late.example").alert(), 112, "{program:?} {version}");
        server.ended();
    }
}

#[test]
fn and_a_hook_chooses_whatever_the_table_has() {
    let pki = Pki::new();
    let chosen = identity(&pki.identity("chosen.pem", &["chosen.example"], |_| {}));
    let strict = TlsServer::builder(Identities::one(&chosen))
        .client_auth(ClientAuth::Required(
            Anchors::from_pem(&std::fs::read(&pki.ca).unwrap()).unwrap(),
        ))
        .build()
        .unwrap();
    let tls = TlsServer::builder(Identities::one(&identity(&pki.localhost))).build().unwrap();
    let server = Library::start(tls, Options::default(), move |socket| {
        let (chosen, strict) = (chosen.clone(), strict.clone());
        socket.on_hello(|hello| async move {
            tokio::task::yield_now().await;
            match hello.sni.as_deref() {
                Some("chosen.example") => HelloAnswer::Identity(chosen),
                Some("strict.example") => HelloAnswer::Server(strict),
                Some("refused.example") => HelloAnswer::Refuse(AlertDescription::ACCESS_DENIED),
                _ => HelloAnswer::GoOn,
            }
        });
    });
    for (program, version) in Foreign::EACH {
        let come = |caller| program.client(&pki, server.address, version, caller);
        let own = Caller { own: Some(&pki.client), ..asking("strict.example", "chosen.example") };
        for caller in [Caller::default(), asking("chosen.example", "chosen.example"), own] {
            let mut visitor = come(caller);
            assert!(visitor.is_echoed(), "{program:?} {version} {caller:?}");
            visitor.leave();
            let ended = server.ended();
            assert!(ended.is_clean(), "{ended}");
        }
        let nobody = come(asking("strict.example", "chosen.example")).alert();
        assert_eq!(nobody, 116, "{program:?} {version}");
        server.ended();
        let refused = come(asking("refused.example", "chosen.example")).alert();
        assert_eq!(refused, 49, "{program:?} {version}");
        server.ended();
    }
}

#[test]
fn as_ours_does_with_them() {
    let pki = Pki::new();
    let other = pki.identity("other.pem", &["other.example"], |_| {});
    for (program, version) in Foreign::EACH {
        let (_process, address) = match program {
            Foreign::OpenSsl => {
                let flag = format!("-tls{}", version.replace('.', "_"));
                let second = ["-servername", "other.example", "-cert2", &other, "-key2", &other];
                let Server { process, address } =
                    Server::start(&pki, &flag, &[&["-rev"], &second[..]].concat());
                (process, address)
            }
            Foreign::GnuTls => {
                let second = ["--x509certfile", &other, "--x509keyfile", &other];
                let server = Gnutls::server(&format!("VERS-TLS{version}"), &pki.localhost);
                Gnutls::listen(server.args(second))
            }
        };
        let url = format!("tls://{address}");
        for name in ["localhost", "other.example"] {
            let client = connect(&url, ["--ca", &pki.ca, "--name", name]).run(b"hello\n");
            assert_eq!(client.code(), 0, "{program:?} {version} {name}: {}", client.stderr);
            assert_eq!(client.ended()["facts"]["tls"]["verified_name"], name);
        }
        let words = ["--ca", &pki.ca, "--name", "other.example", "--sni", "localhost"];
        let client = connect(&url, words).run(b"hello\n");
        assert_eq!(client.code(), 2, "{program:?} {version}: {}", client.stderr);
    }
}
