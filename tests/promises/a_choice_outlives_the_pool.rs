//! Who was told once, and told to remember it, whom to be to a server is not asked again: also where the
//! pool was killed since, and in the middle of writing. A disk that is full costs the choice its lasting,
//! and nothing else.

use std::fs::{self, OpenOptions};
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::mpsc;
use std::thread::JoinHandle;

use levada_pool::wire::{Identity, LidentryFlags};
use levada_pool::{Choice, Chooser, TlsRequest, blocking};
use rustix::process::Signal;

use crate::harness::{Command, Foreign, Host, PATIENCE, Pki, Pool, levada};

/// A policy of two users, neither of whom is shown to anybody before somebody says so.
fn policy(pki: &Pki) -> String {
    let Pki { ca, client, .. } = pki;
    format!(
        "anchors = \"{ca}\"\nlidentry-choices = \"choices\"\n\
         [[identity]]\nname = \"a@pool.test\"\ncert = \"{client}\"\n\
         [[identity]]\nname = \"b@pool.test\"\ncert = \"{client}\"\n"
    )
}

/// Says `b@pool.test` to whatever it is asked, and to remember it, where there is no choice yet. Which
/// servers it was asked about comes out.
fn choose(pool: &mut Pool) -> (mpsc::Receiver<Identity>, JoinHandle<()>) {
    let (tell, asked) = mpsc::channel();
    let client = blocking::Client::connect(&pool.socket);
    let choosing = std::thread::spawn(move || {
        let chooser = Chooser::new(PATIENCE).flags(LidentryFlags::SKIP_DBENTRY);
        client.unwrap().serve_identities(chooser, |question| {
            tell.send(question.remote_id).unwrap();
            let local_id = Identity::new("b@pool.test").unwrap();
            Some(Choice { flags: LidentryFlags::DBINSERT, ..Choice::once(local_id) })
        });
    });
    pool.hear("chooses identities from now on");
    (asked, choosing)
}

/// As whom the pool is let in by a server that lets nobody in without a certificate.
#[track_caller]
fn let_in(pki: &Pki, pool: &Pool, program: Foreign) -> String {
    let host = Host { client_ca: Some(&pki.ca), ..Host::default() };
    let server = program.server(pki, "1.3", host);
    let network = TcpStream::connect(server.address).unwrap();
    let client = &mut blocking::Client::connect(&pool.socket).unwrap();
    let request = TlsRequest::client("localhost").unwrap();
    let protected = client.start_tls(network, &request).unwrap();
    let mut plain = std::os::unix::net::UnixStream::from(protected.plain);
    plain.write_all(b"hello\n").unwrap();
    let mut answer = vec![0; server.answer().len()];
    plain.read_exact(&mut answer).unwrap();
    assert_eq!(answer, server.answer());
    protected.local_id.as_str().unwrap().to_owned()
}

#[test]
fn nobody_is_asked_again_after_a_kill() {
    let pki = Pki::new();
    let mut pool = Pool::start_with(&pki, &policy(&pki));
    let (asked, choosing) = choose(&mut pool);
    assert_eq!(let_in(&pki, &pool, Foreign::OpenSsl), "b@pool.test");
    assert_eq!(asked.recv_timeout(PATIENCE).unwrap(), Identity::new("localhost").unwrap());
    pool.hear("\"b@pool.test\" is shown to \"localhost\" from now on");
    pool.process.signal(Signal::KILL);
    drop(pool);
    choosing.join().unwrap();
    // The next choice was on its way when it was killed.
    let path = pki.folder.path().join("choices");
    let mut file = OpenOptions::new().append(true).open(&path).unwrap();
    file.write_all(b"first localhost a@po").unwrap();

    let mut pool = Pool::start_with(&pki, &policy(&pki));
    pool.hear("its last 20 bytes are no whole line, and are left out");
    assert_eq!(let_in(&pki, &pool, Foreign::GnuTls), "b@pool.test", "nobody could be asked");
    let (asked, choosing) = choose(&mut pool);
    assert_eq!(let_in(&pki, &pool, Foreign::OpenSsl), "b@pool.test");
    assert!(asked.try_recv().is_err(), "there is a choice");
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.ends_with("\nfirst localhost b@pool.test\n"), "{text}");
    pool.stop();
    choosing.join().unwrap();

    // What is no choice is told with its place, and nothing is guessed.
    fs::write(&path, text + "first localhost\n").unwrap();
    let config = pki.folder.path().join("own.toml");
    let refused = levada(["pool", "--config", config.to_str().unwrap()]).run(b"");
    assert_eq!(refused.code(), 1);
    let wanted = format!("{}:4:1: a choice needs a selector", path.display());
    assert!(refused.stderr.contains(&wanted), "{}", refused.stderr);
}

#[test]
fn it_is_kept_by_a_pool_that_became_somebody_else() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let pki = Pki::new();
    let socket = Pool::start_with(&pki, &policy(&pki)).socket.clone();
    let config = pki.folder.path().join("own.toml");
    let words = ["--socket", &socket, "--log", "json", "--user", "nobody"];
    let command = levada(["pool", "--config", config.to_str().unwrap()]).args(words);
    let mut pool = Pool::listening(command, socket);
    let (_asked, _choosing) = choose(&mut pool);
    assert_eq!(let_in(&pki, &pool, Foreign::OpenSsl), "b@pool.test");
    pool.hear("\"b@pool.test\" is shown to \"localhost\" from now on");
    drop(pool);
    let pool = Pool::start_with(&pki, &policy(&pki));
    assert_eq!(let_in(&pki, &pool, Foreign::OpenSsl), "b@pool.test");
}

#[test]
fn a_full_disk_costs_its_lasting_alone() {
    let pki = Pki::new();
    let socket = Pool::start_with(&pki, &policy(&pki)).socket.clone();
    let path = pki.folder.path().join("choices");
    let before = fs::read(&path).unwrap();
    // There is room for half a line.
    let limit = format!("--fsize={}", before.len() + 10);
    let config = pki.folder.path().join("own.toml");
    let config = config.to_str().unwrap();
    let words = levada(["pool", "--config", config, "--socket", &socket, "--log", "json"]).words();
    // Who writes beyond the limit would be killed.
    let heedless = "trap '' XFSZ && exec \"$0\" \"$@\"";
    let limited = Command::new("prlimit").args([&limit, "sh", "-c", heedless]).args(words);
    let mut pool = Pool::listening(limited, socket);
    let (asked, choosing) = choose(&mut pool);
    for _ in 0..2 {
        assert_eq!(let_in(&pki, &pool, Foreign::OpenSsl), "b@pool.test");
    }
    pool.hear("is shown to \"localhost\" until the pool stops: it was not written, ");
    pool.stop();
    choosing.join().unwrap();
    assert_eq!(asked.iter().count(), 1, "until then it holds");
    assert_eq!(fs::read(&path).unwrap(), before, "there is no half of a line");
}
