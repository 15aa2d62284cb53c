//! A pool, a client of it, or the peer that is killed (SIGKILL) harms nobody else: what was under way
//! ends with a type and never as a clean end, and what comes next works.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;

use rustix::process::Signal;

use levada_pool::wire::body::Ping;

use crate::harness::{
    Backend, PATIENCE, Pki, Pool, Serve, Server, compile_client, connect, digits,
};

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

#[test]
fn streams_under_load_end_as_bad_ones() {
    let pki = Pki::new();
    let pool = Pool::start(&pki);
    let mut serve = Serve::start(["--listen", &pool.url("127.0.0.1:0"), "--to", "echo:"]);
    let address = format!("tls://{}", serve.address());
    // More than comes through until the pool is killed: nobody is done by then.
    let all = digits(256 << 20);
    let mut clients: Vec<_> = (0..4)
        .map(|_| {
            let mut client = connect(&address, ["--ca", &pki.ca]).start();
            let feeding = client.feed(all.clone());
            (client, feeding)
        })
        .collect();
    for (client, _) in &mut clients {
        assert_eq!(client.stdout.take(1 << 20), all[..1 << 20]);
    }
    pool.process.signal(Signal::KILL);
    for (mut client, feeding) in clients {
        // All that came is right, and it is no end.
        let rest = client.stdout.rest();
        let begun = &all[1 << 20..];
        assert!(rest.len() < begun.len() && rest == begun[..rest.len()]);
        assert_eq!(client.wait().code(), 3);
        drop(feeding.join().unwrap());
        assert_eq!(serve.next("ended")["client"]["clean"], false);
    }
    drop(pool);
    let _again = Pool::start(&pki);
    let finished = connect(&address, ["--ca", &pki.ca]).run(b"again");
    assert_eq!((finished.code(), &finished.stdout[..]), (0, &b"again"[..]));
}

#[test]
fn a_process_that_is_killed_takes_its_session_along() {
    let pki = Pki::new();
    let mut pool = Pool::start(&pki);
    let program = compile_client(&pki);
    let mut server = Serve::tls(&pki, "echo:");
    let silent = Backend::new();
    let start = |port: u16| pool.client(&program, port, "localhost").start();
    let mut bystander = start(server.address().port());
    assert_eq!(bystander.stderr.line().as_deref(), Some("protected, with localhost"));

    let shaking = start(silent.address.port());
    let mut far = silent.accept();
    // The hello has come: the pool has the connection, and waits.
    far.read_exact(&mut [0; 5]).unwrap();
    shaking.signal(Signal::KILL);
    let _ = far.read_to_end(&mut Vec::new());
    let mut talking = start(server.address().port());
    let feeding = talking.feed(digits(64 << 20));
    talking.stdout.take(1 << 20);
    talking.signal(Signal::KILL);
    drop(feeding.join().unwrap());
    // A process that had read all that came ends its Unix socket as one that closes it: only what it
    // leaves unread tells the pool more. So its session ends, cleanly or not.
    server.next("ended");

    bystander.write(b"alive");
    assert_eq!(bystander.stdout.take(5), b"alive");
    assert_eq!(bystander.finish().code(), 0);
    // None is left: the stop waits for nobody.
    pool.process.signal(Signal::TERM);
    pool.hear("stopped, with all sessions ended");
    assert_eq!(pool.process.wait().code(), 0);
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
    let asked = speaker.ask(levada_pool::wire::Message::Ping(Ping::default()), None);
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
