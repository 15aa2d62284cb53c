//! A pool or its peer that is killed (SIGKILL) harms nobody else: what was under way through it ends with a
//! type and never as a clean end, and what comes next works.

use std::io::Read as _;
use std::net::TcpStream;

use levada_pool::wire::{ErrorCode, Facilities};
use levada_pool::{Client, PoolError, TlsRequest, blocking};
use rustix::process::Signal;
use tokio::task::JoinSet;

use crate::harness::{Backend, Pki, Pool, Serve, Server, assert_same, connect, digits};

#[test]
fn streams_end_and_the_next_ones_find_the_new_pool() {
    let pki = Pki::new();
    let pool = Pool::start(&pki);
    let mut serve = Serve::start(["--listen", &pool.relay_url("127.0.0.1:0"), "--to", "echo:"]);
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
    let mut serve = Serve::start(["--listen", &pool.relay_url("127.0.0.1:0"), "--to", "echo:"]);
    let address = format!("tls://{}", serve.address());
    // More than all buffers on the way hold: who is not read from is not done.
    let all = digits(64 << 20);
    let mut clients: Vec<_> = (0..4)
        .map(|_| {
            let (came, stdout) = std::io::pipe().unwrap();
            let mut client = connect(&address, ["--ca", &pki.ca]).stdout(stdout).start();
            let feeding = client.feed(all.clone());
            (client, feeding, came)
        })
        .collect();
    let mut first = vec![0; 1 << 20];
    for (_, _, came) in &mut clients {
        came.read_exact(&mut first).unwrap();
        assert_same(&first, &all[..1 << 20]);
    }
    pool.process.signal(Signal::KILL);
    for (client, feeding, mut came) in clients {
        // All that came is right, and it is no end.
        let (mut rest, begun) = (Vec::new(), &all[1 << 20..]);
        came.read_to_end(&mut rest).unwrap();
        assert!(rest.len() < begun.len(), "{} bytes, and so nobody was cut", rest.len());
        assert_same(&rest, &begun[..rest.len()]);
        assert_eq!(client.wait().code(), 3);
        drop(feeding.join().unwrap());
        let record = serve.next("ended");
        assert_eq!(record["client"]["clean"], false, "{record}");
        assert_eq!(record["client"]["blame"], "local", "{record}");
    }
    drop(pool);
    let _again = Pool::start(&pki);
    let finished = connect(&address, ["--ca", &pki.ca]).run(b"again");
    assert_eq!((finished.code(), &finished.stdout[..]), (0, &b"again"[..]));
}

#[test]
fn requests_under_way_are_told_and_the_next_one_finds_the_new_pool() {
    let pki = Pki::new();
    let pool = Pool::start(&pki);
    let silent = Backend::new();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let client = Client::at(&pool.socket);
        let mut waiting = JoinSet::new();
        let mut far = Vec::new();
        for _ in 0..32 {
            let network = TcpStream::connect(silent.address).unwrap();
            let client = client.clone();
            waiting.spawn(async move {
                let request = TlsRequest::client("localhost").unwrap();
                client.start_tls(network, &request).await.map(drop)
            });
            // The hello has come: the pool has the connection, and waits.
            let mut peer = silent.accept();
            peer.read_exact(&mut [0; 5]).unwrap();
            far.push(peer);
        }
        let alone = blocking::Client::connect(&pool.socket).unwrap();
        pool.process.signal(Signal::KILL);
        while let Some(ended) = waiting.join_next().await {
            assert_eq!(ended.unwrap(), Err(PoolError::Gone));
        }
        let error = alone.ping(Facilities::NONE).unwrap_err();
        assert_eq!((&error, error.code()), (&PoolError::Gone, Some(ErrorCode::ClientDisconnect)));
        drop(pool);
        let _again = Pool::start(&pki);
        client.ping(Facilities::STARTTLS).await.unwrap();
    });
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
