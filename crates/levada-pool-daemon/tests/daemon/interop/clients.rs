//! Clients of OpenSSL and GnuTLS, with the pool as their server.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::os::fd::AsFd as _;
use std::path::Path;

use levada_pool_wire::body::{Failure, StartTls};
use levada_pool_wire::{Identity, Message, StartTlsFlags};

use super::{Calling, MAKERS, Maker, with_lists};
use crate::support::{Daemon, Pki, Spec, as_server, code_of, starttls_of};

/// The errno that the application declines with: not permitted.
const EACCES: u8 = 13;

/// Protects the connection of a client as `request` says, and speaks. The reply, or the code of the
/// pool's ERROR. The application stands for `pool.example` alone where it is asked.
fn serve(
    daemon: &Daemon,
    maker: Maker,
    calling: &Calling<'_>,
    request: StartTls,
) -> Result<StartTls, u8> {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let ca = daemon.folder.path().join("ca.pem");
    let mut program = calling.run(maker, listener.local_addr().unwrap().port(), &ca);
    let network = listener.accept().unwrap().0;
    let mut client = daemon.client();
    client.request(Message::StartTls(request), Some(network.as_fd()));
    drop(network);
    let mut asked = client.receive();
    if let Message::StartTlsLocalId(body) = &asked.message {
        assert_eq!(body.local_id.as_str(), Some(calling.name.unwrap_or_default()));
        let answer = match body.local_id.as_str() {
            Some("pool.example") => Message::StartTlsLocalId(body.clone()),
            _ => Message::Error(Failure::from_errno(EACCES)),
        };
        client.answer(&asked, answer, None);
        asked = client.receive();
    }
    if let Message::Error(_) = asked.message {
        // Shown where the test fails.
        println!("{}", daemon.notices.last_failure());
        return Err(code_of(&asked.message));
    }
    let mut plain = client.give_plain(&asked);
    let reply = starttls_of(client.receive().message);
    let mut stdin = program.0.stdin.take().unwrap();
    stdin.write_all(b"from the peer\n").unwrap();
    stdin.flush().unwrap();
    let mut line = [0; 14];
    plain.read_exact(&mut line).unwrap();
    assert_eq!(&line, b"from the peer\n");
    plain.write_all(b"from us\n").unwrap();
    let mut heard = String::new();
    BufReader::new(program.0.stdout.take().unwrap()).read_line(&mut heard).unwrap();
    assert_eq!(heard, "from us\n");
    Ok(reply)
}

const NAMED: Calling<'static> = Calling { name: Some("pool.example"), identity: None, more: &[] };

fn shows(identity: &Path) -> Calling<'_> {
    Calling { identity: Some(identity), ..NAMED }
}

/// A server that wants certificates as these flags say.
fn wanting(flags: StartTlsFlags) -> StartTls {
    StartTls { flags: StartTlsFlags::SERVER.with(flags), ..as_server("pool.example") }
}

/// The identity of a peer, as a file.
fn peer(daemon: &Daemon, name: &str, pki: &Pki, spec: Spec<'_>) -> std::path::PathBuf {
    let identity = pki.identity(Spec { mailboxes: &["peer@far.example"], ..spec });
    daemon.folder.write(name, &identity).into()
}

#[test]
fn b1_a_client_certificate_is_required_requested_or_ignored() {
    let daemon = Daemon::start();
    let own = peer(&daemon, "peer.pem", &daemon.pki, Spec::default());
    let spec = Spec { expired: true, ..Spec::default() };
    let expired = peer(&daemon, "old.pem", &daemon.pki, spec);
    let stranger = peer(&daemon, "who.pem", &Pki::new(), Spec::default());
    let none = StartTlsFlags::NONE;
    let (ask, ignore) = (StartTlsFlags::REQUEST_REMOTEID, StartTlsFlags::IGNORE_REMOTEID);
    for maker in MAKERS {
        let result = |calling: &Calling<'_>, flags| {
            let served = serve(&daemon, maker, calling, wanting(flags));
            served.map(|reply| reply.remote_id.as_str().unwrap().to_owned())
        };
        assert_eq!(result(&shows(&own), none).as_deref(), Ok("peer@far.example"), "required");
        assert_eq!(result(&shows(&own), ask).as_deref(), Ok("peer@far.example"), "requested");
        assert_eq!(result(&shows(&own), ignore).as_deref(), Ok(""), "not asked for");
        assert_eq!(result(&NAMED, none), Err(24), "required, and not shown");
        assert_eq!(result(&NAMED, ask).as_deref(), Ok(""), "requested, and not shown");
        assert_eq!(result(&NAMED, ignore).as_deref(), Ok(""), "neither");
        for (bad, why) in [(&expired, "has expired"), (&stranger, "no trusted authority")] {
            for flags in [none, ask] {
                assert_eq!(result(&shows(bad), flags), Err(24), "what is shown has to be good");
                let told = daemon.notices.last_failure();
                assert!(told.contains(why), "{told}");
            }
            assert_eq!(result(&shows(bad), ignore).as_deref(), Ok(""));
        }
    }
}

#[test]
fn a7_a_client_is_who_it_has_to_be() {
    let daemon = Daemon::start();
    let own = peer(&daemon, "peer.pem", &daemon.pki, Spec::default());
    let expected = |remote: &str| StartTls {
        remote_id: Identity::new(remote).unwrap(),
        ..wanting(StartTlsFlags::NONE)
    };
    for maker in MAKERS {
        let run = |remote: &str| serve(&daemon, maker, &shows(&own), expected(remote));
        let reply = run("peer@far.example").unwrap();
        assert_eq!(reply.remote_id.as_str(), Some("peer@far.example"));
        assert_eq!(run("other@far.example").err(), Some(24), "{maker:?}");
    }
}

#[test]
fn b1_a_revoked_client_is_refused_once_the_list_says_so() {
    let (daemon, source) = with_lists();
    let own = peer(&daemon, "peer.pem", &daemon.pki, Spec { serial: Some(7), ..Spec::default() });
    for maker in MAKERS {
        let reply = serve(&daemon, maker, &shows(&own), wanting(StartTlsFlags::NONE)).unwrap();
        assert_eq!(reply.remote_id.as_str(), Some("peer@far.example"));
    }
    daemon.folder.write("list.pem", &daemon.pki.crl(&[7]));
    daemon.reload(&source);
    for maker in MAKERS {
        for flags in [StartTlsFlags::NONE, StartTlsFlags::REQUEST_REMOTEID] {
            assert_eq!(serve(&daemon, maker, &shows(&own), wanting(flags)).err(), Some(24));
            assert!(daemon.notices.last_failure().contains("revoked"));
        }
    }
}

/// A server that is whoever the client asks for, where the application says so.
fn whoever() -> StartTls {
    let check = StartTlsFlags::LOCALID_CHECK.with(StartTlsFlags::IGNORE_REMOTEID);
    StartTls { local_id: Identity::EMPTY, ..wanting(check) }
}

#[test]
fn a7_the_application_is_asked_for_whom_it_stands() {
    let daemon = Daemon::start();
    for maker in MAKERS {
        let asks_for = |name| Calling { name, ..NAMED };
        let run = |name| serve(&daemon, maker, &asks_for(name), whoever());
        assert_eq!(run(Some("pool.example")).unwrap().local_id.as_str(), Some("pool.example"));
        assert_eq!(run(Some("other.example")).err(), Some(3), "{maker:?}: it is refused");
        assert_eq!(run(None).err(), Some(3), "{maker:?}: it has nobody for no name");
    }
}

#[test]
fn a7_without_sni_the_preset_identity_is_shown() {
    let daemon = Daemon::start();
    let preset = as_server("pool.example");
    // Nobody is preset, and the policy has no default.
    let nobody = StartTls { local_id: Identity::EMPTY, ..preset.clone() };
    for maker in MAKERS {
        let calling = Calling { name: None, ..NAMED };
        let reply = serve(&daemon, maker, &calling, preset.clone()).unwrap();
        assert_eq!(reply.local_id.as_str(), Some("pool.example"));
        assert_eq!(serve(&daemon, maker, &calling, nobody.clone()).err(), Some(24), "{maker:?}");
    }
}

#[test]
fn a7_a_client_that_asks_for_somebody_else_is_refused() {
    let daemon = Daemon::start();
    for maker in MAKERS {
        let calling = Calling { name: Some("other.example"), ..NAMED };
        for request in [as_server("pool.example"), as_server("")] {
            assert_eq!(serve(&daemon, maker, &calling, request).err(), Some(24), "{maker:?}");
        }
    }
}
