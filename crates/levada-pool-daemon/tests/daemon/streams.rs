//! Levada's own streams on the pool: the same states, events, facts and endings as in process.

use std::net::TcpStream;

use levada::{
    Address, AlertDescription, CertificateFault, ChannelBinding, Ended, Ending, Event,
    ExporterError, Fault, KeyingMaterial, Mode, Options, PoolTls, Socket, State, Verification,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use levada_pool_daemon::{PolicySource, PoolLimits};

use crate::support::{Daemon, Folder, Peer, Pki, Spec, tcp_pair};

fn carrier(stream: TcpStream) -> levada::Carrier {
    levada::Carrier::from_fd(stream.into()).unwrap()
}

/// A stream to `name` by the pool, over a connection whose other end is returned.
fn dial(daemon: &Daemon, name: &str) -> (Socket, TcpStream) {
    let (near, far) = tcp_pair();
    let session = PoolTls::at(daemon.socket()).client(name).unwrap();
    (Socket::adopt(carrier(near), session, Options::default()), far)
}

async fn events_of(mut events: levada::Events) -> Vec<String> {
    let mut told = Vec::new();
    while let Some(event) = events.next().await {
        told.push(match event {
            Event::Ended(ended) => format!("Ended({})", ended.code()),
            other => format!("{other:?}"),
        });
    }
    told
}

#[tokio::test]
async fn a_stream_on_the_pool_lives_as_one_in_process_does() {
    let daemon = Daemon::start();
    let (mut stream, far) = dial(&daemon, "server.example");
    let events = stream.events();
    let peer = Peer::server(far, &daemon.pki.host("server.example"), None).echo();
    assert_eq!((stream.state(), stream.mode()), (State::Handshaking, Mode::TlsClient));
    // What is written before TLS is up waits for it.
    stream.write_all(b"hello").await.unwrap();
    stream.established().await.unwrap();
    let tls = stream.facts().tls.unwrap();
    assert_eq!((tls.version, tls.sni.as_deref()), (Some("1.3"), Some("server.example")));
    assert_eq!(tls.verification, Some(Verification::Verified));
    assert_eq!(tls.verified_name.as_deref(), Some("server.example"));
    assert!(tls.peer_certificate().is_some());
    stream.shutdown().await.unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    assert_eq!(text, "hello");
    let ended = stream.closed().await;
    assert_eq!(ended.ending, Ending::Finished);
    assert_eq!(peer.await.unwrap().ending, Ending::Finished);
    assert_eq!(
        events_of(events).await,
        [
            "State(Established)",
            "State(Closing)",
            "Goodbye(Local)",
            "Goodbye(Peer)",
            "Ended(finished)"
        ]
    );
}

#[tokio::test]
async fn a_wrong_name_ends_as_it_does_in_process() {
    let daemon = Daemon::start();
    let (mut stream, far) = dial(&daemon, "server.example");
    let peer = Peer::server(far, &daemon.pki.host("other.example"), None).echo();
    let error = stream.established().await.unwrap_err();
    let ended = Ended::of(&error).unwrap();
    let Ending::ConnectFailed(failure) = &ended.ending else { panic!("{ended}") };
    let levada::ConnectFailure::Ended(Ending::FatalError { alert, cause }) = &**failure else {
        panic!("{ended}")
    };
    assert_eq!(*alert, Some(AlertDescription::BAD_CERTIFICATE));
    let Fault::Certificate(CertificateFault::WrongName { wanted, presented }) = cause else {
        panic!("{ended}")
    };
    assert_eq!(
        (wanted.as_str(), &presented[..]),
        ("server.example", &["other.example".to_owned()][..])
    );
    assert_eq!(ended.facts.tls.as_ref().unwrap().verification, Some(Verification::Refused));
    assert!(!peer.await.unwrap().is_clean());
}

/// A server that cuts the connection behind its first words.
fn say_half(daemon: &Daemon, far: TcpStream) -> tokio::task::JoinHandle<()> {
    Peer::server(far, &daemon.pki.host("server.example"), None).spawn(async |mut peer| {
        peer.write_all(b"half of it").await.unwrap();
        peer.flush().await.unwrap();
        peer.abort();
    })
}

#[tokio::test]
async fn truncation_is_never_a_clean_end() {
    let daemon = Daemon::start();
    let (mut stream, far) = dial(&daemon, "server.example");
    let peer = say_half(&daemon, far);
    let mut text = Vec::new();
    let error = stream.read_to_end(&mut text).await.unwrap_err();
    assert_eq!(Ended::of(&error).unwrap().ending, Ending::SocketClose);
    assert_eq!(text, b"half of it");
    peer.await.unwrap();
}

#[tokio::test]
async fn what_came_before_a_write_failed_is_still_read() {
    let daemon = Daemon::start();
    let (mut stream, far) = dial(&daemon, "server.example");
    let peer = say_half(&daemon, far);
    let failed = loop {
        let written = stream.write_all(&[0; 4096]).await;
        if let Err(error) = written.and(stream.flush().await) {
            break error;
        }
    };
    let mut text = Vec::new();
    let error = stream.read_to_end(&mut text).await.unwrap_err();
    assert_eq!(text, b"half of it");
    assert_eq!(Ended::of(&error), Ended::of(&failed));
    assert!(!Ended::of(&error).unwrap().is_clean());
    peer.await.unwrap();
}

#[tokio::test]
async fn a_stream_that_is_dropped_says_no_goodbye() {
    let daemon = Daemon::start();
    let (mut stream, far) = dial(&daemon, "server.example");
    let peer = Peer::server(far, &daemon.pki.host("server.example"), None).echo();
    stream.established().await.unwrap();
    drop(stream);
    let ended = peer.await.unwrap();
    assert!(!ended.is_clean(), "{ended}");
}

#[tokio::test]
async fn a_listener_on_the_pool_is_reached_by_its_name() {
    let (folder, pki) = (Folder::new(), Pki::new());
    folder.write("pool.pem", &pki.host("pool.example"));
    let policy = folder.write(
        "pool.toml",
        "[[identity]]\nname = \"pool.example\"\ncert = \"pool.pem\"\ndefault = true\n",
    );
    let daemon = Daemon::run(folder, pki, &PolicySource::new(policy), PoolLimits::default());
    let socket = daemon.socket().display().to_string();
    let address: Address = format!("pool+tls://127.0.0.1:0?pool={socket}").parse().unwrap();
    let listener = levada::listen(&address).await.unwrap();
    let levada::Endpoint::Ip(here) = listener.local().unwrap() else { panic!("no address") };
    let near = tokio::task::spawn_blocking(move || TcpStream::connect(here).unwrap());
    let (accepted, near) = tokio::join!(listener.accept(), near);
    let client =
        Peer::client(near.unwrap(), &daemon.pki, "pool.example", None).spawn(async |mut client| {
            client.write_all(b"ping").await.unwrap();
            client.shutdown().await.unwrap();
            client.closed().await
        });
    let mut accepted = accepted.unwrap();
    let mut text = String::new();
    accepted.read_to_string(&mut text).await.unwrap();
    assert_eq!((text.as_str(), accepted.mode()), ("ping", Mode::TlsServer));
    assert_eq!(accepted.facts().tls.unwrap().sni.as_deref(), Some("pool.example"));
    accepted.shutdown().await.unwrap();
    assert_eq!(accepted.closed().await.ending, Ending::Finished);
    let ended = client.await.unwrap();
    assert_eq!(ended.ending, Ending::Finished);
}

/// What a stream derives: the same on both ends.
fn derived(stream: &Socket) -> impl Future<Output = Vec<KeyingMaterial>> + Send + use<> {
    let keys = stream.export_keying_material("EXPORTER-levada", Some(b"context"), 64);
    let bindings = [ChannelBinding::TlsExporter, ChannelBinding::TlsServerEndPoint]
        .map(|binding| stream.channel_binding(binding));
    async move {
        let mut all = vec![keys.await.unwrap()];
        for binding in bindings {
            all.push(binding.await.unwrap());
        }
        all
    }
}

#[tokio::test]
async fn keys_and_bindings_are_those_of_the_peer() {
    let daemon = Daemon::start();
    let (mut stream, far) = dial(&daemon, "server.example");
    let none = stream.channel_binding(ChannelBinding::TlsExporter).await.unwrap_err();
    assert_eq!(none, ExporterError::NoSession, "not yet");
    let identity = daemon.pki.host("server.example");
    let peer = Peer::server(far, &identity, None).spawn(async |mut peer| {
        peer.established().await.unwrap();
        let keys = derived(&peer).await;
        peer.read_to_end(&mut Vec::new()).await.unwrap();
        peer.shutdown().await.unwrap();
        keys
    });
    stream.established().await.unwrap();
    let ours = derived(&stream).await;
    let long = stream.export_keying_material("EXPORTER-levada", None, 351).await.unwrap_err();
    assert!(matches!(long, ExporterError::Pool(_)), "{long:?}");
    let secret = stream.export_keying_material("key expansion", None, 32).await.unwrap_err();
    assert!(secret.to_string().contains("cannot derive key material"), "{secret}");
    stream.shutdown().await.unwrap();
    assert!(stream.closed().await.is_clean());
    assert_eq!(ours, peer.await.unwrap());
    let over = stream.export_keying_material("EXPORTER-levada", None, 32).await.unwrap_err();
    assert_eq!(over, ExporterError::NoSession, "no more");
}

#[tokio::test]
async fn a_stream_that_runs_in_plaintext_is_upgraded_by_the_pool() {
    let daemon = Daemon::start();
    let (near, mut far) = tcp_pair();
    let mut stream = Socket::adopt(carrier(near), None, Options::default());
    stream.write_all(b"STARTTLS\r\n").await.unwrap();
    stream.flush().await.unwrap();
    let mut line = [0; 10];
    std::io::Read::read_exact(&mut far, &mut line).unwrap();
    let peer = Peer::server(far, &daemon.pki.host("server.example"), None).echo();
    let session = PoolTls::at(daemon.socket()).client("server.example").unwrap();
    assert!(stream.start_pool_encryption(session.clone()).unwrap());
    assert!(!stream.start_pool_encryption(session).unwrap(), "one handshake at a time");
    stream.established().await.unwrap();
    stream.write_all(b"under TLS").await.unwrap();
    let mut text = [0; 9];
    stream.read_exact(&mut text).await.unwrap();
    assert_eq!(&text, b"under TLS");
    stream.shutdown().await.unwrap();
    assert!(stream.closed().await.is_clean());
    assert!(peer.await.unwrap().is_clean());
}

#[tokio::test]
async fn no_pool_is_a_typed_ending_that_says_where() {
    let (near, _far) = tcp_pair();
    let session = PoolTls::at("/nonexistent/pool.sock").client("server.example").unwrap();
    let mut stream = Socket::adopt(carrier(near), session, Options::default());
    let error = stream.established().await.unwrap_err();
    let ended = Ended::of(&error).unwrap();
    assert_eq!((ended.code(), ended.ending.cause_code()), ("connectFailed", "ENOENT"));
    assert!(ended.to_string().contains("/nonexistent/pool.sock"), "{ended}");
}

#[tokio::test]
async fn a_pool_that_goes_away_is_a_typed_ending() {
    let mut daemon = Daemon::start();
    let (near, far) = tcp_pair();
    // Its data has to go through the pool: `tests/kernel_tls.rs` has a stream that does without.
    let pool = PoolTls::at(daemon.socket()).relay_only();
    let session = pool.client("server.example").unwrap();
    let mut stream = Socket::adopt(carrier(near), session, Options::default());
    let _peer = Peer::server(far, &daemon.pki.host("server.example"), None).echo();
    stream.established().await.unwrap();
    assert_eq!(stream.facts().kernel_tls, None, "nobody asked for it");
    daemon.stop();
    let error = stream.read(&mut [0; 1]).await.unwrap_err();
    let ended = Ended::of(&error).unwrap();
    assert!(!ended.is_clean() && ended.phase == State::Established, "{ended}");
}

#[tokio::test]
async fn an_expired_peer_is_refused_by_the_pool() {
    let daemon = Daemon::start();
    let (mut stream, far) = dial(&daemon, "server.example");
    let spec = Spec { hosts: &["server.example"], expired: true, ..Spec::default() };
    let _peer = Peer::server(far, &daemon.pki.identity(spec), None).echo();
    let error = stream.established().await.unwrap_err();
    assert!(Ended::of(&error).unwrap().to_string().contains("expired"), "{error}");
    let (mut stream, far) = dial(&daemon, "server.example");
    let _peer = Peer::server(far, &Pki::new().host("server.example"), None).echo();
    let error = stream.established().await.unwrap_err();
    assert!(error.to_string().contains("no trusted authority"), "{error}");
}
