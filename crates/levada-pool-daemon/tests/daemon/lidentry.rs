//! LIDENTRY: a client chooses which identity the pool's TLS clients show.

use std::net::TcpStream;
use std::os::fd::AsFd as _;
use std::time::{Duration, SystemTime};

use levada_pool_daemon::{Notice, PolicySource, PoolLimits};
use levada_pool_wire::body::{Failure, Lidentry, Ping, StartTls};
use levada_pool_wire::{Identity, LidentryFlags, Message, Packet};

use crate::endings::wait_until;
use crate::support::{Client, Daemon, Peer, as_client, as_server, code_of, starttls_of, tcp_pair};

const NONE: LidentryFlags = LidentryFlags::NONE;

fn id(text: &str) -> Identity {
    Identity::new(text).unwrap()
}

/// A pool that shows two users to all below `partner.example`, and has a third for everybody who asks.
fn pool() -> Daemon {
    pool_with_keys("")
}

fn pool_with_keys(keys: &str) -> Daemon {
    let more = "\
        [[identity]]\nname = \"a@pool.example\"\ncert = \"user.pem\"\n\
        show-to = [\".partner.example\"]\n\
        [[identity]]\nname = \"b@pool.example\"\ncert = \"user.pem\"\n\
        show-to = [\".partner.example\"]\n\
        [[identity]]\nname = \"server@pool.example\"\ncert = \"user.pem\"\nroles = [\"server\"]\n";
    Daemon::with_keys(keys, more, PoolLimits::default())
}

fn register(client: &mut Client, body: &Lidentry) {
    client.request(Message::LidentryRegister(*body), None);
    is_quiet(client);
}

fn minute(flags: LidentryFlags, max_levels: u16) -> Lidentry {
    Lidentry { flags, max_levels, timeout_s: 60, ..Lidentry::default() }
}

#[track_caller]
fn is_quiet(client: &mut Client) {
    let reply = client.call(Message::Ping(Ping::default()), None);
    assert!(matches!(reply, Message::Ping(_)), "{reply:?}");
}

/// A TLS client that wants to reach `remote`, which asks for a certificate.
fn begin(daemon: &Daemon, request: StartTls) -> (Client, TcpStream) {
    let (near, far) = tcp_pair();
    let host = String::from_utf8_lossy(request.remote_id.domain()).into_owned();
    let _echo = Peer::server(far, &daemon.pki.host(&host), Some(&daemon.pki.ca)).echo();
    let mut client = daemon.client();
    client.request(Message::StartTls(request), Some(near.as_fd()));
    (client, near)
}

/// As whom it was shown, or the code that refused it.
#[track_caller]
fn shown((mut client, _near): (Client, TcpStream)) -> Result<String, u8> {
    let (_plain, reply) = client.finish_tls()?;
    Ok(String::from_utf8_lossy(reply.local_id.as_bytes()).into_owned())
}

#[track_caller]
fn question(service: &mut Client) -> (Packet, Lidentry) {
    let packet = service.receive();
    let Message::LidentryCallback(body) = packet.message else { panic!("{packet:?}") };
    (packet, body)
}

/// Answers with who to show to whom, and flags beside those of the registration.
fn say(
    service: &mut Client,
    asked: &(Packet, Lidentry),
    local: &str,
    remote: &str,
    more: LidentryFlags,
) {
    let flags = asked.1.flags.and(LidentryFlags::REGFLAGS).with(more);
    let (local_id, remote_id) = (id(local), id(remote));
    let answer = Lidentry { flags, local_id, remote_id, ..asked.1 };
    service.answer(&asked.0, Message::LidentryCallback(answer), None);
}

#[test]
fn a7_every_entry_is_told_and_then_one_inquiry_decides() {
    let daemon = pool();
    let mut service = daemon.client();
    register(&mut service, &minute(LidentryFlags::WANT_DBENTRY, 9));
    let waiting = begin(&daemon, as_client("host.partner.example"));
    for name in ["a@pool.example", "b@pool.example"] {
        let asked = question(&mut service);
        assert_eq!(asked.1.local_id, id(name));
        assert_eq!(asked.1.remote_id, id(".partner.example"), "as it stands in the policy");
        let flags = LidentryFlags::WANT_DBENTRY.with(LidentryFlags::DBENTRY);
        assert_eq!(asked.1.flags, flags);
        // What is said here does not count.
        say(&mut service, &asked, "nobody@x.example", "x", LidentryFlags::DBINSERT);
    }
    let asked = question(&mut service);
    assert_eq!(asked.1.flags, LidentryFlags::WANT_DBENTRY, "DBENTRY is clear");
    assert_eq!(asked.1.local_id, id("a@pool.example"), "the first is proposed");
    assert_eq!(asked.1.remote_id, id("host.partner.example"));
    assert_eq!(asked.1.max_levels, 3, "no more than it has");
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    assert!(u64::from(asked.1.timeout_s).abs_diff(now + 60) < 30, "a second since 1970");
    say(&mut service, &asked, "b@pool.example", "", NONE);
    assert_eq!(shown(waiting), Ok("b@pool.example".to_owned()));
    // Without the flag there is the inquiry alone; and the answer has registered anew.
    drop(service);
    let mut service = daemon.client();
    wait_until(|| {
        service.request(Message::LidentryRegister(minute(NONE, 0)), None);
        service.request(Message::Ping(Ping::default()), None);
        matches!(service.receive().message, Message::Ping(_)) || {
            service.receive();
            false
        }
    });
    for name in ["user@pool.example", "a@pool.example"] {
        let waiting = begin(&daemon, as_client("host.partner.example"));
        let asked = question(&mut service);
        assert_eq!((asked.1.flags, asked.1.max_levels), (NONE, 0));
        say(&mut service, &asked, name, "host.partner.example", NONE);
        assert_eq!(shown(waiting), Ok(name.to_owned()));
    }
}

#[test]
fn a7_the_application_proposes_and_an_unknown_server_is_asked_about_too() {
    let daemon = pool();
    let mut service = daemon.client();
    register(&mut service, &minute(LidentryFlags::WANT_DBENTRY, 0));
    let request = StartTls { local_id: id("user@pool.example"), ..as_client("x.example") };
    let waiting = begin(&daemon, request);
    let asked = question(&mut service);
    assert_eq!(asked.1.local_id, id("user@pool.example"));
    say(&mut service, &asked, "a@pool.example", "", NONE);
    assert_eq!(shown(waiting), Ok("a@pool.example".to_owned()));
    let waiting = begin(&daemon, as_client("x.example"));
    let asked = question(&mut service);
    assert!(asked.1.local_id.is_empty(), "there is nobody to propose");
    say(&mut service, &asked, "a@pool.example", "", NONE);
    assert_eq!(shown(waiting), Ok("a@pool.example".to_owned()));
    // Servers are not chosen for: their clients say whom they want.
    let (near, far) = tcp_pair();
    let _echo = Peer::client(far, &daemon.pki, "pool.example", None).echo();
    daemon.client().protect(as_server(""), &near);
    is_quiet(&mut service);
}

#[test]
fn a4_a_question_is_skipped_where_the_policy_is_particular_enough() {
    let daemon = pool();
    let mut service = daemon.client();
    register(&mut service, &minute(LidentryFlags::SKIP_DOMAIN_ONEUP, 0));
    let one_up = begin(&daemon, as_client("host.partner.example"));
    assert_eq!(shown(one_up), Ok("a@pool.example".to_owned()));
    is_quiet(&mut service);
    let two_up = begin(&daemon, as_client("a.host.partner.example"));
    let asked = question(&mut service);
    assert_eq!(asked.1.flags, LidentryFlags::SKIP_DOMAIN_ONEUP);
    say(&mut service, &asked, "b@pool.example", "", NONE);
    assert_eq!(shown(two_up), Ok("b@pool.example".to_owned()));
}

#[test]
fn a4_a_choice_is_remembered_for_as_much_as_it_says() {
    let daemon = pool();
    let mut service = daemon.client();
    let skip = LidentryFlags::SKIP_DBENTRY;
    register(&mut service, &minute(skip, 1));
    // The policy knows nobody for it.
    let waiting = begin(&daemon, as_client("h.other.example"));
    let asked = question(&mut service);
    assert_eq!(asked.1.max_levels, 1);
    say(&mut service, &asked, "b@pool.example", ".other.example", LidentryFlags::DBINSERT);
    assert_eq!(shown(waiting), Ok("b@pool.example".to_owned()));
    let told = daemon.notices.wait(|notice| match notice {
        Notice::Remembered { .. } => Some(notice.to_string()),
        _ => None,
    });
    assert_eq!(told, "\"b@pool.example\" is shown to \".other.example\" until the pool stops");
    // Now there is an entry, so nobody is asked, for all below it; and after the service is gone.
    let next = begin(&daemon, as_client("i.other.example"));
    assert_eq!(shown(next), Ok("b@pool.example".to_owned()));
    drop(service);
    wait_until(|| daemon.notices.lines().join("\n").contains("chooses identities no more"));
    let next = begin(&daemon, as_client("j.other.example"));
    assert_eq!(shown(next), Ok("b@pool.example".to_owned()));
}

#[test]
fn a4_choices_are_kept_in_a_file_and_outlive_every_reload() {
    let daemon = pool_with_keys("lidentry-choices = \"choices\"\n");
    let mut service = daemon.client();
    register(&mut service, &minute(LidentryFlags::WANT_DBENTRY, 1));
    for (name, selector, flags) in [
        ("b@pool.example", "", LidentryFlags::DBINSERT),
        ("a@pool.example", ".other.example", LidentryFlags::DBAPPEND),
        // A second time, and one that counts once.
        ("b@pool.example", "", LidentryFlags::DBINSERT),
        ("user@pool.example", "", NONE),
    ] {
        let waiting = begin(&daemon, as_client("h.other.example"));
        let asked = loop {
            let asked = question(&mut service);
            if !asked.1.flags.contains(LidentryFlags::DBENTRY) {
                break asked;
            }
            say(&mut service, &asked, "", "", NONE);
        };
        say(&mut service, &asked, name, selector, flags);
        assert_eq!(shown(waiting), Ok(name.to_owned()));
    }
    drop(service);
    wait_until(|| daemon.notices.lines().join("\n").contains("chooses identities no more"));
    let kept = std::fs::read_to_string(daemon.folder.path().join("choices")).unwrap();
    let kept: Vec<_> = kept.lines().filter(|line| !line.starts_with('#')).collect();
    let lines = ["first h.other.example b@pool.example", "last .other.example a@pool.example"];
    assert_eq!(kept, lines);
    // A reload that takes the identity away takes it from here, too, for as long as that is so.
    let path = daemon.folder.path().join("pool.toml");
    let policy = std::fs::read_to_string(&path).unwrap();
    let without = policy.replace("b@pool.example", "c@pool.example");
    for (policy, name) in [(&without, "a@pool.example"), (&policy, "b@pool.example")] {
        daemon.folder.write("pool.toml", policy);
        daemon.reload(&PolicySource::new(&path));
        let next = begin(&daemon, as_client("h.other.example"));
        assert_eq!(shown(next), Ok(name.to_owned()));
    }
    // Another file could not be opened by now.
    let said = "the file of the choices changes when the pool begins anew";
    assert!(!daemon.notices.lines().join("\n").contains(said));
    daemon.folder.write("pool.toml", &policy.replace("\"choices\"", "\"others\""));
    daemon.reload(&PolicySource::new(path));
    let others = format!("{}: {said}", daemon.folder.path().join("others").display());
    assert!(daemon.notices.lines().contains(&others));
    let next = begin(&daemon, as_client("h.other.example"));
    assert_eq!(shown(next), Ok("b@pool.example".to_owned()));
}

#[test]
fn a4_entries_are_moved_and_appended() {
    let daemon = pool();
    let mut service = daemon.client();
    register(&mut service, &minute(LidentryFlags::WANT_DBENTRY, 1));
    let mut entries = |name: &str, flags: LidentryFlags| {
        let waiting = begin(&daemon, as_client("h.partner.example"));
        let mut told = Vec::new();
        let asked = loop {
            let asked = question(&mut service);
            if !asked.1.flags.contains(LidentryFlags::DBENTRY) {
                break asked;
            }
            told.push(asked.1.local_id.as_str().unwrap().split('@').next().unwrap().to_owned());
            say(&mut service, &asked, "", "", NONE);
        };
        say(&mut service, &asked, name, ".partner.example", flags);
        assert_eq!(shown(waiting), Ok(name.to_owned()));
        told.join(" ")
    };
    assert_eq!(entries("b@pool.example", LidentryFlags::DBREORDER), "a b");
    assert_eq!(entries("user@pool.example", LidentryFlags::DBAPPEND), "b a");
    assert_eq!(entries("user@pool.example", LidentryFlags::DBINSERT), "b a user");
    assert_eq!(entries("a@pool.example", NONE), "user b a");
    assert_eq!(entries("a@pool.example", NONE), "user b a", "once is once");
}

#[test]
fn a7_what_is_chosen_has_to_be_the_applications_to_use() {
    let daemon = pool();
    let mut service = daemon.client();
    register(&mut service, &minute(NONE, 1));
    for (name, remote, code) in [
        ("nobody@pool.example", "", 23),
        ("server@pool.example", "", 23),
        // No name refuses.
        ("", "", 3),
        // One step too far, and somebody else.
        ("a@pool.example", ".example", 10),
        ("a@pool.example", "x.example", 10),
    ] {
        let waiting = begin(&daemon, as_client("host.partner.example"));
        let asked = question(&mut service);
        say(&mut service, &asked, name, remote, LidentryFlags::DBINSERT);
        assert_eq!(shown(waiting), Err(code), "{name} {remote}");
    }
    // The service is there still, and nothing was remembered.
    let waiting = begin(&daemon, as_client("host.partner.example"));
    let asked = question(&mut service);
    assert_eq!(asked.1.local_id, id("a@pool.example"));
    say(&mut service, &asked, "a@pool.example", ".partner.example", NONE);
    assert_eq!(shown(waiting), Ok("a@pool.example".to_owned()));
    assert!(!daemon.notices.lines().join("\n").contains("until the pool stops"));
}

#[test]
fn a4_flags_of_the_registration_are_echoed_or_the_service_ends() {
    let daemon = pool();
    let mut service = daemon.client();
    let flags = LidentryFlags::SKIP_USER.with(LidentryFlags::from_bits(0x200));
    register(&mut service, &minute(flags, 0));
    let waiting = begin(&daemon, as_client("x.example"));
    let (packet, body) = question(&mut service);
    assert_eq!(body.flags, flags, "those without a name, too");
    let answer = Lidentry { flags: NONE, local_id: id("a@pool.example"), ..body };
    service.answer(&packet, Message::LidentryCallback(answer), None);
    assert_eq!(code_of(&service.receive().message), 10);
    assert_eq!(shown(waiting), Err(10));
    // The place is free. LIDENTRY_REGISTER answers as well.
    register(&mut service, &minute(NONE, 0));
    let waiting = begin(&daemon, as_client("x.example"));
    let (packet, body) = question(&mut service);
    let answer = Lidentry { local_id: id("A@pool.example"), ..body };
    service.answer(&packet, Message::LidentryRegister(answer), None);
    assert_eq!(shown(waiting), Ok("a@pool.example".to_owned()));
}

#[test]
fn a7_one_chooser_at_a_time_and_one_that_is_late_or_gone_shows_nobody() {
    let daemon = pool();
    let mut service = daemon.client();
    register(&mut service, &Lidentry { timeout_s: 1, ..minute(NONE, 0) });
    let mut other = daemon.client();
    let register_other = Message::LidentryRegister(minute(NONE, 0));
    assert_eq!(code_of(&other.call(register_other.clone(), None)), 26);
    // Late.
    let waiting = begin(&daemon, as_client("host.partner.example"));
    let asked = question(&mut service);
    assert_eq!(shown(waiting), Err(3));
    let ended = service.receive();
    assert_eq!((ended.request, code_of(&ended.message)), (asked.0.request, 3));
    // The place is free, and a late answer registers anew, if nobody else has.
    register(&mut other, &minute(NONE, 0));
    say(&mut service, &asked, "a@pool.example", "", NONE);
    assert_eq!(code_of(&service.receive().message), 8, "a callback of the past is no request");
    // Gone.
    let waiting = begin(&daemon, as_client("host.partner.example"));
    question(&mut other);
    drop(other);
    assert_eq!(shown(waiting), Err(3));
    assert!(daemon.notices.last_failure().contains("went away"));
    // Declined with ERROR, which ends it.
    register(&mut service, &minute(NONE, 0));
    let waiting = begin(&daemon, as_client("host.partner.example"));
    let (packet, _) = question(&mut service);
    service.answer(&packet, Message::Error(Failure::from_errno(1)), None);
    assert_eq!(code_of(&service.receive().message), 3);
    assert_eq!(shown(waiting), Err(3));
    // Where nobody is registered the policy decides.
    let waiting = begin(&daemon, as_client("host.partner.example"));
    assert_eq!(shown(waiting), Ok("a@pool.example".to_owned()));
}

#[test]
fn b8_an_abandoned_choice_holds_up_who_waits_for_it_alone() {
    let mut limits = PoolLimits::default();
    limits.handshake = Duration::from_millis(500);
    let daemon = Daemon::with("", limits);
    let mut service = daemon.client();
    register(&mut service, &minute(NONE, 0));
    let waiting = begin(&daemon, as_client("x.example"));
    let queued = begin(&daemon, as_client("y.example"));
    let asked = question(&mut service);
    // Servers, and other exchanges of the same client, go on.
    let (near, far) = tcp_pair();
    let _echo = Peer::client(far, &daemon.pki, "pool.example", None).echo();
    let unhurried = levada_pool_wire::HandshakeTimeout::NEVER;
    let request = StartTls { timeout: unhurried, ..as_server("pool.example") };
    service.request(Message::StartTls(request), Some(near.as_fd()));
    let plain = service.receive();
    let _plain = service.give_plain(&plain);
    starttls_of(service.receive().message);
    assert_eq!((shown(waiting), shown(queued)), (Err(24), Err(24)), "in their own time");
    // The question stays out until it is answered; who has gone is not asked about.
    say(&mut service, &asked, "user@pool.example", "", NONE);
    is_quiet(&mut service);
    let unhurried = StartTls { timeout: unhurried, ..as_client("z.example") };
    let waiting = begin(&daemon, unhurried);
    let asked = question(&mut service);
    assert_eq!(asked.1.remote_id, id("z.example"));
    say(&mut service, &asked, "user@pool.example", "", NONE);
    assert_eq!(shown(waiting), Ok("user@pool.example".to_owned()));
}

#[test]
fn d6_only_who_may_chooses() {
    let uid = rustix::process::geteuid().as_raw();
    let policy = format!("lidentry-users = [{}]\n", uid + 1);
    let (folder, pki) = (crate::support::Folder::new(), crate::support::Pki::new());
    let source = PolicySource::new(folder.write("pool.toml", &policy));
    let daemon = Daemon::run(folder, pki, &source, PoolLimits::default());
    let register = Message::LidentryRegister(minute(NONE, 0));
    assert_eq!(code_of(&daemon.client().call(register, None)), 26);
}
