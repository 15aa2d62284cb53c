//! A pool with a local CA makes certificates on the fly that OpenSSL and GnuTLS take, as servers and as
//! clients, and for nobody whom its policy does not name.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;

use levada_pool::wire::body::StartTls;
use levada_pool::wire::{Identity, Message, StartTlsFlags};

use crate::harness::{Backend, Caller, Foreign, Host, Pki, Pool, Speaker, Visitor};

fn pool(pki: &Pki) -> Pool {
    let ca = std::fs::read_to_string(&pki.ca).unwrap() + &pki.issuer.key().serialize_pem();
    let file = pki.folder.write("local-ca.pem", &ca);
    let policy = format!(
        "anchors = \"{}\"\n[local-ca]\ncert = \"{file}\"\nnames = [\".made.test\", \"@made.test\"]\n",
        pki.ca
    );
    Pool::start_with(pki, &policy)
}

fn echo(plain: UnixStream) {
    std::thread::spawn(move || {
        let mut writer = plain.try_clone().unwrap();
        let _ = std::io::copy(&mut &plain, &mut writer);
        let _ = plain.shutdown(std::net::Shutdown::Write);
    });
}

/// A client comes that asks for `name`, and the pool is asked to be whoever it may there.
#[track_caller]
fn come(pool: &Pool, pki: &Pki, program: Foreign, version: &str, name: &str) -> (Visitor, Speaker) {
    let backend = Backend::new();
    let caller = Caller { name: Some(name), ..Caller::default() };
    let visitor = program.client(pki, backend.address, version, caller);
    let network = backend.accept();
    let flags = StartTlsFlags::SERVER
        .with(StartTlsFlags::IGNORE_REMOTEID)
        .with(StartTlsFlags::LOCALID_ONTHEFLY);
    let mut speaker = pool.speaker();
    let body = StartTls { flags, ..StartTls::default() };
    speaker.ask(Message::StartTls(body), Some(network.as_fd()));
    (visitor, speaker)
}

#[test]
fn a_server_for_openssl_and_gnutls() {
    let pki = Pki::new();
    let pool = pool(&pki);
    for (program, version) in Foreign::EACH {
        let (mut visitor, mut speaker) = come(&pool, &pki, program, version, "host.made.test");
        echo(speaker.finish_tls());
        assert!(visitor.is_echoed(), "{program:?} {version}");
        visitor.leave();
    }
}

#[test]
fn a_client_for_openssl_and_gnutls() {
    let pki = Pki::new();
    let pool = pool(&pki);
    for (program, version) in Foreign::EACH {
        for local in ["user@made.test", "host.made.test"] {
            let host = Host { client_ca: Some(&pki.ca), ..Host::default() };
            let server = program.server(&pki, version, host);
            let network = TcpStream::connect(server.address).unwrap();
            let flags = StartTlsFlags::CLIENT.with(StartTlsFlags::LOCALID_ONTHEFLY);
            let id = |text: &str| Identity::new(text).unwrap();
            let (local_id, remote_id) = (id(local), id("localhost"));
            let mut speaker = pool.speaker();
            let body = StartTls { flags, local_id, remote_id, ..StartTls::default() };
            speaker.ask(Message::StartTls(body), Some(network.as_fd()));
            drop(network);
            let mut plain = speaker.finish_tls();
            plain.write_all(b"hello\n").unwrap();
            let mut answer = vec![0; server.answer().len()];
            plain.read_exact(&mut answer).unwrap();
            assert_eq!(answer, server.answer(), "{program:?} {version} {local}");
        }
    }
}

#[test]
fn nobody_else() {
    /// RFC 6066 section 3.
    const UNRECOGNIZED_NAME: u8 = 112;
    let pki = Pki::new();
    let mut pool = pool(&pki);
    for (program, version) in Foreign::EACH {
        let (visitor, mut speaker) = come(&pool, &pki, program, version, "made.test");
        assert!(matches!(speaker.hear().message, Message::Error(_)));
        assert_eq!(visitor.alert(), UNRECOGNIZED_NAME, "{program:?} {version}");
        pool.hear("does not let its `local-ca` sign for \"made.test\"");
    }
}
