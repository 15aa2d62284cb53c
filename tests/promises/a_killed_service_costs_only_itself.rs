//! An application that is killed (SIGKILL) while a service is asked for it, while it gives one, between its
//! private commands or while it reads a text: those alone are told who waited for it, and the pool has no session
//! and no descriptor more than before.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;

use levada_pool::wire::body::{Lidentry, Pin, PinEntry, Ping, StartTls};
use levada_pool::wire::{ControlKey, Identity, LidentryFlags, Message, Packet, StartTlsFlags};
use rustix::process::Signal;

use crate::harness::{Command, PATIENCE, Pki, Pool, Running, Serve, Speaker};

const PIN: &str = "4711-hush";

/// A pool with two locked keys, a local CA and what a chooser can choose, and a stream through it that nothing
/// is to touch.
struct Scene {
    pki: Pki,
    pool: Pool,
    server: Serve,
    bystander: (Speaker, UnixStream),
    descriptors: usize,
}

impl Scene {
    fn new() -> Self {
        let pki = Pki::new();
        let locked = ["one.test", "two.test"].map(|name| {
            let open = pki.identity(&format!("{name}.open"), &[name], |_| {});
            let file = Pki::lock(&open, PIN);
            format!("[[identity]]\nname = \"{name}\"\ncert = \"{file}\"\nkey-pass = \"ask\"\n")
        });
        let authority = std::fs::read_to_string(&pki.ca).unwrap();
        let authority = authority + &pki.issuer.key().serialize_pem();
        let authority = pki.folder.write("local-ca.pem", &authority);
        let policy = format!(
            "anchors = \"{ca}\"\nclient-anchors = \"{ca}\"\n\
             [local-ca]\ncert = \"{authority}\"\nnames = [\".made.test\"]\n\
             [[identity]]\nname = \"localhost\"\ncert = \"{own}\"\nshow-to = [\".\"]\n{locked}",
            ca = pki.ca,
            own = pki.localhost,
            locked = locked.concat(),
        );
        let pool = Pool::start_with(&pki, &policy);
        let server = Serve::tls(&pki, "echo:");
        let mut speaker = pool.speaker();
        speaker.ask_for_tls(TcpStream::connect(server.address()).unwrap(), false, 200);
        let plain = speaker.finish_tls();
        let descriptors = pool.descriptors();
        Self { pki, pool, server, bystander: (speaker, plain), descriptors }
    }

    /// An application that stops behind these words, or waits there.
    fn application(&self, number: usize, words: &str) -> Running {
        let port = self.server.address().port();
        let words = words.replace("PORT", &port.to_string());
        self.pool.application(number, &words.split(' ').collect::<Vec<_>>())
    }

    /// A client of OpenSSL for an application that accepts, which asks for `name`.
    fn client(&self, application: &mut Running, name: &str) -> Running {
        let port = application.stdout.line().expect("it tells its port");
        Command::new("openssl")
            .args(["s_client", "-connect", &format!("127.0.0.1:{port}"), "-quiet"])
            .args(["-no_ign_eof", "-servername", name, "-CAfile", &self.pki.ca])
            .start()
    }

    /// Waits until the pool has as many sessions, handshakes and the bystander's among them.
    fn wait_for_sessions(&self, count: usize) {
        while self.pool.sessions().len() != count {}
    }

    /// Nothing is left but the bystander's stream, to which nothing has happened.
    #[track_caller]
    fn is_as_before(&mut self) {
        self.wait_for_sessions(1);
        while self.pool.descriptors() > self.descriptors {
            std::thread::yield_now();
        }
        let (_, plain) = &mut self.bystander;
        plain.write_all(b"alive").unwrap();
        let mut room = [0; 5];
        plain.read_exact(&mut room).unwrap();
        assert_eq!(&room, b"alive");
    }

    fn stop(self) {
        let Self { mut pool, bystander: (_speaker, plain), .. } = self;
        plain.shutdown(std::net::Shutdown::Write).unwrap();
        pool.process.signal(Signal::TERM);
        pool.hear("stopped, with all sessions ended");
        assert_eq!(pool.process.wait().code(), 0);
    }
}

/// Waits until it has come as far as it goes, and kills it there.
#[track_caller]
fn kill(mut application: Running) {
    while application.stdout.line().unwrap_or_else(|| died(&mut application)) != "stopped" {}
    kill_now(application);
}

fn died(application: &mut Running) -> ! {
    let told = String::from_utf8(application.stderr.rest()).unwrap();
    panic!("it ended before it was killed: {told}")
}

fn kill_now(mut application: Running) {
    application.signal(Signal::KILL);
    application.join();
}

#[test]
fn between_its_private_commands_or_over_a_text() {
    let mut scene = Scene::new();
    for words in [
        "offer:h2 stop",
        "hand-back stop",
        "offer:h2 hand-back offer:imap stop",
        // The question for the plain side is out.
        "offer:h2 dial:PORT starttls:9::localhost question:2a stop",
        "dial:PORT starttls:9::localhost plain:SOCK_STREAM page:chain stop",
        "dial:PORT starttls:9::localhost plain:SOCK_STREAM page:report page:chain stop",
        "dial:PORT starttls:9::localhost plain:SOCK_STREAM talk:hello:1000 chain report stop",
        "dial:PORT starttls:9::localhost plain:SOCK_DGRAM talk:hello:1000 stop",
        "dial:PORT starttls:9::localhost plain:SOCK_SEQPACKET talk:hello:1000 stop",
        // Signed on the fly, before and behind the reply.
        "dial:PORT starttls:40009:a.made.test:localhost question:2a stop",
        "dial:PORT starttls:40009:a.made.test:localhost plain:SOCK_STREAM talk:hello:1000 stop",
    ] {
        kill(scene.application(1, words));
        scene.is_as_before();
    }
    // While it is asked whether it is who is signed for.
    let mut asked = scene.application(1, "accept starttls:51006:: question:28 stop");
    let client = scene.client(&mut asked, "b.made.test");
    kill(asked);
    assert_ne!(client.wait().code(), 0);
    scene.is_as_before();
    scene.stop();
}

/// Gives a service, and is told that it has the place.
fn serving(pool: &Pool, registration: &Message) -> Speaker {
    let mut speaker = pool.speaker();
    loop {
        // Who has had the place may not be gone yet.
        speaker.ask(registration.clone(), None);
        let ping = speaker.ask(Message::Ping(Ping::default()), None);
        if speaker.hear().request == ping {
            return speaker;
        }
        speaker.hear();
    }
}

fn entering(pool: &Pool) -> Speaker {
    let entry = PinEntry { timeout_us: 600_000_000, ..PinEntry::default() };
    serving(pool, &Message::PinEntry(entry))
}

fn choosing(pool: &Pool, flags: LidentryFlags) -> Speaker {
    let body = Lidentry { flags, max_levels: 9, timeout_s: 600, ..Lidentry::default() };
    serving(pool, &Message::LidentryRegister(body))
}

fn enter(service: &mut Speaker, asked: &Packet, pin: &str) {
    let pin = Pin::new(pin.as_bytes()).unwrap();
    let entry = PinEntry { pin, timeout_us: 600_000_000, ..PinEntry::default() };
    service.send(&Packet { message: Message::PinEntry(entry), ..*asked }, None);
}

#[test]
fn while_a_person_is_asked_for_a_pin() {
    let mut scene = Scene::new();
    let mut person = entering(&scene.pool);
    // Two wait for the same key, and one for another. The first is killed, and the second goes on.
    let words = |local: &str| format!("accept starttls:1006:{local}: plain:SOCK_STREAM echo leave");
    let mut first = scene.application(1, &words("one.test"));
    let _gone = scene.client(&mut first, "one.test");
    let asked = person.hear();
    let mut second = scene.application(2, &words("one.test"));
    let mut client = scene.client(&mut second, "one.test");
    let mut third = scene.application(3, &words("two.test"));
    let other = scene.client(&mut third, "two.test");
    scene.wait_for_sessions(4);
    kill_now(first);
    scene.wait_for_sessions(3);
    enter(&mut person, &asked, PIN);
    assert_eq!(second.stdout.line().as_deref(), Some("protected one.test "));
    client.write(b"hello\n");
    assert_eq!(client.stdout.line().as_deref(), Some("hello"));
    assert_eq!(client.finish().code(), 0);
    assert_eq!(second.wait().code(), 0);
    // Nobody waits for the other key any more; whoever needs it next finds it open all the same.
    let asked = person.hear();
    kill_now(third);
    assert_ne!(other.wait().code(), 0);
    enter(&mut person, &asked, PIN);
    let mut third = scene.application(3, &words("two.test"));
    let mut client = scene.client(&mut third, "two.test");
    client.write(b"hello\n");
    assert_eq!(client.stdout.line().as_deref(), Some("hello"));
    assert_eq!((client.finish().code(), third.wait().code()), (0, 0));
    drop(person);
    scene.is_as_before();
    scene.stop();
}

#[test]
fn while_it_enters_pins() {
    let mut scene = Scene::new();
    // With nothing to do, and with a question that it has heard.
    kill(scene.application(1, "pins stop"));
    scene.pool.hear("enters PINs no more");
    let asked = scene.application(1, "pins question:29 stop");
    scene.pool.hear("enters PINs from now on");
    let waiting: Vec<_> = [2, 3]
        .into_iter()
        .map(|number| {
            let words = "accept starttls:1006:one.test: plain:SOCK_STREAM stop";
            let mut application = scene.application(number, words);
            let client = scene.client(&mut application, "one.test");
            (application, client)
        })
        .collect();
    scene.wait_for_sessions(3);
    kill(asked);
    for (application, client) in waiting {
        let told = application.wait();
        assert!(told.stderr.contains("could not set up TLS"), "{}", told.stderr);
        assert_ne!(client.wait().code(), 0);
    }
    scene.is_as_before();
    // The place is free, and the key can be opened; another, since this one has its pause.
    let mut person = entering(&scene.pool);
    let mut application =
        scene.application(4, "accept starttls:1006:two.test: plain:SOCK_STREAM echo leave");
    let mut client = scene.client(&mut application, "two.test");
    let asked = person.hear();
    enter(&mut person, &asked, PIN);
    client.write(b"hello\n");
    assert_eq!(client.stdout.line().as_deref(), Some("hello"));
    assert_eq!((client.finish().code(), application.wait().code()), (0, 0));
    drop(person);
    scene.is_as_before();
    scene.stop();
}

const AS_WHOEVER: &str = "dial:PORT starttls:9::localhost plain:SOCK_STREAM talk:hello:10 leave";

#[test]
fn while_somebody_chooses_for_it() {
    let mut scene = Scene::new();
    let mut chooser = choosing(&scene.pool, LidentryFlags::NONE);
    let first = scene.application(1, AS_WHOEVER);
    let asked = chooser.hear();
    let second = scene.application(2, AS_WHOEVER);
    scene.wait_for_sessions(3);
    kill_now(first);
    scene.wait_for_sessions(2);
    // The answer about who is gone is for nobody, and the next is asked about.
    chooser.send(&asked, None);
    let asked = chooser.hear();
    assert!(matches!(asked.message, Message::LidentryCallback(_)), "{asked:?}");
    chooser.send(&asked, None);
    let told = second.wait();
    assert_eq!(told.code(), 0, "{}", told.stderr);
    drop(chooser);
    scene.is_as_before();
    scene.stop();
}

#[test]
fn while_it_chooses() {
    let mut scene = Scene::new();
    kill(scene.application(1, "choices:0 stop"));
    scene.pool.hear("chooses identities no more");
    // At the question, at the first entry that it is told of, and with others in line.
    for words in ["choices:0 question:201 stop", "choices:100 question:201 stop"] {
        let chooser = scene.application(1, words);
        scene.pool.hear("chooses identities from now on");
        let waiting = [2, 3].map(|number| scene.application(number, AS_WHOEVER));
        scene.wait_for_sessions(3);
        kill(chooser);
        // Who was asked about is not shown; who was in line is as the policy says.
        let mut told = waiting.map(|application| {
            let told = application.wait();
            (told.code() == 0, told.stderr)
        });
        told.sort();
        assert!(!told[0].0 && told[0].1.contains("declined"), "{told:?}");
        assert!(told[1].0, "{told:?}");
        scene.is_as_before();
    }
    let mut chooser = choosing(&scene.pool, LidentryFlags::NONE);
    let application = scene.application(2, AS_WHOEVER);
    let asked = chooser.hear();
    chooser.send(&asked, None);
    assert_eq!(application.wait().code(), 0);
    drop(chooser);
    scene.is_as_before();
    scene.stop();
}

#[test]
fn with_a_session_that_is_to_outlive_it() {
    let mut scene = Scene::new();
    // FORK, signed on the fly, with a text half read.
    let words = "offer:x dial:PORT starttls:44009:a.made.test:localhost plain:SOCK_STREAM \
                 talk:hello:1000 page:chain stop";
    kill(scene.application(7, words));
    // It ends with its plain side, which was the process's; the key is free again.
    scene.is_as_before();
    let key = ControlKey::new(7_u128.to_le_bytes());
    let (near, theirs) = UnixStream::pair().unwrap();
    near.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut speaker = scene.pool.speaker();
    let network = TcpStream::connect(scene.server.address()).unwrap();
    let body = StartTls {
        flags: StartTlsFlags::CLIENT.with(StartTlsFlags::FORK),
        remote_id: Identity::new("localhost").unwrap(),
        control_key: key,
        ..StartTls::default()
    };
    speaker.ask(Message::StartTls(body), Some(network.as_fd()));
    let question = speaker.hear();
    speaker.send(&question, Some(theirs.as_fd()));
    assert!(matches!(speaker.hear().message, Message::StartTls(_)));
    drop((speaker, near, theirs, network));
    scene.is_as_before();
    scene.stop();
}
