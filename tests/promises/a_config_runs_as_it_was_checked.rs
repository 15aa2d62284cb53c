//! What `levada check` says, `levada serve --config` does: two routes from one file, each with its own
//! identities, limits and target.

use std::io::{Read as _, Write as _};
use std::net::Shutdown;
use std::os::unix::net::UnixListener;

use crate::harness::{Pki, Serve, assert_same, connect, digits, levada};

#[test]
fn two_routes_with_their_own_words() {
    let pki = Pki::new();
    let folder = pki.folder.path();
    // Everything is named as it is seen from the folder of the file.
    let config = pki.folder.write(
        "levada.toml",
        r#"
drain = "5s"
log = "json"
deadline-idle = "1m"

[[route]]
listen = "tcp://127.0.0.1:0"
to = "echo:"

[[route]]
to = "unix:app.sock"

[route.listen]
address = "tls://127.0.0.1:0"
cert = ["localhost.pem", "client.pem"]
client-ca = "ca.pem"
deadline-idle = "off"
"#,
    );
    let checked = levada(["check", &config, "--json"]).run(b"");
    assert_eq!(checked.code(), 0, "{}", checked.stderr);
    let plan: serde_json::Value = serde_json::from_slice(&checked.stdout).unwrap();
    let listen = &plan["routes"][1]["listen"];
    assert_eq!(listen["identities"][0]["names"][0], "DNS:localhost");
    assert_eq!(listen["identities"][1]["names"][0], "DNS:client");
    assert!(listen["identities"][1]["days_left"].as_i64().unwrap() > 0);
    assert_eq!(listen["deadlines_ms"]["idle"], serde_json::Value::Null);
    assert_eq!(plan["routes"][0]["to"]["deadlines_ms"]["idle"], 60_000);
    assert_eq!((&plan["drain_ms"], &plan["log"]), (&5000.into(), &"json".into()));
    let text = levada(["check", &config]).run(b"");
    let text = String::from_utf8(text.stdout).unwrap();
    assert!(text.contains("every client needs a certificate from "), "{text}");
    assert!(!folder.join("app.sock").exists());

    let app = UnixListener::bind(folder.join("app.sock")).unwrap();
    let serve = Serve::config(&config, 2);
    // The first route, in plain.
    let sent = digits(1 << 20);
    let mut stream = serve.dial();
    let mut writer = stream.try_clone().unwrap();
    let writing = {
        let sent = sent.clone();
        std::thread::spawn(move || {
            writer.write_all(&sent).unwrap();
            writer.shutdown(Shutdown::Write).unwrap();
        })
    };
    let mut got = Vec::new();
    stream.read_to_end(&mut got).unwrap();
    writing.join().unwrap();
    assert_same(&got, &sent);
    // The second one, in TLS, where the client shows who it is.
    let answering = std::thread::spawn(move || {
        let (mut stream, _) = app.accept().unwrap();
        let mut got = Vec::new();
        stream.read_to_end(&mut got).unwrap();
        stream.write_all(b"got it").unwrap();
        got
    });
    let url = format!("tls://{}", serve.nth(1));
    let client = connect(&url, ["--ca", &pki.ca, "--cert", &pki.client]).run(&sent);
    assert_eq!(client.ending(), "finished");
    assert_eq!(client.stdout, b"got it");
    assert_same(&answering.join().unwrap(), &sent);
    let nobody = connect(&url, ["--ca", &pki.ca]).run(b"");
    assert_ne!(nobody.code(), 0);
    let (code, records) = serve.stop();
    assert_eq!(code, 0);
    assert!(records.iter().any(|record| record["deadline_ms"] == 5000), "{records:?}");
}
