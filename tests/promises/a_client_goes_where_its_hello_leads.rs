//! Routes of one listener: the name and the protocols that a client asks for choose between them, its
//! TLS ends here or goes through untouched, and who is for none of them is refused with the name told.

use std::io::{Read as _, Write as _};

use crate::harness::{Backend, Client, Pki, Serve, Server, VERSIONS, free, levada};

#[test]
fn by_name_and_by_protocol() {
    let (here, there) = (Pki::new(), Pki::new());
    let (named, mqtt) = (Backend::new(), Backend::new());
    for version in VERSIONS {
        let behind = Server::reversing(&there, version);
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

        for (backend, args) in [
            (&named, &["-servername", "one.example"][..]),
            (&named, &["-servername", "a.one.example", "-alpn", "h2"]),
            (&mqtt, &["-servername", "x.example", "-alpn", "mqtt"]),
        ] {
            let mut client = Client::start(&here, on, version, args);
            client.write(b"hello\n");
            let mut stream = backend.accept();
            let mut said = [0; 6];
            stream.read_exact(&mut said).unwrap();
            assert_eq!(&said, b"hello\n");
            stream.write_all(b"welcome\n").unwrap();
            assert_eq!(client.stdout.line().as_deref(), Some("welcome"));
            drop(stream);
            client.finish();
            serve.ended();
        }

        let mut client = Client::start(&there, on, version, &["-servername", "two.example"]);
        client.write(b"hello\n");
        assert_eq!(client.stdout.line().as_deref(), Some("olleh"), "verified by the other's CA");
        client.finish();
        let record = serve.next("ended");
        assert_eq!(record["to"], format!("tcp://{}", behind.address));
        assert_eq!(record["client"]["facts"]["plain"], "pass_through");
        assert_eq!(record["client"]["facts"]["tls"]["sni"], "two.example");

        for (args, alert) in [
            (&["-servername", "three.example"][..], "unrecognized_name (112)"),
            (&["-servername", "three.example", "-alpn", "h2"], "no_application_protocol (120)"),
        ] {
            let mut client = Client::start(&here, on, version, args);
            assert_eq!(client.stdout.line(), None);
            let record = serve.next("ended");
            assert_eq!(record["to"], serde_json::Value::Null);
            let told = record["client"].to_string();
            assert!(told.contains("three.example") && told.contains(alert), "{told}");
        }
        let (code, records) = serve.stop();
        assert_eq!(code, 0, "{records:?}");
    }
}
