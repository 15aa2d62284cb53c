//! A relay between two plain sockets, whose bytes pass inside the kernel once they come in bulk: it loses,
//! counts and ends as one that copies.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::thread;
use std::time::Duration;

use levada::{Carrier, Ending, Options, OsErrorKind, Socket, relay};

const BULK: usize = 16 << 20;

fn tcp() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (near, listener.accept().unwrap().0)
}

fn socket(fd: impl Into<std::os::fd::OwnedFd>) -> Socket {
    Socket::adopt(Carrier::from_fd(fd.into()).unwrap(), None, Options::default())
}

/// Bytes that are nowhere twice the same for long.
fn pattern(count: usize) -> Vec<u8> {
    (0..count as u32 / 4)
        .flat_map(|number| number.wrapping_mul(2_654_435_761).to_le_bytes())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn bulk_goes_through_both_ways_past_slow_readers() {
    let (left, left_inner) = tcp();
    let (right, right_inner) = UnixStream::pair().unwrap();
    let talk = |mut reader: Box<dyn std::io::Read + Send>, mut writer: Box<dyn Finish>| {
        let writing = thread::spawn(move || {
            writer.write_all(&pattern(BULK)).unwrap();
            writer.finish();
            writer
        });
        let reading = thread::spawn(move || {
            // Small reads: what waits for them fills every buffer on the way.
            let (mut got, mut room) = (Vec::with_capacity(BULK), vec![0; 4096]);
            loop {
                match reader.read(&mut room).unwrap() {
                    0 => break got,
                    count => got.extend_from_slice(&room[..count]),
                }
            }
        });
        (writing, reading)
    };
    let ends = [
        talk(Box::new(left.try_clone().unwrap()), Box::new(left)),
        talk(Box::new(right.try_clone().unwrap()), Box::new(right)),
    ];
    let (mut one, mut other) = (socket(left_inner), socket(right_inner));
    let (one, other) = relay(&mut one, &mut other).await;
    for (writing, reading) in ends {
        assert!(reading.join().unwrap() == pattern(BULK), "bytes are lost or changed");
        drop(writing.join().unwrap());
    }
    for ended in [one, other] {
        assert_eq!(ended.ending, Ending::Finished);
        let bytes = ended.facts.bytes;
        let all = BULK as u64;
        assert_eq!((bytes.read, bytes.written), (all, all));
        assert_eq!((bytes.wire_read, bytes.wire_written), (all, all));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reset_in_the_midst_of_bulk_is_passed_on() {
    let (mut left, left_inner) = tcp();
    let (mut right, right_inner) = tcp();
    let (mut one, mut other) = (socket(left_inner), socket(right_inner));
    let relaying = tokio::spawn(async move { relay(&mut one, &mut other).await });
    let writing = thread::spawn(move || {
        let block = vec![7; 1 << 20];
        (0..1000).find_map(|_| left.write_all(&block).err())
    });
    let mut room = vec![0; 1 << 20];
    for _ in 0..4 {
        right.read_exact(&mut room).unwrap();
    }
    socket2::SockRef::from(&right).set_linger(Some(Duration::ZERO)).unwrap();
    drop(right);
    let (one, other) = relaying.await.unwrap();
    assert!(
        matches!(&other.ending, Ending::SocketError(error) if error.kind == OsErrorKind::ConnectionReset),
        "{other}"
    );
    assert!(!one.is_clean(), "{one}");
    let error = writing.join().unwrap().expect("the sender does not take it for a clean end");
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
}

/// A stream whose direction can be ended.
trait Finish: std::io::Write + Send {
    fn finish(&self);
}

impl Finish for TcpStream {
    fn finish(&self) {
        self.shutdown(Shutdown::Write).unwrap();
    }
}

impl Finish for UnixStream {
    fn finish(&self) {
        self.shutdown(Shutdown::Write).unwrap();
    }
}
