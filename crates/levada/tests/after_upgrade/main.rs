//! Moving to `WsStream` from hyper and from tungstenite: the examples, each with a peer of that library,
//! and the book shows what runs here.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

#[path = "../../examples/websocket_in_hyper.rs"]
#[expect(dead_code, reason = "its `main` is the example's")]
mod in_hyper;

#[path = "../../examples/websocket_after_tungstenite.rs"]
#[expect(dead_code, reason = "its `main` is the example's")]
mod after_tungstenite;

use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use http_body_util::Empty;
use hyper::body::Bytes;
use hyper::client::conn::http1::handshake;
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use levada::ws::{ClientOptions, ServerOptions, WsOptions};
use levada::{Ending, Party, Role, WsStream};
use levada_testkit::docs::assert_rendered;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_tungstenite::client_async;
use tokio_tungstenite::tungstenite::Message;

const PATIENCE: Duration = Duration::from_secs(30);

/// A request and, in the same segment, the first frame: a server of HTTP reads too far.
const REQUEST_AND_FRAME: &[u8] = b"GET /echo HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n\
    Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
    Sec-WebSocket-Version: 13\r\n\r\n\x82\x85\0\0\0\0early";

async fn listener() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    (listener, address)
}

/// Sends request and frame at once, and waits for the frame's echo behind the head of the answer.
async fn early(address: &str) {
    let mut tcp = TcpStream::connect(address).await.unwrap();
    tcp.write_all(REQUEST_AND_FRAME).await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n\x82\x05early") {
        let count = timeout(PATIENCE, tcp.read_buf(&mut answer)).await.unwrap().unwrap();
        assert_ne!(count, 0, "{}", String::from_utf8_lossy(&answer));
    }
    assert!(answer.starts_with(b"HTTP/1.1 101 "));
}

/// B1, C1: a client of tungstenite's gets back what it sends, and its close is answered.
async fn tungstenite_as_client(address: &str) {
    let tcp = TcpStream::connect(address).await.unwrap();
    let (mut peer, _) = client_async(format!("ws://{address}/echo"), tcp).await.unwrap();
    let data = vec![7; 300_000];
    peer.send(Message::Binary(data.clone().into())).await.unwrap();
    let mut echo = Vec::new();
    while echo.len() < data.len() {
        let message = timeout(PATIENCE, peer.next()).await.unwrap().unwrap().unwrap();
        echo.extend_from_slice(&message.into_data());
    }
    assert_eq!(echo, data);
    peer.close(None).await.unwrap();
    while let Some(Ok(message)) = timeout(PATIENCE, peer.next()).await.unwrap() {
        assert!(message.is_close(), "{message:?}");
    }
}

#[tokio::test]
async fn a_server_of_hyper_hands_its_stream_over() {
    let (listener, address) = listener().await;
    let serving = tokio::spawn(in_hyper::serve(listener));
    early(&address).await;
    tungstenite_as_client(&address).await;
    // One who asks for no WebSocket, or for another page, is still hyper's.
    for (path, status) in [("/echo", StatusCode::UPGRADE_REQUIRED), ("/", StatusCode::NOT_FOUND)] {
        let tcp = TokioIo::new(TcpStream::connect(&address).await.unwrap());
        let (mut ask, connection) = handshake(tcp).await.unwrap();
        tokio::spawn(connection);
        let request = Request::get(path).header("host", &address).body(Empty::<Bytes>::new());
        let response = timeout(PATIENCE, ask.send_request(request.unwrap())).await.unwrap();
        assert_eq!(response.unwrap().status(), status);
    }
    serving.abort();
}

/// The other role: hyper asks, and hands over what the server answers with, whatever carries it.
#[tokio::test]
async fn a_client_of_hyper_hands_its_stream_over() {
    let (listener, address) = listener().await;
    let serving = tokio::spawn(async move {
        let (tcp, _) = listener.accept().await.unwrap();
        let mut stream = WsStream::accept(tcp, ServerOptions::default()).await.unwrap();
        stream.write_all(b"hello").await.unwrap();
        stream.shutdown().await.unwrap();
        stream.closed().await
    });
    let tcp = TokioIo::new(TcpStream::connect(&address).await.unwrap());
    let (mut ask, connection) = handshake(tcp).await.unwrap();
    tokio::spawn(connection.with_upgrades());
    let request = Request::get("/")
        .header("host", &address)
        .header("connection", "upgrade")
        .header("upgrade", "websocket")
        .header("sec-websocket-version", "13")
        .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")
        .body(Empty::<Bytes>::new());
    let response = timeout(PATIENCE, ask.send_request(request.unwrap())).await.unwrap().unwrap();
    assert_eq!(response.status(), StatusCode::SWITCHING_PROTOCOLS);
    let upgraded = TokioIo::new(hyper::upgrade::on(response).await.unwrap());
    let mut stream = WsStream::after_upgrade(upgraded, [], Role::Client, WsOptions::default());
    let mut text = String::new();
    timeout(PATIENCE, stream.read_to_string(&mut text)).await.unwrap().unwrap();
    assert_eq!(text, "hello");
    let by_server = |by| Ending::WsClose { code: Some(1000), reason: String::new(), by };
    assert_eq!(stream.closed().await.ending, by_server(Party::Peer));
    assert_eq!(serving.await.unwrap().ending, by_server(Party::Local));
}

#[tokio::test]
async fn a_server_of_tungstenite_moves_on() {
    let (listener, address) = listener().await;
    let serving = async {
        for keeps in [false, false, true, true] {
            let (tcp, _) = listener.accept().await.unwrap();
            after_tungstenite::echo(after_tungstenite::open(tcp, keeps).await.unwrap()).await;
        }
        let (tcp, _) = listener.accept().await.unwrap();
        after_tungstenite::open(tcp, false).await.unwrap_err()
    };
    let asking = async {
        for _handshake in ["ours", "tungstenite's"] {
            early(&address).await;
            tungstenite_as_client(&address).await;
        }
        let tcp = TcpStream::connect(&address).await.unwrap();
        let elsewhere = ClientOptions::new(&address, "/elsewhere").unwrap();
        WsStream::connect(tcp, elsewhere).await.unwrap_err()
    };
    let (refused, rejected) = tokio::join!(serving, asking);
    assert!(refused.to_string().contains("nothing is served at this path"), "{refused}");
    assert!(rejected.to_string().contains("status 404"), "{rejected}");
}

/// The function of this name, as the example has it.
fn function(example: &str, name: &str) -> String {
    let at = example.find(&format!("fn {name}(")).unwrap();
    let from = example[..at].rfind("\n\n").unwrap() + 2;
    let to = at + example[at..].find("\n}\n").unwrap() + 3;
    example[from..to].to_owned()
}

#[test]
fn the_book_shows_what_runs_here() {
    let hyper = include_str!("../../examples/websocket_in_hyper.rs");
    let tungstenite = include_str!("../../examples/websocket_after_tungstenite.rs");
    for (block, code) in [
        ("ws-hyper", function(hyper, "web_socket")),
        ("ws-tungstenite", function(tungstenite, "accept")),
        ("ws-tungstenite-handshake", function(tungstenite, "keep_handshake")),
    ] {
        assert_rendered("docs/websocket.md", block, &format!("```rust\n{code}```\n"));
    }
}
