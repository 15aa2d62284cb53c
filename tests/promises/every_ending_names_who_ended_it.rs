//! Whoever reads the log learns of every stream that has ended who ended it: whom to blame, or who said
//! goodbye first.

use std::io::{Read as _, Write as _};
use std::net::Shutdown;

use rustix::process::Signal;
use serde_json::Value;

use crate::harness::{Backend, Client, Pki, Serve, VERSIONS, Wire, connect, free, reset};

/// What holds for every ending that is told, good or bad.
#[track_caller]
fn assert_named(ended: &Value) {
    let word = |name: &str| ended[name].as_str().unwrap_or_default();
    for name in ["code", "cause", "message", "phase"] {
        assert!(!word(name).is_empty(), "{name} is missing: {ended}");
    }
    if ended["clean"] == true {
        assert_eq!((&ended["blame"], word("hint")), (&Value::Null, ""), "{ended}");
        let first = ended["facts"]["first_goodbye"].as_str();
        assert!(["local", "peer"].map(Some).contains(&first), "nobody said goodbye: {ended}");
    } else {
        assert!(["local", "peer", "network", "config"].contains(&word("blame")), "{ended}");
        assert!(!word("hint").is_empty(), "it does not say what to try: {ended}");
    }
}

/// The next pair that ended: the cause and the blame of one side, and that each side names its own.
#[track_caller]
fn assert_told(serve: &mut Serve, side: &str, cause: &str, blame: &str) {
    let record = serve.next("ended");
    assert_named(&record["client"]);
    if !record["target"].is_null() {
        assert_named(&record["target"]);
    }
    let told = (&record[side]["cause"], &record[side]["blame"]);
    assert_eq!(told, (&cause.into(), &blame.into()), "{record}");
    // The other one is told as dropped by us because of that, or was never dialled.
    let other = if side == "client" { "target" } else { "client" };
    if !record[other].is_null() {
        assert_eq!(
            (&record[other]["cause"], &record[other]["blame"]),
            (&"aborted".into(), &"local".into())
        );
    }
}

/// A plain bridge to `to`, with these options on its listener.
fn plain(options: &str, to: &str) -> Serve {
    Serve::start(["--listen", &format!("tcp://127.0.0.1:0{options}"), "--to", to])
}

#[test]
fn by_a_reset() {
    for side in ["client", "target"] {
        let backend = Backend::new();
        let mut serve = plain("", &backend.url());
        let (client, target) = (serve.dial(), backend.accept());
        let (dying, living) = if side == "client" { (client, target) } else { (target, client) };
        reset(dying);
        assert_told(&mut serve, side, "ECONNRESET", "peer");
        drop(living);
    }
}

#[test]
fn by_a_target_that_is_not_there() {
    let nobody = free();
    let mut serve = plain("", &format!("tcp://{nobody}"));
    let _client = serve.dial();
    assert_told(&mut serve, "target", "ECONNREFUSED", "config");
    let mut serve = plain("", "unix:/nowhere/to/be/found");
    let _client = serve.dial();
    assert_told(&mut serve, "target", "ENOENT", "config");
}

/// What is done to the wire below a client's TLS is told as this.
#[track_caller]
fn on_the_wire(act: impl Fn(&Wire), cause: &str, blame: &str) {
    let pki = Pki::new();
    for version in VERSIONS {
        let backend = Backend::new();
        let mut serve = Serve::tls(&pki, &backend.url());
        let wire = Wire::to(serve.address());
        let _client = Client::start(&pki, wire.address, version, &[]);
        let _target = backend.accept();
        act(&wire);
        assert_told(&mut serve, "client", cause, blame);
    }
}

#[test]
fn by_a_cut_below_the_tls() {
    on_the_wire(Wire::cut, "ERR_TLS_SOCKET_CLOSE", "peer");
}

#[test]
fn by_a_wire_that_alters_what_goes_over_it() {
    // A record that no key has sealed.
    let forged = [&[23, 3, 3, 0, 64][..], &[0xaa; 64]].concat();
    on_the_wire(|wire| wire.inject(&forged), "ERR_TLS_FATAL_ERROR", "network");
}

#[test]
fn by_a_client_who_speaks_no_tls() {
    let pki = Pki::new();
    let mut serve = Serve::tls(&pki, "echo:");
    serve.dial().write_all(b"GET / HTTP/1.0\r\n\r\n").unwrap();
    assert_told(&mut serve, "client", "ERR_TLS_FATAL_ERROR", "config");
    drop(serve.dial());
    assert_told(&mut serve, "client", "ERR_TLS_SOCKET_CLOSE", "peer");
}

#[test]
fn by_a_client_who_does_not_trust_us() {
    let pki = Pki::new();
    let mut serve = Serve::tls(&pki, "echo:");
    for version in VERSIONS {
        let strict = ["-CAfile", pki.client.as_str()];
        let _client = Client::start(&pki, serve.address(), version, &strict);
        assert_told(&mut serve, "client", "ERR_TLS_FATAL_ALERT", "config");
    }
}

#[test]
fn by_a_deadline() {
    let pki = Pki::new();
    let listen = "tls://127.0.0.1:0?deadline-handshake=50ms";
    let mut serve = Serve::start(["--listen", listen, "--cert", &pki.localhost, "--to", "echo:"]);
    let _client = serve.dial();
    assert_told(&mut serve, "client", "timeout_handshake", "peer");

    let mut serve = plain("?deadline-idle=50ms", "echo:");
    let _client = serve.dial();
    assert_told(&mut serve, "client", "timeout_idle", "peer");

    let backend = Backend::new();
    let mut serve = plain("?deadline-close=50ms", &backend.url());
    let _client = serve.dial();
    backend.accept().shutdown(Shutdown::Write).unwrap();
    assert_told(&mut serve, "client", "timeout_close", "peer");
}

#[test]
fn by_a_limit() {
    let pki = Pki::new();
    let tls = ["--listen", "tls://127.0.0.1:0", "--cert", &pki.localhost, "--to", "echo:"];
    let mut serve = Serve::start(tls.iter().chain(&["--max-handshakes", "1"]));
    let _clients = [serve.dial(), serve.dial()];
    assert_told(&mut serve, "client", "refused_limit", "config");
}

#[test]
fn by_the_end_of_the_command() {
    let backend = Backend::new();
    let mut serve = plain("", &backend.url());
    let (_client, _target) = (serve.dial(), backend.accept());
    serve.process.signal(Signal::TERM);
    assert_eq!(serve.next("draining")["streams"], 1);
    serve.process.signal(Signal::TERM);
    assert_told(&mut serve, "client", "aborted", "local");
}

#[test]
fn by_a_goodbye() {
    for side in ["client", "target"] {
        let backend = Backend::new();
        let mut serve = plain("", &backend.url());
        let (client, target) = (serve.dial(), backend.accept());
        let (first, mut last) = if side == "client" { (client, target) } else { (target, client) };
        first.shutdown(Shutdown::Write).unwrap();
        assert_eq!(last.read(&mut [0]).unwrap(), 0);
        drop((last, first));
        let record = serve.next("ended");
        assert_named(&record["client"]);
        assert_named(&record["target"]);
        for each in ["client", "target"] {
            let whose = if each == side { "peer" } else { "local" };
            assert_eq!(record[each]["facts"]["first_goodbye"], whose, "{record}");
        }
    }
}

#[test]
fn on_the_side_of_who_connects() {
    let pki = Pki::new();
    let serve = Serve::tls(&pki, "echo:");
    let plain = plain("", "echo:");
    let (tls, not_tls) = (serve.tls_url(), format!("tls://{}", plain.address()));
    for (address, args, blame) in [
        (&*tls, &["--ca", &*pki.ca][..], None),
        (&tls, &["--ca", &pki.client], Some("config")),
        (&tls, &["--ca", &pki.ca, "--name", "example.org"], Some("config")),
        // It sends our own ClientHello back.
        (&not_tls, &["--ca", &pki.ca], Some("peer")),
        ("tcp://nobody.invalid:1", &["--deadline-lookup", "1ms"], None),
    ] {
        let ended = connect(address, args).run(b"").ended();
        assert_named(&ended);
        if blame.is_some() {
            assert_eq!(ended["blame"].as_str(), blame, "{ended}");
        }
    }
}
