//! `levada inspect` tells how a server opens a WebSocket, and in words why it does not.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use serde_json::{Value, json};

use crate::harness::{Folder, Nginx, Pki, Serve, levada};

fn inspect(address: &str, args: &[&str]) -> (i32, Value) {
    let finished = levada(["inspect", address, "--json"]).args(args).run(b"");
    let report = serde_json::from_slice(&finished.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", finished.stderr));
    (finished.code(), report)
}

#[test]
fn of_a_server_of_our_own() {
    let pki = Pki::new();
    let listen = ["--listen", "wss://127.0.0.1:0/vnc", "--cert", &pki.localhost, "--to", "echo:"];
    let origin = ["--origin", "https://a.example"];
    let mut serve = Serve::start(listen.into_iter().chain(origin));
    let address = format!("wss://{}/vnc", serve.address());
    let offer = ["--ca", &pki.ca, "--subprotocol", "base64,binary"];
    let (code, report) = inspect(&address, &[&offer[..], &origin].concat());
    assert_eq!(code, 0, "{report}");
    assert_eq!(
        report["websocket"],
        json!({
            "address": serve.address().to_string(),
            "opened": true,
            "path": "/vnc",
            "origin": "https://a.example",
            "offered": ["base64", "binary"],
            "http": "1.1",
            "status": 101,
            "subprotocol": "binary",
            "extension": null,
            "any_origin": false,
        })
    );
    // TLS is told as of a `tls:` address.
    assert_eq!(report["tls"]["verification"], "verified");
    assert_eq!(report["accepts"]["versions"][0]["accepted"], true);
    let place = &report["addresses"][0];
    for step in ["connect_ms", "handshake_ms", "websocket_ms"] {
        assert!(place[step].as_f64().is_some_and(|time| time > 0.0), "{step}: {place}");
    }
    // It is a visitor who takes its leave; what came to try old versions may be told later.
    let close = std::iter::repeat_with(|| serve.next("ended"))
        .find_map(|ended| ended["client"]["ending"].get("ws_close").cloned())
        .expect("it goes on until there is one");
    assert_eq!(close["code"], 1000, "{close}");

    let strange = ["--ca", &pki.ca, "--brief", "--origin", "https://b.example"];
    let (code, report) = inspect(&address, &strange);
    assert_eq!((code, &report["websocket"]["status"]), (7, &403.into()), "{report}");
    let finished = levada(["inspect", &address]).args(strange).run(b"");
    let page = String::from_utf8_lossy(&finished.stdout);
    for words in
        ["TLS 1.3", "403 at /vnc", "as a web page of https://b.example", "not let web pages of"]
    {
        assert!(page.contains(words), "{words}: {page}");
    }
    assert!(page.lines().all(|line| line.chars().count() <= 80), "{page}");
}

#[test]
fn whoever_may_connect() {
    let any = ["--listen", "ws://127.0.0.1:0", "--origin", "any", "--to", "echo:"];
    let serve = Serve::start(any);
    let address = format!("ws://{}", serve.address());
    let (code, report) = inspect(&address, &[]);
    assert_eq!((code, &report["findings"][0]["code"]), (0, &"any_origin".into()), "{report}");
    assert_eq!(report["websocket"]["any_origin"], true);
    assert_eq!(report["tls"], Value::Null);
    let (_, report) = inspect(&address, &["--brief"]);
    assert_eq!(report["websocket"]["any_origin"], Value::Null);
}

/// Compression is told where it is asked for, and taken up.
#[test]
fn whether_it_compresses() {
    for (theirs, agreed) in [("no-context-takeover", true), ("off", false)] {
        let listen = format!("ws://127.0.0.1:0?deflate={theirs}");
        let serve = Serve::start(["--listen", &listen, "--to", "echo:"]);
        let address = format!("ws://{}", serve.address());
        let (code, report) = inspect(&address, &["--deflate", "on"]);
        let wanted = agreed.then_some(
            "permessage-deflate; server_no_context_takeover; client_no_context_takeover",
        );
        assert_eq!((code, &report["websocket"]["extension"]), (0, &wanted.into()), "{report}");
        let (_, report) = inspect(&address, &[]);
        assert_eq!(report["websocket"]["extension"], Value::Null);
    }
}

#[test]
fn at_a_unix_socket() {
    let folder = Folder::new();
    let socket = format!("ws+unix:{}/ws.sock", folder.path().display());
    let mut serve =
        levada(["serve", "--listen", &socket, "--path", "/app", "--to", "echo:"]).start();
    assert!(serve.stderr.line().unwrap().contains("listening"));
    let (code, report) = inspect(&socket, &["--path", "/app"]);
    assert_eq!((code, &report["websocket"]["opened"]), (0, &true.into()), "{report}");
    assert_eq!(inspect(&socket, &["--path", "/other"]).0, 7);
    drop(serve);
    // Nobody listens any more.
    assert_eq!(inspect(&socket, &[]).0, 2);
}

/// The proxy's configuration lacks the two lines that a WebSocket needs.
#[test]
fn behind_a_proxy_that_does_not_pass_it_on() {
    let serve = Serve::start(["--listen", "ws://127.0.0.1:0", "--to", "echo:"]);
    let nginx = Nginx::handing_on(serve.address(), None, "");
    let (code, report) = inspect(&format!("ws://{}/", nginx.address), &[]);
    let hint = report["findings"][0]["hint"].as_str().unwrap();
    assert_eq!((code, &report["websocket"]["status"]), (7, &426.into()), "{report}");
    assert!(hint.contains("a proxy in between has to pass on"), "{hint}");
}

/// A server that gives every request this answer.
fn answering(answer: &'static str) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for tcp in listener.incoming() {
            let mut tcp = tcp.unwrap();
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                if tcp.read(&mut byte).unwrap_or(0) == 0 {
                    break;
                }
                request.extend(byte);
            }
            let _ = tcp.write_all(answer.as_bytes());
        }
    });
    address
}

#[test]
fn and_what_an_answer_means_that_opens_none() {
    for (answer, status, words) in [
        ("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", json!(200), "request of some page"),
        (
            "HTTP/1.1 307 Elsewhere\r\nLocation: wss://b.example/\r\n\r\n",
            json!(307),
            "wss://b.example/",
        ),
        ("HTTP/1.1 401 No\r\nWWW-Authenticate: Basic\r\n\r\n", json!(401), "it asks for: Basic"),
        ("HTTP/1.1 404 No\r\n\r\n", json!(404), "nothing at /x?y=1"),
        ("HTTP/1.1 426 No\r\nSec-WebSocket-Version: 8\r\n\r\n", json!(426), "it speaks version 8"),
        ("HTTP/1.1 426 No\r\nUpgrade: TLS/1.0\r\n\r\n", json!(426), "another protocol: TLS/1.0"),
        ("HTTP/1.1 502 No\r\n\r\n", json!(502), "the one behind it"),
        ("HTTP/1.0 200 OK\r\n\r\n", Value::Null, "HTTP/1.0"),
        ("SSH-2.0-x\r\n\r\n", Value::Null, "not an HTTP/1.1 response"),
        ("HTTP/1.1 101 Yes\r\nConnection: upgrade\r\n\r\n", json!(101), "fields `Upgrade`"),
        (
            "HTTP/1.1 101 Yes\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n",
            json!(101),
            "answers another key",
        ),
    ] {
        let (code, report) = inspect(&format!("ws://{}?path=/x?y=1", answering(answer)), &[]);
        let finding = &report["findings"][0];
        assert_eq!((code, &finding["code"]), (7, &"ws_refused".into()), "{report}");
        assert_eq!(report["websocket"]["status"], status, "{report}");
        assert_eq!(report["websocket"]["opened"], false, "{report}");
        let told = format!("{} -> {}", finding["message"], finding["hint"]);
        assert!(told.contains(words), "{words}: {told}");
    }
    // No answer at all.
    let (code, report) = inspect(&format!("ws://{}", answering("")), &[]);
    assert_eq!((code, &report["addresses"][0]["outcome"]), (7, &"ws_failed".into()), "{report}");
    let silent = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = format!("ws://{}", silent.local_addr().unwrap());
    let (code, report) = inspect(&address, &["--deadline-handshake", "100ms"]);
    assert_eq!(
        (code, &report["findings"][0]["code"]),
        (7, &"timeout_handshake".into()),
        "{report}"
    );
}
