//! A compressed message that becomes a GiB costs a bridge no memory, whoever sends it: it is decompressed
//! as far as the other side takes it, and no further (B4). Who has nothing to do with it is served meanwhile.

use std::io::{Read, Write as _};
use std::net::TcpStream;

use levada_ws::Role;
use levada_ws::deflate::{Deflater, Params};

use crate::harness::{BINARY, Backend, COMPRESSED, Memory, Serve, WebSocket};

/// What the bomb becomes, in pieces of this size.
const PIECE: usize = 1 << 20;
const PIECES: usize = 1 << 10;

/// What the process may grow by: far less than what the bomb is on the wire.
const ROOM: u64 = 2 << 20;

const DEFLATE: &str = "Sec-WebSocket-Extensions: permessage-deflate\r\n";

/// The payload of one message that becomes so many pieces of zeros, and goes with those before it.
fn bomb(deflater: &mut Deflater, pieces: usize) -> Vec<u8> {
    let (zeros, mut payload) = (vec![0; PIECE], Vec::new());
    for piece in 0..pieces {
        if piece > 0 {
            // What the end of a message lacks stands between (RFC 7692 section 7.2.1).
            payload.extend([0, 0, 0xff, 0xff]);
        }
        deflater.deflate(&zeros, &mut payload);
    }
    payload
}

#[test]
fn of_a_client() {
    let backend = Backend::new();
    let listen = "ws://127.0.0.1:0?deflate=on";
    let serve = Serve::start(["--listen", listen, "--to", &backend.url()]);
    let bystander = || {
        let client = WebSocket::open(serve.address(), "/");
        (client, backend.accept())
    };
    let client = WebSocket::open_with(serve.address(), "/", DEFLATE);
    assert!(client.head.contains(DEFLATE.trim_end()), "{}", client.head);
    passes(&serve, client, Role::Client, backend.accept(), || {
        let (mut client, mut target) = bystander();
        client.send(BINARY, b"a bystander");
        let mut got = [0; 11];
        target.read_exact(&mut got).unwrap();
        assert_eq!(&got, b"a bystander");
    });
}

#[test]
fn of_a_server() {
    let backend = Backend::new();
    let to = format!("{}?deflate=on", backend.url().replace("tcp", "ws"));
    let serve = Serve::start(["--listen", "tcp://127.0.0.1:0", "--to", &to]);
    let client = serve.dial();
    let server = WebSocket::accept_with(backend.accept(), DEFLATE);
    assert!(
        server.head.contains("Sec-WebSocket-Extensions: permessage-deflate"),
        "{}",
        server.head
    );
    passes(&serve, server, Role::Server, client, || {
        let mut client = serve.dial();
        let mut server = WebSocket::accept(backend.accept());
        client.write_all(b"a bystander").unwrap();
        assert_eq!(server.take(11), b"a bystander");
    });
}

/// Sends the bomb through `serve`, from `from` of this role to `to`, who looks at a bystander first.
fn passes(serve: &Serve, mut from: WebSocket, role: Role, mut to: TcpStream, bystander: impl Fn()) {
    let mut deflater = Deflater::new(role, Params::default());
    let mut room = vec![0; PIECE];
    // What is made once is made by now.
    bystander();
    for _ in 0..8 {
        from.send(COMPRESSED | BINARY, &bomb(&mut deflater, 1));
        to.read_exact(&mut room).unwrap();
    }
    let payload = bomb(&mut deflater, PIECES);
    assert!(payload.len() < PIECE + PIECE / 8, "{} bytes", payload.len());

    let memory = Memory::of(serve.process.id());
    let sending = std::thread::spawn(move || {
        from.send(COMPRESSED | BINARY, &payload);
        from
    });
    to.read_exact(&mut room[..1]).unwrap();
    bystander();
    let mut left = PIECE * PIECES - 1;
    while left > 0 {
        let count = to.read(&mut room).unwrap();
        assert!(
            count > 0 && room[..count].iter().all(|byte| *byte == 0),
            "{left} bytes are missing"
        );
        left -= count;
    }
    let growth = memory.growth();
    assert!(growth < ROOM, "it grew by {growth} bytes");
    drop(sending.join().unwrap());
}
