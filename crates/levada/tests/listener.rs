//! Listeners: limits, pauses, and paths that somebody left behind.

use std::time::Duration;

use levada::{
    Address, Ended, Ending, Identities, Identity, Listener, Options, Rule, Socket, State, TlsServer,
};
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
    let folder = std::env::temp_dir().join(format!("levada-listener-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join("socket");
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
    std::fs::remove_dir_all(&folder).unwrap();
}
