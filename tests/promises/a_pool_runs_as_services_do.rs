//! A pool works alone, and what it prints works when it is pasted; a service manager may open its
//! socket, and hears when it can be used and when it stops; a reload counts from the next handshake on;
//! a stop lets sessions end. Where descriptors are few it says so to whoever is too many.

use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixDatagram;

use levada_pool::wire::body::Ping;
use levada_pool::wire::{ErrorCode, Message};
use levada_testkit::skip::slow_runs;
use rustix::process::Signal;

use crate::harness::{
    Backend, Command, Folder, PATIENCE, Pki, Pool, Running, Serve, compile_client, levada,
};

#[test]
fn alone_it_works_as_printed() {
    let folder = Folder::new();
    // A path that a shell would take apart.
    let home = folder.path().join("it's a $HOME");
    std::fs::create_dir(&home).unwrap();
    let mut pool =
        levada(["pool"]).env("XDG_RUNTIME_DIR", &home).env("XDG_STATE_HOME", &home).start();
    let mut text = String::new();
    while !text.contains("Ctrl-C") {
        text.push_str(&pool.stdout.line().expect("it prints commands"));
        text.push('\n');
    }
    let socket = home.join("levada/pool.sock");
    assert_eq!(std::fs::metadata(&socket).unwrap().permissions().mode() & 0o777, 0o600);
    let binary = levada([""; 0]).words().remove(0).into_string().unwrap();
    let commands: Vec<_> = text.lines().filter_map(|line| line.strip_prefix("  levada ")).collect();
    let [serve, connect] = commands[..] else { panic!("{text}") };
    let start =
        |words: &str| Command::new("sh").args(["-c", &format!("exec '{binary}' {words}")]).start();

    // Another program may have the port.
    let mut serve = start(&format!("{} --log json", serve.replace("8443", "0")));
    let listening: serde_json::Value = serde_json::from_str(&serve.stderr.line().unwrap()).unwrap();
    let (_, port) = listening["on"].as_str().unwrap().rsplit_once(':').unwrap();
    let mut client = start(&connect.replace("8443", port));
    client.write(b"hello\n");
    assert_eq!(client.stdout.take(6), b"hello\n");
    assert_eq!(client.finish().code(), 0);
    pool.signal(Signal::INT);
    assert_eq!(pool.wait().code(), 0);
    assert!(!socket.exists(), "it removes what it has made");
}

/// Passes a socket as systemd does: as descriptor 3, for the process of this number.
const MANAGER: &str = "
import os, socket, sys
passed = socket.socket(socket.AF_UNIX)
passed.bind(sys.argv[1])
passed.listen()
os.dup2(passed.fileno(), 3)
os.set_inheritable(3, True)
os.environ['LISTEN_FDS'] = '1'
os.environ['LISTEN_PID'] = str(os.getpid())
os.execv(sys.argv[2], sys.argv[2:])
";

#[test]
fn a_service_manager_opens_its_socket_and_hears_of_it() {
    let pki = Pki::new();
    let folder = pki.folder.path();
    let told = UnixDatagram::bind(folder.join("notify")).unwrap();
    told.set_read_timeout(Some(PATIENCE)).unwrap();
    let hear = || {
        let mut room = [0; 256];
        let count = told.recv(&mut room).unwrap();
        String::from_utf8_lossy(&room[..count]).into_owned()
    };
    let socket = folder.join("passed.sock").to_str().unwrap().to_owned();
    let policy = Pool::policy(&pki);
    let pool = Command::new("python3")
        .args(["-c", MANAGER, &socket])
        .args(levada(["pool", "--config", &policy]).words())
        .env("NOTIFY_SOCKET", folder.join("notify"))
        .start();
    assert!(hear().contains("READY=1"));
    let pinged = levada(["pool", "ping", "--socket", &socket]).run(b"");
    assert_eq!(pinged.code(), 0, "{}", pinged.stderr);
    pool.signal(Signal::TERM);
    assert!(hear().contains("STOPPING=1"));
    let finished = pool.wait();
    assert_eq!(finished.code(), 0, "{}", finished.stderr);
    assert!(std::path::Path::new(&socket).exists(), "it is the manager's");
}

/// A client of the pool whose session is there, and answers.
fn protected(pool: &Pool, program: &str, port: u16) -> Running {
    let mut client = pool.client(program, port, "localhost").start();
    assert_eq!(client.stderr.line().as_deref(), Some("protected, with localhost"));
    answers(&mut client);
    client
}

#[track_caller]
fn answers(client: &mut Running) {
    client.write(b"hello");
    assert_eq!(client.stdout.take(5), b"hello");
}

#[test]
fn a_reload_revokes_whoever_comes_next() {
    let pki = Pki::new();
    let list = pki.crl("list.pem", &[]);
    let mut pool = Pool::start(&pki);
    let server = Serve::tls(&pki, "echo:");
    let port = server.address().port();
    let program = compile_client(&pki);
    let mut before = protected(&pool, &program, port);

    let path = Pool::policy(&pki);
    let policy = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, format!("crl = [\"{list}\"]\n{policy}")).unwrap();
    pool.process.signal(Signal::HUP);
    pool.hear("the policy was reloaded");
    drop(protected(&pool, &program, port));

    // The list alone changes.
    pki.crl("list.pem", &[Pki::LOCALHOST]);
    pool.process.signal(Signal::HUP);
    pool.hear("the policy was reloaded");
    let refused = pool.client(&program, port, "localhost").run(b"");
    assert_eq!(refused.code(), 1);
    assert!(refused.stderr.contains("did not complete the TLS handshake"), "{}", refused.stderr);

    // What is wrong changes nothing.
    std::fs::write(&path, "anchors = 7\n").unwrap();
    pool.process.signal(Signal::HUP);
    pool.hear("the old policy stays in force");
    answers(&mut before);
    assert_eq!(before.finish().code(), 0);
}

#[test]
fn a_file_that_changes_is_noticed() {
    if !slow_runs("a_file_that_changes_is_noticed") {
        return;
    }
    let pki = Pki::new();
    let mut pool = Pool::start(&pki);
    // As a renewal does it: nobody is told.
    let renewed = pki.identity("localhost.pem", &["localhost"], |_| {});
    pool.hear("the policy was reloaded");
    std::fs::write(renewed, "no certificate").unwrap();
    pool.hear("the old policy stays in force");
    let pinged = levada(["pool", "ping", "--socket", &pool.socket]).run(b"");
    assert_eq!(pinged.code(), 0);
}

#[test]
fn a_stop_lets_sessions_end() {
    let pki = Pki::new();
    let mut pool = Pool::start(&pki);
    let server = Serve::tls(&pki, "echo:");
    let mut client = protected(&pool, &compile_client(&pki), server.address().port());
    pool.process.signal(Signal::TERM);
    pool.hear("no clients are accepted any more");
    answers(&mut client);
    assert_eq!(client.finish().code(), 0);
    assert_eq!(pool.process.wait().code(), 0);
}

#[test]
fn with_few_descriptors_it_refuses_and_lives() {
    let pki = Pki::new();
    let pool = Pool::start_within(&pki, "-n 200");
    let silent = Backend::new();
    let mut speaker = pool.speaker();
    let mut held = Vec::new();
    let refused = loop {
        let near = TcpStream::connect(silent.address).unwrap();
        let asked = speaker.ask_for_tls(&near, false, 100 + held.len() as u8);
        // Answered at once, and a handshake with a silent peer is not.
        speaker.ask(Message::Ping(Ping::default()), None);
        let first = speaker.hear();
        held.push((near, silent.accept()));
        if first.request == asked {
            break first.message;
        }
    };
    let Message::Error(failure) = refused else { panic!("{refused:?}") };
    assert_eq!(failure.number.code(), Some(ErrorCode::OutOfMemory));
    // It is the descriptors: a connection may have 64 questions out.
    assert!((40..60).contains(&held.len()), "{}", held.len());
    assert!(matches!(speaker.hear().message, Message::Ping(_)));

    // With them gone it is as it was.
    drop((speaker, held));
    while !levada(["pool", "sessions", "--socket", &pool.socket]).run(b"").stdout.is_empty() {}
    let server = Serve::tls(&pki, "echo:");
    let program = compile_client(&pki);
    let again = protected(&pool, &program, server.address().port()).finish();
    assert_eq!(again.code(), 0, "{}", again.stderr);
}
