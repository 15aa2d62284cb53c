//! A WebSocket is a byte stream like any other: in front of a TCP server, and as a tunnel to it, nothing is
//! lost; who may not come is told so in HTTP, and a target that breaks off is no clean close.

use std::io::{Read as _, Write as _};
use std::net::Shutdown;
use std::time::Duration;

use crate::harness::{
    Backend, Client, Pki, Serve, TEXT, WebSocket, assert_same, connect, digits, request, reset,
};

const TAIL: usize = 300_000;

/// A listener for WebSockets over TLS at this path.
fn serve(pki: &Pki, path: &str, to: &str, args: &[&str]) -> Serve {
    let listen = format!("wss://127.0.0.1:0{path}");
    let fixed = ["--listen", &listen, "--to", to, "--cert", &pki.localhost];
    Serve::start(fixed.iter().chain(args))
}

#[test]
fn of_a_foreign_client_to_a_tcp_server() {
    let pki = Pki::new();
    let backend = Backend::new();
    let mut serve = serve(&pki, "/vnc", &backend.url(), &[]);
    let mut client = Client::start(&pki, serve.address(), "-tls1_3", &["-ign_eof"]);
    client.write(request("/vnc", "Sec-WebSocket-Protocol: base64, binary\r\n").as_bytes());
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.extend(client.stdout.take(1));
    }
    let head = String::from_utf8(head).unwrap().to_ascii_lowercase();
    assert!(head.starts_with("http/1.1 101 "), "{head}");
    assert!(head.contains("s3pplmbitxaq9kygzzhzrbk+xoo="), "the key's answer (RFC 6455 1.3)");
    assert!(head.contains("sec-websocket-protocol: binary"), "{head}");

    // A masked frame with "RFB", its key all zeros, and another one split after its header.
    client.write(b"\x82\x83\0\0\0\0RFB");
    client.write(b"\x82\x84\0\0\0\0");
    client.write(b" 003");
    let mut target = backend.accept();
    let mut got = [0; 7];
    target.read_exact(&mut got).unwrap();
    assert_eq!(&got, b"RFB 003");
    target.write_all(b"hello").unwrap();
    assert_eq!(client.stdout.take(7), b"\x82\x05hello");
    // Close with 1000, which is answered in kind.
    client.write(b"\x88\x82\0\0\0\0\x03\xe8");
    assert_eq!(target.read(&mut got).unwrap(), 0, "the goodbye is passed on");
    drop(target);
    assert_eq!(client.stdout.take(4), b"\x88\x02\x03\xe8");
    assert_eq!(serve.ended().0, "ws_close");
}

#[test]
fn through_a_tunnel_of_two_of_our_own() {
    let pki = Pki::new();
    let backend = Backend::new();
    let far = serve(&pki, "/tunnel", &backend.url(), &[]);
    let to = format!("wss://{}/tunnel", far.address());
    let near = Serve::start(["--listen", "tcp://127.0.0.1:0", "--to", &to, "--ca", &pki.ca]);
    let mut client = near.dial();
    let mut target = {
        client.write_all(b"first").unwrap();
        let mut target = backend.accept();
        let mut got = [0; 5];
        target.read_exact(&mut got).unwrap();
        target
    };
    let mut writer = client.try_clone().unwrap();
    let writing = std::thread::spawn(move || {
        writer.write_all(&digits(TAIL)).unwrap();
        writer.shutdown(Shutdown::Write).unwrap();
    });
    let mut there = Vec::new();
    target.read_to_end(&mut there).unwrap();
    writing.join().unwrap();
    assert_same(&there, &digits(TAIL));
    // The client's goodbye has come all the way, and only now is there an answer.
    target.write_all(&digits(TAIL)).unwrap();
    drop(target);
    let mut back = Vec::new();
    client.read_to_end(&mut back).unwrap();
    assert_same(&back, &digits(TAIL));
}

#[test]
fn and_who_may_not_come_is_told_in_http() {
    let pki = Pki::new();
    let serve = serve(&pki, "/here", "echo:", &["--origin", "https://good.example"]);
    let from = |origin: &str| request("/here", &format!("Origin: {origin}\r\n"));
    for (request, status) in [
        (request("/there", ""), "404"),
        (from("https://evil.example"), "403"),
        (from("https://good.example"), "101"),
        ("GET /here HTTP/1.1\r\nHost: localhost\r\n\r\n".to_owned(), "426"),
    ] {
        let mut client = Client::start(&pki, serve.address(), "-tls1_2", &["-ign_eof"]);
        client.write(request.as_bytes());
        let line = client.stdout.line().expect("it answers");
        assert!(line.starts_with(&format!("HTTP/1.1 {status} ")), "{request}{line}");
    }
}

#[test]
fn and_a_target_that_breaks_off_is_no_clean_close() {
    let pki = Pki::new();
    let backend = Backend::new();
    let mut serve = serve(&pki, "/", &backend.url(), &[]);
    let address = format!("wss://{}/", serve.address());
    let mut client = connect(&address, ["--ca", &pki.ca]).start();
    client.write(b"x");
    let mut target = backend.accept();
    // The bridge has its target when this comes through.
    target.read_exact(&mut [0]).unwrap();
    reset(target);
    let client = client.wait();
    let ended = client.ended();
    assert_eq!((client.code(), &ended["code"]), (3, &"ws_close".into()), "{ended}");
    assert_eq!(ended["ending"]["ws_close"]["code"], 1011, "{ended}");
    assert_eq!(serve.next("ended")["target"]["code"], "ECONNRESET");
}

/// Whoever breaks off while it reads nothing has no room for an answer, and is the reason all the same.
#[test]
fn and_a_close_is_told_though_its_answer_cannot_go() {
    let backend = Backend::new();
    let mut serve = Serve::start(["--listen", "ws://127.0.0.1:0", "--to", &backend.url()]);
    let mut client = WebSocket::open(serve.address(), "/");
    let mut target = backend.accept();
    target.set_write_timeout(Some(Duration::from_millis(300))).unwrap();
    while target.write(&[0; 16 << 10]).is_ok() {}
    client.close(4008);
    let record = serve.next("ended");
    assert_eq!(record["client"]["ending"]["ws_close"]["code"], 4008, "{record}");
    assert!(target.read(&mut [0]).is_err(), "a reset");
}

/// E10 and X1 on the wire: 1003, and for the target no clean end.
#[test]
fn and_text_is_refused_unless_it_is_taken_as_bytes() {
    let backend = Backend::new();
    let listen = ["--listen", "ws://127.0.0.1:0", "--to", &backend.url()];
    let mut strict = Serve::start(listen);
    let mut client = WebSocket::open(strict.address(), "/");
    client.send(TEXT, "text".as_bytes());
    assert_eq!(client.rest(), (Vec::new(), Some(1003)));
    client.close(1003);
    let mut target = backend.accept();
    assert!(target.read(&mut [0]).is_err(), "a reset");
    let record = strict.next("ended");
    assert_eq!(record["client"]["code"], "ws_protocol", "{record}");
    assert_eq!(record["client"]["ending"]["ws_protocol"], 1003, "{record}");

    let lenient = Serve::start(listen.into_iter().chain(["--text-as-bytes", "on"]));
    let mut client = WebSocket::open(lenient.address(), "/");
    client.send(TEXT, "text".as_bytes());
    let mut target = backend.accept();
    let mut got = [0; 4];
    target.read_exact(&mut got).unwrap();
    assert_eq!(&got, b"text");
}
