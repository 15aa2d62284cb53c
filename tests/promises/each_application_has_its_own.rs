//! Many applications of a pool at once, each a process, in both roles, with a protocol, an identity that is
//! signed on the fly, a choice, a PIN, a report and a chain: none has that of another, and none is without.

use std::collections::BTreeSet;
use std::os::unix::net::UnixStream;
use std::thread::JoinHandle;

use levada_pool::wire::body::{Lidentry, Pin, PinEntry};
use levada_pool::wire::{Chain, LidentryFlags, Message, Packet, Report};
use levada_testkit::skip::slow_runs;
use sha2::{Digest as _, Sha256};

use crate::harness::{Client, Gnutls, Pki, Pool, Running, Serve, Speaker, raise_open_files};

/// Locked keys, each with a PIN of its own.
const KEYS: usize = 4;

/// Applications that are started at a time: no handshake is to wait for its turn on a busy machine.
const STARTING: usize = 32;

fn pin(name: &str) -> String {
    format!("the PIN of {name}")
}

/// A pool with as many locked keys, and a local CA for users.
fn pool(pki: &Pki) -> Pool {
    let authority = std::fs::read_to_string(&pki.ca).unwrap() + &pki.issuer.key().serialize_pem();
    let authority = pki.folder.write("local-ca.pem", &authority);
    let locked = (0..KEYS).map(|number| {
        let name = format!("locked-{number}.test");
        let open = pki.identity(&format!("{name}.open"), &[&name], |_| {});
        let file = Pki::lock(&open, &pin(&name));
        format!("[[identity]]\nname = \"{name}\"\ncert = \"{file}\"\nkey-pass = \"ask\"\n")
    });
    let policy = format!(
        "anchors = \"{ca}\"\n\
         [local-ca]\ncert = \"{authority}\"\nnames = [\"@made.test\"]\nroles = [\"client\"]\n{locked}",
        ca = pki.ca,
        locked = locked.collect::<String>(),
    );
    Pool::start_with(pki, &policy)
}

/// Answers what it is registered for until its end is closed, and gives how it went.
fn serving<T: Send + 'static>(
    mut speaker: Speaker,
    registration: Message,
    mut answer: impl FnMut(&Message) -> (T, Message) + Send + 'static,
) -> (UnixStream, JoinHandle<Vec<T>>) {
    speaker.ask(registration, None);
    speaker.stream.set_read_timeout(None).unwrap();
    let end = speaker.stream.try_clone().unwrap();
    let working = std::thread::spawn(move || {
        let mut all = Vec::new();
        while let Some(asked) = speaker.try_hear() {
            let (noted, message) = answer(&asked.message);
            all.push(noted);
            speaker.send(&Packet { message, ..asked }, None);
        }
        all
    });
    (end, working)
}

/// Enters the PIN of the key that is asked for; the prompts come out.
fn entering(pool: &Pool) -> (UnixStream, JoinHandle<Vec<String>>) {
    let entry = PinEntry { timeout_us: 600_000_000, ..PinEntry::default() };
    serving(pool.speaker(), Message::PinEntry(entry.clone()), move |asked| {
        let Message::PinEntry(question) = asked else { panic!("{asked:?}") };
        assert_eq!(question.attempt, 0, "each is right at once");
        let prompt = question.prompt.as_str().unwrap().to_owned();
        let name = prompt.strip_prefix("Passphrase for the key of ").unwrap();
        let pin = Pin::new(pin(name).as_bytes()).unwrap();
        (prompt, Message::PinEntry(PinEntry { pin, ..entry.clone() }))
    })
}

/// Has each application be who it says, signed on the fly; those come out.
fn choosing(pool: &Pool) -> (UnixStream, JoinHandle<Vec<String>>) {
    let terms = Lidentry { timeout_s: 600, ..Lidentry::default() };
    serving(pool.speaker(), Message::LidentryRegister(terms), |asked| {
        let Message::LidentryCallback(body) = asked else { panic!("{asked:?}") };
        let flags = body.flags.and(LidentryFlags::REGFLAGS).with(LidentryFlags::ONTHEFLY);
        let said = Lidentry { flags, ..*body };
        (body.local_id.as_str().unwrap().to_owned(), Message::LidentryCallback(said))
    })
}

/// A TLS client of OpenSSL or GnuTLS, for an application that is `locked-N.test`.
fn visitor(pki: &Pki, number: usize, port: &str) -> Running {
    let to = ([127, 0, 0, 1], port.parse().unwrap()).into();
    let (name, alpn) = (host_of(number), format!("task-{number}"));
    if number % 4 == 1 {
        Client::start(pki, to, "-tls1_3", &["-servername", &name, "-alpn", &alpn])
    } else {
        let log = pki.folder.path().join(format!("visitor-{number}.log"));
        Gnutls::command(pki, to, "VERS-TLS1.2", &name)
            .args(["--sni-hostname", &name, "--alpn", &alpn, "--logfile", log.to_str().unwrap()])
            .start()
    }
}

fn host_of(number: usize) -> String {
    format!("locked-{}.test", number / 2 % KEYS)
}

/// What an application has said under this name.
#[track_caller]
fn said(application: &mut Running, what: &str) -> Vec<u8> {
    let line = application.stdout.line().unwrap_or_default();
    let hex = line.strip_prefix(what).unwrap_or_else(|| panic!("{what}: {line}")).trim();
    let digits = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    hex.as_bytes().chunks(2).map(digits).collect()
}

/// Applications with these numbers, the even ones as TLS clients and the odd ones as servers with a visitor each,
/// once all are protected.
fn start(
    pki: &Pki,
    pool: &Pool,
    port: u16,
    numbers: &[usize],
) -> Vec<(usize, Running, Option<Running>)> {
    let started: Vec<_> = numbers
        .iter()
        .map(|&number| {
            let words = if number % 2 == 0 {
                format!(
                    "offer:task-{number} dial:{port} starttls:9:u{number}@made.test:localhost \
                     plain:SOCK_STREAM wait talk:words-of-{number}:999 report chain leave"
                )
            } else {
                let name = host_of(number);
                format!(
                    "offer:task-{number} accept starttls:1006:{name}: plain:SOCK_STREAM wait \
                     echo report chain leave"
                )
            };
            let words: Vec<_> = words.split(' ').collect();
            (number, pool.application(number + 1, &words))
        })
        .collect();
    let visited: Vec<_> = started
        .into_iter()
        .map(|(number, mut application)| {
            let visitor = (number % 2 == 1)
                .then(|| visitor(pki, number, &application.stdout.line().unwrap()));
            (number, application, visitor)
        })
        .collect();
    visited
        .into_iter()
        .map(|(number, mut application, visitor)| {
            let wanted = if number % 2 == 0 {
                format!("protected u{number}@made.test localhost")
            } else {
                format!("protected {} ", host_of(number))
            };
            let said = application.stdout.line();
            let is_right = said.as_ref() == Some(&wanted);
            assert!(is_right, "{number}: {said:?} {}", application.wait().stderr);
            (number, application, visitor)
        })
        .collect()
}

/// As many applications, all protected at the same time, and as many again in each round.
fn crowd(count: usize, rounds: usize) {
    raise_open_files();
    let pki = Pki::new();
    let pool = pool(&pki);
    let ((pins, entered), (choices, chosen)) = (entering(&pool), choosing(&pool));
    let all: Vec<_> = (0..count * rounds).map(|number| format!("task-{number}")).collect();
    let alpn = all.join(",");
    let mut server = Serve::start(
        [
            &["--listen", "tls://127.0.0.1:0", "--cert", &pki.localhost, "--to", "echo:"][..],
            &["--client-ca", &pki.ca, "--client-auth", "required", "--alpn", &alpn],
        ]
        .concat(),
    );
    let port = server.address().port();
    for round in 0..rounds {
        let mut applications = Vec::new();
        let numbers: Vec<_> = (round * count..(round + 1) * count).collect();
        for some in numbers.chunks(STARTING) {
            applications.extend(start(&pki, &pool, port, some));
        }
        let listed = pool.sessions();
        let protected = listed.iter().filter(|session| session["stage"] == "protected");
        assert_eq!(protected.count(), count, "all at once");
        for (number, application, peer) in &mut applications {
            application.write(b"\n");
            if let Some(peer) = peer {
                peer.write(format!("words of {number}\n").as_bytes());
            }
        }
        for (number, mut application, peer) in applications {
            let report = Report::decode(&said(&mut application, "report ")).unwrap();
            let chain = said(&mut application, "chain ");
            let tls = report.tls.unwrap();
            assert_eq!(tls.alpn, Some(format!("task-{number}")));
            if let Some(mut peer) = peer {
                assert_eq!(tls.sni, Some(host_of(number)));
                assert!(chain.is_empty(), "nobody was asked for one");
                assert_eq!(peer.stdout.line(), Some(format!("words of {number}")));
                let ended = peer.finish();
                assert_eq!(ended.code(), 0, "{number}: {}", ended.stderr);
            } else {
                assert_eq!(Chain::decode(&chain).unwrap().0.len(), 1);
                assert_eq!(report.peer_chain_sha256, Some(Sha256::digest(&chain).into()));
            }
            let ended = application.wait();
            assert_eq!(ended.code(), 0, "{number}: {}", ended.stderr);
        }
    }
    // The server has met each as who it is.
    let clients = (0..count * rounds).step_by(2);
    for _ in clients.clone() {
        let ended = server.next("ended");
        let tls = &ended["client"]["facts"]["tls"];
        let number = tls["alpn"].as_str().unwrap().strip_prefix("task-").unwrap();
        let names = tls["peer_chain"][0]["names"].to_string();
        assert!(names.contains(&format!("\"u{number}@made.test\"")), "{number}: {names}");
    }
    for end in [pins, choices] {
        end.shutdown(std::net::Shutdown::Both).unwrap();
    }
    let prompts = entered.join().unwrap();
    assert_eq!(prompts.len(), KEYS.min(count / 2), "each is asked for once: {prompts:?}");
    let chosen = chosen.join().unwrap();
    assert_eq!(chosen.len(), clients.clone().count());
    let wanted: BTreeSet<_> = clients.map(|number| format!("u{number}@made.test")).collect();
    assert_eq!(chosen.into_iter().collect::<BTreeSet<_>>(), wanted);
    let told = pool.stop();
    let count_of = |what: &str| told.iter().filter(|line| line.contains(what)).count();
    assert_eq!(count_of(" protected: "), count * rounds);
    assert_eq!(count_of(" ended: "), count * rounds);
    assert_eq!(count_of(" failed for "), 0);
    assert_eq!(told.last().unwrap(), "stopped, with all sessions ended");
}

#[test]
fn among_sixteen() {
    crowd(16, 2);
}

#[test]
fn among_sixty_four() {
    if slow_runs("among_sixty_four") {
        crowd(64, 4);
    }
}

#[test]
fn among_two_hundred_and_fifty_six() {
    if slow_runs("among_two_hundred_and_fifty_six") {
        crowd(256, 1);
    }
}
