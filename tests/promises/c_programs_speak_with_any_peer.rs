//! Programs in C speak by the pool with OpenSSL and GnuTLS, as TLS clients and as servers; many processes of them
//! at once each get their own; one that is killed (SIGKILL) costs only itself.

use std::net::{SocketAddr, TcpStream};

use levada_testkit::skip::slow_runs;
use rustix::process::Signal;

use crate::harness::{
    C, CProgram, Caller, Command, Folder, Foreign, Host, Pki, Pool, Running, Serve, assert_same,
    raise_open_files,
};

const STARTTLS: CProgram<'static> =
    CProgram { source: "examples/starttls", language: C, words: &[], libraries: &[] };
const UV_ECHO: CProgram<'static> =
    CProgram { source: "examples/uv_echo", libraries: &["-luv"], ..STARTTLS };

/// The client, which asks for localhost.
fn client(program: &str, pool: &Pool, to: SocketAddr) -> Running {
    let port = to.port().to_string();
    Command::new(program).args([&pool.socket, "127.0.0.1", &port, "localhost"]).start()
}

/// The server, and where it listens.
fn server(program: &str, pool: &Pool) -> (Running, SocketAddr) {
    let mut server = Command::new(program).args([&pool.socket]).start();
    let line = server.stdout.line().expect("it tells its port");
    let port = line.strip_prefix("port ").expect("it tells its port").parse().unwrap();
    (server, SocketAddr::from(([127, 0, 0, 1], port)))
}

#[test]
fn in_both_roles() {
    let (folder, pki) = (Folder::new(), Pki::new());
    let pool = Pool::start(&pki);
    let (starttls, uv_echo) = (STARTTLS.compile(&folder), UV_ECHO.compile(&folder));
    let (mut echo, here) = server(&uv_echo, &pool);
    for (program, version) in Foreign::EACH {
        let host = program.server(&pki, version, Host::default());
        let mut client = client(&starttls, &pool, host.address);
        assert_eq!(client.stderr.line().as_deref(), Some("protected, with localhost"));
        client.write(b"hello\n");
        assert_eq!(client.stdout.take(6), host.answer(), "{program:?} {version}");
        let finished = client.finish();
        assert_eq!(finished.code(), 0, "{program:?} {version}: {}", finished.stderr);
        assert!(finished.stderr.starts_with(version), "{}", finished.stderr);
        assert!(finished.stderr.contains(": whole"), "{}", finished.stderr);

        let mut visitor = program.client(&pki, here, version, Caller::default());
        assert!(visitor.is_echoed(), "{program:?} {version}");
        visitor.leave();
        assert_eq!(echo.stdout.line().as_deref(), Some("protected as localhost"));
        assert_eq!(echo.stdout.line().as_deref(), Some("ended: whole"), "{program:?} {version}");
    }
    assert_eq!(echo.finish().code(), 0);
}

/// As many processes, all protected at the same time, each of which gets back what it has sent.
fn crowd(count: usize) {
    raise_open_files();
    let (folder, pki) = (Folder::new(), Pki::new());
    let pool = Pool::start(&pki);
    let echo = Serve::tls(&pki, "echo:");
    let program = STARTTLS.compile(&folder);
    let mut clients: Vec<_> = (0..count).map(|_| client(&program, &pool, echo.address())).collect();
    for client in &mut clients {
        assert_eq!(client.stderr.line().as_deref(), Some("protected, with localhost"));
    }
    assert_eq!(pool.sessions().len(), count, "all at once");
    let words = |number: usize| format!("the words of {number}\n").repeat(999);
    for (number, client) in clients.iter_mut().enumerate() {
        client.write(words(number).as_bytes());
    }
    for (number, client) in clients.into_iter().enumerate() {
        let finished = client.finish();
        assert_eq!(finished.code(), 0, "{}", finished.stderr);
        assert_same(&finished.stdout, words(number).as_bytes());
    }
    assert_eq!(pool.stop().last().unwrap(), "stopped, with all sessions ended");
}

#[test]
fn sixteen_at_once() {
    crowd(16);
}

#[test]
fn sixty_four_at_once() {
    if slow_runs("sixty_four_at_once") {
        crowd(64);
    }
}

#[test]
fn two_hundred_and_fifty_six_at_once() {
    if slow_runs("two_hundred_and_fifty_six_at_once") {
        crowd(256);
    }
}

#[test]
fn and_one_that_is_killed_costs_only_itself() {
    let (folder, pki) = (Folder::new(), Pki::new());
    let mut pool = Pool::start(&pki);
    let program = UV_ECHO.compile(&folder);
    let before = pool.descriptors();
    let ((killed, here), (mut other, there)) = (server(&program, &pool), server(&program, &pool));
    // Both have a session, and a handshake that goes on.
    let silent = [here, there].map(|address| TcpStream::connect(address).unwrap());
    let mut visitors = [here, there].map(|address| {
        let mut visitor = Foreign::GnuTls.client(&pki, address, "1.3", Caller::default());
        assert!(visitor.is_echoed());
        visitor
    });
    while pool.sessions().len() < 4 {}
    killed.signal(Signal::KILL);
    let mut killed = killed;
    killed.join();
    while pool.sessions().len() > 2 {}
    assert!(visitors[1].is_echoed());
    let [gone, visitor] = visitors;
    // It is let go.
    gone.running.finish();
    visitor.leave();
    drop(silent);
    assert_eq!(other.stdout.line().as_deref(), Some("protected as localhost"));
    assert_eq!(other.finish().code(), 0);
    while pool.descriptors() > before {
        std::thread::yield_now();
    }
    pool.process.signal(Signal::TERM);
    pool.hear("stopped, with all sessions ended");
}
