//! A key that a person opens: the PIN is asked for where the person is, reaches the pool, and nobody and
//! nothing else; a question that nobody answers is trouble for those alone who need that key.

use std::fs::File;
use std::io::Write as _;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt as _;

use levada_pool::wire::Message;
use levada_pool::wire::body::PinEntry;
use rustix::fs::{Mode, OFlags};
use rustix::pty::OpenptFlags;

use crate::harness::{Client, Command, Pki, Pool, Running, Serve, levada};

/// What nobody but the pool may see.
const PIN: &str = "not-for-everybody 100%";

/// A policy with localhost, whose key is locked, and another host whose key is open.
fn locked(pki: &Pki) -> String {
    let words = ["pkcs8", "-topk8", "-iter", "2048", "-passout", &format!("pass:{PIN}")];
    let made = Command::new("openssl").args(words).args(["-in", &pki.localhost]).run(b"");
    assert_eq!(made.code(), 0, "{}", made.stderr);
    let certificate = std::fs::read_to_string(&pki.localhost).unwrap();
    let (certificate, _) = certificate.split_once("-----BEGIN PRIVATE").unwrap();
    let key = String::from_utf8(made.stdout).unwrap();
    let locked = pki.folder.write("locked.pem", &(certificate.to_owned() + &key));
    let open = pki.identity("open.pem", &["open.test"], |_| {});
    format!(
        "[[identity]]\nname = \"localhost\"\ncert = \"{locked}\"\nkey-pass = \"ask\"\n\
         [[identity]]\nname = \"open.test\"\ncert = \"{open}\"\n"
    )
}

fn serve(pool: &Pool) -> Serve {
    Serve::start(["--listen", &pool.url("127.0.0.1:0"), "--to", "echo:"])
}

/// Whether OpenSSL gets an echo from the host by this name, with these words beside.
fn is_echoed(mut client: Running) -> bool {
    client.write(b"hello\n");
    let echoed = client.stdout.line().as_deref() == Some("hello");
    client.finish();
    echoed
}

fn come(pki: &Pki, serve: &Serve, name: &str) -> Running {
    Client::start(pki, serve.address(), "-tls1_3", &["-servername", name])
}

/// Both sides of a new terminal.
fn terminal() -> (File, OwnedFd) {
    let master = rustix::pty::openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    rustix::pty::grantpt(&master).unwrap();
    rustix::pty::unlockpt(&master).unwrap();
    let name = rustix::pty::ptsname(&master, Vec::new()).unwrap();
    let slave = rustix::fs::open(name, OFlags::RDWR | OFlags::NOCTTY, Mode::empty()).unwrap();
    (master.into(), slave)
}

/// Reads what a terminal shows until this is there.
fn shows(screen: &mut File, shown: &mut String, what: &str) {
    while !shown.contains(what) {
        let mut room = [0; 1024];
        let count = std::io::Read::read(screen, &mut room).unwrap();
        shown.push_str(&String::from_utf8_lossy(&room[..count]));
    }
}

#[test]
fn it_is_asked_for_at_a_terminal_and_shown_nowhere() {
    let pki = Pki::new();
    let mut pool = Pool::start_with(&pki, &locked(&pki));
    let serve = serve(&pool);
    let (mut screen, slave) = terminal();
    // A session of its own, so that the terminal is its own.
    let words = levada(["pool", "pinentry", "--socket", &pool.socket]).words();
    let asking = Command::new("setsid").args(["--ctty", "--wait"]).args(words);
    let asking = asking
        .stdin(slave.try_clone().unwrap())
        .stdout(slave.try_clone().unwrap())
        .stderr(slave.try_clone().unwrap())
        .start();
    pool.hear("enters PINs from now on");
    let settings = || format!("{:?}", rustix::termios::tcgetattr(&slave).unwrap());
    let before = settings();
    let client = come(&pki, &serve, "localhost");
    let mut shown = String::new();
    shows(&mut screen, &mut shown, "Passphrase for the key of localhost: ");
    assert_ne!(settings(), before, "what is typed is not shown");
    screen.write_all(b"something-else\n").unwrap();
    shows(&mut screen, &mut shown, "That was wrong. ");
    screen.write_all(PIN.as_bytes()).unwrap();
    screen.write_all(b"\n").unwrap();
    assert!(is_echoed(client));
    assert!(is_echoed(come(&pki, &serve, "localhost")), "and nobody is asked again");
    assert_eq!(settings(), before, "the terminal is as it was");
    // Ctrl-C ends it.
    screen.write_all(&[3]).unwrap();
    assert_eq!(asking.wait().code(), 0);
    pool.hear("enters PINs no more");
    let told = [pool.stop().join("\n"), format!("{:?}", serve.stop()), shown].concat();
    for secret in [PIN, "something-else"] {
        assert!(!told.contains(secret), "{told}");
    }
}

#[test]
fn a_program_asks_as_gnupgs_does() {
    let pki = Pki::new();
    let mut pool = Pool::start_with(&pki, &locked(&pki));
    let serve = serve(&pool);
    let orders = pki.folder.path().join("orders");
    let script = format!(
        "#!/bin/sh\necho OK ready\nwhile read -r line; do echo \"$line\" >> '{}'\n\
         case $line in GETPIN) echo 'D not-for-everybody 100%25'; esac\necho OK\ndone\n",
        orders.display()
    );
    let script = pki.folder.write("ask", &script);
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o700)).unwrap();
    let words = ["pool", "pinentry", "--socket", &pool.socket, "--program", &script];
    let asking = levada(words).start();
    pool.hear("enters PINs from now on");
    assert!(is_echoed(come(&pki, &serve, "localhost")));
    let orders = std::fs::read_to_string(orders).unwrap();
    let described = "SETDESC Passphrase for the key of localhost\n";
    assert!(orders.contains(described) && orders.ends_with("GETPIN\n"), "{orders}");
    // It finds the pool again that was started anew.
    let socket = pool.socket.clone();
    pool.stop();
    let mut pool = Pool::start_with(&pki, &locked(&pki));
    assert_eq!(pool.socket, socket);
    pool.hear("enters PINs from now on");
    drop(asking);
    drop(serve);
}

#[test]
fn a_second_one_is_told_that_there_is_one() {
    let pki = Pki::new();
    let mut pool = Pool::start_with(&pki, &locked(&pki));
    let socket = pool.socket.clone();
    let words = ["pool", "pinentry", "--socket", &socket, "--program", "false"];
    let _first = levada(words).start();
    pool.hear("enters PINs from now on");
    let second = levada(words).run(b"");
    assert_eq!(second.code(), 1);
    assert!(second.stderr.contains("`pin-entry-users`"), "{}", second.stderr);
}

#[test]
fn a_question_that_nobody_answers_harms_nobody_else() {
    let pki = Pki::new();
    let mut pool = Pool::start_with(&pki, &locked(&pki));
    let (serve, other) = (serve(&pool), serve(&pool));
    let mut speaker = pool.speaker();
    let entry = PinEntry { timeout_us: 600_000_000, ..PinEntry::default() };
    speaker.ask(Message::PinEntry(entry), None);
    pool.hear("enters PINs from now on");
    // Fewer than a client may ask of a pool at once, and more than there are threads to wait in.
    let waiting: Vec<_> = (0..100).map(|at| [&serve, &other][at % 2].dial()).collect();
    let hello = hello_of(&pki);
    for mut stream in &waiting {
        stream.write_all(&hello).unwrap();
    }
    let asked = speaker.hear();
    assert!(matches!(asked.message, Message::PinEntry(_)), "{asked:?}");
    assert!(is_echoed(come(&pki, &serve, "open.test")), "others are served");
    // Who was asked is killed: those that waited are refused, and the pool is whole.
    drop(speaker);
    pool.hear("there is no PIN: the service went away");
    drop(waiting);
    assert!(is_echoed(come(&pki, &other, "open.test")));
}

/// The ClientHello of OpenSSL that asks for localhost.
fn hello_of(pki: &Pki) -> Vec<u8> {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let client = Client::start(pki, listener.local_addr().unwrap(), "-tls1_3", &[]);
    let (mut stream, _) = listener.accept().unwrap();
    let mut header = [0; 5];
    std::io::Read::read_exact(&mut stream, &mut header).unwrap();
    let length = usize::from(u16::from_be_bytes([header[3], header[4]]));
    let mut hello = vec![0; length];
    std::io::Read::read_exact(&mut stream, &mut hello).unwrap();
    drop((stream, client));
    [&header[..], &hello].concat()
}
