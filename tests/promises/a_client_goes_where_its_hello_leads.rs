//! Routes of one listener: the name and the protocols that a client asks for choose between them, its
//! TLS ends here or goes through untouched, and who is for none of them is refused with the name told.

use std::io::{Read as _, Write as _};
use std::net::SocketAddr;

use crate::harness::{Backend, Caller, Foreign, Host, Pki, Serve, Visitor, free, levada};

/// A client that asks for this name, verifies another one, and offers this protocol.
fn visit(
    pki: &Pki,
    on: SocketAddr,
    (program, version): (Foreign, &str),
    name: &str,
    protocol: Option<&str>,
) -> Visitor {
    let word = if program == Foreign::OpenSsl { "-alpn" } else { "--alpn" };
    let words: Vec<_> = protocol.into_iter().flat_map(|protocol| [word, protocol]).collect();
    let (name, verified) = (Some(name), Some("localhost"));
    program.client(pki, on, version, Caller { name, verified, own: None, words: &words })
}

#[test]
fn by_name_and_by_protocol() {
    let (here, there) = (Pki::new(), Pki::new());
    let (named, mqtt) = (Backend::new(), Backend::new());
    for peer @ (program, version) in Foreign::EACH {
        let behind = program.server(&there, version, Host::default());
        let on = free();
        let text = format!(
            r#"
log = "json"

[[route]]
listen = {{ address = "tls://{on}", cert = "{cert}" }}
when = {{ sni = ["one.example", "*.one.example"] }}
to = "{named}"

# Its TLS goes through to whoever has the key.
[[route]]
listen = "tcp://{on}"
when = {{ sni = "two.example" }}
to = "tcp://{behind}"

[[route]]
listen = {{ address = "tls://{on}", cert = "{cert}", alpn = "mqtt" }}
when = {{ alpn = ["mqtt"] }}
to = "{mqtt}"
"#,
            cert = here.localhost,
            named = named.url(),
            behind = behind.address,
            mqtt = mqtt.url(),
        );
        let config = here.folder.write("levada.toml", &text);
        let checked = levada(["check", &config]).run(b"");
        let checked = String::from_utf8(checked.stdout).unwrap();
        assert!(checked.contains("for clients that ask for two.example"), "{checked}");
        // One line for each route.
        let mut serve = Serve::config(&config, 3);

        for (backend, name, protocol) in [
            (&named, "one.example", None),
            (&named, "a.one.example", Some("h2")),
            (&mqtt, "x.example", Some("mqtt")),
        ] {
            let mut visitor = visit(&here, on, peer, name, protocol).running;
            visitor.write(b"hello\n");
            let mut stream = backend.accept();
            let mut said = [0; 6];
            stream.read_exact(&mut said).unwrap();
            assert_eq!(&said, b"hello\n");
            stream.write_all(b"welcome\n").unwrap();
            assert_eq!(visitor.stdout.line().as_deref(), Some("welcome"), "{peer:?} {name}");
            drop(stream);
            visitor.finish();
            serve.ended();
        }

        let mut visitor = visit(&there, on, peer, "two.example", None).running;
        visitor.write(b"hello\n");
        let answer = visitor.stdout.take(behind.answer().len());
        assert_eq!(answer, behind.answer(), "{peer:?}: verified by the other's CA");
        visitor.finish();
        let record = serve.next("ended");
        assert_eq!(record["to"], format!("tcp://{}", behind.address));
        assert_eq!(record["client"]["facts"]["plain"], "pass_through");
        assert_eq!(record["client"]["facts"]["tls"]["sni"], "two.example");

        for (protocol, alert, told_as) in [
            (None, 112, "unrecognized_name (112)"),
            (Some("h2"), 120, "no_application_protocol (120)"),
        ] {
            let visitor = visit(&here, on, peer, "three.example", protocol);
            assert_eq!(visitor.alert(), alert, "{peer:?}");
            let record = serve.next("ended");
            assert_eq!(record["to"], serde_json::Value::Null);
            let told = record["client"].to_string();
            assert!(told.contains("three.example") && told.contains(told_as), "{told}");
        }
        let (code, records) = serve.stop();
        assert_eq!(code, 0, "{records:?}");
    }
}
