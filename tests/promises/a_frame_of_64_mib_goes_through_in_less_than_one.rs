//! One frame of 64 MiB goes through a bridge in less than 1 MiB of memory, from a client and from a server
//! (B3, B4).

use std::io::Write as _;

use crate::harness::{BINARY, Backend, Memory, Serve, WebSocket};

const FRAME: u64 = 64 << 20;
const ROOM: u64 = 1 << 20;
const PIECE: usize = 64 << 10;

#[test]
fn of_a_client() {
    let backend = Backend::new();
    let serve = Serve::start(["--listen", "ws://127.0.0.1:0", "--to", &backend.url()]);
    let client = WebSocket::open(serve.address(), "/");
    passes(&serve, client, backend.accept());
}

#[test]
fn of_a_server() {
    let backend = Backend::new();
    let to = backend.url().replace("tcp", "ws");
    let serve = Serve::start(["--listen", "tcp://127.0.0.1:0", "--to", &to]);
    let client = serve.dial();
    passes(&serve, WebSocket::accept(backend.accept()), client);
}

/// Sends the frame through `serve`, which leads from `from` to `to`.
fn passes(serve: &Serve, mut from: WebSocket, mut to: impl std::io::Read) {
    let mut room = vec![0; PIECE];
    // What is made once is made by now.
    for _ in 0..32 {
        from.send(BINARY, &room);
        to.read_exact(&mut room).unwrap();
    }
    let memory = Memory::of(serve.process.id());
    let sending = std::thread::spawn(move || {
        let (head, piece) = (from.head(BINARY, FRAME), vec![2; PIECE]);
        from.tcp.write_all(&head).unwrap();
        for _ in 0..FRAME / PIECE as u64 {
            from.tcp.write_all(&piece).unwrap();
        }
        from
    });
    for _ in 0..FRAME / PIECE as u64 {
        to.read_exact(&mut room).unwrap();
        assert!(room.iter().all(|byte| *byte == 2));
    }
    let growth = memory.growth();
    assert!(growth < ROOM, "it grew by {growth} bytes");
    drop(sending.join().unwrap());
}
