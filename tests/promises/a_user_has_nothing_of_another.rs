//! Who is on the same pool as another user has nothing of them, though they know the control key: no page, no
//! keys, no fact, no session, no identity, no ticket, no place in a service; and harms none of it.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::fd::AsFd as _;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;

use levada_pool::wire::body::{
    Control, Info, InfoKind, Lidentry, PinEntry, Prng, PrngRequest, StartTls,
};
use levada_pool::wire::{
    Chain, ControlKey, Cut, Document, HandBack, Identity, Message, Offer, Page, Report,
    StartTlsFlags,
};
use levada_sys::descriptors;
use levada_testkit::skip::cannot_run;

use crate::harness::{
    Backend, Caller, Command, Foreign, Host, PATIENCE, Pki, Pool, Running, Speaker, Visitor,
};

/// Connects to a pool as `nobody`, and passes the connection on: the kernel notes who connected.
const PASS: &str = "
import os, socket, sys
os.setgroups([]); os.setgid(65534); os.setuid(65534)
pool = socket.socket(socket.AF_UNIX)
pool.connect(sys.argv[1])
socket.send_fds(socket.socket(fileno=0), [b'!'], [pool.fileno()])
";

/// A control connection of the user `nobody`.
fn nobody(pool: &Pool) -> Speaker {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let connecting = Command::new("python3")
        .args(["-c", PASS, &pool.socket])
        .stdin(OwnedFd::from(theirs))
        .start();
    let connected = connecting.wait();
    assert_eq!(connected.code(), 0, "{}", connected.stderr);
    let mut received = descriptors::receive(ours.as_fd(), &mut [0]).unwrap();
    Speaker::over(received.descriptors.pop().expect("it passes one").into())
}

/// A pool whose identities are root's, but for one, and that anybody reaches.
fn pool(pki: &Pki) -> Pool {
    let authority = std::fs::read_to_string(&pki.ca).unwrap() + &pki.issuer.key().serialize_pem();
    let authority = pki.folder.write("local-ca.pem", &authority);
    let all = pki.identity("all.pem", &["all.test"], |_| {});
    let pool = Pool::start_with(
        pki,
        &format!(
            "anchors = \"{ca}\"\nclient-anchors = \"{ca}\"\n\
             [local-ca]\ncert = \"{authority}\"\nnames = [\".made.test\"]\nusers = [\"root\"]\n\
             [[identity]]\nname = \"localhost\"\ncert = \"{own}\"\nusers = [\"root\"]\ndefault = true\n\
             show-to = [\".\"]\n\
             [[identity]]\nname = \"all.test\"\ncert = \"{all}\"\n",
            ca = pki.ca,
            own = pki.localhost,
        ),
    );
    std::fs::set_permissions(&pool.socket, std::fs::Permissions::from_mode(0o666)).unwrap();
    pool
}

/// Whether there are two users, or the test cannot be run.
fn has_two_users(test: &str) -> bool {
    let is_root = rustix::process::geteuid().is_root();
    if !is_root {
        cannot_run(test, "only root can connect as somebody else");
    }
    is_root
}

/// The number of an ERROR, counted from the base; `None` for anything else.
fn code(message: &Message) -> Option<u8> {
    let Message::Error(failure) = message else { return None };
    Some(failure.number.code().expect("the pool has codes of its own").offset())
}

/// All of a text about sessions, or the code of the refusal.
fn text(speaker: &mut Speaker, document: Document, key: &ControlKey) -> Result<Vec<u8>, u8> {
    let mut text = Vec::new();
    loop {
        let asked = Page::request(document, key.clone(), text.len() as u32);
        let reply = speaker.call(asked.into());
        let Some(page) = Page::of(&reply) else { return Err(code(&reply).unwrap()) };
        let page = page.unwrap();
        text.extend_from_slice(page.bytes());
        if text.len() == page.total as usize {
            return Ok(text);
        }
    }
}

const KEY: u8 = 7;

/// A session of this user as server, with a client of OpenSSL that shows a certificate.
fn session(pki: &Pki, speaker: &mut Speaker) -> (UnixStream, Visitor) {
    let backend = Backend::new();
    let caller = Caller { own: Some(&pki.client), ..Caller::default() };
    let visitor = Foreign::OpenSsl.client(pki, backend.address, "1.3", caller);
    let network = backend.accept();
    let flags = StartTlsFlags::SERVER.with(StartTlsFlags::REQUEST_REMOTEID);
    let control_key = ControlKey::new([KEY; 16]);
    let body = StartTls { flags, control_key, ..StartTls::default() };
    speaker.ask(Message::StartTls(body), Some(network.as_fd()));
    (speaker.finish_tls(), visitor)
}

fn echoes(plain: &mut UnixStream, visitor: &mut Visitor) {
    visitor.running.write(b"hello\n");
    let mut line = [0; 6];
    plain.read_exact(&mut line).unwrap();
    plain.write_all(&line).unwrap();
    assert_eq!(visitor.running.stdout.line().as_deref(), Some("hello"));
}

/// What may be asked about a session, and what a stranger hears of it.
fn requests(key: &ControlKey) -> Vec<(Message, u8)> {
    let control = || Control { flags: 0, control_key: key.clone() };
    let prng = PrngRequest {
        control_key: key.clone(),
        label: b"EXPORTER-Channel-Binding",
        context: None,
        output_len: 32,
    };
    let info = |kind| Info { control_key: key.clone(), kind, fact: None };
    let report = Report::default().encode();
    let told = |document| Page::request(document, key.clone(), 0).reply(&report);
    let again = StartTlsFlags::CLIENT.with(StartTlsFlags::RENEGOTIATE);
    let again = StartTls { flags: again, control_key: key.clone(), ..StartTls::default() };
    let mut all = vec![
        (Message::Prng(Prng::from_request(&prng).unwrap()), 15),
        (Message::Info(info(InfoKind::PeerSubject)), 15),
        (Message::Info(info(InfoKind::OwnSubject)), 15),
        (Message::Info(info(InfoKind::TlsServerEndPoint)), 15),
        (Message::ControlDetach(control()), 16),
        (Message::ControlReattach(control()), 18),
        (Cut { control_key: key.clone() }.into(), 15),
        (told(Document::Ticket).into(), 15),
        (told(Document::Farewell).into(), 15),
        (Message::StartTls(again), 19),
    ];
    for document in [Document::Report, Document::PeerChain] {
        // Behind its begin, a text is one that the same connection has begun.
        for (offset, code) in [(0, 15), (1, 29), (350, 29), (u32::MAX, 29)] {
            all.push((Page::request(document, key.clone(), offset).into(), code));
        }
    }
    all
}

#[test]
fn d6_of_a_session() {
    if !has_two_users("d6_of_a_session") {
        return;
    }
    let pki = Pki::new();
    let pool = pool(&pki);
    let key = ControlKey::new([KEY; 16]);
    let (mut owner, mut stranger) = (pool.speaker(), nobody(&pool));
    let (mut plain, mut visitor) = session(&pki, &mut owner);
    echoes(&mut plain, &mut visitor);
    // The owner has begun to read both texts.
    let report = text(&mut owner, Document::Report, &key).unwrap();
    let chain = text(&mut owner, Document::PeerChain, &key).unwrap();
    assert!(!Chain::decode(&chain).unwrap().0.is_empty());
    let begun = Page::request(Document::PeerChain, key.clone(), 0);
    assert!(Page::of(&owner.call(begun.into())).is_some());

    let refused = |stranger: &mut Speaker, detached: bool| {
        for (request, wanted) in requests(&key) {
            let heard = code(&stranger.call(request.clone()));
            let wanted = match request {
                Message::ControlDetach(_) if detached => 17,
                Message::ControlReattach(_) if detached => 16,
                _ => wanted,
            };
            assert_eq!(heard, Some(wanted), "{request:?}");
        }
        // What is said under the key is the stranger's own, and nothing comes of it.
        let offer = Offer { control_key: key.clone(), alpn: vec![b"evil".to_vec()] };
        assert_eq!(stranger.call(offer.to_message().unwrap()), Message::Success);
        let wish = HandBack::question(key.clone());
        assert_eq!(stranger.call(wish.into()), Message::Success);
        let (near, _far) = UnixStream::pair().unwrap();
        let taken = StartTls {
            flags: StartTlsFlags::CLIENT,
            remote_id: Identity::new("localhost").unwrap(),
            control_key: key.clone(),
            ..StartTls::default()
        };
        stranger.ask(Message::StartTls(taken), Some(near.as_fd()));
        assert_eq!(code(&stranger.hear().message), Some(14), "it is another session's");
        assert_eq!(text(stranger, Document::Sessions, &key), Ok(Vec::new()));
    };
    refused(&mut stranger, false);
    // One that is let go is for the next connection of the same user alone.
    let control = Control { flags: 0, control_key: key.clone() };
    assert_eq!(owner.call(Message::ControlDetach(control.clone())), Message::Success);
    refused(&mut stranger, true);
    let mut next = pool.speaker();
    assert_eq!(next.call(Message::ControlReattach(control)), Message::Success);
    refused(&mut stranger, false);
    // And all of it is as it was.
    assert_eq!(text(&mut next, Document::Report, &key).unwrap(), report);
    assert_eq!(text(&mut next, Document::PeerChain, &key).unwrap(), chain);
    echoes(&mut plain, &mut visitor);
    let listed = String::from_utf8(text(&mut next, Document::Sessions, &key).unwrap()).unwrap();
    assert_eq!(listed.lines().count(), 1, "{listed}");

    // Its end is for its owner to know.
    drop(visitor.running.stdin.take());
    assert_eq!(plain.read(&mut [0]).unwrap(), 0);
    drop(plain);
    visitor.running.wait();
    while text(&mut next, Document::Sessions, &key) != Ok(Vec::new()) {}
    let ended = Report::decode(&text(&mut next, Document::Report, &key).unwrap()).unwrap();
    assert!(ended.ending.unwrap().is_clean());
    for speaker in [&mut stranger, &mut owner] {
        assert_eq!(text(speaker, Document::Report, &key), Err(15));
        assert_eq!(text(speaker, Document::PeerChain, &key), Err(15));
    }
}

/// What comes of a request: who it is, or the code of the refusal.
fn begin(speaker: &mut Speaker, network: TcpStream, body: StartTls) -> Result<UnixStream, u8> {
    speaker.ask(Message::StartTls(body), Some(network.as_fd()));
    drop(network);
    let question = speaker.hear();
    if let Some(code) = code(&question.message) {
        return Err(code);
    }
    let (ours, theirs) = UnixStream::pair().unwrap();
    ours.set_read_timeout(Some(PATIENCE)).unwrap();
    speaker.send(&question, Some(theirs.as_fd()));
    assert!(matches!(speaker.hear().message, Message::StartTls(_)));
    Ok(ours)
}

#[test]
fn d6_of_an_identity_a_local_ca_or_a_service() {
    let test = "d6_of_an_identity_a_local_ca_or_a_service";
    if !has_two_users(test) {
        return;
    }
    let pki = Pki::new();
    let pool = pool(&pki);
    let mut stranger = nobody(&pool);
    // The places are free, and not for them.
    let pins = Message::PinEntry(PinEntry::default());
    assert_eq!(code(&stranger.call(pins)), Some(27));
    let choices = Message::LidentryRegister(Lidentry::default());
    assert_eq!(code(&stranger.call(choices)), Some(26));

    let id = |text: &str| Identity::new(text).unwrap();
    let server = StartTlsFlags::SERVER.with(StartTlsFlags::IGNORE_REMOTEID);
    let made = StartTlsFlags::LOCALID_ONTHEFLY;
    for (flags, local, remote) in [
        (server, "localhost", ""),
        (StartTlsFlags::CLIENT, "localhost", "localhost"),
        (server.with(made), "a.made.test", ""),
        (StartTlsFlags::CLIENT.with(made), "a.made.test", "localhost"),
    ] {
        let backend = Backend::new();
        let _near = TcpStream::connect(backend.address).unwrap();
        let (local_id, remote_id) = (id(local), id(remote));
        let body = StartTls { flags, local_id, remote_id, ..StartTls::default() };
        let refused = begin(&mut stranger, backend.accept(), body);
        assert_eq!(refused.err(), Some(23), "{local} {remote}");
    }
    // Nor where the other side asks: it hears that nobody of this name is here.
    for name in ["localhost", "a.made.test"] {
        let backend = Backend::new();
        let caller = Caller { name: Some(name), ..Caller::default() };
        let visitor = Foreign::GnuTls.client(&pki, backend.address, "1.3", caller);
        let flags = if name == "localhost" { server } else { server.with(made) };
        let body = StartTls { flags, ..StartTls::default() };
        assert_eq!(begin(&mut stranger, backend.accept(), body).err(), Some(24), "{name}");
        // RFC 6066 section 3: unrecognized_name.
        assert_eq!(visitor.alert(), 112, "{name}");
    }
}

/// Whether a client with this session, which asks for nobody, is let in by a server that is `local`; and
/// whether it was known.
fn is_known(pki: &Pki, speaker: &mut Speaker, local: &str, words: &[&str]) -> bool {
    let backend = Backend::new();
    let mut visitor: Running = Command::new("openssl")
        .args(["s_client", "-connect", &backend.address.to_string(), "-tls1_3", "-quiet"])
        .args(["-no_ign_eof", "-verify_return_error", "-CAfile", &pki.ca, "-noservername"])
        .args(words)
        .start();
    let body = StartTls {
        flags: StartTlsFlags::SERVER.with(StartTlsFlags::IGNORE_REMOTEID),
        local_id: Identity::new(local).unwrap(),
        control_key: ControlKey::new([KEY; 16]),
        ..StartTls::default()
    };
    let mut plain = begin(speaker, backend.accept(), body).unwrap();
    // What comes behind the handshake comes behind the tickets.
    plain.write_all(b"hello\n").unwrap();
    assert_eq!(visitor.stdout.line().as_deref(), Some("hello"));
    let report = text(speaker, Document::Report, &ControlKey::new([KEY; 16])).unwrap();
    drop(visitor.stdin.take());
    plain.shutdown(std::net::Shutdown::Write).unwrap();
    plain.read_to_end(&mut Vec::new()).unwrap();
    visitor.wait();
    Report::decode(&report).unwrap().tls.unwrap().resumed.unwrap()
}

#[test]
fn d5_of_a_ticket() {
    if !has_two_users("d5_of_a_ticket") {
        return;
    }
    let pki = Pki::new();
    let pool = pool(&pki);
    let mut stranger = nobody(&pool);
    let session = pki.folder.path().join("session.pem").to_str().unwrap().to_owned();
    let (first, again) = (["-sess_out", &session], ["-sess_in", &session]);
    assert!(!is_known(&pki, &mut pool.speaker(), "localhost", &first));
    // What it can be is somebody else, to whom the ticket is none.
    assert!(!is_known(&pki, &mut stranger, "all.test", &again));
    assert!(!is_known(&pki, &mut pool.speaker(), "localhost", &first));
    assert!(is_known(&pki, &mut pool.speaker(), "localhost", &again));

    // As TLS client root is somebody, and whom it has met knows it again: nobody else gains by that.
    for program in [Foreign::OpenSsl, Foreign::GnuTls] {
        let host = program.server(&pki, "1.3", Host { client_ca: None, ..Host::default() });
        let mut keys = 1..;
        let mut meets = |speaker: &mut Speaker| {
            // A session that has ended may have its key for a moment more.
            let key = ControlKey::new([keys.next().unwrap(); 16]);
            let body = StartTls {
                flags: StartTlsFlags::CLIENT,
                remote_id: Identity::new("localhost").unwrap(),
                control_key: key.clone(),
                ..StartTls::default()
            };
            let network = TcpStream::connect(host.address).unwrap();
            let mut plain = begin(speaker, network, body).unwrap();
            plain.write_all(b"hello\n").unwrap();
            let mut answer = [0; 6];
            plain.read_exact(&mut answer).unwrap();
            let report = text(speaker, Document::Report, &key).unwrap();
            plain.shutdown(std::net::Shutdown::Write).unwrap();
            plain.read_to_end(&mut Vec::new()).unwrap();
            Report::decode(&report).unwrap().tls.unwrap().resumed.unwrap()
        };
        let mut root = pool.speaker();
        let known = [meets(&mut root), meets(&mut root), meets(&mut stranger)];
        assert!(known[1], "{program:?}");
        assert!(!known[2], "{program:?}: what is root's was taken");
    }
}
