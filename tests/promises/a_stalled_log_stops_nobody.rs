//! Whoever reads the log may stall: streams go on, and the lines that are lost are counted.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Shutdown, TcpStream};

use crate::harness::levada;

/// More than a pipe and the log's own queue hold.
const CLIENTS: usize = 4500;

#[test]
fn of_those_who_come_and_go() {
    let (reader, writer) = std::io::pipe().unwrap();
    let args = ["serve", "--listen", "tcp://127.0.0.1:0", "--to", "echo:", "--log", "json"];
    let serve = levada(args).stderr(writer).start();
    let mut log = BufReader::with_capacity(1, reader);
    let mut line = String::new();
    log.read_line(&mut line).unwrap();
    let record: serde_json::Value = serde_json::from_str(&line).unwrap();
    let address = record["on"].as_str().unwrap().strip_prefix("tcp://").unwrap();

    let talk = || {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.write_all(b"hello").unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let mut got = Vec::new();
        stream.read_to_end(&mut got).unwrap();
        assert_eq!(got, b"hello");
    };
    (0..CLIENTS).for_each(|_| talk());

    // Now somebody reads again: every stream is told or counted.
    let mut told = 0;
    let mut lost = 0;
    let mut line = String::new();
    let mut ended = |log: &mut BufReader<std::io::PipeReader>| {
        line.clear();
        let count = log.read_line(&mut line).unwrap();
        if count == 0 {
            return None;
        }
        let record: serde_json::Value = serde_json::from_str(&line).unwrap();
        lost += record["lost_lines"].as_u64().unwrap_or_default();
        told += u64::from(record["event"] == "ended");
        Some((told, lost))
    };
    for _ in 0..4096 {
        ended(&mut log);
    }
    talk();
    serve.signal(rustix::process::Signal::TERM);
    let mut sums = (0, 0);
    while let Some(now) = ended(&mut log) {
        sums = now;
    }
    assert!(sums.1 > 0, "the queue was never full");
    assert_eq!(sums.0 + sums.1, CLIENTS as u64 + 1);
    assert_eq!(serve.wait().code(), 0);
}
