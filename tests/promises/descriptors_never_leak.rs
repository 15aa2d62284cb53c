//! After a million connections, good and bad, the process holds as many descriptors as before, and no
//! more memory.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::mpsc::sync_channel;

use levada::Dialer;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::harness::{PATIENCE, Pki, Serve, free, reset};

/// What the allocator may keep beside what it kept after the first tenth.
const SLACK: u64 = 1 << 20;

const THREADS: usize = 8;

/// Visits that the log may not have told of: fewer than it has room for lines.
const AHEAD: usize = 1000;

/// Where the clients go: to an echo, plain and through TLS, and to a target that nobody listens at.
struct Doors {
    plain: SocketAddr,
    tls: SocketAddr,
    nowhere: SocketAddr,
    dialer: Dialer,
}

fn dial(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// Talks until both ends have said goodbye.
fn talk(mut stream: TcpStream) {
    stream.write_all(b"hello").unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let mut got = Vec::new();
    stream.read_to_end(&mut got).unwrap();
    assert_eq!(got, b"hello");
}

async fn talk_tls(dialer: &Dialer, to_the_end: bool) {
    let mut stream = dialer.dial().unwrap();
    stream.write_all(b"hello").await.unwrap();
    let mut got = [0; 5];
    stream.read_exact(&mut got).await.unwrap();
    assert_eq!(&got, b"hello");
    if to_the_end {
        stream.shutdown().await.unwrap();
        assert!(stream.closed().await.is_clean());
    }
}

impl Doors {
    /// One life of many sorts.
    fn visit(&self, number: usize, runtime: &tokio::runtime::Runtime) {
        match number % 20 {
            0 => runtime.block_on(talk_tls(&self.dialer, true)),
            1 => runtime.block_on(talk_tls(&self.dialer, false)),
            2 => drop(dial(self.tls)),
            3 => dial(self.tls).write_all(b"\x16\x03\x01\x02\x00\x01\x00").unwrap(),
            4 => {
                let mut stream = dial(self.tls);
                stream.write_all(b"GET / HTTP/1.0\r\n\r\n").unwrap();
                // It is told that this is no TLS.
                let _ = stream.read_to_end(&mut Vec::new());
            }
            5 => {
                let _ = dial(self.nowhere).read(&mut [0]);
            }
            6 => reset(dial(self.plain)),
            7 => drop(dial(self.plain)),
            _ => talk(dial(self.plain)),
        }
    }
}

#[test]
fn over_ten_thousand_connections() {
    come_and_go(10_000);
}

#[test]
fn over_a_million_connections() {
    if levada_testkit::skip::slow_runs("over_a_million_connections") {
        come_and_go(1_000_000);
    }
}

fn come_and_go(connections: usize) {
    let pki = Pki::new();
    let nobody = free();
    let nobody = format!("tcp://{nobody}");
    let any = "127.0.0.1:0";
    let (tcp, tls) = (format!("tcp://{any}"), format!("tls://{any}"));
    let listen = ["--listen", &tcp, "--listen", &tls, "--listen", &tcp];
    let to = ["--to", "echo:", "--to", "echo:", "--to", &nobody, "--cert", &pki.localhost];
    let mut serve = Serve::start(listen.iter().chain(&to));
    let url = format!("tls://{}?ca={}", serve.nth(1), pki.ca);
    let doors = Arc::new(Doors {
        plain: serve.nth(0),
        tls: serve.nth(1),
        nowhere: serve.nth(2),
        dialer: Dialer::new(&url.parse().unwrap()).unwrap(),
    });

    let mut held = || {
        // What is opened once, such as the runtime's threads, is opened within the first tenth.
        visit_all(&doors, connections / 10, &mut serve);
        (serve.descriptors(), serve.memory())
    };
    let (descriptors, memory) = held();
    for _ in 1..10 {
        let now = held();
        assert_eq!(now.0, descriptors);
        assert!(now.1 <= memory + SLACK, "{} bytes after {memory}", now.1);
    }
}

/// Waits until each of them has ended.
fn visit_all(doors: &Arc<Doors>, count: usize, serve: &mut Serve) {
    // Whoever visits stays so close to the log that none of its lines is lost.
    let (visit, visits) = sync_channel(AHEAD);
    let visitors = (0..THREADS).map(|thread| {
        let (doors, visit) = (Arc::clone(doors), visit.clone());
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let runtime = runtime.unwrap();
            for number in (thread..count).step_by(THREADS) {
                visit.send(()).unwrap();
                doors.visit(number, &runtime);
            }
        })
    });
    let visitors: Vec<_> = visitors.collect();
    for _ in 0..count {
        let record = serve.next("ended");
        assert_eq!(record.get("lost_lines"), None);
        visits.recv().unwrap();
    }
    for visitor in visitors {
        visitor.join().unwrap();
    }
}
