//! A WebSocket's peer that leaves our Close frame without an answer, or never ends its carrier, is ended
//! at the deadline, and the ending says so (C5).

use std::io::Read as _;

use crate::harness::{Backend, Serve, WebSocket, connect};

const DEADLINE: [&str; 2] = ["--deadline-close", "300ms"];

#[test]
fn as_a_client_that_does_not_answer() {
    let backend = Backend::new();
    let serve = ["--listen", "ws://127.0.0.1:0", "--to", &backend.url()];
    let mut serve = Serve::start(serve.into_iter().chain(DEADLINE));
    let mut client = WebSocket::open(serve.address(), "/");
    drop(backend.accept());
    assert_eq!(client.rest(), (Vec::new(), Some(1000)));
    assert!(client.is_ended_in_order());
    assert_eq!(serve.ended().0, "timeout_close");
}

#[test]
fn as_a_server_that_does_not_answer() {
    let backend = Backend::new();
    let address = backend.url().replace("tcp", "ws");
    let client = connect(&address, DEADLINE).start();
    let mut server = WebSocket::accept(backend.accept());
    let finished = client.finish();
    assert_eq!((finished.code(), &*finished.ending()), (3, "timeout_close"));
    assert_eq!(server.rest(), (Vec::new(), Some(1000)));
}

/// The Close frames are exchanged, and so nothing is lost: what is missing is the server's end of TCP.
#[test]
fn as_a_server_that_does_not_hang_up() {
    let backend = Backend::new();
    let address = backend.url().replace("tcp", "ws");
    let client = connect(&address, DEADLINE).start();
    let mut server = WebSocket::accept(backend.accept());
    server.close(1000);
    let finished = client.finish();
    assert_eq!((finished.code(), &*finished.ending()), (0, "ws_close"), "{}", finished.stderr);
    assert_eq!(server.rest(), (Vec::new(), Some(1000)));
    assert_eq!(server.tcp.read(&mut [0]).unwrap_or(0), 0);
}
