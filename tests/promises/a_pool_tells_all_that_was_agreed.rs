//! An application of a pool offers protocols, and hears which one it is; it has the certificates that its peer
//! has shown, though they are more than a packet holds; whatever its way of waiting.

use std::net::TcpStream;
use std::os::unix::net::UnixStream;

use levada_pool::polled::{self, Outcome};
use levada_pool::wire::{Chain, ControlKey, ErrorCode, Report, StartTlsFlags};
use levada_pool::{Client, PoolError, Protected, TlsRequest, blocking};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use sha2::{Digest as _, Sha256};
use tokio::task::JoinSet;

use crate::harness::{Backend, Command, Gnutls, PATIENCE, Pki, Pool, Running, Serve, Server};

/// What the pool tells of a session with OpenSSL's client, or why there is none.
fn served(
    pool: &Pool,
    client: impl FnOnce(u16) -> Running,
    alpn: &[&str],
) -> Result<(Report, String), PoolError> {
    let backend = Backend::new();
    let mut peer = client(backend.address.port());
    let control = blocking::Client::connect(&pool.socket).unwrap();
    let request = TlsRequest::server().alpn(alpn);
    let session = control.start_tls(backend.accept(), &request)?;
    let report = control.report(session.control_key).unwrap();
    drop(session.plain);
    drop(peer.stdin.take());
    Ok((report, String::from_utf8_lossy(&peer.stdout.rest()).into_owned()))
}

fn protocol(report: &Report) -> Option<&str> {
    report.tls.as_ref().unwrap().alpn.as_deref()
}

#[test]
fn d4_a_server_has_the_protocol_that_its_client_has() {
    let pki = Pki::new();
    let pool = Pool::start(&pki);
    let openssl = |alpn: &'static str| {
        let ca = pki.ca.clone();
        move |port: u16| {
            let to = format!("127.0.0.1:{port}");
            Command::new("openssl")
                .args(["s_client", "-connect", &to, "-servername", "localhost", "-CAfile", &ca])
                .args(["-alpn", alpn])
                .start()
        }
    };
    let gnutls = |alpn: &'static str| {
        let pki = &pki;
        move |port: u16| {
            let to = ([127, 0, 0, 1], port).into();
            let command = Gnutls::command(pki, to, "VERS-TLS1.3", "localhost");
            command.args(["--sni-hostname", "localhost", "--alpn", alpn]).start()
        }
    };
    // Ours is the choice, the best first.
    let (report, told) = served(&pool, openssl("http/1.1,h2"), &["h2", "http/1.1"]).unwrap();
    assert_eq!(protocol(&report), Some("h2"));
    assert!(told.contains("ALPN protocol: h2"), "{told}");
    let (report, told) = served(&pool, gnutls("imap"), &["x", "imap"]).unwrap();
    assert_eq!(protocol(&report), Some("imap"));
    assert!(told.contains("Application protocol: imap"), "{told}");
    // Who offers nothing has none, and who has nothing in common is refused.
    let (report, told) = served(&pool, openssl("h2"), &[]).unwrap();
    assert_eq!(protocol(&report), None);
    assert!(told.contains("No ALPN negotiated"), "{told}");
    let none = ["imap"];
    let outcomes = [
        served(&pool, openssl("h2"), &none).map(drop),
        served(&pool, gnutls("h2"), &none).map(drop),
    ];
    for refused in outcomes {
        assert_eq!(refused.unwrap_err().code(), Some(ErrorCode::HandshakeFailed));
    }
}

#[test]
fn d4_a_client_has_the_protocol_that_its_server_has() {
    let pki = Pki::new();
    let pool = Pool::start(&pki);
    let openssl = Server::start(&pki, "-tls1_2", &["-rev", "-alpn", "h2,imap"]);
    let gnutls = Gnutls::server("VERS-TLS1.3", &pki.localhost).args(["--alpn", "imap"]);
    let (_gnutls, gnutls) = Gnutls::listen(gnutls);
    for address in [openssl.address, gnutls] {
        let control = blocking::Client::connect(&pool.socket).unwrap();
        let told = |alpn: &[&str]| {
            let network = TcpStream::connect(address).unwrap();
            let request = TlsRequest::client("localhost").unwrap().alpn(alpn);
            let session = control.start_tls(network, &request).unwrap();
            control.report(session.control_key).unwrap()
        };
        assert_eq!(protocol(&told(&["x", "imap"])), Some("imap"));
        assert_eq!(protocol(&told(&[])), None);
    }
}

#[test]
fn d4_tasks_that_share_a_connection_have_protocols_of_their_own() {
    const TASKS: usize = 48;
    let pki = Pki::new();
    let pool = Pool::start(&pki);
    let all: Vec<String> = (0..TASKS).map(|number| format!("task-{number}")).collect();
    let listen = ["--listen", "tls://127.0.0.1:0", "--cert", &pki.localhost, "--to", "echo:"];
    let server = Serve::start([&listen[..], &["--alpn", &all.join(",")]].concat());
    let address = server.address();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let client = Client::at(&pool.socket);
        let mut tasks = JoinSet::new();
        for own in all {
            let client = client.clone();
            tasks.spawn(async move {
                let network = TcpStream::connect(address).unwrap();
                let request = TlsRequest::client("localhost").unwrap().alpn([&own]);
                let (_plain, handle) =
                    client.start_tls(network, &request).await.unwrap().into_parts();
                assert_eq!(protocol(&handle.report().await.unwrap()), Some(&*own));
            });
        }
        while let Some(done) = tasks.join_next().await {
            done.unwrap();
        }
    });
}

/// A server's certificate with so many names that it is longer than many packets, below an authority that
/// `pki` vouches for: PEM of the chain with the key, of that authority alone, and the chain in DER.
fn long_chain(pki: &Pki) -> (String, String, Vec<Vec<u8>>) {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::OrganizationName, "in between");
    let key = KeyPair::generate().unwrap();
    let between = params.signed_by(&key, &pki.issuer).unwrap();
    let issuer = Issuer::new(params, key);
    let mut names: Vec<_> = (0..100).map(|number| format!("host-{number}.example")).collect();
    names.push("localhost".to_owned());
    let key = KeyPair::generate().unwrap();
    let leaf = CertificateParams::new(names).unwrap().signed_by(&key, &issuer).unwrap();
    let chain = leaf.pem() + &between.pem() + &key.serialize_pem();
    let chain = pki.folder.write("long.pem", &chain);
    let authority = pki.folder.write("between.pem", &between.pem());
    (chain, authority, vec![leaf.der().to_vec(), between.der().to_vec()])
}

#[test]
fn d5_the_peers_chain_comes_whole_in_every_way_of_waiting() {
    let pki = Pki::new();
    let pool = Pool::start(&pki);
    let (own, between, wanted) = long_chain(&pki);
    assert!(wanted.concat().len() > 2000, "it is many pages");
    let digest: [u8; 32] = Sha256::digest(Chain::encode(&wanted)).into();
    let openssl = Command::new("openssl")
        .args(["s_server", "-accept", "127.0.0.1:0", "-cert", &own, "-key", &own, "-rev"])
        .args(["-cert_chain", &between]);
    let openssl = Server::listening(openssl);
    let (_gnutls, gnutls) = Gnutls::listen(Gnutls::server("VERS-TLS1.2", &own));
    // Shown byte for byte they would fill a screen.
    let is_whole = |shown: Chain| assert!(shown.0 == wanted, "{} certificates", shown.0.len());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    for address in [openssl.address, gnutls] {
        let network = || TcpStream::connect(address).unwrap();
        let request = TlsRequest::client("localhost").unwrap();

        let control = blocking::Client::connect(&pool.socket).unwrap();
        let session = control.start_tls(network(), &request).unwrap();
        let key = session.control_key;
        is_whole(control.peer_chain(key.clone()).unwrap());
        assert_eq!(control.report(key.clone()).unwrap().peer_chain_sha256, Some(digest));
        // It is nobody else's to know.
        let stranger = blocking::Client::connect(&pool.socket).unwrap();
        let refused = stranger.peer_chain(key.clone()).unwrap_err();
        assert_eq!(refused.code(), Some(ErrorCode::ControlKeyNotFound));
        // It goes with the session; what it was is known still.
        ended(&session.plain.into());
        let gone = control.peer_chain(key.clone()).unwrap_err();
        assert_eq!(gone.code(), Some(ErrorCode::ControlKeyNotFound));
        assert_eq!(control.report(key).unwrap().peer_chain_sha256, Some(digest));

        runtime.block_on(async {
            let client = Client::at(&pool.socket);
            let session = client.start_tls(network(), &request).await.unwrap();
            let (_plain, handle) = session.into_parts();
            is_whole(handle.peer_chain().await.unwrap());
        });

        let mut client = polled::Client::connect(&pool.socket).unwrap();
        client.start_tls(network(), &request).unwrap();
        let Outcome::Protected(session) = outcome(&mut client).unwrap() else { panic!() };
        let Protected { control_key, plain: _plain, .. } = *session;
        client.peer_chain(control_key).unwrap();
        let Outcome::Chain(shown) = outcome(&mut client).unwrap() else { panic!() };
        is_whole(shown);
    }
}

#[test]
fn d5_a_client_that_shows_nothing_has_no_chain() {
    let pki = Pki::new();
    let pool = Pool::start(&pki);
    let backend = Backend::new();
    let flags = StartTlsFlags::REQUEST_REMOTEID;
    let request = TlsRequest::server().without(StartTlsFlags::IGNORE_REMOTEID).with(flags);
    let control = blocking::Client::connect(&pool.socket).unwrap();
    let shown = |words: &[&str]| {
        let _peer = crate::harness::Client::start(&pki, backend.address, "-tls1_3", words);
        let session = control.start_tls(backend.accept(), &request).unwrap();
        let key = session.control_key;
        let digest = control.report(key.clone()).unwrap().peer_chain_sha256;
        (control.peer_chain(key).unwrap().0.is_empty(), digest.is_none())
    };
    assert_eq!(shown(&[]), (true, true));
    assert_eq!(shown(&["-cert", &pki.client, "-key", &pki.client]), (false, false));
}

/// Ends our direction, and waits for the peer's end.
fn ended(plain: &UnixStream) {
    plain.shutdown(std::net::Shutdown::Write).unwrap();
    plain.set_read_timeout(Some(PATIENCE)).unwrap();
    std::io::copy(&mut &*plain, &mut std::io::sink()).unwrap();
}

/// The outcome of the one request that is under way.
fn outcome(client: &mut polled::Client) -> Result<Outcome, PoolError> {
    loop {
        if let Some(polled::Event::Done { outcome, .. }) = client.next_event() {
            return outcome;
        }
        assert_eq!(client.wait(Some(PATIENCE)), Ok(true), "in time");
        client.process();
    }
}

/// An event loop that only looks at the descriptor.
#[test]
fn every_request_in_an_event_loop_has_its_number() {
    let pki = Pki::new();
    let pool = Pool::start(&pki);
    let server = Serve::tls(&pki, "echo:");
    let mut client = polled::Client::connect(&pool.socket).unwrap();
    let start = |client: &mut polled::Client, name: &str| {
        let network = TcpStream::connect(server.address()).unwrap();
        client.start_tls(network, &TlsRequest::client(name).unwrap()).unwrap()
    };
    // More than the pool has at a time.
    let mut open: std::collections::BTreeMap<_, _> = (0..100)
        .map(|number| if number % 4 == 3 { "other.example" } else { "localhost" })
        .map(|name| (start(&mut client, name), name))
        .collect();
    let left_alone = start(&mut client, "localhost");
    client.abandon(left_alone);
    let mut keys: Vec<ControlKey> = Vec::new();
    let mut plain = Vec::new();
    while !client.is_idle() {
        assert_eq!(client.wait(Some(PATIENCE)), Ok(true), "in time");
        client.process();
        while let Some(event) = client.next_event() {
            let name = open.remove(&event.asked());
            let polled::Event::Done { outcome, .. } = event else { panic!("{event:?}") };
            match (name.expect("each is told once"), outcome) {
                ("localhost", Ok(Outcome::Protected(session))) => {
                    keys.push(session.control_key.clone());
                    plain.push(session.plain);
                }
                ("other.example", Err(PoolError::Handshake { ending, .. })) => {
                    assert_eq!(ending.code(), "connectFailed");
                }
                other => panic!("{other:?}"),
            }
        }
    }
    assert_eq!((open.len(), keys.len()), (0, 75));
    assert_eq!(client.wait(Some(std::time::Duration::ZERO)), Ok(false), "nothing waits");

    // The pool goes away, and what is asked then is told so; the next one is found.
    let asked = client.report(keys.remove(0)).unwrap();
    drop(pool);
    let told = outcome(&mut client);
    assert!(matches!(told, Ok(Outcome::Report(_)) | Err(PoolError::Gone)), "{asked:?}: {told:?}");
    let nobody = client.report(keys.remove(0)).unwrap_err();
    assert!(matches!(nobody, PoolError::Unreachable { .. }), "{nobody:?}");
    let _again = Pool::start(&pki);
    start(&mut client, "localhost");
    assert!(matches!(outcome(&mut client), Ok(Outcome::Protected(_))));
    client.report(keys.remove(0)).unwrap();
    let unknown = outcome(&mut client).unwrap_err();
    assert_eq!(unknown.code(), Some(ErrorCode::ControlKeyNotFound), "it went with the old pool");
}
