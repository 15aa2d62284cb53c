//! PINENTRY: a client enters the PINs that open encrypted keys.

use std::io::Write as _;
use std::net::TcpStream;
use std::os::fd::AsFd as _;
use std::process::{Command, Stdio};

use levada_pool_daemon::{Notice, PolicySource, PoolLimits};
use levada_pool_wire::body::{Failure, Pin, PinEntry, Ping};
use levada_pool_wire::{Message, Packet};

use crate::endings::wait_until;
use crate::support::{
    Client, Daemon, Folder, Peer, Pki, Spec, as_client, as_server, code_of, tcp_pair, wait,
};

/// What no log may tell.
const PIN: &str = "4711-hush";

/// The identity with its key encrypted by [`PIN`], as OpenSSL does it.
fn encrypted(identity: &str) -> String {
    let words = ["pkcs8", "-topk8", "-iter", "2048", "-passout", &format!("pass:{PIN}")];
    let mut openssl = Command::new("openssl");
    let openssl = openssl.args(words).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut running = openssl.spawn().unwrap();
    running.stdin.take().unwrap().write_all(identity.as_bytes()).unwrap();
    let made = running.wait_with_output().unwrap();
    assert!(made.status.success());
    let end = "-----END CERTIFICATE-----\n";
    let certificate = &identity[..identity.find(end).unwrap() + end.len()];
    certificate.to_owned() + &String::from_utf8(made.stdout).unwrap()
}

/// A pool with two hosts and a user, all locked, and with `more` above them.
fn locked(more: &str) -> Daemon {
    let (folder, pki) = (Folder::new(), Pki::new());
    folder.write("ca.pem", &pki.ca);
    folder.write("a.pem", &encrypted(&pki.host("a.example")));
    folder.write("b.pem", &encrypted(&pki.host("b.example")));
    let spec = Spec { mailboxes: &["u@a.example"], ..Spec::default() };
    folder.write("u.pem", &encrypted(&pki.identity(spec)));
    let mut policy = format!("anchors = \"ca.pem\"\n{more}\n");
    for (name, file) in [("a.example", "a"), ("b.example", "b"), ("u@a.example", "u")] {
        let names = format!("[[identity]]\nname = \"{name}\"\ncert = \"{file}.pem\"\n");
        policy.extend([names.as_str(), "key-pass = \"ask\"\n"]);
    }
    let source = PolicySource::new(folder.write("pool.toml", &policy));
    Daemon::run(folder, pki, &source, PoolLimits::default())
}

fn registration(time: u32) -> Message {
    Message::PinEntry(PinEntry { timeout_us: time, ..PinEntry::default() })
}

/// Long enough for any machine.
const MINUTE: u32 = 60_000_000;

/// Pings, so that what came before has been dealt with.
#[track_caller]
fn is_quiet(client: &mut Client) {
    let reply = client.call(Message::Ping(Ping::default()), None);
    assert!(matches!(reply, Message::Ping(_)), "{reply:?}");
}

/// A client that enters PINs.
fn registered(daemon: &Daemon, time: u32) -> Client {
    let mut client = daemon.client();
    register(&mut client, time);
    client
}

/// Registers, and waits until the pool knows.
fn register(client: &mut Client, time: u32) {
    client.request(registration(time), None);
    is_quiet(client);
}

#[track_caller]
fn question(service: &mut Client) -> (Packet, PinEntry) {
    let packet = service.receive();
    let Message::PinEntry(body) = &packet.message else { panic!("{packet:?}") };
    let body = body.clone();
    (packet, body)
}

fn enter(service: &mut Client, asked: &Packet, pin: &str) {
    let pin = Pin::new(pin.as_bytes()).unwrap();
    let entry = PinEntry { pin, timeout_us: MINUTE, ..PinEntry::default() };
    service.answer(asked, Message::PinEntry(entry), None);
}

/// A server's handshake that begins: who asks for it, and its peer.
fn begin(
    daemon: &Daemon,
    name: &str,
) -> (Client, TcpStream, tokio::task::JoinHandle<levada::Ended>) {
    let (near, far) = tcp_pair();
    let peer = Peer::client(far, &daemon.pki, name, None).echo();
    let mut client = daemon.client();
    client.request(Message::StartTls(as_server(name)), Some(near.as_fd()));
    (client, near, peer)
}

/// The handshake goes on to its end.
#[track_caller]
fn is_protected(client: &mut Client) {
    client.finish_tls().unwrap();
}

#[test]
fn a7_who_is_registered_is_asked_when_a_key_is_needed_until_the_pin_is_right() {
    let daemon = locked("");
    let mut service = registered(&daemon, MINUTE);
    let (mut client, _near, _peer) = begin(&daemon, "a.example");
    let (asked, body) = question(&mut service);
    assert_eq!(body.prompt.as_str(), Some("Passphrase for the key of a.example"));
    assert_eq!((body.attempt, body.timeout_us), (0, MINUTE));
    assert!(body.pin.is_empty() && body.label.is_empty());
    enter(&mut service, &asked, "wrong");
    let (asked, body) = question(&mut service);
    assert_eq!(body.attempt, 1);
    enter(&mut service, &asked, PIN);
    is_protected(&mut client);
    // The key is open from now on, also for a client of the pool that nobody enters PINs for.
    let (mut next, _near, _peer) = begin(&daemon, "a.example");
    is_protected(&mut next);
    is_quiet(&mut service);
    let told = format!("{:?}", daemon.notices.lines());
    assert!(!told.contains(PIN) && !told.contains("wrong"), "{told}");
}

#[test]
fn a7_three_wrong_pins_fail_the_handshakes_that_wait_and_their_peers_are_told() {
    let daemon = locked("");
    let mut service = registered(&daemon, MINUTE);
    let mut waiting = [begin(&daemon, "a.example"), begin(&daemon, "a.example")];
    for attempt in 0..3 {
        let (asked, body) = question(&mut service);
        assert_eq!(body.attempt, attempt);
        enter(&mut service, &asked, &format!("wrong {attempt}"));
    }
    for (client, ..) in &mut waiting {
        assert_eq!(code_of(&client.receive().message), 23);
    }
    for (.., peer) in waiting {
        let told = wait(peer).to_string();
        assert!(told.contains("internal_error"), "{told}");
    }
    assert!(daemon.notices.last_failure().contains("3 PINs were wrong"));
    // Whoever comes at once fails without a question, and another key is another matter.
    let (mut client, ..) = begin(&daemon, "a.example");
    assert_eq!(code_of(&client.receive().message), 23);
    let (mut client, _near, _peer) = begin(&daemon, "b.example");
    let (asked, body) = question(&mut service);
    assert_eq!(body.prompt.as_str(), Some("Passphrase for the key of b.example"));
    enter(&mut service, &asked, PIN);
    is_protected(&mut client);
}

#[test]
fn a7_a_tls_client_has_its_key_opened_before_it_begins() {
    let daemon = locked("");
    let mut service = registered(&daemon, MINUTE);
    let (near, far) = tcp_pair();
    let server = daemon.pki.host("peer.example");
    let _echo = Peer::server(far, &server, Some(&daemon.pki.ca)).echo();
    let mut client = daemon.client();
    let mut request = as_client("peer.example");
    request.local_id = levada_pool_wire::Identity::new("u@a.example").unwrap();
    client.request(Message::StartTls(request), Some(near.as_fd()));
    let (asked, _) = question(&mut service);
    enter(&mut service, &asked, PIN);
    let (_plain, reply) = client.finish_tls().unwrap();
    assert_eq!(reply.local_id.as_str(), Some("u@a.example"));
}

#[test]
fn a7_one_client_is_registered_at_a_time_and_closing_frees_the_place() {
    let daemon = locked("");
    let mut first = registered(&daemon, MINUTE);
    let mut second = daemon.client();
    assert_eq!(code_of(&second.call(registration(MINUTE), None)), 27);
    assert_eq!(code_of(&first.call(registration(MINUTE), None)), 27, "it is there already");
    // While its question is out it alone may register again.
    let (mut client, _near, _peer) = begin(&daemon, "a.example");
    let (asked, _) = question(&mut first);
    assert_eq!(code_of(&second.call(registration(MINUTE), None)), 27);
    first.request(registration(MINUTE), None);
    let ended = first.receive();
    assert_eq!((ended.request, code_of(&ended.message)), (asked.request, 3));
    assert_eq!(code_of(&client.receive().message), 23);
    assert!(daemon.notices.last_failure().contains("declined"));
    drop(first);
    wait_until(|| {
        second.request(registration(MINUTE), None);
        second.request(Message::Ping(Ping::default()), None);
        match second.receive().message {
            Message::Ping(_) => true,
            refused => {
                assert_eq!(code_of(&refused), 27);
                second.receive();
                false
            }
        }
    });
    let (mut client, _near, _peer) = begin(&daemon, "b.example");
    let (asked, _) = question(&mut second);
    enter(&mut second, &asked, PIN);
    is_protected(&mut client);
}

#[test]
fn a7_a_late_answer_fails_who_waits_frees_the_place_and_registers_anew() {
    let daemon = locked("");
    let mut service = registered(&daemon, 200_000);
    let (mut client, _near, peer) = begin(&daemon, "a.example");
    let (asked, body) = question(&mut service);
    assert_eq!(body.timeout_us, 200_000);
    assert_eq!(code_of(&client.receive().message), 23);
    let told = wait(peer).to_string();
    assert!(told.contains("internal_error"), "{told}");
    let ended = service.receive();
    assert_eq!((ended.request, code_of(&ended.message)), (asked.request, 3));
    assert!(daemon.notices.last_failure().contains("did not answer in time"));
    // The PIN in it opens nothing: it is a registration.
    enter(&mut service, &asked, PIN);
    is_quiet(&mut service);
    let (mut client, _near, _peer) = begin(&daemon, "a.example");
    let (asked, body) = question(&mut service);
    assert_eq!(body.attempt, 0);
    enter(&mut service, &asked, PIN);
    is_protected(&mut client);
}

#[test]
fn a7_a_service_that_goes_or_declines_fails_who_waits_and_nobody_else() {
    let daemon = locked("");
    let nobody = begin(&daemon, "a.example").0.receive();
    assert_eq!(code_of(&nobody.message), 23);
    assert!(daemon.notices.last_failure().contains("no service is registered"));

    let mut killed = registered(&daemon, MINUTE);
    let (mut client, ..) = begin(&daemon, "a.example");
    question(&mut killed);
    drop(killed);
    assert_eq!(code_of(&client.receive().message), 23);
    assert!(daemon.notices.last_failure().contains("went away"));

    // ERROR ends the service, and an ERROR comes back.
    let mut service = registered(&daemon, MINUTE);
    let (mut client, ..) = begin(&daemon, "a.example");
    let (asked, _) = question(&mut service);
    let last = service.answer(&asked, Message::Error(Failure::from_errno(1)), None);
    let ended = service.receive();
    assert_eq!((ended.request, code_of(&ended.message)), (last, 3));
    assert_eq!(code_of(&client.receive().message), 23);

    // An empty PIN declines, and who gave it stays registered.
    register(&mut service, MINUTE);
    let (mut client, ..) = begin(&daemon, "b.example");
    let (asked, _) = question(&mut service);
    enter(&mut service, &asked, "");
    assert_eq!(code_of(&client.receive().message), 23);
    is_quiet(&mut service);
    assert_eq!(code_of(&daemon.client().call(registration(MINUTE), None)), 27);
}

#[test]
fn b8_an_answer_that_is_no_packet_ends_the_service_alone() {
    let daemon = locked("");
    let mut service = registered(&daemon, MINUTE);
    let (mut client, ..) = begin(&daemon, "a.example");
    let (asked, _) = question(&mut service);
    let mut bytes = *asked.encode().expose();
    // A PIN that nothing ends.
    bytes[20..148].fill(b'1');
    service.stream.write_all(&bytes).unwrap();
    assert_eq!(code_of(&service.receive().message), 10);
    assert_eq!(code_of(&client.receive().message), 23);
    // As an answer of another kind does.
    register(&mut service, MINUTE);
    let (mut client, ..) = begin(&daemon, "b.example");
    let (asked, _) = question(&mut service);
    service.answer(&asked, Message::Success, None);
    assert_eq!(code_of(&service.receive().message), 10);
    assert_eq!(code_of(&client.receive().message), 23);
    // And one with a socket.
    register(&mut service, MINUTE);
    let (mut client, near, _peer) = begin(&daemon, "b.example");
    let (asked, body) = question(&mut service);
    service.answer(&asked, Message::PinEntry(body), Some(near.as_fd()));
    assert_eq!(code_of(&service.receive().message), 5);
    assert_eq!(code_of(&client.receive().message), 23);
}

#[test]
fn a_handshake_that_gives_up_leaves_the_question_and_the_answer_counts() {
    let daemon = locked("");
    let mut service = registered(&daemon, MINUTE);
    let (client, near, _peer) = begin(&daemon, "a.example");
    let (asked, _) = question(&mut service);
    drop((client, near));
    wait_until(|| daemon.pool.sessions() == 0);
    // Another key is asked for when its turn comes, and others are served meanwhile.
    let (mut other, _near_b, _peer_b) = begin(&daemon, "b.example");
    is_quiet(&mut service);
    enter(&mut service, &asked, PIN);
    let (asked, body) = question(&mut service);
    assert_eq!(body.prompt.as_str(), Some("Passphrase for the key of b.example"));
    let (mut client, _near, _peer) = begin(&daemon, "a.example");
    is_protected(&mut client);
    enter(&mut service, &asked, PIN);
    is_protected(&mut other);
}

#[test]
fn d6_only_who_may_enters_pins() {
    let uid = rustix::process::geteuid().as_raw();
    let daemon = locked(&format!("pin-entry-users = [{}]", uid + 1));
    assert_eq!(code_of(&daemon.client().call(registration(MINUTE), None)), 27);
}

#[test]
fn a_reload_leaves_open_what_was_opened_and_a_new_key_is_locked() {
    let daemon = locked("");
    let mut service = registered(&daemon, MINUTE);
    let (mut client, _near, _peer) = begin(&daemon, "a.example");
    let (asked, _) = question(&mut service);
    enter(&mut service, &asked, PIN);
    is_protected(&mut client);
    let source = PolicySource::new(daemon.folder.path().join("pool.toml"));
    daemon.folder.write("b.pem", &encrypted(&daemon.pki.host("b.example")));
    daemon.reload(&source);
    daemon.notices.wait(|notice| matches!(notice, Notice::Reloaded { .. }).then_some(()));
    let (mut client, _near, _peer) = begin(&daemon, "a.example");
    is_protected(&mut client);
    daemon.folder.write("a.pem", &encrypted(&daemon.pki.host("a.example")));
    daemon.reload(&source);
    let (mut client, _near, _peer) = begin(&daemon, "a.example");
    let (asked, _) = question(&mut service);
    enter(&mut service, &asked, PIN);
    is_protected(&mut client);
}

#[test]
fn a_policy_whose_key_has_no_passphrase_or_two_is_wrong() {
    let pki = Pki::new();
    let folder = Folder::new();
    folder.write("open.pem", &pki.host("a.example"));
    folder.write("locked.pem", &encrypted(&pki.host("a.example")));
    folder.write("pin", PIN);
    let told = |file: &str, more: &str| {
        let text = format!("[[identity]]\nname = \"a.example\"\ncert = \"{file}\"\n{more}\n");
        PolicySource::new(folder.write("pool.toml", &text)).load().unwrap_err().to_string()
    };
    let text = told("locked.pem", "");
    assert!(text.contains("key-pass = \"ask\""), "{text}");
    let text = told("open.pem", "key-pass = \"ask\"");
    assert!(text.contains("not encrypted"), "{text}");
    let text = told("locked.pem", "key-pass = \"ask\"\nkey-pass-file = \"pin\"");
    assert!(text.contains("the passphrase has two places"), "{text}");
    let text = told("locked.pem", &format!("key-pass = \"{PIN}\""));
    assert!(text.contains("nobody is named who knows it"), "{text}");
}
