//! Listeners: limits, pauses, and paths that somebody left behind.

use std::net::SocketAddr;
use std::time::Duration;

use levada::{
    Address, Ended, Ending, Endpoint, Identities, Identity, Listener, Options, Rule, Socket, State,
    Stream, TlsServer,
};
use levada_testkit::Folder;
use socket2::SockRef;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::time::timeout;

async fn listen(address: &str, tls: Option<TlsServer>) -> Listener {
    let on = address.parse::<Address>().and_then(|address| address.for_listening());
    let endpoint = on.expect("the address is good").endpoint;
    Listener::bind(&endpoint, tls, Options::default()).await.expect("the system lets us")
}

async fn call(listener: &Listener) -> TcpStream {
    let here = listener.local().expect("it listens").to_string();
    TcpStream::connect(here).await.expect("somebody listens")
}

/// Whether nothing is accepted though somebody calls: as far as one can tell.
async fn accepts_nothing(listener: &Listener) -> bool {
    timeout(Duration::from_millis(50), listener.accept()).await.is_err()
}

#[tokio::test]
async fn each_end_knows_itself_as_the_other_knows_it() {
    for address in ["tcp://127.0.0.1:0", "tcp://*:0", "tcp://[::1]:0"] {
        let listener = listen(address, None).await;
        let Some(Endpoint::Ip(here)) = listener.local() else { panic!("it has an address") };
        // To the unspecified address, where it listens at all: the system chooses one then.
        let to = format!("tcp://{here}").parse::<Address>().unwrap().for_connecting().unwrap();
        let mut caller = Socket::dial(to.endpoint, None, Options::default());
        let (accepted, up) = tokio::join!(listener.accept(), caller.established());
        up.unwrap();
        let (accepted, caller) = (accepted.unwrap().facts(), caller.facts());
        assert!(accepted.local.is_some() && accepted.peer.is_some());
        let plain = |end: Option<Endpoint>| match end {
            Some(Endpoint::Ip(ip)) => SocketAddr::new(ip.ip().to_canonical(), ip.port()),
            other => panic!("{other:?}"),
        };
        assert_eq!(plain(accepted.local), plain(caller.peer), "{address}");
        assert_eq!(plain(accepted.peer), plain(caller.local), "{address}");
    }
}

#[tokio::test]
async fn what_is_accepted_behaves_as_the_listener_was_told() {
    let on = "tcp://127.0.0.1:0".parse::<Address>().unwrap().for_listening().unwrap();
    let mut options = Options::default();
    options.tcp.keepalive = Some(Duration::from_secs(77));
    options.tcp.receive_buffer = Some(50_000);
    let listener = Listener::bind(&on.endpoint, None, options).await.unwrap();
    let _caller = call(&listener).await;
    let Stream::Socket(accepted) = listener.accept().await.unwrap() else { panic!("it is plain") };
    let (carrier, _) = accepted.into_carrier().unwrap();
    let fd = carrier.into_fd().unwrap();
    let socket = SockRef::from(&fd);
    assert!(socket.tcp_nodelay().unwrap());
    assert!(socket.keepalive().unwrap());
    assert_eq!(socket.tcp_keepalive_time().unwrap(), Duration::from_secs(77));
    // The system doubles it for its own needs (socket(7)).
    assert_eq!(socket.recv_buffer_size().unwrap(), 100_000);
}

#[tokio::test]
async fn a_paused_listener_leaves_callers_in_the_kernel() {
    let listener = listen("tcp://127.0.0.1:0", None).await;
    listener.pause();
    let _caller = call(&listener).await;
    assert!(accepts_nothing(&listener).await);
    listener.resume();
    let socket = listener.accept().await.unwrap();
    assert_eq!(socket.state(), State::Established);
}

#[tokio::test]
async fn a_pause_reaches_an_accept_that_waits() {
    let listener = listen("tcp://127.0.0.1:0", None).await;
    let accepting = listener.accept();
    let calling = async {
        tokio::task::yield_now().await;
        listener.pause();
        let caller = call(&listener).await;
        assert!(accepts_nothing(&listener).await);
        listener.resume();
        caller
    };
    let (accepted, _caller) = tokio::join!(accepting, calling);
    accepted.unwrap();
}

#[tokio::test]
async fn connections_beyond_the_limit_wait_until_one_has_ended() {
    let listener = listen("tcp://127.0.0.1:0", None).await.limit_connections(1);
    let _callers = (call(&listener).await, call(&listener).await);
    let mut first = listener.accept().await.unwrap();
    assert!(accepts_nothing(&listener).await);
    first.abort();
    listener.accept().await.unwrap();
}

#[tokio::test]
async fn s21_handshakes_beyond_the_limit_are_refused_and_the_next_one_is_not() {
    let signed = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let (certificate, key) = (signed.cert.pem(), signed.signing_key.serialize_pem());
    let identity = Identity::from_pem(certificate.as_bytes(), Some(key.as_bytes()), None).unwrap();
    let tls = TlsServer::builder(Identities::one(&identity)).build().unwrap();
    let listener = listen("tcp://127.0.0.1:0", Some(tls)).await.limit_handshakes(1);

    let _silent = call(&listener).await;
    let stalled = listener.accept().await.unwrap();
    assert_eq!(stalled.state(), State::Handshaking);
    let mut refused_caller = call(&listener).await;
    let mut refused = listener.accept().await.unwrap();
    let error = refused.read(&mut [0; 1]).await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::PermissionDenied);
    let ended = Ended::of(&error).unwrap();
    assert_eq!(ended.ending, Ending::Refused(Rule::Limit).before_established());
    drop(refused);
    let seen = refused_caller.read(&mut [0; 1]).await;
    assert!(seen.is_err() || matches!(seen, Ok(0)), "the caller is not kept waiting");

    drop(stalled);
    let _again = call(&listener).await;
    assert_eq!(listener.accept().await.unwrap().state(), State::Handshaking);
}

#[tokio::test]
async fn a_deserted_path_is_taken_over_and_one_in_use_is_not() {
    let folder = Folder::new();
    let path = folder.path().join("socket");
    // A listener that is killed leaves its path behind.
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    let address = format!("unix:{}", path.display());
    let listener = listen(&address, None).await;

    let on = address.parse::<Address>().unwrap().for_listening().unwrap();
    let error = Listener::bind(&on.endpoint, None, Options::default()).await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::AddrInUse);

    let to = address.parse::<Address>().unwrap().for_connecting().unwrap();
    let mut caller = Socket::dial(to.endpoint, None, Options::default());
    let (accepted, up) = tokio::join!(listener.accept(), caller.established());
    up.unwrap();
    assert_eq!(accepted.unwrap().facts().local, caller.facts().peer);
    drop(listener);
    assert!(!path.exists(), "it cleans up behind itself");
}
