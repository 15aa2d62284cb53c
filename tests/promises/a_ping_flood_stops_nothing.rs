//! A WebSocket's peer that pings without end costs no memory, and its data goes through all the same,
//! whether or not it reads the answers.

use std::io::{Read as _, Write as _};

use crate::harness::{BINARY, Backend, Memory, PING, PONG, Serve, WebSocket, assert_same, digits};

/// Pings in front of each piece of data, as long as they may be.
const PINGS: usize = 200;
const PIECES: usize = 500;
const PIECE: usize = 1000;

/// What a process may grow by, for its threads: less than a tenth of the pings.
const ROOM: u64 = 1 << 20;

/// The flood, with `data` in it.
fn flood(client: &WebSocket, data: &[u8]) -> Vec<u8> {
    let mut flood = Vec::new();
    for (index, piece) in data.chunks(PIECE).enumerate() {
        for ping in 0..PINGS {
            let payload = format!("{:0125}", index * PINGS + ping);
            flood.extend(client.frame(PING, payload.as_bytes()));
        }
        flood.extend(client.frame(BINARY, piece));
    }
    flood
}

/// Sends a flood to a server, while `reads` says whether somebody reads what comes back.
fn flooded(reads: bool) {
    let backend = Backend::new();
    let serve = Serve::start(["--listen", "ws://127.0.0.1:0", "--to", &backend.url()]);
    let mut client = WebSocket::open(serve.address(), "/");
    let data = digits(PIECES * PIECE);
    // What is made once is made by now.
    client.tcp.write_all(&flood(&client, &data[..10 * PIECE])).unwrap();
    let mut target = backend.accept();
    target.read_exact(&mut vec![0; 10 * PIECE]).unwrap();

    let memory = Memory::of(serve.process.id());
    let reading = reads.then(|| {
        let mut client = client.another();
        std::thread::spawn(move || {
            let mut pongs = 0;
            loop {
                let (kind, payload) = client.next();
                if kind == BINARY {
                    return (pongs, payload);
                }
                assert_eq!((kind, payload.len()), (PONG, 125));
                pongs += 1;
            }
        })
    });
    let flood = flood(&client, &data);
    let flooding = std::thread::spawn(move || {
        client.tcp.write_all(&flood).unwrap();
        client
    });
    let mut got = vec![0; data.len()];
    target.read_exact(&mut got).unwrap();
    assert_same(&got, &data);
    let growth = memory.growth();
    assert!(growth <= ROOM, "it grew by {growth} bytes");
    // The other way is open, too.
    target.write_all(b"bye").unwrap();
    let client = flooding.join().unwrap();
    if let Some(reading) = reading {
        let (pongs, last) = reading.join().unwrap();
        assert!(pongs > 0 && last == b"bye", "{pongs} pongs");
    }
    drop(client);
}

/// E9: answers go out though nobody writes.
#[test]
fn of_a_peer_that_reads_the_answers() {
    flooded(true);
}

#[test]
fn of_a_peer_that_reads_nothing() {
    flooded(false);
}
