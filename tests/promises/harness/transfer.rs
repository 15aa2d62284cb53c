//! Bytes that go through whatever lies between, to a reader who pauses.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use super::{PATIENCE, assert_same, digits};

/// A writer that gets rid of nothing for so long stands still. Were it wrong about that, the test would
/// show less, and not fail.
const STANDSTILL: Duration = Duration::from_millis(300);

/// The bytes begin anew behind so many: a prime number, so that no piece of the way holds a multiple.
const PERIOD: usize = 262_139;

/// Moves `total` bytes from the first to the second of each pair, all at once, and then the end of that
/// direction. No reader goes on behind the first byte before every writer stands still, or is done: the most
/// that one had sent then.
#[track_caller]
pub(crate) fn transfer(pairs: Vec<(TcpStream, TcpStream)>, total: u64) -> u64 {
    let mut standing = Vec::new();
    let mut threads = Vec::new();
    let mut going = Vec::new();
    for (writer, reader) in pairs {
        let (stands, is_standing) = channel();
        let (go, may_go) = channel();
        standing.push(is_standing);
        going.push(go);
        threads.push(std::thread::spawn(move || write_all(writer, total, &stands)));
        threads.push(std::thread::spawn(move || read_all(reader, total, &may_go)));
    }
    let sent = standing
        .into_iter()
        .map(|standing| standing.recv_timeout(PATIENCE).expect("it writes as much as it can"));
    let most = sent.max().unwrap_or_default();
    drop(going);
    for thread in threads {
        thread.join().unwrap();
    }
    most
}

/// Writes `total` bytes, and tells how many are written when they stop to go out.
fn write_all(mut stream: TcpStream, total: u64, stands: &Sender<u64>) {
    stream.set_write_timeout(Some(STANDSTILL)).unwrap();
    let bytes = digits(PERIOD);
    let mut sent = 0;
    while sent < total {
        let rest = &bytes[sent as usize % PERIOD..];
        let count = rest.len().min((total - sent) as usize);
        match stream.write(&rest[..count]) {
            Ok(count) => sent += count as u64,
            // Nobody may listen any more: it stood still before.
            Err(error) if error.kind() == ErrorKind::WouldBlock => drop(stands.send(sent)),
            Err(error) => panic!("behind {sent} bytes: {error}"),
        }
    }
    let _ = stands.send(sent);
    stream.shutdown(Shutdown::Write).unwrap();
}

/// Reads one byte, pauses until the other end of `may_go` is gone, and reads the rest.
fn read_all(mut stream: TcpStream, total: u64, may_go: &Receiver<()>) {
    let wanted = digits(PERIOD);
    let mut room = vec![0; PERIOD];
    stream.read_exact(&mut room[..1]).unwrap();
    let _ = may_go.recv();
    let mut got = 1;
    while got < total {
        let rest = &wanted[got as usize % PERIOD..];
        let count = stream.read(&mut room[..rest.len()]).unwrap();
        assert!(count > 0, "the end came behind {got} of {total} bytes");
        assert_same(&room[..count], &rest[..count]);
        got += count as u64;
    }
    assert_eq!(stream.read(&mut room).unwrap(), 0, "more came than {total} bytes");
}
