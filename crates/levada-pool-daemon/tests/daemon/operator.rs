//! What operators do: reload, list, limit, stop.

use std::io::{Read as _, Write as _};
use std::os::fd::AsFd as _;
use std::time::Duration;

use levada_pool_daemon::{Notice, PolicySource, PoolLimits};
use levada_pool_wire::body::Ping;
use levada_pool_wire::{ControlKey, Document, Message, Page};

use crate::endings::wait_until;
use crate::support::{
    Client, Daemon, Folder, Peer, Pki, as_client, as_server, code_of, tcp_pair, wait,
};

#[test]
fn a_reload_takes_effect_and_touches_no_session() {
    let daemon = Daemon::start();
    let source = PolicySource::new(daemon.folder.path().join("pool.toml"));
    let mut client = daemon.client();
    let (near, far) = tcp_pair();
    let peer = Peer::client(far, &daemon.pki, "pool.example", None).echo();
    let (mut plain, _) = client.protect(as_server("pool.example"), &near);

    daemon.reload(&source);
    let reloads = |daemon: &Daemon| {
        daemon.notices.lines().iter().filter(|line| line.contains("reloaded")).count()
    };
    assert_eq!(reloads(&daemon), 0, "nothing has changed");

    daemon.folder.write("pool.toml", "identity = 7\n");
    daemon.reload(&source);
    assert!(daemon.notices.lines().join("\n").contains("the old policy stays in force: "));

    // Only the content of a certificate's file changes.
    daemon.folder.write("next.pem", &daemon.pki.host("next.example"));
    let text = "[[identity]]\nname = \"next.example\"\ncert = \"next.pem\"\n";
    daemon.folder.write("pool.toml", text);
    daemon.reload(&source);
    daemon.folder.write("next.pem", &daemon.pki.host("next.example"));
    daemon.reload(&source);
    assert_eq!(reloads(&daemon), 2);

    plain.write_all(b"untouched").unwrap();
    plain.shutdown(std::net::Shutdown::Write).unwrap();
    let mut text = String::new();
    plain.read_to_string(&mut text).unwrap();
    assert_eq!(text, "untouched");
    assert!(wait(peer).is_clean());
    let (near, _far) = tcp_pair();
    let request = Message::StartTls(as_server("pool.example"));
    assert_eq!(code_of(&client.call(request, Some(near.as_fd()))), 23, "it is there no more");
    let (near, far) = tcp_pair();
    let _next = Peer::client(far, &daemon.pki, "next.example", None).echo();
    client.protect(as_server("next.example"), &near);
}

#[test]
fn a_watched_policy_is_reloaded_when_its_content_changes() {
    let daemon = Daemon::start();
    let source = PolicySource::new(daemon.folder.path().join("pool.toml"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (pool, watched) = (daemon.pool.clone(), source.clone());
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let watching = std::thread::spawn(move || {
        runtime.block_on(async {
            tokio::select! {
                () = pool.watch(&watched, Duration::from_millis(5)) => {}
                _ = stopped => {}
            }
        });
    });
    let good = std::fs::read_to_string(source.path()).unwrap();
    daemon.folder.write("pool.toml", "wrong");
    daemon.notices.wait(|notice| matches!(notice, Notice::ReloadFailed { .. }).then_some(()));
    daemon.folder.write("pool.toml", &format!("{good}default = true\n"));
    daemon
        .notices
        .wait(|notice| matches!(notice, Notice::Reloaded { identities: 2 }).then_some(()));
    drop(stop);
    watching.join().unwrap();
    let failures = |line: &&String| line.starts_with("the old policy");
    assert!(daemon.notices.lines().iter().filter(failures).count() <= 2, "each is told once");
}

/// The list of sessions, one line each.
fn sessions(client: &mut Client) -> Vec<serde_json::Value> {
    let mut text = Vec::new();
    loop {
        let page = Page::request(Document::Sessions, ControlKey::default(), text.len() as u32);
        let page = Page::of(&client.call(page.into(), None)).unwrap().unwrap();
        text.extend_from_slice(page.bytes());
        if text.len() == page.total as usize {
            break;
        }
    }
    let text = String::from_utf8(text).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn sessions_are_listed_with_their_stage_and_their_bytes() {
    let daemon = Daemon::start();
    let mut client = daemon.client();
    let (near, far) = tcp_pair();
    let _echo = Peer::server(far, &daemon.pki.host("peer.example"), None).echo();
    let (mut plain, first) = client.protect(as_client("peer.example"), &near);
    plain.write_all(b"12345").unwrap();
    plain.read_exact(&mut [0; 5]).unwrap();
    let (waiting, _silent) = tcp_pair();
    client.request(Message::StartTls(as_server("pool.example")), Some(waiting.as_fd()));
    // In order on one connection: it has a place by now.
    let listed = sessions(&mut client);
    assert_eq!(listed.len(), 2, "{listed:?}");
    assert_eq!(listed[0]["stage"], "protected");
    assert_eq!(listed[0]["role"], "client");
    assert_eq!(listed[0]["remote"], "peer.example");
    assert_eq!(listed[0]["pid"], std::process::id());
    assert_eq!((&listed[0]["read"], &listed[0]["written"]), (&5.into(), &5.into()));
    assert_eq!(listed[1]["stage"], "handshake");
    assert_eq!(listed[1]["local"], "pool.example");
    assert_eq!(client.detach(&first.control_key), Ok(()));
    assert_eq!(sessions(&mut client)[0]["stage"], "detached");
    assert!(!format!("{listed:?}").contains("key"), "no key is told");
}

#[test]
fn b8_limits_refuse_and_do_not_break() {
    let mut limits = PoolLimits::default();
    (limits.clients, limits.sessions, limits.exchanges) = (2, 2, 2);
    let daemon = Daemon::with("", limits);
    let mut client = daemon.client();
    let (near, _silent) = tcp_pair();
    for _ in 0..2 {
        client.request(Message::StartTls(as_client("peer.example")), Some(near.as_fd()));
    }
    // Two exchanges are open on this connection, and two sessions in the pool.
    assert_eq!(code_of(&client.call(Message::Ping(Ping::default()), None)), 0);
    let mut other = daemon.client();
    let request = Message::StartTls(as_client("peer.example"));
    assert_eq!(code_of(&other.call(request, Some(near.as_fd()))), 0);
    assert!(matches!(other.call(Message::Ping(Ping::default()), None), Message::Ping(_)));
    assert!(daemon.client().is_closed(), "a third client");
    daemon.notices.wait(|notice| match notice {
        Notice::Full { clients: 2 } => Some(()),
        _ => None,
    });
    drop(client);
    wait_until(|| daemon.pool.sessions() == 0);
    wait_until(|| !daemon.client().is_closed_now());
}

#[test]
fn b8_a_user_has_no_more_than_its_share() {
    let (folder, pki) = (Folder::new(), Pki::new());
    folder.write("ca.pem", &pki.ca);
    let policy = "anchors = \"ca.pem\"\nclients-per-user = 2\nsessions-per-user = 3\n";
    let source = PolicySource::new(folder.write("pool.toml", policy));
    let daemon = Daemon::run(folder, pki, &source, PoolLimits::default());
    let mut clients = [daemon.client(), daemon.client()];
    let request = || Message::StartTls(as_client("peer.example"));
    let mut held = Vec::new();
    for number in 0..3 {
        let (near, far) = tcp_pair();
        clients[number % 2].request(request(), Some(near.as_fd()));
        held.push(far);
    }
    // In order on one connection: they have their places by now.
    for client in &mut clients {
        assert!(matches!(client.call(Message::Ping(Ping::default()), None), Message::Ping(_)));
    }
    let (near, _far) = tcp_pair();
    assert_eq!(code_of(&clients[0].call(request(), Some(near.as_fd()))), 0);
    assert!(daemon.client().is_closed(), "a third client");
    let told = daemon.notices.lines().join("\n");
    assert!(told.contains("turned away: it has 2 already"), "{told}");
    // What a client leaves is free again.
    let [first, mut second] = clients;
    drop(first);
    wait_until(|| daemon.pool.sessions() == 1);
    second.request(request(), Some(near.as_fd()));
    wait_until(|| !daemon.client().is_closed_now());
    // A reload counts for whoever comes next.
    daemon.folder.write("pool.toml", &policy.replace("clients-per-user = 2", ""));
    daemon.reload(&source);
    let more: Vec<_> = (0..5).map(|_| daemon.client()).collect();
    for mut client in more {
        assert!(matches!(client.call(Message::Ping(Ping::default()), None), Message::Ping(_)));
    }
}

#[test]
fn a_stop_waits_for_sessions_and_cuts_what_is_left() {
    let mut daemon = Daemon::draining(Duration::from_secs(30));
    let mut client = daemon.client();
    let (near, far) = tcp_pair();
    let peer = Peer::server(far, &daemon.pki.host("peer.example"), None).echo();
    let (mut plain, _) = client.protect(as_client("peer.example"), &near);
    daemon.begin_stop();
    daemon.notices.wait(|notice| matches!(notice, Notice::Draining).then_some(()));
    assert!(std::os::unix::net::UnixStream::connect(daemon.socket()).is_err());
    let (second, _far) = tcp_pair();
    let request = Message::StartTls(as_client("peer.example"));
    assert_eq!(code_of(&client.call(request, Some(second.as_fd()))), 22, "no new session");
    plain.write_all(b"the tail").unwrap();
    plain.shutdown(std::net::Shutdown::Write).unwrap();
    let mut text = String::new();
    plain.read_to_string(&mut text).unwrap();
    assert_eq!(text, "the tail");
    assert!(wait(peer).is_clean());
    daemon.stop();
    let cut = daemon.notices.wait(|notice| match notice {
        Notice::Stopped { cut } => Some(*cut),
        _ => None,
    });
    assert_eq!(cut, 0);
    assert!(client.is_closed());
}

#[test]
fn a_stop_that_has_waited_long_enough_cuts() {
    let mut daemon = Daemon::start();
    let mut client = daemon.client();
    let (near, far) = tcp_pair();
    let peer = Peer::server(far, &daemon.pki.host("peer.example"), None).echo();
    let (mut plain, _) = client.protect(as_client("peer.example"), &near);
    daemon.stop();
    assert_eq!(plain.read(&mut [0]).unwrap(), 0);
    assert!(!wait(peer).is_clean(), "nothing passes a cut off as an end");
    assert!(daemon.notices.lines().last().unwrap().contains("1 sessions cut"));
}
