//! A WebSocket whose peer is gone without a word is found out by pings, a client that never asks for one
//! by the deadline, and neither holds up anybody else.

use std::io::{Read as _, Write as _};

use crate::harness::{BINARY, Backend, PING, PONG, Pki, Serve, WebSocket, request};

#[test]
fn by_pings_that_nobody_answers() {
    let backend = Backend::new();
    let ping = ["--ping", "200ms"];
    let listen = ["--listen", "ws://127.0.0.1:0", "--to", &backend.url()];
    let mut serve = Serve::start(listen.into_iter().chain(ping));
    let mut silent = WebSocket::open(serve.address(), "/");
    let mut target = backend.accept();
    assert_eq!(silent.next().0, PING);
    assert_eq!(silent.rest(), (Vec::new(), Some(1011)));
    assert!(target.read(&mut [0]).is_err(), "a reset");
    assert_eq!(serve.next("ended")["client"]["code"], "timeout_idle");

    // Whoever answers stays, though it has nothing to say.
    let mut client = WebSocket::open(serve.address(), "/");
    let mut target = backend.accept();
    for _ in 0..5 {
        let (kind, payload) = client.next();
        assert_eq!(kind, PING);
        client.send(PONG, &payload);
    }
    client.send(BINARY, b"hello");
    let mut hello = [0; 5];
    target.read_exact(&mut hello).unwrap();
    assert_eq!(&hello, b"hello");
}

/// The other way round: the server of a tunnel.
#[test]
fn of_a_server_too() {
    let backend = Backend::new();
    let to = backend.url().replace("tcp", "ws");
    let mut serve = Serve::start(["--listen", "tcp://127.0.0.1:0", "--to", &to, "--ping", "200ms"]);
    let mut client = serve.dial();
    let mut server = WebSocket::accept(backend.accept());
    assert_eq!(server.next().0, PING);
    assert!(client.read(&mut [0]).is_err(), "a reset");
    assert_eq!(serve.next("ended")["target"]["code"], "timeout_idle");
}

#[test]
fn by_the_deadline_of_a_request_that_never_ends() {
    let backend = Backend::new();
    let listen = ["--listen", "ws://127.0.0.1:0", "--to", &backend.url()];
    let deadline = ["--deadline-handshake", "500ms"];
    let mut serve = Serve::start(listen.into_iter().chain(deadline));
    let request = request("/", "");
    let stalled: Vec<_> = (0..100)
        .map(|number| {
            let mut stream = serve.dial();
            stream.write_all(&request.as_bytes()[..number % (request.len() - 1)]).unwrap();
            stream
        })
        .collect();
    // Who comes behind them is served at once.
    let mut client = WebSocket::open(serve.address(), "/");
    client.send(BINARY, b"hello");
    let mut hello = [0; 5];
    backend.accept().read_exact(&mut hello).unwrap();
    let mut late = 0;
    while late < stalled.len() {
        let record = serve.next("ended");
        if record["client"]["cause"] == "timeout_handshake" {
            late += 1;
        } else {
            assert_eq!(record["client"]["code"], "aborted", "{record}");
        }
    }
    for mut stream in stalled {
        assert_eq!(stream.read(&mut [0]).unwrap_or(0), 0);
    }
}

/// Whoever never asks takes up room among the handshakes, and for no longer than one may take.
#[test]
fn and_more_such_than_there_may_be_are_refused() {
    let pki = Pki::new();
    for scheme in ["ws", "wss"] {
        let listen = format!("{scheme}://127.0.0.1:0?deadline-handshake=1s");
        let mut args = vec!["--listen", &listen, "--to", "echo:", "--max-handshakes", "4"];
        if scheme == "wss" {
            args.extend(["--cert", &pki.localhost]);
        }
        let mut serve = Serve::start(args);
        let stalled: Vec<_> = (0..5).map(|_| serve.dial()).collect();
        assert_eq!(serve.next("ended")["client"]["cause"], "refused_limit", "{scheme}");
        for _ in 0..4 {
            assert_eq!(serve.next("ended")["client"]["cause"], "timeout_handshake", "{scheme}");
        }
        // Who has asked takes up none of it.
        if scheme == "ws" {
            let open: Vec<_> = (0..5).map(|_| WebSocket::open(serve.address(), "/")).collect();
            assert_eq!(open.len(), 5);
        }
        drop(stalled);
    }
}
