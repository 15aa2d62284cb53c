//! A signal stops the listening, and nothing else: streams end by themselves, within the deadline.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, TcpStream};

use rustix::process::Signal;

use crate::harness::{Backend, Pki, Record, Serve, WebSocket, assert_same, connect, digits};

fn last(records: &[Record]) -> &Record {
    records.last().expect("it says that it has stopped")
}

/// A client whose first byte has gone through and back.
fn under_way(serve: &Serve) -> TcpStream {
    let mut stream = serve.dial();
    let mut byte = [0];
    stream.write_all(b"a").unwrap();
    stream.read_exact(&mut byte).unwrap();
    stream
}

#[test]
fn of_streams_that_are_under_way() {
    let pki = Pki::new();
    let mut serve = Serve::start([
        "--listen",
        "tcp://127.0.0.1:0",
        "--listen",
        "tls://127.0.0.1:0",
        "--cert",
        &pki.localhost,
        "--to",
        "echo:",
    ]);
    let plain: Vec<TcpStream> = (0..20).map(|_| under_way(&serve)).collect();
    let url = format!("tls://{}", serve.nth(1));
    let mut secure = connect(&url, ["--ca", &pki.ca]).start();
    secure.write(b"a");
    secure.stdout.take(1);

    serve.process.signal(Signal::TERM);
    assert_eq!(serve.next("draining")["streams"], 21);

    let wanted = digits(500_000);
    for mut stream in plain {
        let mut writer = stream.try_clone().unwrap();
        let bytes = wanted.clone();
        let writing = std::thread::spawn(move || {
            writer.write_all(&bytes).unwrap();
            writer.shutdown(Shutdown::Write).unwrap();
        });
        let mut got = Vec::new();
        stream.read_to_end(&mut got).unwrap();
        writing.join().unwrap();
        assert_same(&got, &wanted);
    }
    let feeding = secure.feed(wanted.clone());
    assert_same(&secure.stdout.take(wanted.len()), &wanted);
    drop(feeding.join().unwrap());
    assert_eq!(secure.wait().code(), 0);

    let (code, records) = serve.wait();
    assert_eq!((code, &last(&records)["cut"]), (0, &0.into()));
    assert_eq!(records.iter().filter(|record| record["event"] == "ended").count(), 21);
}

#[test]
fn of_clients_who_have_come_and_are_not_accepted_yet() {
    let serve = Serve::start(["--listen", "tcp://127.0.0.1:0", "--to", "echo:"]);
    // The kernel opens connections for a process that stands still.
    serve.process.signal(Signal::STOP);
    let clients: Vec<TcpStream> = (0..50).map(|_| serve.dial()).collect();
    for mut client in &clients {
        client.write_all(b"hello").unwrap();
        client.shutdown(Shutdown::Write).unwrap();
    }
    serve.process.signal(Signal::TERM);
    serve.process.signal(Signal::CONT);
    for mut client in clients {
        let mut got = String::new();
        client.read_to_string(&mut got).unwrap();
        assert_eq!(got, "hello");
    }
    let (code, records) = serve.wait();
    assert_eq!((code, &last(&records)["cut"]), (0, &0.into()));
}

#[test]
fn new_clients_are_refused_while_it_drains() {
    let mut serve = Serve::start(["--listen", "tcp://127.0.0.1:0", "--to", "echo:"]);
    let mut stream = under_way(&serve);
    serve.process.signal(Signal::INT);
    serve.next("draining");
    // The listener is closed a moment after that: until then the kernel still answers.
    let refused = std::iter::repeat_with(|| TcpStream::connect(serve.address()))
        .find_map(Result::err)
        .expect("it closes");
    // Whoever is half-way in at that moment is reset.
    let expected = [ErrorKind::ConnectionRefused, ErrorKind::ConnectionReset];
    assert!(expected.contains(&refused.kind()), "{refused}");
    // The stream that was there goes on meanwhile.
    let mut byte = [0];
    stream.write_all(b"b").unwrap();
    stream.read_exact(&mut byte).unwrap();
    assert_eq!(&byte, b"b");
    stream.shutdown(Shutdown::Write).unwrap();
    assert_eq!(stream.read(&mut byte).unwrap(), 0);
    assert_eq!(serve.wait().0, 0);
}

#[test]
fn what_outlives_the_deadline_is_cut_and_told() {
    let (pki, backend) = (Pki::new(), Backend::new());
    let mut serve = Serve::start([
        "--listen",
        "tls://127.0.0.1:0",
        "--cert",
        &pki.localhost,
        "--to",
        &backend.url(),
        "--drain",
        "200ms",
    ]);
    let client = connect(&serve.tls_url(), ["--ca", &pki.ca]).start();
    let mut server = backend.accept();
    serve.process.signal(Signal::TERM);
    // Neither side can take it for a clean end.
    assert!(server.read(&mut [0]).is_err());
    assert_eq!(client.wait().code(), 3);
    let record = serve.next("ended");
    assert_eq!((&record["cut"], &record["client"]["code"]), (&true.into(), &"aborted".into()));
    let (code, records) = serve.wait();
    assert_eq!((code, &last(&records)["cut"]), (3, &1.into()));
}

/// A Close frame with 1001 would be a clean end.
#[test]
fn nor_can_a_websocket_take_it_for_a_clean_end() {
    let backend = Backend::new();
    let mut serve =
        Serve::start(["--listen", "ws://127.0.0.1:0", "--to", &backend.url(), "--drain", "200ms"]);
    let mut client = WebSocket::open(serve.address(), "/");
    let ours = connect(&format!("ws://{}", serve.address()), [""; 0]).start();
    let servers = [backend.accept(), backend.accept()];
    serve.process.signal(Signal::TERM);
    assert_eq!(client.rest(), (Vec::new(), Some(1011)));
    for mut server in servers {
        assert!(server.read(&mut [0]).is_err());
    }
    let ours = ours.wait();
    assert_eq!((ours.code(), &*ours.ending()), (3, "ws_close"), "{}", ours.stderr);
    assert_eq!(serve.next("ended")["client"]["code"], "aborted");
    assert_eq!(serve.wait().0, 3);
}

#[test]
fn the_second_signal_stops_at_once() {
    let mut serve =
        Serve::start(["--listen", "tcp://127.0.0.1:0", "--to", "echo:", "--drain", "off"]);
    let _stream = under_way(&serve);
    serve.process.signal(Signal::TERM);
    serve.next("draining");
    let (code, records) = serve.stop();
    assert_eq!((code, &last(&records)["cut"]), (3, &1.into()));
}
