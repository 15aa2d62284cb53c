//! The WebSockets of Python, Node, a browser and websocat understand those of the command, as its clients
//! and as its servers, in plain and under TLS, and with nginx in between: megabytes in frames of every
//! size, fragments, pings, subprotocols, and closes from each side.
//!
//! The scripts are those that the library is held against, too: at `/echo` they want back what they send,
//! and at `/bye` 2 MiB of a pattern and a close, the server's.

use std::io::Write as _;
use std::net::{Ipv4Addr, TcpListener};
use std::os::fd::OwnedFd;
use std::path::PathBuf;

use levada_testkit::browser::{Browser, File, Site};
use levada_testkit::{peers, skip};
use serde_json::Value;

use crate::harness::{
    Backend, Command, Finished, Nginx, PATIENCE, Pki, Running, Serve, assert_compressed,
    assert_same, connect, digits, free,
};

/// What comes at `/bye`.
fn pattern() -> Vec<u8> {
    (0..1_u32 << 21).map(|at| at as u8).collect()
}

/// `levada serve` with both paths, for programs and for the pages of `site`.
fn serve(pki: &Pki, scheme: &str, site: &str) -> Serve {
    serve_compressing(pki, scheme, site, "off")
}

/// As [`serve`], with messages compressed like that.
fn serve_compressing(pki: &Pki, scheme: &str, site: &str, deflate: &str) -> Serve {
    let bye = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let to = format!("tcp://{}", bye.local_addr().unwrap());
    let on = free();
    let cert = if scheme == "wss" { ", cert = \"localhost.pem\"" } else { "" };
    let route = |path: &str, to: &str| {
        let listen = format!("address = \"{scheme}://{on}{path}\", origin = \"{site}\"{cert}");
        let listen = format!("{listen}, deflate = \"{deflate}\"");
        format!("[[route]]\nlisten = {{ {listen} }}\nto = \"{to}\"\n")
    };
    let text = ["log = \"json\"\n", &route("/echo", "echo:"), &route("/bye", &to)];
    let config = pki.folder.write(&format!("{scheme}.toml"), &text.concat());
    std::thread::spawn(move || {
        for stream in bye.incoming() {
            // A test that ends leaves it.
            let _ = stream.and_then(|mut stream| stream.write_all(&pattern()));
        }
    });
    Serve::config(&config, 2)
}

fn script(name: &str) -> String {
    let here = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    here.join("../levada/tests/ws_peers").join(name).to_str().unwrap().to_owned()
}

/// The script for Python's websockets, which trusts this CA.
fn python(test: &str, pki: &Pki) -> Option<Command> {
    let Some(python) = peers::python() else {
        skip::cannot_run(test, peers::MISSING);
        return None;
    };
    let script = script("websockets_peer.py");
    Some(Command::new(python).args([script]).env("SSL_CERT_FILE", &pki.ca))
}

/// The script for npm's ws, which trusts this CA.
fn node(test: &str, pki: &Pki) -> Option<Command> {
    let Some(modules) = peers::node_modules() else {
        skip::cannot_run(test, peers::MISSING);
        return None;
    };
    let node = Command::new("node").args([script("ws_peer.js")]).env("NODE_PATH", modules);
    Some(node.env("NODE_EXTRA_CA_CERTS", &pki.ca))
}

/// The next line of a script, which begins with this word.
#[track_caller]
fn said(script: &mut Running, word: &str) -> String {
    let line = script.stdout.line().expect("it says something");
    line.strip_prefix(word).unwrap_or_else(|| panic!("it says {line}")).trim().to_owned()
}

/// B1, C1, C2: a client gets back what it sends, and the target's end as a Close frame with 1000.
#[track_caller]
fn as_client(client: Command, url: &str) {
    let mut client = client.args(["connect", url]).start();
    assert_eq!(said(&mut client, "closed"), "1000");
    let client = client.finish();
    assert_eq!(client.code(), 0, "{}", client.stderr);
}

/// B1, C1, C2, C6: a server sends back what comes, and its close is told with code and reason.
#[track_caller]
fn as_server(server: Command, deflate: &str) {
    let mut server = server.args(["serve"]).start();
    let url = format!("ws://127.0.0.1:{}", said(&mut server, "port"));
    let words = ["--deflate", deflate];
    let echoed = echoes(&format!("{url}/echo"), &words);
    assert_compressed(&echoed.ended(), deflate);
    assert_eq!(said(&mut server, "closed"), "1000");
    let mut client =
        connect(&format!("{url}/bye"), ["--subprotocol", "binary"].iter().chain(&words)).start();
    assert_same(&client.stdout.take(1 << 21), &pattern());
    let client = client.wait();
    assert_compressed(&client.ended(), deflate);
    let close = &client.ended()["ending"]["ws_close"];
    assert_eq!((&close["code"], &close["reason"]), (&4003.into(), &"müde".into()), "{close}");
    assert_eq!(client.code(), 3, "nobody knows whether that was all");
}

/// Sends megabytes to `url`, gets them back, and closes; the close is answered.
#[track_caller]
fn echoes(url: &str, words: &[&str]) -> Finished {
    let client = echoed(url, words);
    assert_eq!((client.code(), &*client.ending()), (0, "ws_close"), "{}", client.stderr);
    client
}

/// Sends megabytes to `url`, gets them back, and closes.
#[track_caller]
fn echoed(url: &str, words: &[&str]) -> Finished {
    let data = digits(5 << 20);
    let offer = ["--subprotocol", "unknown,binary"];
    let mut client = connect(url, offer.iter().chain(words)).start();
    let feeding = client.feed(data.clone());
    assert_same(&client.stdout.take(data.len()), &data);
    drop(feeding.join().unwrap());
    client.wait()
}

#[test]
fn python_as_client() {
    let pki = Pki::new();
    for (scheme, deflate) in [("ws", "off"), ("wss", "off"), ("ws", "on")] {
        let Some(client) = python("python_as_client", &pki) else { return };
        let mut serve = serve_compressing(&pki, scheme, "any", deflate);
        as_client(client, &format!("{scheme}://{}", serve.address()));
        assert_compressed(&serve.next("ended")["client"], deflate);
    }
}

#[test]
fn python_as_server() {
    for deflate in ["off", "on", "no-context-takeover"] {
        let Some(server) = python("python_as_server", &Pki::new()) else { return };
        as_server(server, deflate);
    }
}

#[test]
fn node_as_client() {
    let pki = Pki::new();
    for scheme in ["ws", "wss"] {
        let Some(client) = node("node_as_client", &pki) else { return };
        let serve = serve(&pki, scheme, "any");
        as_client(client, &format!("{scheme}://{}", serve.address()));
    }
}

#[test]
fn node_as_server() {
    for deflate in ["off", "on", "no-context-takeover"] {
        let Some(server) = node("node_as_server", &Pki::new()) else { return };
        as_server(server.env("DEFLATE", deflate), deflate);
    }
}

#[test]
fn node_as_client_that_compresses() {
    let pki = Pki::new();
    for (scheme, deflate) in [("ws", "on"), ("wss", "no-context-takeover")] {
        let Some(client) = node("node_as_client_that_compresses", &pki) else { return };
        let mut serve = serve_compressing(&pki, scheme, "any", deflate);
        as_client(client, &format!("{scheme}://{}", serve.address()));
        for _ in 0..2 {
            assert_compressed(&serve.next("ended")["client"], deflate);
        }
    }
}

/// nginx ends TLS, or does not, in front of ours.
#[test]
fn through_nginx() {
    let pki = Pki::new();
    for (scheme, identity) in [("ws", None), ("wss", Some(&pki))] {
        let serve = serve(&pki, "ws", "any");
        let nginx = Nginx::before(serve.address(), identity);
        let url = format!("{scheme}://{}", nginx.address);
        let trust = ["--ca", &pki.ca];
        echoes(&format!("{url}/echo"), if identity.is_some() { &trust } else { &[] });
        if let Some(client) = python("through_nginx", &pki) {
            as_client(client, &url);
        }
    }
}

const FILES: &[File] =
    &[("/", "text/html", include_str!("../../crates/levada/tests/ws_peers/page.html"))];

#[test]
fn a_browser() {
    let pki = Pki::new();
    for (scheme, deflate) in
        [("ws", "off"), ("wss", "off"), ("ws", "on"), ("wss", "no-context-takeover")]
    {
        let site = Site::new(FILES);
        let mut serve = serve_compressing(&pki, scheme, &site.origin(), deflate);
        let url = format!("{}/?ws={scheme}://{}", site.origin(), serve.address());
        // Its own store of authorities is not ours to fill.
        let _browser = Browser::open(&url, &["--ignore-certificate-errors"]);
        let said = site.said(PATIENCE).expect("the page says what it has seen");
        let wanted = [
            "subprotocol binary",
            "echo true",
            "we closed 4001  true",
            "subprotocol binary",
            "echo true",
            "we closed 4001 ",
            "data true",
            "closed 1000  true",
        ];
        assert_eq!(said.lines().collect::<Vec<_>>(), wanted, "{scheme} {deflate}");
        for _ in 0..3 {
            assert_compressed(&serve.next("ended")["client"], deflate);
        }
    }
}

#[test]
fn a_browser_on_a_foreign_page_gets_in_nowhere() {
    let pki = Pki::new();
    let site = Site::new(FILES);
    let mut serve = serve(&pki, "ws", "https://levada.example");
    let url = format!("{}/?ws=ws://{}", site.origin(), serve.address());
    let _browser = Browser::open(&url, &[]);
    let record = serve.next("ended");
    assert!(record["client"].to_string().contains("this Origin may not connect"), "{record}");
    assert_eq!(record["target"], Value::Null, "{record}");
}

/// It is built out of crates.io, and without TLS.
#[test]
fn websocat() {
    if !skip::slow_runs("websocat") {
        return;
    }
    let Some(program) = peers::websocat() else {
        return skip::cannot_run("websocat", peers::MISSING);
    };
    let pki = Pki::new();
    let serve = serve(&pki, "ws", "any");
    let data = digits(5 << 20);
    let url = format!("ws://{}/echo", serve.address());
    let mut client =
        Command::new(&program).args(["--binary", "--protocol", "binary", &url]).start();
    let feeding = client.feed(data.clone());
    assert_same(&client.stdout.take(data.len()), &data);
    drop(feeding.join().unwrap());
    assert_eq!(client.wait().code(), 0);

    // As a server it speaks on the socket that it is given, and may be gone before it has answered our
    // close.
    let backend = Backend::new();
    let url = backend.url().replace("tcp", "ws");
    let asking = std::thread::spawn(move || echoed(&url, &[]).ending());
    let socket = backend.accept();
    let server = Command::new(&program)
        .args(["--binary", "--protocol", "binary", "inetd-ws:", "mirror:"])
        .stdin(OwnedFd::from(socket.try_clone().unwrap()))
        .stdout(OwnedFd::from(socket))
        .start();
    let ending = asking.join().unwrap();
    assert!(["ws_close", "ERR_TLS_SOCKET_CLOSE"].contains(&&*ending), "{ending}");
    assert_eq!(server.wait().code(), 0);
}
