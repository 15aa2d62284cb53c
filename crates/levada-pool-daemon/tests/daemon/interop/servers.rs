//! Servers of OpenSSL and GnuTLS, with the pool as their client.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::os::fd::AsFd as _;

use levada::Ending;
use levada_pool_daemon::{Notice, PoolLimits};
use levada_pool_wire::body::StartTls;
use levada_pool_wire::{Message, StartTlsFlags};

use super::{MAKERS, Maker, Serving, Wants, with_lists};
use crate::support::{Daemon, Pki, Plain, Spec, as_client, code_of, starttls_of, tcp_pair};

/// Has the pool protect a connection to `port`. The plain side and the reply, or the code of its ERROR.
fn connect(
    daemon: &Daemon,
    port: u16,
    request: StartTls,
) -> Result<(crate::support::Client, Plain, StartTls), u8> {
    let network = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let mut client = daemon.client();
    client.request(Message::StartTls(request), Some(network.as_fd()));
    let asked = client.receive();
    if let Message::Error(_) = asked.message {
        return Err(code_of(&asked.message));
    }
    let plain = client.give_plain(&asked);
    let reply = starttls_of(client.receive().message);
    Ok((client, plain, reply))
}

/// Has the pool protect a connection, and speaks. Who has been shown, or the code of the pool's ERROR.
fn spoken(daemon: &Daemon, port: u16, request: StartTls) -> Result<String, u8> {
    let remote = request.remote_id;
    let (_client, mut plain, reply) = connect(daemon, port, request)?;
    assert_eq!(reply.remote_id, remote);
    plain.write_all(b"abcdef\n").unwrap();
    let mut line = String::new();
    BufReader::new(&plain).read_line(&mut line).unwrap();
    assert!(["fedcba\n", "abcdef\n"].contains(&line.as_str()), "{line}");
    Ok(reply.local_id.as_str().unwrap().to_owned())
}

#[track_caller]
fn assert_told(daemon: &Daemon, what: &str) {
    let told = daemon.notices.last_failure();
    assert!(told.contains(what), "{what}: {told}");
}

#[test]
fn b1_a_server_is_who_it_has_to_be_or_nobody() {
    let daemon = Daemon::start();
    let ca = daemon.folder.path().join("ca.pem");
    let right = daemon.folder.write("right.pem", &daemon.pki.host("right.example"));
    let spec = Spec { hosts: &["right.example"], expired: true, ..Spec::default() };
    let expired = daemon.folder.write("expired.pem", &daemon.pki.identity(spec));
    let stranger = daemon.folder.write("stranger.pem", &Pki::new().host("right.example"));
    for maker in MAKERS {
        for (identity, remote, wanted) in [
            (&right, "right.example", Ok("")),
            (&right, "wrong.example", Err("wrong.example")),
            (&expired, "right.example", Err("has expired")),
            (&stranger, "right.example", Err("no trusted authority")),
        ] {
            let (_running, port) = Serving::new(identity, &ca).run(maker);
            let shown = spoken(&daemon, port, as_client(remote));
            match wanted {
                Ok(local) => assert_eq!(shown.as_deref(), Ok(local), "{maker:?}"),
                Err(why) => {
                    assert_eq!(shown, Err(24), "{maker:?}: {identity:?} as {remote}");
                    assert_told(&daemon, why);
                }
            }
        }
    }
}

#[test]
fn a7_a_server_hears_by_sni_whom_it_has_to_be() {
    let daemon = Daemon::start();
    let ca = daemon.folder.path().join("ca.pem");
    let spec = Spec { hosts: &["right.example", "alias.example"], ..Spec::default() };
    let both = daemon.folder.write("both.pem", &daemon.pki.identity(spec));
    let silent = |request: StartTls| {
        let flags = request.flags.with(StartTlsFlags::WITHOUT_SNI);
        StartTls { flags, ..request }
    };
    for maker in MAKERS {
        // Its certificate is for both names, and it answers to one.
        let serving = Serving { named: Some("right.example"), ..Serving::new(&both, &ca) };
        let (_running, port) = serving.run(maker);
        let ask = |request| spoken(&daemon, port, request);
        assert_eq!(ask(as_client("right.example")).as_deref(), Ok(""), "{maker:?}");
        assert_eq!(ask(as_client("alias.example")), Err(24), "{maker:?}");
        assert_told(&daemon, "unrecognized_name");
        // Nobody is asked for, and the name is verified all the same.
        assert_eq!(ask(silent(as_client("alias.example"))).as_deref(), Ok(""), "{maker:?}");
        assert_eq!(ask(silent(as_client("other.example"))), Err(24), "{maker:?}");
        assert_told(&daemon, "other.example");
    }
}

/// A pool that shows an identity to `asks.example` alone.
fn showing() -> Daemon {
    let policy = "[[identity]]\nname = \"shown@pool.example\"\ncert = \"user.pem\"\n\
                  show-to = [\"asks.example\"]\n";
    Daemon::with(policy, PoolLimits::default())
}

#[test]
fn c3_a_server_is_shown_what_it_asks_for() {
    let daemon = showing();
    let ca = daemon.folder.path().join("ca.pem");
    let spec = Spec { hosts: &["asks.example", "right.example"], ..Spec::default() };
    let identity = daemon.folder.write("asks.pem", &daemon.pki.identity(spec));
    for maker in MAKERS {
        for (wants, remote, shown) in [
            (Wants::Required, "asks.example", "shown@pool.example"),
            (Wants::Requested, "asks.example", "shown@pool.example"),
            (Wants::Requested, "right.example", ""),
            (Wants::Nothing, "asks.example", ""),
        ] {
            let (_running, port) = Serving { wants, ..Serving::new(&identity, &ca) }.run(maker);
            let told = spoken(&daemon, port, as_client(remote));
            assert_eq!(told.as_deref(), Ok(shown), "{maker:?} {wants:?} {remote}");
        }
    }
}

#[test]
fn b1_a_server_that_refuses_our_identity_is_told() {
    for maker in MAKERS {
        let daemon = showing();
        let ca = daemon.folder.path().join("ca.pem");
        let spec = Spec { hosts: &["asks.example", "right.example"], ..Spec::default() };
        let identity = daemon.folder.write("asks.pem", &daemon.pki.identity(spec));
        // The policy has none for this name.
        let serving = Serving { wants: Wants::Required, ..Serving::new(&identity, &ca) };
        let (_running, port) = Serving { only_tls_1_2: true, ..serving }.run(maker);
        assert_eq!(spoken(&daemon, port, as_client("right.example")), Err(24), "{maker:?}");
        // In TLS 1.3 the server hears it behind our part of the handshake.
        let serving = Serving { wants: Wants::Required, ..Serving::new(&identity, &ca) };
        let (_running, port) = serving.run(maker);
        let (_client, mut plain, _) = connect(&daemon, port, as_client("right.example")).unwrap();
        assert_eq!(plain.read(&mut [0]).unwrap(), 0);
        let alert = daemon.notices.wait(|notice| match notice {
            Notice::Ended { tls, .. } => Some(tls.ending.clone()),
            _ => None,
        });
        assert!(matches!(alert, Ending::FatalAlert(_)), "{maker:?}: {alert:?}");
    }
}

#[test]
fn b1_a_revoked_server_is_refused_once_the_list_says_so() {
    let (daemon, source) = with_lists();
    let ca = daemon.folder.path().join("ca.pem");
    let spec = Spec { hosts: &["right.example"], serial: Some(7), ..Spec::default() };
    let identity = daemon.folder.write("right.pem", &daemon.pki.identity(spec));
    let servers = MAKERS.map(|maker: Maker| Serving::new(&identity, &ca).run(maker));
    for (_, port) in &servers {
        assert_eq!(spoken(&daemon, *port, as_client("right.example")).as_deref(), Ok(""));
    }
    daemon.folder.write("list.pem", &daemon.pki.crl(&[7]));
    daemon.reload(&source);
    for (_, port) in &servers {
        assert_eq!(spoken(&daemon, *port, as_client("right.example")), Err(24));
        assert_told(&daemon, "revoked");
    }
}

#[test]
fn a7_a_client_can_leave_out_sni() {
    let daemon = Daemon::start();
    let (near, mut far) = tcp_pair();
    let mut client = daemon.client();
    let request = as_client("hidden-name.example");
    let flags = request.flags.with(StartTlsFlags::WITHOUT_SNI);
    client.request(Message::StartTls(StartTls { flags, ..request }), Some(near.as_fd()));
    // A record's header, and then all of the hello.
    let mut header = [0; 5];
    far.read_exact(&mut header).unwrap();
    let mut hello = vec![0; usize::from(u16::from_be_bytes([header[3], header[4]]))];
    far.read_exact(&mut hello).unwrap();
    assert!(!hello.windows(11).any(|window| window == b"hidden-name"));
}
