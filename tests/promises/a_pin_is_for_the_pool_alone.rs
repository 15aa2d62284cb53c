//! A key that a person opens: the PIN is asked for where the person is, reaches the pool, and nobody and
//! nothing else; a question that nobody answers is trouble for those alone who need that key.

use std::fmt::Write as _;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;

use levada_pool::wire::Message;
use rustix::process::Signal;

use crate::harness::{Client, Pki, Pool, Running, Serve, Terminal, levada};

/// What nobody but the pool may see.
const PIN: &str = "not-for-everybody 100%";

/// A policy with hosts whose keys are locked, and another whose key is open.
fn locked(pki: &Pki) -> String {
    let open = pki.identity("open.pem", &["open.test"], |_| {});
    let mut policy = format!("[[identity]]\nname = \"open.test\"\ncert = \"{open}\"\n");
    for name in ["localhost", "other.test", "third.test"] {
        let identity = pki.identity(&format!("{name}.pem"), &[name], |_| {});
        let locked = Pki::lock(&identity, PIN);
        // Writing to a String cannot fail.
        let _ = write!(
            policy,
            "[[identity]]\nname = \"{name}\"\ncert = \"{locked}\"\nkey-pass = \"ask\"\n"
        );
    }
    policy
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

#[test]
fn it_is_asked_for_at_a_terminal_and_shown_nowhere() {
    let pki = Pki::new();
    let mut pool = Pool::start_with(&pki, &locked(&pki));
    let serve = serve(&pool);
    let mut terminal = Terminal::new();
    let asking = terminal.start(levada(["pool", "pinentry", "--socket", &pool.socket]));
    pool.hear("enters PINs from now on");
    let before = terminal.settings();
    let client = come(&pki, &serve, "localhost");
    terminal.shows("Passphrase for the key of localhost: ");
    assert_ne!(terminal.settings(), before, "what is typed is not shown");
    terminal.types("something-else\n");
    terminal.shows("That was wrong. Attempt 2. Passphrase for the key of localhost: ");
    terminal.types(PIN);
    terminal.types("\n");
    assert!(is_echoed(client));
    assert!(is_echoed(come(&pki, &serve, "localhost")), "and nobody is asked again");
    assert_eq!(terminal.settings(), before, "the terminal is as it was");
    // Ctrl-C ends it.
    terminal.types("\x03");
    assert_eq!(asking.wait().code(), 0);
    pool.hear("enters PINs no more");
    assert_secret(&[pool.stop().join("\n"), format!("{:?}", serve.stop()), terminal.shown()]);
}

#[track_caller]
fn assert_secret(told: &[String]) {
    for secret in [PIN, "something-else"] {
        assert!(told.iter().all(|told| !told.contains(secret)), "{told:?}");
    }
}

/// How Debian's programs of GnuPG ask, and how a person gets away from them.
struct Asker {
    program: &'static str,
    /// What they show where something is to be typed.
    asks: &'static str,
    decline: &'static str,
    /// What a person sees last whose program has left.
    left: Option<&'static str>,
}

const ASKERS: [Asker; 2] = [
    Asker {
        program: "pinentry-tty",
        asks: "PIN: ",
        // Ctrl-D.
        decline: "\x04",
        left: None,
    },
    Asker {
        program: "pinentry-curses",
        asks: "<Cancel>",
        // From the line to the button that accepts, to the one that does not.
        decline: "\t\t\r",
        // The screen from before is back.
        left: Some("\x1b[?1049l"),
    },
];

#[test]
fn gnupgs_own_programs_ask_for_it() {
    for asker in ASKERS {
        let pki = Pki::new();
        let mut pool = Pool::start_with(&pki, &locked(&pki));
        let serve = serve(&pool);
        let mut terminal = Terminal::new();
        let before = terminal.settings();
        let words = ["pool", "pinentry", "--socket", &pool.socket, "--program", asker.program];
        let command = levada(words).env("TERM", "xterm").env("LC_ALL", "C.UTF-8");
        let asking = terminal.start(command.without("GPG_TTY"));
        pool.hear("enters PINs from now on");

        // A person who declines is left alone for a while; another key is another matter.
        let client = come(&pki, &serve, "other.test");
        terminal.shows("Passphrase for the key of other.test");
        terminal.shows(asker.asks);
        terminal.types(asker.decline);
        assert!(!is_echoed(client), "{}", asker.program);
        pool.hear("there is no PIN: the service declined");

        let client = come(&pki, &serve, "localhost");
        terminal.shows("Passphrase for the key of localhost");
        terminal.shows(asker.asks);
        assert_ne!(terminal.settings(), before, "what is typed is not shown");
        terminal.types("something-else\r");
        terminal.shows("That was wrong. Attempt 2.");
        terminal.shows(asker.asks);
        terminal.types(&format!("{PIN}\r"));
        assert!(is_echoed(client), "{}", asker.program);
        assert!(is_echoed(come(&pki, &serve, "localhost")), "and nobody is asked again");
        assert_eq!(terminal.settings(), before, "{}", asker.program);

        // One that is asking still is ended with us, and the terminal is as it was.
        let client = come(&pki, &serve, "third.test");
        terminal.shows("Passphrase for the key of third.test");
        terminal.shows(asker.asks);
        assert_ne!(terminal.settings(), before);
        asking.signal(Signal::TERM);
        pool.hear("enters PINs no more");
        assert!(!is_echoed(client));
        if let Some(last) = asker.left {
            terminal.shows(last);
        }
        asking.wait();
        assert_eq!(terminal.settings(), before, "{}", asker.program);
        assert_secret(&[pool.stop().join("\n"), format!("{:?}", serve.stop()), terminal.shown()]);
    }
}

#[test]
fn a_program_that_cannot_ask_is_told_of() {
    let pki = Pki::new();
    let mut pool = Pool::start_with(&pki, &locked(&pki));
    let serve = serve(&pool);
    let words = ["pool", "pinentry", "--socket", &pool.socket, "--program", "pinentry-curses"];
    // Without a terminal.
    let asking = levada(words).without("GPG_TTY").without("DISPLAY");
    let mut asking = asking.by(&["setsid", "--wait"]).start();
    pool.hear("enters PINs from now on");
    assert!(!is_echoed(come(&pki, &serve, "localhost")));
    let told = asking.stderr.until("this process has none");
    assert!(told.contains("nobody could be asked: pinentry-curses: "), "{told}");
    assert!(told.contains("Inappropriate ioctl for device"), "{told}");
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
    speaker.enters_pins();
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
