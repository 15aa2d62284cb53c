//! WebSockets over HTTP/2 (RFC 8441) carry every byte, many of them on one connection, and what happens to
//! one of them is nothing to the others: as Python's h2 and wsproto see it from both ends, and a browser.

use levada_testkit::browser::{Browser, File, Site};
use serde_json::{Value, json};

use crate::harness::{
    Finished, PATIENCE, Pki, Serve, assert_compressed, assert_same, connect, digits, http2_peer,
    levada, said,
};

const MIB: usize = 1024 * 1024;

/// B1: megabytes on each of several streams at once, whole; one is reset on the way.
#[track_caller]
fn share(test: &str, serve: &mut Serve, ca: &str, offer: &str) {
    const STREAMS: usize = 6;
    let (port, bytes) = (serve.address().port().to_string(), (2 * MIB).to_string());
    let words = ["ask", &port, ca, "/bytes", &STREAMS.to_string(), &bytes, "2", offer];
    let Some(peer) = http2_peer(test, &words) else { return };
    let done = peer.run(b"");
    assert_eq!(done.code(), 0, "{}", done.stderr);
    let lines = String::from_utf8(done.stdout).unwrap();
    let lines: Vec<Value> = lines.lines().map(|line| line.parse().unwrap()).collect();
    let echoed = lines.iter().filter(|line| line["echoed"] == 2 * MIB && line["code"] == 4000);
    assert_eq!(echoed.count(), STREAMS - 1);
    assert!(lines.contains(&json!({ "reset": 2 })));
    let mut codes: Vec<String> = (0..STREAMS)
        .map(|_| {
            let client = serve.next("ended")["client"].clone();
            assert_eq!(client["facts"]["http"], "2");
            let code = client["code"].as_str().unwrap();
            if code == "ws_close" {
                assert_eq!(client["facts"]["bytes"]["read"], 2 * MIB);
                assert_eq!(client["ending"]["ws_close"]["code"], 4000);
                assert_compressed(&client, if offer == "deflate" { "on" } else { "off" });
            }
            code.to_owned()
        })
        .collect();
    codes.sort();
    let mut wanted = vec!["ECONNRESET"];
    wanted.extend(["ws_close"; STREAMS - 1]);
    assert_eq!(codes, wanted);
}

#[test]
fn under_tls() {
    let pki = Pki::new();
    let listen = "wss://localhost:0/bytes?http=auto";
    let args = ["--listen", listen, "--cert", &pki.localhost, "--to", "echo:"];
    let mut serve = Serve::start(args);
    share("under_tls", &mut serve, &pki.ca, "-");
}

/// Without TLS the client's first bytes tell which version it speaks.
#[test]
fn in_plain() {
    let args = ["--listen", "ws://localhost:0/bytes?http=auto", "--to", "echo:"];
    let mut serve = Serve::start(args);
    share("in_plain", &mut serve, "-", "-");
}

/// Messages are compressed by who asks for that, as over HTTP/1.1.
#[test]
fn compressed() {
    let pki = Pki::new();
    let listen = "wss://localhost:0/bytes?http=2&deflate=on";
    let args = ["--listen", listen, "--cert", &pki.localhost, "--to", "echo:"];
    let mut serve = Serve::start(args);
    for offer in ["deflate", "-"] {
        share("compressed", &mut serve, &pki.ca, offer);
    }
}

/// The limit of one client's streams holds on one connection, too.
#[test]
fn within_the_limits() {
    let listen = ["--listen", "ws://127.0.0.1:0/bytes?http=2", "--to", "echo:"];
    let serve = Serve::start(listen.iter().chain(&["--max-connections-per-address", "2"]));
    let port = serve.address().port().to_string();
    for (streams, refused) in [("2", false), ("3", true)] {
        let words = ["ask", &port, "-", "/bytes", streams, "1000000", "-1", "-"];
        let Some(peer) = http2_peer("within_the_limits", &words) else { return };
        let done = peer.run(b"");
        assert_eq!(done.code(), 0, "{}", done.stderr);
        let said = String::from_utf8(done.stdout).unwrap();
        assert_eq!(said.contains(r#"{"refused": "503"}"#), refused, "{said}");
    }
}

/// What was negotiated is told by who looks at a server, and what is going to be by the check of a file.
#[test]
fn told_before_and_after() {
    let pki = Pki::new();
    let listen = "wss://127.0.0.1:0/bytes?http=auto";
    let serve = Serve::start(["--listen", listen, "--cert", &pki.localhost, "--to", "echo:"]);
    for (http, version, status) in [("2", "2", 200), ("auto", "2", 200), ("1.1", "1.1", 101)] {
        let url = format!("wss://{}/bytes?name=localhost&http={http}", serve.address());
        let done = levada(["inspect", &url, "--ca", &pki.ca, "--brief", "--json"]).run(b"");
        let report: Value = String::from_utf8(done.stdout).unwrap().parse().unwrap();
        let websocket = &report["websocket"];
        assert_eq!(websocket["opened"], true, "{report}");
        assert_eq!(websocket["http"], version);
        assert_eq!(websocket["status"], status);
    }
    let text = "[[route]]\nlisten = { address = \"ws://127.0.0.1:0/\", http = \"auto\" }\nto = \"echo:\"\n";
    let file = pki.folder.write("http2.toml", text);
    let done = levada(["check", &file]).run(b"");
    assert_eq!(done.code(), 0, "{}", done.stderr);
    let plan = String::from_utf8(done.stdout).unwrap();
    assert!(plan.contains("over HTTP/2 where both ends speak it, else HTTP/1.1"), "{plan}");
}

/// Clients of either version, and of none by ALPN, come in at one listener.
#[test]
fn beside_those_of_http_1_1() {
    let pki = Pki::new();
    let listen = "wss://127.0.0.1:0/bytes?http=auto";
    let args = ["--listen", listen, "--cert", &pki.localhost, "--to", "echo:"];
    let mut serve = Serve::start(args);
    let url = format!("wss://{}/bytes?name=localhost", serve.address());
    let input = digits(3 * MIB);
    for (more, version) in
        [("", "1.1"), ("&alpn=http/1.1", "1.1"), ("&http=2", "2"), ("&http=auto", "2")]
    {
        let done = connect(&format!("{url}{more}"), ["--ca", &pki.ca]).run(&input);
        assert_eq!(done.code(), 0, "{more}: {}", done.stderr);
        assert_same(&done.stdout, &input);
        let ended: Value = done.stderr.lines().last().unwrap().parse().unwrap();
        let record = serve.next("ended");
        for facts in [&ended["facts"], &record["client"]["facts"]] {
            assert_eq!(facts["http"], version, "{more}");
            assert_eq!(facts["tls"]["version"], "1.3");
            assert_eq!(facts["plain"], Value::Null);
            let alpn = if version == "2" { json!("h2") } else { facts["tls"]["alpn"].clone() };
            assert_eq!(facts["tls"]["alpn"], alpn);
        }
        assert_eq!(ended["code"], "ws_close");
        assert_eq!(record["client"]["code"], "ws_close");
    }
}

/// As client: megabytes, the close, and every way in which a server can end a stream.
#[test]
fn with_servers_of_others() {
    let pki = Pki::new();
    for identity in [&*pki.localhost, "-"] {
        let Some(peer) = http2_peer("with_servers_of_others", &["serve", identity, "on"]) else {
            return;
        };
        let mut peer = peer.start();
        let scheme = if identity == "-" { "ws" } else { "wss" };
        let url = format!("{scheme}://localhost:{}", said(&mut peer)["port"]);
        let ask = |path: &str| {
            let ca = ["--ca", &*pki.ca];
            let ca = if identity == "-" { &[][..] } else { &ca };
            let mut url = format!("{url}{path}");
            url.push_str(if path.contains('?') { "&http=2" } else { "?http=2" });
            connect(&url, ca)
        };
        let ended =
            |done: &Finished| -> Value { done.stderr.lines().last().unwrap().parse().unwrap() };
        let input = digits(3 * MIB);
        for deflate in ["off", "on", "no-context-takeover"] {
            let done = ask(&format!("/echo?deflate={deflate}")).run(&input);
            assert_eq!(done.code(), 0, "{}", done.stderr);
            let ended_well = ended(&done);
            assert_same(&done.stdout, &input);
            assert_eq!(ended_well["facts"]["http"], "2");
            assert_compressed(&ended_well, deflate);
            let mut all = vec![said(&mut peer)];
            while all.last() != Some(&json!({ "closed": 1000 })) {
                all.push(said(&mut peer));
            }
            assert_eq!(all.contains(&json!({ "alpn": "h2" })), identity != "-", "{all:?}");
            let asked = all.iter().find(|word| !word[":path"].is_null()).unwrap();
            assert_eq!(asked[":method"], "CONNECT");
            assert_eq!(asked[":protocol"], "websocket");
            assert_eq!(asked[":path"], "/echo");
        }
        for (path, code) in [
            ("/end", "ERR_TLS_SOCKET_CLOSE"),
            ("/cancel", "ECONNRESET"),
            ("/internal", "ECONNRESET"),
            ("/goaway", "ERR_TLS_SOCKET_CLOSE"),
        ] {
            let mut asked = ask(path).start();
            asked.write(b"a message");
            // It has nothing more to say meanwhile: what a write meets may be another error.
            asked.join();
            let done = asked.finish();
            assert_ne!(done.code(), 0, "{path}");
            let ended = ended(&done);
            assert_eq!(ended["code"], code, "{path}: {ended}");
        }
        let done = ask("/nowhere").run(b"");
        assert_ne!(done.code(), 0);
        assert!(done.stderr.contains("status 404"), "{}", done.stderr);
    }
}

/// A server that opens no WebSockets over HTTP/2 is named, with what mends it; where HTTP/1.1 is as good,
/// that is asked for, on a connection of its own.
#[test]
fn or_else_it_is_said_what_mends_it() {
    let pki = Pki::new();
    let test = "or_else_it_is_said_what_mends_it";
    let Some(peer) = http2_peer(test, &["serve", &pki.localhost, "off"]) else { return };
    let mut peer = peer.start();
    let url = format!("wss://localhost:{}/echo", said(&mut peer)["port"]);
    let ask = |http: &str| connect(&format!("{url}?http={http}"), ["--ca", &pki.ca]).run(b"");
    let done = ask("2");
    assert_ne!(done.code(), 0);
    assert!(done.stderr.contains("opens no WebSockets over it"), "{}", done.stderr);
    assert!(done.stderr.contains("http=auto"), "{}", done.stderr);
    assert_eq!(said(&mut peer), json!({ "alpn": "h2" }));
    let done = ask("auto");
    assert!(done.stderr.contains("status 404"), "{}", done.stderr);
    assert_eq!(said(&mut peer), json!({ "alpn": "h2" }));
    assert_eq!(said(&mut peer), json!({ "alpn": "http/1.1" }));
    assert_eq!(said(&mut peer), json!({ "request": "GET /echo HTTP/1.1" }));
}

const PAGE: &[File] = &[(
    "/",
    "text/html",
    r#"<script type="module">
        const server = new URL(location).searchParams.get("server");
        // Where a connection of HTTP/2 is open already, a WebSocket becomes a stream of it. What comes is
        // not for other sites, which is no matter here.
        await fetch(`https://${server}/`, { mode: "no-cors", credentials: "include" }).catch(() => {});
        const count = 4 << 20, sent = new Uint8Array(count).map((_, at) => at * 7 + (at >> 11));
        const echo = () => new Promise((resolve) => {
            const socket = new WebSocket(`wss://${server}/bytes`, "binary");
            const got = new Uint8Array(count);
            let at = 0;
            socket.binaryType = "arraybuffer";
            socket.onopen = () => socket.send(sent);
            socket.onmessage = ({ data }) => {
                got.set(new Uint8Array(data), at);
                at += data.byteLength;
                if (at === count) socket.close(4000, "enough");
            };
            socket.onclose = ({ code, wasClean }) =>
                resolve({ same: got.every((byte, at) => byte === sent[at]), code, wasClean });
        });
        const said = await Promise.all([echo(), echo(), echo()]);
        await fetch("/said", { method: "POST", body: JSON.stringify(said) });
    </script>"#,
)];

/// A browser that has a page over HTTP/2 opens its WebSockets on that connection.
#[test]
fn with_a_browser() {
    let (pki, site) = (Pki::new(), Site::new(PAGE));
    let listen = "wss://localhost:0/bytes?http=auto";
    let (origin, cert) = (site.origin(), pki.localhost.as_str());
    let args = ["--listen", listen, "--cert", cert, "--to", "echo:", "--demo", "--origin", &origin];
    let mut serve = Serve::start(args);
    let url = format!("{origin}/?server=localhost:{}", serve.address().port());
    let _browser = Browser::open(&url, &["--ignore-certificate-errors"]);
    let said = site.said(PATIENCE).expect("the page says something");
    let echoed = json!({ "same": true, "code": 4000, "wasClean": true });
    assert_eq!(said.parse::<Value>().unwrap(), json!([echoed, echoed, echoed]));
    let mut sockets = 0;
    while sockets < 3 {
        let client = serve.next("ended")["client"].clone();
        assert_eq!(client["facts"]["http"], "2", "{client}");
        // The page is a request, too.
        sockets += usize::from(client["code"] == "ws_close");
    }
}
