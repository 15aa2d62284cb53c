//! A pool, a client of it, or the peer that is killed (SIGKILL) harms nobody else: what was under way
//! ends with a type and never as a clean end, and what comes next works.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;

use rustix::process::Signal;

use crate::harness::{Backend, PATIENCE, Pki, Pool, Serve, Server, connect};

#[test]
fn streams_end_and_the_next_ones_find_the_new_pool() {
    let pki = Pki::new();
    let pool = Pool::start(&pki);
    let mut serve = Serve::start(["--listen", &pool.url("127.0.0.1:0"), "--to", "echo:"]);
    let address = format!("tls://{}", serve.address());
    let mut clients: Vec<_> = (0..8)
        .map(|_| {
            let mut client = connect(&address, ["--ca", &pki.ca]).start();
            client.write(b"hello");
            assert_eq!(client.stdout.take(5), b"hello");
            client
        })
        .collect();
    pool.process.signal(Signal::KILL);
    for client in &mut clients {
        // Its peer's transport ended without a close_notify.
        client.join();
    }
    for _ in &clients {
        let record = serve.next("ended");
        assert_eq!(record["client"]["clean"], false, "{record}");
        assert_eq!(record["client"]["blame"], "local", "{record}");
    }
    for client in clients {
        let finished = client.finish();
        assert_eq!(finished.ending(), "ERR_TLS_SOCKET_CLOSE");
        assert_eq!(finished.code(), 3);
    }
    drop(pool);
    let _again = Pool::start(&pki);
    let finished = connect(&address, ["--ca", &pki.ca]).run(b"again");
    assert_eq!((finished.code(), &finished.stdout[..]), (0, &b"again"[..]));
}

/// The states of the message flow in which a client can be killed: how far it takes its STARTTLS.
#[test]
fn a_client_at_any_state_costs_only_itself() {
    let pki = Pki::new();
    let pool = Pool::start(&pki);
    let server = Serve::tls(&pki, "echo:");
    let silent = Backend::new();
    let mut bystander = pool.speaker();
    let far = std::net::TcpStream::connect(server.address()).unwrap();
    bystander.ask_for_tls(&far, false, 1);
    let mut plain = bystander.finish_tls();

    // In the middle of a packet.
    let mut killed = pool.speaker();
    killed.stream.write_all(&[0; 100]).unwrap();
    drop(killed);
    // While the pool shakes hands with a peer who says nothing.
    let mut killed = pool.speaker();
    let near = std::net::TcpStream::connect(silent.address).unwrap();
    killed.ask_for_tls(&near, false, 2);
    let mut far = silent.accept();
    drop((killed, near));
    // The pool gives the connection up: the peer sees its end behind the hello.
    far.set_read_timeout(Some(PATIENCE)).unwrap();
    let _ = far.read_to_end(&mut Vec::new());
    // While the pool waits for the plaintext socket.
    let mut killed = pool.speaker();
    let near = std::net::TcpStream::connect(server.address()).unwrap();
    killed.ask_for_tls(&near, false, 3);
    assert!(matches!(killed.hear().message, levada_pool::wire::Message::PlaintextConnect(_)));
    drop((killed, near));
    // While it is protected.
    let mut killed = pool.speaker();
    let near = std::net::TcpStream::connect(server.address()).unwrap();
    killed.ask_for_tls(&near, false, 4);
    let mut orphan = killed.finish_tls();
    drop((killed, near));
    // Nothing is left for it: its session ends.
    let _ = orphan.read_to_end(&mut Vec::new());

    assert_alive(&mut bystander, &mut plain);
}

fn assert_alive(speaker: &mut crate::harness::Speaker, plain: &mut UnixStream) {
    let asked = speaker.ask(levada_pool::wire::Message::Ping(Default::default()), None);
    assert_eq!(speaker.hear().request, asked);
    plain.write_all(b"alive\n").unwrap();
    let mut answer = [0; 6];
    plain.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"alive\n");
}

#[test]
fn the_peer_is_named_as_the_one_who_ended_it() {
    let pki = Pki::new();
    let pool = Pool::start(&pki);
    let server = Server::reversing(&pki, "-tls1_3");
    let url = pool.url(format_args!("localhost:{}", server.address.port()));
    let mut client = connect(&url, [""; 0]).start();
    client.write(b"hello\n");
    assert_eq!(client.stdout.take(6), b"olleh\n");
    server.process.signal(Signal::KILL);
    let finished = client.wait();
    let ended = finished.ended();
    assert_eq!((&ended["clean"], &ended["blame"]), (&false.into(), &"peer".into()), "{ended}");
    assert_eq!(finished.code(), 3);
}
