//! The other end of a tunnel: TCP in, a WebSocket out. Each ending of one side is the fitting one of the
//! other, data passes both ways until then, and what a WebSocket has no word for is as the book says.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpStream};

use crate::harness::{BINARY, Backend, Serve, WebSocket, assert_same, digits, reset};

/// A tunnel with both its ends: the program that wants through, and the WebSocket server.
struct Tunnel {
    serve: Serve,
    client: TcpStream,
    server: WebSocket,
}

impl Tunnel {
    fn open() -> Self {
        let backend = Backend::new();
        let to = backend.url().replace("tcp", "ws");
        let serve = Serve::start(["--listen", "tcp://127.0.0.1:0", "--to", &to]);
        let mut client = serve.dial();
        let mut server = WebSocket::accept(backend.accept());
        // Both directions are open.
        client.write_all(b"there").unwrap();
        assert_eq!(server.take(5), b"there");
        server.send(BINARY, b"back");
        let mut back = [0; 4];
        client.read_exact(&mut back).unwrap();
        assert_eq!(&back, b"back");
        Self { serve, client, server }
    }
}

#[test]
fn a_clean_close_of_the_server_is_an_end_of_file() {
    for code in [1000, 1001] {
        let Tunnel { mut serve, mut client, mut server } = Tunnel::open();
        server.send(BINARY, &digits(300_000));
        server.close(code);
        let mut got = Vec::new();
        client.read_to_end(&mut got).unwrap();
        assert_same(&got, &digits(300_000));
        // The server has said its last word, and still hears ours: RFC 6455 section 5.5.1.
        client.write_all(b"late").unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        assert_eq!(server.rest(), (b"late".to_vec(), Some(1000)));
        drop(server);
        assert_eq!(serve.ended(), ("finished".to_owned(), "ws_close".to_owned()), "{code}");
    }
}

#[test]
fn any_other_is_a_reset() {
    for code in [1002, 1008, 1011, 3000, 4999] {
        let Tunnel { mut serve, mut client, mut server } = Tunnel::open();
        server.close(code);
        assert!(client.read(&mut [0]).is_err(), "{code}");
        assert_eq!(server.rest(), (Vec::new(), Some(code)), "it is answered in kind");
        let record = serve.next("ended");
        assert_eq!(record["target"]["code"], "ws_close", "{record}");
        assert_eq!(record["target"]["ending"]["ws_close"]["code"], code, "{record}");
        assert_eq!(record["target"]["clean"], false, "{record}");
    }
}

#[test]
fn and_so_is_an_end_without_a_close() {
    let Tunnel { mut serve, mut client, server } = Tunnel::open();
    drop(server);
    assert!(client.read(&mut [0]).is_err());
    assert_eq!(serve.ended().1, "ERR_TLS_SOCKET_CLOSE");
}

/// A WebSocket has no half-close: the client's is a Close frame with 1000. What the server still sends
/// before its own comes back.
#[test]
fn a_half_close_of_the_client_is_1000_and_the_answer_still_comes() {
    let Tunnel { mut serve, mut client, mut server } = Tunnel::open();
    client.write_all(&digits(300_000)).unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    let (data, code) = server.rest();
    assert_same(&data, &digits(300_000));
    assert_eq!(code, Some(1000));
    server.send(BINARY, &digits(300_000));
    server.close(1000);
    drop(server);
    let mut got = Vec::new();
    client.read_to_end(&mut got).unwrap();
    assert_same(&got, &digits(300_000));
    assert_eq!(serve.ended(), ("finished".to_owned(), "ws_close".to_owned()));
}

#[test]
fn a_client_that_breaks_off_is_1011() {
    let Tunnel { mut serve, client, mut server } = Tunnel::open();
    reset(client);
    assert_eq!(server.rest(), (Vec::new(), Some(1011)));
    assert_eq!(serve.ended().0, "ECONNRESET");
}
