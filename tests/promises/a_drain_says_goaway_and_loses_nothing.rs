//! Whoever shares a connection of HTTP/2 is told by GOAWAY that the server drains: streams that are open go
//! on to their ends, new ones are refused, and the connection ends in order behind its last byte.

use std::net::TcpStream;

use rustix::process::Signal;
use serde_json::json;

use crate::harness::{BINARY, Pki, Serve, WebSocket, http2_peer, said};

const MIB: usize = 1024 * 1024;

/// As Python's h2 sees it, which takes an end without close_notify, and any reset, for an error.
#[track_caller]
fn drains(test: &str, mut serve: Serve, ca: &str) {
    let (port, bytes) = (serve.address().port().to_string(), (4 * MIB).to_string());
    let Some(peer) = http2_peer(test, &["stay", &port, ca, "/bytes", &bytes]) else { return };
    let mut peer = peer.start();
    assert_eq!(said(&mut peer), json!({ "open": 1 }));
    serve.process.signal(Signal::TERM);
    assert_eq!(serve.next("draining")["streams"], 1);
    // No more of them, and then: this was the last that counts (RFC 9113 section 6.8).
    assert_eq!(said(&mut peer), json!({ "goaway": 0, "last": 0x7fff_ffff }));
    assert_eq!(said(&mut peer), json!({ "goaway": 0, "last": 1 }));
    TcpStream::connect(serve.address()).expect_err("nobody listens any more");
    // The megabytes go both ways behind that; what was asked for behind it is passed over.
    assert_eq!(said(&mut peer), json!({ "echoed": 4 * MIB, "code": 4000 }));
    assert_eq!(said(&mut peer), json!({ "ended": 0 }));
    let peer = peer.wait();
    assert_eq!(peer.code(), 0, "{}", peer.stderr);
    let (code, records) = serve.wait();
    let [ended, stopped] = &*records else { panic!("{records:?}") };
    assert_eq!((code, &stopped["cut"]), (0, &0.into()));
    assert_eq!(ended["client"]["ending"]["ws_close"]["code"], 4000);
    assert_eq!(ended["client"]["facts"]["bytes"]["written"], 4 * MIB);
}

#[test]
fn under_tls() {
    let pki = Pki::new();
    let listen = "wss://localhost:0/bytes?http=auto";
    let args = ["--listen", listen, "--cert", &pki.localhost, "--to", "echo:"];
    drains("under_tls", Serve::start(args), &pki.ca);
}

#[test]
fn in_plain() {
    let args = ["--listen", "ws://localhost:0/bytes?http=auto", "--to", "echo:"];
    drains("in_plain", Serve::start(args), "-");
}

/// Who has connected before the signal is served, though it tells only then what it speaks.
#[test]
fn of_clients_who_have_not_asked_yet() {
    let args = ["--listen", "ws://127.0.0.1:0?http=auto", "--to", "echo:"];
    let mut serve = Serve::start(args);
    let client = serve.dial();
    serve.process.signal(Signal::TERM);
    serve.next("draining");
    let mut client = WebSocket::open_on(client, "/", "");
    client.send(BINARY, b"late");
    assert_eq!(client.take(4), b"late");
    client.close(1000);
    assert_eq!(client.rest(), (Vec::new(), Some(1000)));
    assert!(client.is_ended_in_order());
    assert_eq!(serve.wait().0, 0);
}
