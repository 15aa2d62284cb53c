//! `levada serve --demo` shows a page in which one can talk to the target and see the stream live: by the
//! keyboard alone, on a phone as well, and with nothing from elsewhere.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use levada_testkit::browser::Browser;
use levada_testkit::{peers, skip};
use serde_json::{Value, json};

use crate::harness::{Backend, Client, Command, Pki, Serve};

fn serve(to: &str, more: &[&str]) -> Serve {
    let fixed = ["--listen", "ws://127.0.0.1:0/bytes", "--to", to, "--demo"];
    Serve::start(fixed.iter().chain(more))
}

/// The whole answer to a request of this server, without its body.
fn asked(serve: &Serve, request: &str) -> String {
    let mut client = serve.dial();
    client.write_all(request.as_bytes()).unwrap();
    answer(&mut client)
}

fn answer(client: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        client.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    String::from_utf8(head).unwrap()
}

#[test]
fn to_who_uses_the_keyboard_alone() {
    let test = "to_who_uses_the_keyboard_alone";
    let Some(modules) = peers::node_modules() else {
        return skip::cannot_run(test, peers::MISSING);
    };
    let serve = serve("echo:", &[]);
    let browser = Browser::open("about:blank", &[]);
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/promises/demo/drive.js");
    let page = format!("http://{}/", serve.address());
    let drive = Command::new("node").args([script, browser.devtools(), &page]);
    let done = drive.env("NODE_PATH", modules).run(b"");
    assert_eq!(done.code(), 0, "{}", done.stderr);
    let steps: Vec<Value> =
        String::from_utf8(done.stdout).unwrap().lines().map(|line| line.parse().unwrap()).collect();
    let step = |name: &str| steps.iter().find(|step| step["step"] == name).expect("it was taken");

    assert_eq!(step("idle")["lit"], json!(["unconnected"]));
    assert_eq!(step("phone")["overflow"], 0, "it is as wide as a phone");
    let open = step("open");
    assert_eq!(open["lit"], json!(["established"]));
    assert_eq!(open["past"], json!(["connecting", "connected", "handshaking"]));
    assert_eq!(open["screen"], "hello from the page\n".repeat(2));
    let lines = step("hex")["screen"].as_str().unwrap();
    assert!(lines.ends_with(
        "000014  00 01 fe ff 4c 65 76 61  ....Leva\n00001c  64 61                    da\n"
    ));
    let closed = step("closed");
    assert_eq!(closed["lit"], json!(["disconnected"]));
    assert_eq!(closed["state"], "ws_close: we closed the WebSocket with code 1000");
    let events = closed["events"].as_array().unwrap();
    assert_eq!(events.last(), Some(&json!("ended: ws_close")));
}

/// GET / and the module, and nothing else; the policy allows what is in the page, and this server.
#[test]
fn and_nothing_else() {
    let mut serve = serve("echo:", &[]);
    let get = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
    for path in ["/", "/?from=here", "/levada-web.js"] {
        let head = asked(&serve, &get(path));
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
        assert!(head.contains("Content-Security-Policy: default-src 'none'; "), "{head}");
        assert!(!head.contains("unsafe"), "{head}");
    }
    for (request, status) in [
        (get("/bytes"), "426"),
        (get("/levada-web.js/"), "426"),
        (get("//"), "426"),
        (get("/").replace("GET", "POST"), "405"),
        (get("/").replace("GET", "HEAD"), "405"),
        (get("/").replace("Host: localhost\r\n", ""), "400"),
        (get("/").replace("\r\n\r\n", "\r\nContent-Length: 5\r\n\r\nhello"), "400"),
    ] {
        let head = asked(&serve, &request);
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{request}{head}");
    }
    // A view of the page is told as such, and only what is refused as a failure.
    for path in ["/", "/", "/levada-web.js"] {
        let record = serve.record().expect("there is a log");
        let told = (&record["event"], &record["level"], &record["path"]);
        assert_eq!(told, (&"page".into(), &"info".into(), &path.into()), "{record}");
        assert!(record["peer"].as_str().unwrap().starts_with("127.0.0.1:"), "{record}");
    }
    assert_eq!(serve.record().expect("there is a log")["event"], "ended");
    let without = Serve::start(["--listen", "ws://127.0.0.1:0/", "--to", "echo:"]);
    assert!(asked(&without, &get("/")).starts_with("HTTP/1.1 426 "), "it is off by default");
}

/// Its own pages may connect, and no others: not even those of a name that is brought to our address.
#[test]
fn to_pages_of_its_own() {
    let pki = Pki::new();
    let backend = Backend::new();
    let plain = serve(&backend.url(), &["--origin", "https://good.example"]);
    let at = plain.address();
    let upgrade = |host: &str, origin: &str| {
        format!(
            "GET /bytes HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\
             Origin: {origin}\r\n\r\n"
        )
    };
    for (host, origin, status) in [
        (format!("{at}"), format!("http://{at}"), "101"),
        (format!("localhost:{}", at.port()), format!("http://localhost:{}", at.port()), "101"),
        (format!("{at}"), "https://good.example".to_owned(), "101"),
        (format!("{at}"), "http://evil.example".to_owned(), "403"),
        ("evil.example".to_owned(), "http://evil.example".to_owned(), "403"),
        (format!("{at}"), format!("https://{at}"), "403"),
    ] {
        let head = asked(&plain, &upgrade(&host, &origin));
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{host} {origin}: {head}");
    }
    // Over TLS the name in the address bar is verified.
    let listen = ["--listen", "wss://127.0.0.1:0/bytes", "--to", "echo:", "--demo"];
    let secure = Serve::start(listen.iter().chain(&["--cert", &*pki.localhost]));
    for (origin, status) in [("https://localhost", "101"), ("http://localhost", "403")] {
        let mut client = Client::start(&pki, secure.address(), "-tls1_3", &["-ign_eof"]);
        client.write(upgrade("localhost", origin).as_bytes());
        let line = client.stdout.line().expect("it answers");
        assert!(line.starts_with(&format!("HTTP/1.1 {status} ")), "{origin}: {line}");
    }
}
