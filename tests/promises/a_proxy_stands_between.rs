//! Whatever is dialled can be dialled through an HTTP proxy: bytes, TLS and endings stay the peer's, what
//! the proxy does wrong has endings of its own, and its password is seen by nobody else.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use crate::harness::{
    Backend, Finished, Folder, Pki, Serve, Tinyproxy, assert_same, connect, digits, free,
    http2_peer, levada, said,
};

const TAIL: usize = 3 << 20;

/// What nobody is to see, as it is and as it is sent.
const SECRETS: [&str; 2] = ["open-sesame", "bWU6b3Blbi1zZXNhbWU="];

#[track_caller]
fn assert_silent(said: &str) {
    for secret in SECRETS {
        assert!(!said.contains(secret), "{said}");
    }
}

/// The ending's code, what caused it, and whose doing it is.
#[track_caller]
fn ending(finished: &Finished) -> [String; 3] {
    let ended = finished.ended();
    assert_silent(&finished.stderr);
    ["code", "cause", "blame"].map(|key| ended[key].as_str().unwrap_or("none").to_owned())
}

/// Through a real proxy to a real server: TLS is with the server, and the facts name the proxy.
#[test]
fn and_carries_every_byte() {
    let pki = Pki::new();
    let proxy = Tinyproxy::new();
    let serve = Serve::tls(&pki, "echo:");
    let target = format!("tls://localhost:{}", serve.address().port());
    let words = proxy.words();
    let ca = ["--ca".to_owned(), pki.ca.clone()];
    let done = connect(&target, words.iter().chain(&ca)).run(&digits(TAIL));
    assert_eq!(done.code(), 0, "{}", done.stderr);
    assert_same(&done.stdout, &digits(TAIL));
    assert_silent(&done.stderr);
    let facts = &done.ended()["facts"];
    assert_eq!(facts["proxy"], format!("http://{}", proxy.address));
    assert_eq!(facts["peer"], proxy.address);
    assert_eq!(facts["host"], "localhost");
    assert_eq!(facts["tls"]["verified_name"], "localhost");
}

/// Bridges lead through one, WebSockets too; a half-close and its tail stay whole.
#[test]
fn for_bridges_and_websockets() {
    let proxy = Tinyproxy::new();
    let backend = Backend::new();
    let [_, url, _, password] = proxy.words();

    let far = Serve::start(["--listen", "ws://127.0.0.1:0/far", "--to", &backend.url()]);
    let to = format!("ws://{}/far?proxy={url}&proxy-password-file={password}", far.address());
    let mut near = Serve::start(["--listen", "tcp://127.0.0.1:0", "--to", &to]);
    let mut client = near.dial();
    client.write_all(&digits(TAIL)).unwrap();
    let mut target = backend.accept();
    let mut there = vec![0; TAIL];
    target.read_exact(&mut there).unwrap();
    assert_same(&there, &digits(TAIL));
    target.write_all(&digits(TAIL)).unwrap();
    drop(target);
    let mut back = Vec::new();
    client.read_to_end(&mut back).unwrap();
    assert_same(&back, &digits(TAIL));
    drop(client);
    let ended = near.next("ended");
    assert_eq!(ended["target"]["facts"]["proxy"], format!("http://{}", proxy.address));
    assert_silent(&ended.to_string());
}

/// WebSockets over HTTP/2, of clients and of bridges: the connection that carries them leads through one.
#[test]
fn for_http2() {
    let pki = Pki::new();
    let proxy = Tinyproxy::new();
    let words = proxy.words();
    let [_, proxy_url, _, password] = &words;
    let tls = format!("&name=localhost&ca={}", pki.ca);
    for (scheme, more, cert) in
        [("ws", "", &[][..]), ("wss", &*tls, &["--cert", &*pki.localhost][..])]
    {
        let listen = format!("{scheme}://127.0.0.1:0/far?http=2");
        let mut far = Serve::start(["--listen", &listen, "--to", "echo:"].iter().chain(cert));
        let url = |path: &str| format!("{scheme}://{}{path}?http=2{more}", far.address());
        let (target, nowhere) = (url("/far"), url("/nowhere"));
        let done = connect(&target, &words).run(&digits(TAIL));
        assert_eq!(done.code(), 0, "{}", done.stderr);
        assert_same(&done.stdout, &digits(TAIL));
        assert_silent(&done.stderr);
        let facts = done.ended()["facts"].clone();
        assert_eq!(facts["http"], "2");
        assert_eq!(facts["proxy"], format!("http://{}", proxy.address));
        assert_eq!(facts["peer"], proxy.address);
        assert_eq!(far.next("ended")["client"]["facts"]["http"], "2");

        let to = format!("{target}&proxy={proxy_url}&proxy-password-file={password}");
        let mut near = Serve::start(["--listen", "tcp://127.0.0.1:0", "--to", &to]);
        let done = connect(&format!("tcp://{}", near.address()), [""; 0]).run(&digits(TAIL));
        assert_same(&done.stdout, &digits(TAIL));
        let target = near.next("ended")["target"].clone();
        assert_eq!((&target["code"], &target["facts"]["http"]), (&"ws_close".into(), &"2".into()));
        assert_eq!(target["facts"]["proxy"], format!("http://{}", proxy.address));

        let done = connect(&nowhere, &words).run(b"");
        assert_eq!(done.code(), 2);
        assert!(done.stderr.contains("status 404"), "{}", done.stderr);
    }
}

/// Where a server opens no WebSockets over HTTP/2, HTTP/1.1 is asked for through the proxy, too.
#[test]
fn for_the_second_try_of_http_1_1() {
    let pki = Pki::new();
    let test = "for_the_second_try_of_http_1_1";
    let Some(peer) = http2_peer(test, &["serve", &pki.localhost, "off"]) else { return };
    let mut peer = peer.start();
    let target = format!("wss://localhost:{}/echo?http=auto", said(&mut peer)["port"]);
    let proxy = Tinyproxy::new();
    let ca = ["--ca".to_owned(), pki.ca.clone()];
    let done = connect(&target, proxy.words().iter().chain(&ca)).run(b"");
    assert!(done.stderr.contains("status 404"), "{}", done.stderr);
    assert_eq!(done.ended()["facts"]["proxy"], format!("http://{}", proxy.address));
    for alpn in ["h2", "http/1.1"] {
        assert_eq!(said(&mut peer)["alpn"], alpn);
    }
}

/// A server is looked at through one as clients see it, with all that it accepts.
#[test]
fn for_inspecting() {
    let pki = Pki::new();
    let proxy = Tinyproxy::new();
    let listen = ["--listen", "wss://127.0.0.1:0/vnc", "--cert", &pki.localhost, "--to", "echo:"];
    let serve = Serve::start(listen);
    let inspect = |port: u16, words: &[String]| {
        let target = format!("wss://localhost:{port}/vnc");
        let args = ["inspect", &target, "--ca", &pki.ca, "--json"].map(str::to_owned);
        let done = levada(args.iter().chain(words)).run(b"");
        assert_silent(&String::from_utf8_lossy(&done.stdout));
        let report: serde_json::Value = serde_json::from_slice(&done.stdout).unwrap();
        (done.code(), report)
    };
    let (code, report) = inspect(serve.address().port(), &proxy.words());
    assert_eq!(code, 0, "{report}");
    assert_eq!(report["proxy"], format!("http://{}", proxy.address));
    assert_eq!(report["lookup"], serde_json::Value::Null);
    let target = format!("wss://localhost:{}/vnc", serve.address().port());
    assert_eq!(report["addresses"][0]["address"], target);
    assert_eq!(report["tls"]["verified_name"], "localhost");
    assert_eq!(report["accepts"]["versions"][0]["accepted"], true);
    assert_eq!(report["accepts"]["complete"], true);
    assert_eq!(report["websocket"]["opened"], true);
    assert_eq!(report["websocket"]["any_origin"], false);

    let gone = free();
    let (code, report) = inspect(gone.port(), &proxy.words());
    assert_eq!((code, &report["addresses"][0]["outcome"]), (2, &"unreachable".into()), "{report}");
    assert!(report["findings"][0]["message"].as_str().unwrap().contains("proxy"), "{report}");
}

/// The way to the proxy can be under TLS, with authorities of its own.
#[test]
fn under_tls_as_well() {
    let pki = Pki::new();
    let proxy = Tinyproxy::new();
    let front = Serve::tls(&pki, &format!("tcp://{}", proxy.address));
    let backend = Backend::new();
    let [_, _, file, password] = proxy.words();
    let url = format!("https://me@localhost:{}", front.address().port());
    let through = |ca: &str| {
        let words = ["--proxy", &url, &file, &password, "--proxy-ca", ca];
        connect(&backend.url(), words.map(str::to_owned))
    };
    let mut client = through(&pki.ca).start();
    let mut target = backend.accept();
    // A server that speaks first.
    target.write_all(b"220 hello\r\n").unwrap();
    assert_eq!(client.stdout.line().as_deref(), Some("220 hello\r"));
    client.write(b"QUIT");
    let mut got = [0; 4];
    target.read_exact(&mut got).unwrap();
    assert_eq!(&got, b"QUIT");
    drop(target);
    let done = client.finish();
    assert_eq!(done.ended()["facts"]["proxy"], url.replace("me@", ""));
    assert_silent(&done.stderr);

    let other = Pki::new();
    let done = through(&other.ca).run(b"");
    assert_eq!(done.code(), 2);
    let ended = done.ended();
    assert_eq!(ended["cause"], "ERR_TLS_FATAL_ERROR", "{ended}");
    assert_eq!(ended["phase"], "connecting");
}

#[test]
fn and_says_why_it_does_not_connect() {
    let proxy = Tinyproxy::new();
    let backend = Backend::new();
    let mut words = proxy.words();
    // Nothing listens there any more.
    let gone = free();
    let done = connect(&format!("tcp://{gone}"), words.clone()).run(b"");
    let [code, cause, blame] = ending(&done);
    assert_eq!([&*code, &*cause, &*blame], ["connectFailed", "ERR_TLS_FATAL_ERROR", "network"]);
    let status = &done.ended()["ending"]["connect_failed"]["ended"]["fatal_error"]["cause"];
    assert!(status["proxy"]["status"].as_u64().unwrap() >= 500, "{status}");

    let folder = Folder::new();
    words[3] = folder.write("wrong", "close-sesame\n");
    let done = connect(&backend.url(), words).run(b"");
    let ended = done.ended();
    assert_eq!((done.code(), &ended["blame"]), (2, &"config".into()));
    assert!(ended["message"].as_str().unwrap().contains("wants other credentials"), "{ended}");
    assert!(ended["hint"].as_str().unwrap().contains("proxy-password-file"), "{ended}");
    assert!(!done.stderr.contains("close-sesame"));
}

/// A proxy that does this with a request that it has read to its end.
fn bad(answer: &[u8], then: impl FnOnce(TcpStream)) -> Finished {
    let proxy = Backend::new();
    let url = format!("http://{}", proxy.address);
    let command = connect("tcp://peer.example:80", ["--proxy", &url, "--deadline-connect", "2s"]);
    let client = command.start();
    let mut stream = proxy.accept();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    let wanted = "CONNECT peer.example:80 HTTP/1.1\r\nHost: peer.example:80\r\n\r\n";
    assert_eq!(String::from_utf8(head).unwrap(), wanted);
    stream.write_all(answer).unwrap();
    then(stream);
    client.finish()
}

#[test]
fn and_may_be_bad() {
    let cause = |done: &Finished| {
        done.ended()["ending"]["connect_failed"]["ended"]["fatal_error"]["cause"]["proxy"].clone()
    };
    for (answer, fault) in [
        (&b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n"[..], "{\"status\":502}"),
        (b"HTTP/1.1 407 Who are you\r\nProxy-Authenticate: Basic\r\n\r\n", "{\"status\":407}"),
        (b"HTTP/1.1 301 There\r\nLocation: http://a/\r\n\r\n", "{\"status\":301}"),
        (b"SSH-2.0-OpenSSH_9.2p1\r\n", "\"not_http\""),
        (b"\r\n\xff\xff\xff\n", "\"not_http\""),
        (b"HTTP/1.1 200 OK\r\nVia: nobo", "\"truncated\""),
        (b"", "\"truncated\""),
    ] {
        let done = bad(answer, drop);
        assert_eq!(cause(&done).to_string(), fault, "{}", done.stderr);
        assert_eq!(done.code(), 2);
    }
    let endless = [b"HTTP/1.1 200 OK\r\nX: ".as_slice(), &[b'x'; 9000]].concat();
    assert_eq!(cause(&bad(&endless, drop)), "not_http");

    // What stalls has its deadline.
    let mut held = None;
    let done = bad(b"HTTP/1.1 200 OK\r\n", |stream| held = Some(stream));
    assert_eq!(ending(&done)[1], "timeout_connect");

    // What comes with the answer is the peer's.
    let done = bad(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.0 200 OK\r\n\r\nhello", drop);
    assert_eq!((&*done.stdout, done.code()), (&b"hello"[..], 0), "{}", done.stderr);
}

#[test]
fn and_its_address_holds_no_password() {
    let url = "http://me:open-sesame@127.0.0.1:3128";
    for args in [
        ["connect", "tcp://127.0.0.1:1", "--proxy", url].as_slice(),
        &["connect", &format!("tcp://127.0.0.1:1?proxy={url}")],
    ] {
        let done = levada(args).run(b"");
        assert_eq!(done.code(), 1);
        assert_silent(&done.stderr);
        assert!(done.stderr.contains("proxy-password-file"), "{}", done.stderr);
    }
}
