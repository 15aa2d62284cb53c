//! Who may use which identity for what, and how a wrong policy is told.

use std::os::fd::AsFd as _;

use levada_pool_daemon::{PolicyError, PolicySource, PoolLimits};
use levada_pool_wire::body::{Ping, StartTls};
use levada_pool_wire::{Facilities, Identity, Message, StartTlsFlags, Text};

use crate::support::{
    Client, Daemon, Folder, Peer, Pki, Spec, as_client, as_server, code_of, tcp_pair,
};

/// As which identity the pool shows itself to `remote`, which asks for a certificate.
fn shown_to(daemon: &Daemon, client: &mut Client, request: StartTls, remote: &str) -> String {
    let (near, far) = tcp_pair();
    let _echo = Peer::server(far, &daemon.pki.host(remote), Some(&daemon.pki.ca)).echo();
    let (_, reply) = client.protect(request, &near);
    String::from_utf8_lossy(reply.local_id.as_bytes()).into_owned()
}

#[test]
fn c3_the_most_particular_selector_decides_which_identity_is_shown() {
    let more = "\
        [[identity]]\nname = \"a@pool.example\"\ncert = \"user.pem\"\nshow-to = [\".\"]\n\
        [[identity]]\nname = \"b@pool.example\"\ncert = \"user.pem\"\n\
        show-to = [\".partner.example\", \"@host.example\"]\n\
        [[identity]]\nname = \"c@pool.example\"\ncert = \"user.pem\"\n\
        show-to = [\".partner.example\", \"host.partner.example\"]\n";
    let daemon = Daemon::with(more, PoolLimits::default());
    let mut client = daemon.client();
    for (remote, wanted) in [
        ("host.partner.example", "c@pool.example"),
        ("other.partner.example", "b@pool.example"),
        ("host.example", "a@pool.example"),
    ] {
        assert_eq!(shown_to(&daemon, &mut client, as_client(remote), remote), wanted);
    }
    let flags = StartTlsFlags::CLIENT.with(StartTlsFlags::DOMAIN_REPRESENTS_USER);
    let user = StartTls { flags, ..as_client("u@host.example") };
    assert_eq!(shown_to(&daemon, &mut client, user, "host.example"), "b@pool.example");
    let local_id = Identity::new("user@pool.example").unwrap();
    let told = StartTls { local_id, ..as_client("host.example") };
    assert_eq!(shown_to(&daemon, &mut client, told, "host.example"), "user@pool.example");
}

#[test]
fn b10_a_client_without_an_identity_connects_as_nobody() {
    let daemon = Daemon::start();
    let mut client = daemon.client();
    assert_eq!(shown_to(&daemon, &mut client, as_client("a.example"), "a.example"), "");
}

#[test]
fn d6_an_identity_is_for_its_users_groups_services_and_roles() {
    let uid = rustix::process::geteuid().as_raw();
    let gid = rustix::process::getegid().as_raw();
    let identity = |name: &str, rule: &str| {
        format!("[[identity]]\nname = \"{name}@x.example\"\ncert = \"user.pem\"\n{rule}\n")
    };
    let more = [
        identity("others", &format!("users = [{}]", uid + 1)),
        identity("mine", &format!("users = [{uid}]")),
        identity("ours", &format!("users = [{}]\ngroups = [{gid}]", uid + 1)),
        identity("web", "services = [\"https\"]"),
        identity("server", "roles = [\"server\"]"),
        identity("root", "users = [\"root\"]"),
    ];
    let daemon = Daemon::with(&more.concat(), PoolLimits::default());
    let mut client = daemon.client();
    let mut code = |name: &str, service: &str| {
        let (near, far) = tcp_pair();
        let _echo = Peer::server(far, &daemon.pki.host("a.example"), None).echo();
        let request = StartTls {
            local_id: Identity::new(format!("{name}@x.example")).unwrap(),
            service: Text::new(service).unwrap(),
            ..as_client("a.example")
        };
        client.request(Message::StartTls(request), Some(near.as_fd()));
        client.finish_tls().err().unwrap_or(0)
    };
    assert_eq!(code("others", ""), 23);
    assert_eq!(code("mine", ""), 0);
    assert_eq!(code("ours", ""), 0);
    assert_eq!(code("web", ""), 23);
    assert_eq!(code("web", "https"), 0);
    assert_eq!(code("server", ""), 23);
    assert_eq!(code("root", ""), if uid == 0 { 0 } else { 23 });
    let why = daemon.notices.lines().join("\n");
    assert!(why.contains("does not let this user, service and role use"), "{why}");
}

#[test]
fn a10_a_pool_that_is_closed_says_so() {
    let (folder, pki) = (Folder::new(), Pki::new());
    let policy = folder.write("pool.toml", "starttls = false\n");
    let daemon = Daemon::run(folder, pki, &PolicySource::new(policy), PoolLimits::default());
    let mut client = daemon.client();
    let ping = Ping { facilities: Facilities::from_bits(u32::MAX), ..Ping::default() };
    let Message::Ping(reply) = client.call(Message::Ping(ping), None) else { panic!() };
    assert_eq!(reply.facilities, Facilities::NONE);
    let (near, _far) = tcp_pair();
    let request = Message::StartTls(as_client("a.example"));
    assert_eq!(code_of(&client.call(request, Some(near.as_fd()))), 11);
}

#[test]
fn a_wildcard_identity_answers_for_one_label() {
    let (folder, pki) = (Folder::new(), Pki::new());
    folder.write("wild.pem", &pki.host("*.wild.example"));
    let policy =
        folder.write("pool.toml", "[[identity]]\nname = \"*.wild.example\"\ncert = \"wild.pem\"\n");
    let daemon = Daemon::run(folder, pki, &PolicySource::new(policy), PoolLimits::default());
    let mut client = daemon.client();
    let (near, far) = tcp_pair();
    let _echo = Peer::client(far, &daemon.pki, "a.wild.example", None).echo();
    let (_plain, reply) = client.protect(as_server("a.wild.example"), &near);
    assert_eq!(reply.local_id.as_str(), Some("a.wild.example"));
    let (near, _far) = tcp_pair();
    let request = Message::StartTls(as_server("b.a.wild.example"));
    assert_eq!(code_of(&client.call(request, Some(near.as_fd()))), 23);
}

#[test]
fn a_folder_of_pem_files_is_a_policy() {
    let (folder, pki) = (Folder::new(), Pki::new());
    std::fs::create_dir(folder.path().join("pool.d")).unwrap();
    folder.write("pool.d/anchors.pem", &pki.ca);
    folder.write("pool.d/Host.example.pem", &pki.host("host.example"));
    let spec = Spec { mailboxes: &["u@host.example"], ..Spec::default() };
    folder.write("pool.d/u@host.example.pem", &pki.identity(spec));
    folder.write("pool.d/crl.pem", &pki.crl(&[]));
    folder.write("pool.d/README", "not looked at");
    let source = PolicySource::new(folder.path().join("pool.d"));
    assert_eq!(source.load().unwrap().identities(), 2);
    folder.write("pool.d/client-crl.pem", &pki.crl(&[]));
    let error = source.load().unwrap_err().to_string();
    assert!(error.ends_with("pool.d: a revocation list of clients that nobody trusts"), "{error}");
    folder.write("pool.d/client-anchors.pem", &pki.ca);
    assert_eq!(source.load().unwrap().identities(), 2);
    folder.write("pool.d/other.example.pem", &pki.host("host.example"));
    let error = source.load().unwrap_err().to_string();
    assert!(error.ends_with("pool.d: the certificate is not for this name"), "{error}");
    folder.write("pool.d/other.example.pem", &pki.host("other.example"));
    folder.write("pool.d/other.example.ocsp", "no response");
    let error = source.load().unwrap_err().to_string();
    assert!(error.contains("other.example.ocsp") && error.contains("OCSP response"), "{error}");
}

#[test]
fn b1_a_list_tells_of_all_below_the_anchor_or_of_the_peer_alone() {
    let (folder, pki) = (Folder::new(), Pki::new());
    let below = pki.below();
    folder.write("ca.pem", &pki.ca);
    // Nobody has a list of those that the anchor vouches for.
    folder.write("list.pem", &below.crl(&[]));
    let policy = |check: &str| format!("anchors = \"ca.pem\"\ncrl = [\"list.pem\"]\n{check}");
    let source = PolicySource::new(folder.write("pool.toml", &policy("")));
    let daemon = Daemon::run(folder, pki, &source, PoolLimits::default());
    let spec = Spec { hosts: &["peer.example"], serial: Some(7), ..Spec::default() };
    let identity = below.identity(spec) + &below.ca;
    let reply = || {
        let (near, far) = tcp_pair();
        let _peer = Peer::server(far, &identity, None).echo();
        let mut client = daemon.client();
        client.request(Message::StartTls(as_client("peer.example")), Some(near.as_fd()));
        client.receive().message
    };
    assert_eq!(code_of(&reply()), 24, "of whom the anchor vouches for nobody tells");
    let reload = |name: &str, text: &str| {
        daemon.folder.write(name, text);
        daemon.reload(&source);
    };
    reload("pool.toml", &policy("crl-check = \"leaf\"\n"));
    assert!(matches!(reply(), Message::PlaintextConnect(_)));
    reload("list.pem", &below.crl(&[7]));
    assert_eq!(code_of(&reply()), 24);
    assert!(daemon.notices.last_failure().contains("revoked"));
}

#[test]
fn a_wrong_policy_says_what_where_and_how_to_mend_it() {
    let (folder, pki) = (Folder::new(), Pki::new());
    folder.write("host.pem", &pki.host("host.example"));
    let text = "\
anchor = \"ca.pem\"
client-anchors = \"missing.pem\"
name = \"x\"
crl-check = \"lead\"
sessions-per-user = 0

[[identity]]
name = \"other.example\"
cert = \"host.pem\"
roles = [\"sever\"]
show-to = [\"*.example\"]
users = [\"nobody-of-this-name\", -1]
";
    let path = folder.write("pool.toml", text);
    let told = |source: &PolicySource| match source.load() {
        Err(PolicyError::Policy { faults, .. }) => faults.in_file("pool.toml").to_string(),
        other => panic!("{other:?}"),
    };
    let source = PolicySource::new(&path);
    assert_eq!(
        told(&source),
        "\
pool.toml:1:1: unknown key `anchor`
    anchor = \"ca.pem\"
    ^^^^^^
    did you mean `anchors`?
pool.toml:3:1: unknown key `name`
    name = \"x\"
    ^^^^
    write `[[identity]]` above it
pool.toml:4:13: there are no lists to check with
    crl-check = \"lead\"
                ^^^^^^
    name the lists in `crl`, or take it away
pool.toml:4:13: neither the chain nor the leaf
    crl-check = \"lead\"
                ^^^^^^
    did you mean `leaf`?
pool.toml:5:21: no number of them
    sessions-per-user = 0
                        ^
    write a number from 1 on, without quotes
pool.toml:10:10: no role
    roles = [\"sever\"]
             ^^^^^^^
    did you mean `server`?
pool.toml:11:12: no domain, and no end of one
    show-to = [\"*.example\"]
               ^^^^^^^^^^^
    write `host.example`, `.example` for all below it, `.` for all, each with `user@` or `@` before \
it where users are meant
pool.toml:12:33: no such number
    users = [\"nobody-of-this-name\", -1]
                                    ^^
    numbers of users and groups are below 4294967295"
    );
    folder.write(
        "pool.toml",
        "client-anchors = \"missing.pem\"\ncrl = [\"host.pem\", \"missing.pem\"]\n\
         [[identity]]\nname = \"other.example\"\ncert = \"host.pem\"\n\
         users = [\"nobody-of-this-name\"]\n",
    );
    let told = told(&source);
    for part in [
        "pool.toml:1:18: cannot read ",
        "pool.toml:2:8: ",
        "there is no revocation list",
        "pool.toml:2:20: cannot read ",
        "pool.toml:4:8: the certificate is not for this name",
        "it is for host.example; write `roles = [\"client\"]` if no server is meant",
        "pool.toml:6:10: this machine has no user `nobody-of-this-name`",
    ] {
        assert!(told.contains(part), "{told}");
    }
}
