//! The opening handshake over carriers.

use std::io::ErrorKind;

use levada::ws::{
    Answer, ClientOptions, HandshakeError, Incoming, Limits, OriginPattern, Origins, Paths,
    Refusal, Rejection, ServerOptions, WsOptions,
};
use levada::{Address, Ending, Event, Mode, Options, Role, Socket, State, WsStream};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::{Over, kind, tls};

fn client() -> ClientOptions {
    let mut options = ClientOptions::new("example.org", "/vnc?room=1").unwrap();
    options.offer = options.offer.with_subprotocol("binary").unwrap();
    options.offer = options.offer.with_origin("https://example.org").unwrap();
    options
}

fn server() -> ServerOptions {
    let mut options = ServerOptions::default();
    options.rules.paths = Paths::Listed(vec!["/vnc".to_owned()]);
    options.rules.subprotocols = vec!["binary".to_owned()];
    let patterns = vec![OriginPattern::new("https://example.org").unwrap()];
    options.rules.origins = Origins::Listed { patterns, allow_absent: false };
    options
}

/// Over every carrier, with data behind it at once.
#[tokio::test]
async fn b1_a_websocket_opens_over_every_carrier() {
    for over in Over::ALL {
        let [near, far] = over.carriers();
        let (ours, theirs) = tokio::join!(
            async {
                let mut stream = WsStream::connect(near, client()).await.unwrap();
                assert_eq!(stream.subprotocol(), Some("binary"));
                assert!(stream.response().is_some());
                stream.write_all(b"hello").await.unwrap();
                stream.shutdown().await.unwrap();
                stream.closed().await
            },
            async {
                let mut stream = WsStream::accept(far, server()).await.unwrap();
                assert_eq!(stream.request().unwrap().path(), "/vnc");
                assert_eq!(stream.subprotocol(), Some("binary"));
                let mut text = String::new();
                stream.read_to_string(&mut text).await.unwrap();
                text
            }
        );
        assert!(ours.is_clean(), "{over:?}: {ours}");
        assert!(ours.facts.times.handshake.is_some());
        assert_eq!(theirs, "hello");
    }
}

/// An adopted or accepted socket is on its way before the WebSocket begins to listen to it.
#[tokio::test]
async fn b1_a_handshake_that_runs_below_is_told_as_the_streams_own() {
    let (near, far) = tokio::io::duplex(64 * 1024);
    let [near, far] = tls(near, far);
    let mut client_end = WsStream::client(near, client());
    let mut server_end = WsStream::server(far, server());
    assert_eq!((client_end.state(), client_end.mode()), (State::Handshaking, Mode::TlsClient));
    assert_eq!((server_end.state(), server_end.mode()), (State::Handshaking, Mode::TlsServer));
    let (ours, theirs) = tokio::join!(client_end.established(), server_end.established());
    ours.unwrap();
    theirs.unwrap();
    assert_eq!([client_end.state(), server_end.state()], [State::Established; 2]);
}

/// Over a socket that is still dialling the stream goes all the way up by itself, tells of every step
/// as its own, and keeps what is written meanwhile.
#[tokio::test]
async fn b9_a_stream_may_begin_over_a_socket_that_still_dials() {
    for is_read_first in [true, false] {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let mut stream = WsStream::client(dial(port), client());
        let mut events = stream.events();
        assert_eq!((stream.state(), stream.mode()), (State::Unconnected, Mode::Plain));
        let ours = async {
            let mut answer = [0; 6];
            if is_read_first {
                // Nobody writes or flushes: the reader alone drives it up.
                stream.read_exact(&mut answer).await.unwrap();
            } else {
                stream.write_all(b"early").await.unwrap();
                assert_eq!(stream.buffered(), 5);
                assert!(stream.state().is_before_established());
                stream.flush().await.unwrap();
                assert_eq!((stream.state(), stream.buffered()), (State::Established, 0));
                stream.read_exact(&mut answer).await.unwrap();
            }
            assert_eq!(&answer, b"answer");
            stream.shutdown().await.unwrap();
            stream.closed().await
        };
        let theirs = async {
            let (tcp, _) = listener.accept().await.unwrap();
            let mut peer = WsStream::accept(tcp, server()).await.unwrap();
            if !is_read_first {
                peer.read_exact(&mut [0; 5]).await.unwrap();
            }
            peer.write_all(b"answer").await.unwrap();
            peer.flush().await.unwrap();
            peer.closed().await
        };
        let (ended, _) = tokio::join!(ours, theirs);
        assert!(ended.is_clean(), "{ended}");
        assert_eq!(ended.facts.host.as_deref(), Some("localhost"));
        let times = &ended.facts.times;
        assert!(times.lookup.is_some() && times.connect.is_some() && times.handshake.is_some());
        let states: Vec<_> = crate::support::told(&mut events)
            .into_iter()
            .filter_map(|event| if let Event::State(state) = event { Some(state) } else { None })
            .collect();
        let wanted = [
            State::HostLookup,
            State::Connecting,
            State::Connected,
            State::Handshaking,
            State::Established,
            State::Closing,
        ];
        assert_eq!(states, wanted);
    }
}

/// What goes wrong below is told as why there is no WebSocket, with all that the socket knew.
#[tokio::test]
async fn x1_a_dial_that_fails_is_told_as_the_streams_own() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let mut stream = WsStream::client(dial(port), client());
    let mut events = stream.events();
    assert_eq!(stream.write(b"early").await.unwrap(), 5);
    let error = stream.flush().await.unwrap_err();
    assert_eq!(kind(&error), ErrorKind::ConnectionRefused);
    let error = stream.read(&mut [0; 8]).await.unwrap_err();
    assert_eq!(kind(&error), ErrorKind::ConnectionRefused);
    let ended = stream.ended().unwrap();
    assert_eq!((ended.code(), ended.ending.cause_code()), ("connectFailed", "ECONNREFUSED"));
    assert_eq!(ended.phase, State::Connecting);
    let told = crate::support::told(&mut events);
    assert!(told.iter().any(|event| matches!(event, Event::AttemptFailed(..))), "{told:?}");
    assert!(matches!(told.last(), Some(Event::Ended(_))));
}

/// Given up before it was established, with nothing written: no error, and no connection.
#[tokio::test]
async fn c2_a_stream_that_still_dials_can_be_given_up() {
    let mut stream = WsStream::client(dial(9), client());
    stream.shutdown().await.unwrap();
    assert_eq!(stream.ended().unwrap().ending, Ending::ConnectFinalized);
    assert_eq!(stream.read(&mut [0; 8]).await.unwrap(), 0);

    // Dropped, it is aborted.
    let mut stream = WsStream::client(dial(9), client());
    let mut events = stream.events();
    drop(stream);
    let told = crate::support::told(&mut events);
    assert!(matches!(told.last(), Some(Event::Ended(ended)) if ended.ending == Ending::Aborted));
}

/// A socket that has not begun to dial.
fn dial(port: u16) -> Socket {
    let address: Address = format!("tcp://localhost:{port}").parse().unwrap();
    let endpoint = address.for_connecting().unwrap().endpoint;
    Socket::dial(endpoint, None, Options::default())
}

/// The client's first frames may come together with its request, the server's with its response.
#[tokio::test]
async fn c14_bytes_behind_a_head_are_the_first_of_the_stream() {
    let (mut peer, far) = tokio::io::duplex(4096);
    peer.write_all(
        b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
          Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n\
          \x82\x85\0\0\0\0early",
    )
    .await
    .unwrap();
    let mut stream = WsStream::accept(far, ServerOptions::default()).await.unwrap();
    let mut room = [0; 5];
    stream.read_exact(&mut room).await.unwrap();
    assert_eq!(&room, b"early");
}

/// A refusal is read by the client, with its status, and typed on both sides.
#[tokio::test]
async fn x1_a_refusal_is_told_on_both_sides() {
    let (near, far) = tokio::io::duplex(4096);
    let mut wrong = client();
    wrong.offer = ClientOptions::new("example.org", "/elsewhere").unwrap().offer;
    let (ours, theirs) =
        tokio::join!(WsStream::connect(near, wrong), WsStream::accept(far, server()));
    let (ours, theirs) = (ours.unwrap_err(), theirs.unwrap_err());
    assert!(matches!(&ours, HandshakeError::Rejected(Rejection::Status { status: 404, .. }, _)));
    assert!(matches!(&theirs, HandshakeError::Refused(Refusal::Path, _)));
    assert_eq!(ours.ended().code(), "connectFailed");
    assert!(ours.to_string().contains("the server answered with status 404"), "{ours}");
    assert_eq!(kind(&ours.into()), ErrorKind::InvalidData);
}

/// A server may take its time and decide by itself.
#[tokio::test]
async fn a_server_may_decide_by_itself() {
    let (near, far) = tokio::io::duplex(4096);
    let (ours, theirs) = tokio::join!(WsStream::connect(near, client()), async {
        let incoming = Incoming::read(far, Limits::default(), WsOptions::default()).await.unwrap();
        tokio::task::yield_now().await;
        let refusal = Refusal::Application { status: 503, fields: Vec::new() };
        assert_eq!(incoming.request().host(), "example.org");
        incoming.refuse(refusal).await
    });
    assert!(matches!(
        ours.unwrap_err(),
        HandshakeError::Rejected(Rejection::Status { status: 503, .. }, _)
    ));
    assert!(matches!(theirs, HandshakeError::Refused(Refusal::Application { .. }, _)));

    // An answer that the client cannot take is our own mistake, and it is told so.
    let (near, far) = tokio::io::duplex(4096);
    let (ours, theirs) = tokio::join!(WsStream::connect(near, client()), async {
        let incoming = Incoming::read(far, Limits::default(), WsOptions::default()).await.unwrap();
        let subprotocol = Some("other".to_owned());
        incoming.accept(Answer { subprotocol, ..Answer::default() }).await.unwrap_err()
    });
    assert!(ours.is_err());
    assert!(matches!(theirs, HandshakeError::Refused(..)));
}

/// The carrier's end before the head's, and a peer that speaks something else.
#[tokio::test]
async fn c4_an_end_inside_the_handshake_is_told() {
    let (mut near, far) = tokio::io::duplex(4096);
    near.write_all(b"GET / HT").await.unwrap();
    drop(near);
    let error = WsStream::accept(far, ServerOptions::default()).await.unwrap_err();
    assert_eq!(error.ended().ending.cause_code(), "ERR_TLS_SOCKET_CLOSE");

    let (near, mut far) = tokio::io::duplex(4096);
    far.write_all(b"SSH-2.0-OpenSSH\r\n\r\n").await.unwrap();
    let error = WsStream::connect(near, client()).await.unwrap_err();
    assert!(matches!(error, HandshakeError::Rejected(Rejection::BadHead, _)), "{error}");
}

/// Whoever has a socket by its default type parameter needs to name no type.
#[tokio::test]
async fn a_socket_is_the_default_carrier() {
    let (near, far) = levada::Pipe::pair(4096);
    let [near, far] = [near, far].map(|pipe| Socket::adopt(pipe, None, Options::default()));
    let mut options = client();
    options.stream.facts = near.facts();
    let (ours, theirs) =
        tokio::join!(WsStream::connect(near, options), WsStream::accept(far, server()));
    let stream: WsStream = ours.unwrap();
    assert_eq!(stream.facts().role, Some(Role::Client));
    assert!(stream.facts().peer.is_some());
    drop(theirs);
}

/// Who gives up in the opening says goodbye below it, though the stream is held.
#[tokio::test(start_paused = true)]
async fn c5_giving_up_ends_our_direction_of_the_carrier() {
    for answer in ["HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", "HTTP/1.1 101 Swit"] {
        let (near, mut far) = tokio::io::duplex(4096);
        let mut stream = WsStream::client(near, client());
        far.write_all(answer.as_bytes()).await.unwrap();
        stream.established().await.unwrap_err();
        let mut request = Vec::new();
        far.read_to_end(&mut request).await.unwrap();
        assert!(request.ends_with(b"\r\n\r\n"));
        assert!(stream.ended().is_some());
    }
    let (near, mut far) = tokio::io::duplex(4096);
    let mut stream = WsStream::server(near, server());
    far.write_all(b"GET /vnc").await.unwrap();
    stream.established().await.unwrap_err();
    assert_eq!(far.read(&mut [0; 10]).await.unwrap(), 0);
    assert!(stream.ended().is_some());
}
