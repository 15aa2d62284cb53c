//! A program in C or C++ has TLS by the pool through a header and a library: one call after another, or in an
//! event loop, with many sessions at once; nothing leaks, and a pool that goes away is an error with a type.

use std::net::SocketAddr;
use std::path::Path;

use levada::{Anchors, Carrier, Options, SessionName, Socket, TlsClient};
use levada_testkit::docs::workspace_root;
use rustix::process::Signal;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::task::JoinSet;

use crate::harness::{C, CPP, CProgram, Client, Command, Folder, Pki, Pool, Running, Server};

/// What a client sends, and what the peer answers: each line reversed.
const SENT: &[u8] = b"hello\nworld\n";
const ANSWER: &[u8] = b"olleh\ndlrow\n";

const STARTTLS: CProgram<'static> =
    CProgram { source: "examples/starttls", language: C, words: &[], libraries: &[] };
const UV_ECHO: CProgram<'static> =
    CProgram { source: "examples/uv_echo", language: C, words: &[], libraries: &["-luv"] };

const EVERY_FUNCTION: CProgram<'static> = CProgram { source: "tests/every_function", ..STARTTLS };
/// What has the compiler look after memory and values as the program runs.
const SANITIZE: &[&str] = &["-fsanitize=address,undefined", "-fno-sanitize-recover=all"];

/// A command that runs a program, and ends in failure where it used memory wrongly, or lost some.
const VALGRIND: [&str; 5] = [
    "valgrind",
    "--quiet",
    "--error-exitcode=99",
    "--leak-check=full",
    "--errors-for-leak-kinds=definite,indirect,possible",
];

/// Has a client speak with OpenSSL, and be refused by it for its name.
fn speak(command: &[&str]) {
    let pki = Pki::new();
    let pool = Pool::start(&pki);
    let server = Server::start(&pki, "-tls1_3", &["-rev", "-alpn", "http/1.1"]);
    let port = server.address.port().to_string();
    let run = |name: &str| {
        let words = command[1..].iter().copied();
        Command::new(command[0]).args(words).args([&pool.socket, "127.0.0.1", &port, name])
    };
    let mut client = run("localhost").start();
    client.write(SENT);
    assert_eq!(client.stderr.line().unwrap(), "protected, with localhost");
    assert_eq!(client.stdout.take(ANSWER.len()), ANSWER);
    let finished = client.finish();
    assert_eq!(finished.code(), 0, "{}", finished.stderr);
    let told = &finished.stderr;
    assert!(told.contains("1.3 with TLS_AES_") && told.contains("alpn http/1.1: whole"), "{told}");

    let refused = run("other.example").run(b"");
    assert_eq!(refused.code(), 1, "{}", refused.stderr);
    assert!(refused.stderr.contains("other.example"), "{}", refused.stderr);
}

#[test]
fn one_call_after_another_in_c_and_in_cpp() {
    for language in [C, CPP] {
        let folder = Folder::new();
        speak(&[&CProgram { language, ..STARTTLS }.compile(&folder)]);
    }
}

#[test]
fn one_call_after_another_with_every_byte_accounted_for() {
    let folder = Folder::new();
    let program = STARTTLS.compile(&folder);
    speak(&[&VALGRIND[..], &[&program]].concat());
    speak(&[&CProgram { words: SANITIZE, ..STARTTLS }.compile(&folder)]);
}

/// Has every function do what it should, and refuse what it should not do.
fn use_all(command: &[&str]) {
    let pki = Pki::new();
    let pool = Pool::start(&pki);
    let server = Server::reversing(&pki, "-tls1_3");
    let port = server.address.port().to_string();
    let words = command[1..].iter().copied();
    let done = Command::new(command[0]).args(words).args([&pool.socket, &port]).run(b"");
    assert_eq!((done.code(), &done.stdout[..]), (0, &b"all of it\n"[..]), "{}", done.stderr);
}

#[test]
fn there_are_fewer_than_fifteen_functions() {
    let header = workspace_root().join("bindings/c/include/levada_pool.h");
    let header = std::fs::read_to_string(header).unwrap();
    let is_function = |line: &&str| {
        let code = line.split('(').next().unwrap_or_default();
        !line.starts_with([' ', '#', '/']) && line.contains('(') && code.contains("levada_pool_")
    };
    assert_eq!(header.lines().filter(is_function).count(), 14);
}

#[test]
fn every_function_does_what_the_header_says() {
    for language in [C, CPP] {
        let folder = Folder::new();
        use_all(&[&CProgram { language, ..EVERY_FUNCTION }.compile(&folder)]);
    }
}

#[test]
fn every_function_with_every_byte_accounted_for() {
    let folder = Folder::new();
    let program = EVERY_FUNCTION.compile(&folder);
    use_all(&[&VALGRIND[..], &["--track-fds=yes", &program]].concat());
    use_all(&[&CProgram { words: SANITIZE, ..EVERY_FUNCTION }.compile(&folder)]);
}

/// The server on libuv, and its port.
fn echo(command: &[&str], pool: &Pool) -> (Running, SocketAddr) {
    let words = command[1..].iter().copied();
    let mut server = Command::new(command[0]).args(words).args([&pool.socket]).start();
    let line = server.stdout.line().expect("it tells its port");
    let port = line.strip_prefix("port ").expect("it tells its port").parse().unwrap();
    (server, SocketAddr::from(([127, 0, 0, 1], port)))
}

/// TLS to the server, established.
async fn protected(tls: &TlsClient, address: SocketAddr) -> Socket {
    let network = std::net::TcpStream::connect(address).unwrap();
    let session = tls.session(&SessionName::new("localhost").unwrap()).unwrap();
    let carrier = Carrier::from_fd(network.into()).unwrap();
    let mut stream = Socket::adopt(carrier, session, Options::default());
    stream.established().await.unwrap();
    stream
}

fn client_of(pki: &Pki) -> TlsClient {
    let ca = std::fs::read(Path::new(&pki.ca)).unwrap();
    let anchors = Anchors::from_pem(&ca).unwrap();
    TlsClient::builder().anchors(anchors).alpn([b"echo".to_vec()]).build().unwrap()
}

/// Sixty-four sessions at once, each of which ends as it should, and one of OpenSSL.
fn crowd(command: &[&str]) {
    let pki = Pki::new();
    let pool = Pool::start(&pki);
    let (server, address) = echo(command, &pool);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let tls = client_of(&pki);
        let mut opening = JoinSet::new();
        for _ in 0..64 {
            let tls = tls.clone();
            opening.spawn(async move { protected(&tls, address).await });
        }
        let mut streams = opening.join_all().await;
        for (number, stream) in streams.iter_mut().enumerate() {
            let alpn = stream.facts().tls.and_then(|tls| tls.alpn.clone());
            assert_eq!(alpn.as_deref(), Some("echo"));
            stream.write_all(format!("{number:04}").as_bytes()).await.unwrap();
            stream.flush().await.unwrap();
        }
        for (number, stream) in streams.iter_mut().enumerate() {
            let mut back = [0; 4];
            stream.read_exact(&mut back).await.unwrap();
            assert_eq!(back, format!("{number:04}").as_bytes());
        }
        for stream in &mut streams {
            stream.shutdown().await.unwrap();
            assert_eq!(stream.read(&mut [0; 1]).await.unwrap(), 0);
        }
    });
    let mut openssl = Client::start(&pki, address, "-tls1_2", &[]);
    openssl.write(b"from openssl\n");
    assert_eq!(openssl.stdout.take(13), b"from openssl\n");
    assert_eq!(openssl.finish().code(), 0);

    let finished = server.finish();
    let told = String::from_utf8(finished.stdout.clone()).unwrap();
    assert_eq!(finished.code(), 0, "{told}{}", finished.stderr);
    let count = |what: &str| told.lines().filter(|line| *line == what).count();
    assert_eq!(count("protected as localhost"), 65, "{told}");
    assert_eq!(count("most at once: 64"), 1, "{told}");
    assert_eq!(count("ended: cut off"), 0, "{told}");
}

#[test]
fn many_sessions_at_once_on_libuv() {
    let folder = Folder::new();
    crowd(&[&UV_ECHO.compile(&folder)]);
}

#[test]
fn many_sessions_at_once_with_every_byte_accounted_for() {
    let folder = Folder::new();
    let program = UV_ECHO.compile(&folder);
    crowd(&[&VALGRIND[..], &[&program]].concat());
    crowd(&[&CProgram { words: SANITIZE, ..UV_ECHO }.compile(&folder)]);
}

#[test]
fn the_loop_of_cpp_has_it_as_well() {
    let folder = Folder::new();
    crowd(&[&CProgram { language: CPP, ..UV_ECHO }.compile(&folder)]);
}

#[test]
fn a_pool_that_goes_away_is_told_and_the_next_one_is_found() {
    let (folder, pki) = (Folder::new(), Pki::new());
    let pool = Pool::start(&pki);
    let (mut server, address) = echo(&[&UV_ECHO.compile(&folder)], &pool);
    // A peer that says nothing: its request is under way when the pool ends.
    let silent = std::net::TcpStream::connect(address).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let tls = client_of(&pki);
        let mut stream = protected(&tls, address).await;
        assert_eq!(server.stdout.line().unwrap(), "protected as localhost");
        pool.process.signal(Signal::KILL);
        let failed = server.stdout.line().unwrap();
        assert!(failed.starts_with("failed: 2: the TLS pool went away"), "{failed}");
        // Its peer sees no clean end.
        stream.read(&mut [0; 1]).await.unwrap_err();
        drop((silent, pool));
        let refused = std::net::TcpStream::connect(address).unwrap();
        let mut failed = server.stdout.line().unwrap();
        if failed.starts_with("failed: 2") {
            // What it asked of the session that was cut.
            failed = server.stdout.line().unwrap();
        }
        assert!(failed.starts_with("failed: 1: no TLS pool at "), "{failed}");
        drop(refused);

        let _again = Pool::start(&pki);
        let mut stream = protected(&tls, address).await;
        stream.write_all(b"again").await.unwrap();
        stream.flush().await.unwrap();
        let mut back = [0; 5];
        stream.read_exact(&mut back).await.unwrap();
        assert_eq!(&back, b"again");
    });
    assert_eq!(server.finish().code(), 0);
}
