//! LOCALID_ONTHEFLY: a local CA signs for the identities that are asked for.

use std::os::fd::AsFd as _;

use levada::{CertificateFacts, ShownCertificate, SubjectName};
use levada_pool_daemon::{PolicySource, PoolLimits};
use levada_pool_wire::body::{Lidentry, Ping, StartTls};
use levada_pool_wire::{Identity, LidentryFlags, Message, StartTlsFlags};

use crate::support::{
    Client, Daemon, Folder, Peer, Pki, as_client, as_server, code_of, tcp_pair, wait,
};

/// A pool whose local CA has an authority above it that everybody trusts.
fn pool(names: &str, more: &str) -> Daemon {
    let (folder, pki) = (Folder::new(), Pki::new());
    let below = pki.below();
    folder.write("ca.pem", &pki.ca);
    folder.write("local-ca.pem", &below.authority());
    let policy = format!(
        "anchors = \"ca.pem\"\nclient-anchors = \"ca.pem\"\n\
         [local-ca]\ncert = \"local-ca.pem\"\nnames = {names}\n{more}"
    );
    let source = PolicySource::new(folder.write("pool.toml", &policy));
    Daemon::run(folder, pki, &source, PoolLimits::default())
}

fn made(request: StartTls) -> StartTls {
    StartTls { flags: request.flags.with(StartTlsFlags::LOCALID_ONTHEFLY), ..request }
}

/// What a TLS client sees that asks for `name`, and what the application is told.
fn served(daemon: &Daemon, request: StartTls, name: &str) -> (CertificateFacts, String) {
    let (near, far) = tcp_pair();
    let peer = Peer::client(far, &daemon.pki, name, None).spawn(|mut socket| async move {
        socket.established().await.unwrap();
        socket.facts().tls.unwrap().peer_chain[0].clone()
    });
    let (_plain, reply) = daemon.client().protect(request, &near);
    let ShownCertificate::Read(facts) = wait(peer) else { panic!("it cannot be read") };
    (facts, String::from_utf8_lossy(reply.local_id.as_bytes()).into_owned())
}

/// Whom a TLS server sees, and what the application is told.
#[track_caller]
fn shown(daemon: &Daemon, client: &mut Client, request: StartTls) -> Result<CertificateFacts, u8> {
    let (near, far) = tcp_pair();
    let host = daemon.pki.host("peer.example");
    let peer = Peer::server(far, &host, Some(&daemon.pki.ca)).spawn(|mut socket| async move {
        socket.established().await.ok()?;
        socket.facts().tls.unwrap().peer_chain.first().cloned()
    });
    client.request(Message::StartTls(request), Some(near.as_fd()));
    let _protected = client.finish_tls()?;
    match wait(peer) {
        Some(ShownCertificate::Read(facts)) => Ok(facts),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a4_a_server_is_signed_for_in_short_and_once() {
    let daemon = pool("[\".example\", \"127.0.0.1\"]", "");
    let (by_sni, told) = served(&daemon, made(as_server("")), "a.host.example");
    assert_eq!(told, "a.host.example");
    assert_eq!(by_sni.names, [SubjectName::Dns("a.host.example".into())]);
    assert!(!by_sni.is_ca);
    let life = by_sni.not_after - by_sni.not_before;
    assert!(life <= 65 * 60, "{life} s");
    let (again, _) = served(&daemon, made(as_server("A.host.example")), "a.host.example");
    assert_eq!(again.serial, by_sni.serial, "it is kept");
    let (other, _) = served(&daemon, made(as_server("")), "b.host.example");
    assert_ne!((other.serial, &other.spki_pin), (by_sni.serial, &by_sni.spki_pin));
    let (user, told) = served(&daemon, made(as_server("")), "c.example");
    assert_eq!((user.names.len(), told.as_str()), (1, "c.example"));
}

#[test]
fn a4_a_client_is_signed_for_as_user_or_host() {
    let daemon = pool("[\".example\", \"@.example\"]", "");
    let mut client = daemon.client();
    for (local, name) in [
        ("u@a.example", SubjectName::Email("u@a.example".into())),
        ("a.example", SubjectName::Dns("a.example".into())),
    ] {
        let local_id = Identity::new(local).unwrap();
        let request = made(StartTls { local_id, ..as_client("peer.example") });
        let facts = shown(&daemon, &mut client, request).unwrap();
        assert_eq!(facts.names, [name], "one name, and for clients alone");
    }
    assert_eq!(shown(&daemon, &mut client, made(as_client("peer.example"))), Err(23), "no name");
}

#[test]
fn a4_what_the_policy_does_not_let_be_made_is_refused() {
    let daemon = pool("[\".good.example\"]", "roles = [\"server\"]\n");
    let mut client = daemon.client();
    // The application names somebody: no TLS client is needed to fail.
    for name in
        ["good.example", "evil.example", "u@a.good.example", "*.good.example", "a..good.example"]
    {
        let (near, _far) = tcp_pair();
        let request = Message::StartTls(made(as_server(name)));
        assert_eq!(code_of(&client.call(request, Some(near.as_fd()))), 23, "{name}");
    }
    assert!(daemon.notices.last_failure().contains("does not let its `local-ca` sign"));
    // A TLS client names somebody.
    let (near, far) = tcp_pair();
    let peer = Peer::client(far, &daemon.pki, "evil.example", None).echo();
    let request = Message::StartTls(made(as_server("")));
    assert_eq!(code_of(&client.call(request, Some(near.as_fd()))), 24);
    let told = wait(peer).to_string();
    assert!(told.contains("unrecognized_name"), "{told}");
    // The role is not one of the policy's.
    let local_id = Identity::new("a.good.example").unwrap();
    let request = made(StartTls { local_id, ..as_client("peer.example") });
    assert_eq!(shown(&daemon, &mut client, request), Err(23));
    // It is asked for by its flag, and never without.
    let (near, _far) = tcp_pair();
    let request = Message::StartTls(as_server("a.good.example"));
    assert_eq!(code_of(&client.call(request, Some(near.as_fd()))), 23);
    // Nobody signs where the policy has nobody.
    let (near, _far) = tcp_pair();
    let request = Message::StartTls(made(as_server("a.good.example")));
    assert_eq!(code_of(&Daemon::start().client().call(request, Some(near.as_fd()))), 9);
}

#[test]
fn a7_the_application_may_put_in_whom_to_sign_for() {
    let daemon = pool("[\".example\"]", "");
    let (near, far) = tcp_pair();
    let peer = Peer::client(far, &daemon.pki, "a.example", None).echo();
    let mut client = daemon.client();
    let flags = StartTlsFlags::LOCALID_CHECK;
    let request = made(as_server(""));
    let request = StartTls { flags: request.flags.with(flags), ..request };
    client.request(Message::StartTls(request), Some(near.as_fd()));
    let asked = client.receive();
    let Message::StartTlsLocalId(body) = &asked.message else { panic!("{asked:?}") };
    assert_eq!(body.local_id.as_str(), Some("a.example"));
    let said = StartTls { local_id: Identity::new("b.example").unwrap(), ..body.clone() };
    client.answer(&asked, Message::StartTlsLocalId(said), None);
    let next = client.receive();
    // Who asked for another name does not take it.
    assert_eq!(code_of(&next.message), 24);
    assert!(!wait(peer).is_clean());
}

#[test]
fn a4_who_chooses_identities_may_have_one_signed() {
    let daemon = pool("[\"@.example\"]", "");
    let mut service = daemon.client();
    let body = Lidentry { timeout_s: 60, max_levels: 9, ..Lidentry::default() };
    service.request(Message::LidentryRegister(body), None);
    assert!(matches!(service.call(Message::Ping(Ping::default()), None), Message::Ping(_)));
    for (more, expected) in [
        (LidentryFlags::NEW, Err(23)),
        (LidentryFlags::ONTHEFLY.with(LidentryFlags::NEW), Ok("new@a.example")),
    ] {
        let (near, far) = tcp_pair();
        let host = daemon.pki.host("peer.example");
        let _echo = Peer::server(far, &host, Some(&daemon.pki.ca)).echo();
        let mut client = daemon.client();
        client.request(Message::StartTls(as_client("peer.example")), Some(near.as_fd()));
        let asked = service.receive();
        let Message::LidentryCallback(body) = asked.message else { panic!("{asked:?}") };
        assert!(body.flags.contains(LidentryFlags::ONTHEFLY), "it is told that it may");
        let flags = more.with(LidentryFlags::DBINSERT);
        let local_id = Identity::new("new@a.example").unwrap();
        let remote_id = Identity::new(".example").unwrap();
        let answer = Lidentry { flags, local_id, remote_id, ..body };
        service.answer(&asked, Message::LidentryCallback(answer), None);
        let shown = client.finish_tls().map(|(_plain, reply)| reply.local_id);
        assert_eq!(shown, expected.map(|name| Identity::new(name).unwrap()));
    }
    // It was remembered, and is signed for without a question.
    drop(service);
    daemon.notices.wait(|notice| notice.to_string().contains("no more").then_some(()));
    let facts = shown(&daemon, &mut daemon.client(), as_client("peer.example")).unwrap();
    assert_eq!(facts.names, [SubjectName::Email("new@a.example".into())]);
}

#[test]
fn a_policy_whose_local_ca_is_none_is_wrong() {
    let (folder, pki) = (Folder::new(), Pki::new());
    folder.write("leaf.pem", &pki.host("a.example"));
    folder.write("alone.pem", &pki.ca);
    let other = Pki::new().authority();
    folder.write("mixed.pem", &(pki.ca.clone() + &other[other.find("-----BEGIN PRIV").unwrap()..]));
    let told = |ca: &str| {
        let text = format!("[local-ca]\n{ca}\n");
        PolicySource::new(folder.write("pool.toml", &text)).load().unwrap_err().to_string()
    };
    for (ca, why) in [
        ("cert = \"leaf.pem\"\nnames = [\".\"]", "not that of an authority"),
        ("cert = \"alone.pem\"\nnames = [\".\"]", "key"),
        ("cert = \"mixed.pem\"\nnames = [\".\"]", "key"),
        ("cert = \"leaf.pem\"", "a local CA needs `names`"),
        ("cert = \"leaf.pem\"\nnames = [\"a..b\"]", "no domain"),
        ("show-to = []", "unknown key `show-to`"),
    ] {
        let text = told(ca);
        assert!(text.contains(why), "{ca}: {text}");
    }
}
