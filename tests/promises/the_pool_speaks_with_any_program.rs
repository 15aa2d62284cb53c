//! A program in any language that can pass a descriptor is a client of the pool, in a hundred lines and
//! without a library; a program in Rust changes one line.

use std::path::{Path, PathBuf};

use levada_testkit::docs::workspace_root;

use crate::harness::{Command, Pki, Pool, Serve, Server, compile_client, connect, levada};

/// What a client sends, and what the peer answers: each line reversed.
const SENT: &[u8] = b"hello\nworld\n";
const ANSWER: &[u8] = b"olleh\ndlrow\n";

/// Runs a client against a server of OpenSSL's that the pool's authority vouches for.
fn speak(program: &str, words: &[&str]) {
    let pki = Pki::new();
    let pool = Pool::start(&pki);
    let server = Server::reversing(&pki, "-tls1_3");
    let port = server.address.port().to_string();
    let mut client = Command::new(program)
        .args(words)
        .args([&pool.socket, "127.0.0.1", &port, "localhost"])
        .start();
    client.write(SENT);
    drop(client.stdin.take());
    assert_eq!(client.stdout.take(ANSWER.len()), ANSWER);
    assert_eq!(client.stderr.line().unwrap(), "protected, with localhost");

    // Whom the certificate is not for is refused, in words.
    let refused = Command::new(program)
        .args(words)
        .args([&pool.socket, "127.0.0.1", &port, "other.example"])
        .run(b"");
    assert_eq!(refused.code(), 1);
    assert!(
        refused.stderr.contains("TLS Pool did not complete the TLS handshake"),
        "{}",
        refused.stderr
    );
}

#[test]
fn in_c() {
    let source = workspace_root().join("crates/levada-pool/examples/starttls.c");
    let lines = std::fs::read_to_string(&source).unwrap().lines().count();
    assert!(lines < 100, "{lines} lines");
    let pki = Pki::new();
    speak(&compile_client(&pki), &[]);
}

#[test]
fn in_python_with_its_standard_library() {
    let script = workspace_root().join("crates/levada-pool/examples/starttls.py");
    speak("python3", &[script.to_str().unwrap()]);
}

#[test]
fn in_rust_with_one_line_changed() {
    let source = |name: &str| {
        let path = workspace_root().join(format!("crates/levada/examples/{name}.rs"));
        let text = std::fs::read_to_string(path).unwrap();
        let body = text.split_once("async fn main").unwrap().1.replace("hello_by_pool", "hello");
        body.lines().map(str::to_owned).collect::<Vec<_>>()
    };
    let (before, after) = (source("hello"), source("hello_by_pool"));
    assert_eq!(before.len(), after.len());
    let changed = before.iter().zip(&after).filter(|(before, after)| before != after).count();
    assert_eq!(changed, 1);

    let pki = Pki::new();
    let pool = Pool::start(&pki);
    let server = Serve::tls(&pki, "echo:");
    let address = server.address().to_string();
    let run = |name: &str, variable: &str, value: &str| {
        let words = [address.as_str(), "localhost"];
        let finished =
            Command::new(example("levada", name)).args(words).env(variable, value).run(b"");
        assert_eq!(finished.code(), 0, "{name}: {}", finished.stderr);
        (finished.stdout, finished.stderr.split_once(' ').unwrap().0.to_owned())
    };
    let before = run("hello", "SSL_CERT_FILE", &pki.ca);
    let after = run("hello_by_pool", "LEVADA_POOL", &pool.socket);
    assert_eq!((before.0.as_slice(), before.1.as_str()), (&b"hello\n"[..], "finished"));
    assert_eq!(before, after);
}

#[test]
fn in_rust_without_a_runtime() {
    let pki = Pki::new();
    let pool = Pool::start(&pki);
    let server = Serve::tls(&pki, "echo:");
    let words = [&server.address().to_string(), "localhost"];
    let program = Command::new(example("levada-pool", "hello_blocking")).args(words);
    let finished = program.env("LEVADA_POOL", &pool.socket).run(b"");
    assert_eq!(finished.code(), 0, "{}", finished.stderr);
    assert_eq!(finished.stdout, b"hello\n");
}

/// An example of one of the libraries, which is built with the workspace's tests and lies beside the command.
fn example(package: &str, name: &str) -> PathBuf {
    let command = levada([""; 0]).words().remove(0);
    let built = Path::new(&command).with_file_name("examples").join(name);
    if !built.exists() {
        let words = ["build", "--quiet", "--package", package, "--example", name];
        let profile = built.ancestors().nth(2).unwrap().file_name().unwrap();
        let profile = if profile == "debug" { "dev".as_ref() } else { profile };
        let cargo = Command::new(env!("CARGO")).args(words).args(["--profile".as_ref(), profile]);
        let finished = cargo.run(b"");
        assert_eq!(finished.code(), 0, "{}", finished.stderr);
    }
    built
}

#[test]
fn by_an_address_of_levada() {
    let pki = Pki::new();
    let pool = Pool::start(&pki);
    let server = Server::reversing(&pki, "-tls1_2");
    let url = pool.url(format_args!("localhost:{}", server.address.port()));
    let finished = connect(&url, ["-v"]).run(b"hello\n");
    assert_eq!(finished.stdout, b"olleh\n");
    assert!(finished.stderr.contains("\"1.2\""), "{}", finished.stderr);
}

#[test]
fn and_answers_who_it_is() {
    let pki = Pki::new();
    let pool = Pool::start(&pki);
    let told = levada(["pool", "ping", "--socket", &pool.socket]).run(b"");
    let text = String::from_utf8(told.stdout).unwrap();
    assert_eq!(told.status.code(), Some(0));
    assert!(text.contains(&pool.socket) && text.contains("with STARTTLS\n"), "{text}");
    let nobody = levada(["pool", "ping", "--socket", "/nonexistent/pool.sock"]).run(b"");
    assert_eq!(nobody.code(), 1);
    assert!(nobody.stderr.contains("no TLS pool at /nonexistent/pool.sock"), "{}", nobody.stderr);
}

#[test]
fn and_runs_a_command_that_finds_it() {
    let pki = Pki::new();
    let state = pki.folder.path().to_str().unwrap();
    let script =
        "test -S \"$LEVADA_POOL\" && grep -q \"$LEVADA_POOL\" \"$TLSPOOL_CONFIG_FILE\" && exit 7";
    let ran = levada(["pool", "run", "--", "sh", "-c", script])
        .env("XDG_STATE_HOME", state)
        .env("XDG_RUNTIME_DIR", state)
        .run(b"");
    assert_eq!(ran.code(), 7, "{}", ran.stderr);
    let left = std::fs::read_dir(pki.folder.path()).unwrap();
    let left: Vec<_> = left.map(|entry| entry.unwrap().file_name()).collect();
    assert!(!left.iter().any(|name| name.to_string_lossy().contains("pool-")), "{left:?}");
}
