//! tungstenite as the other end, in both roles.

use futures_util::{SinkExt, StreamExt};
use levada::ws::{ClientOptions, ServerOptions};
use levada::{Ending, Party, WsStream};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::{WebSocketStream, accept_async, client_async};

use crate::support::{Io, Over, Trickle, read_all};

/// Gives binary messages back until the peer closes.
async fn echo<S: Io>(mut peer: WebSocketStream<S>) {
    while let Some(Ok(message)) = peer.next().await {
        if message.is_binary() {
            peer.send(message).await.unwrap();
        }
    }
}

async fn question<S: Io>(stream: WsStream<S>) {
    let sizes = [1, 125, 126, 127, 65_535, 65_536, 300_000];
    let (mut reader, mut writer) = tokio::io::split(stream);
    let total: usize = sizes.iter().sum();
    let write = async {
        for size in sizes {
            writer.write_all(&vec![size as u8; size]).await.unwrap();
            writer.flush().await.unwrap();
        }
    };
    let read = async {
        let mut got = vec![0; total];
        reader.read_exact(&mut got).await.unwrap();
        got
    };
    let ((), got) = tokio::join!(write, read);
    let wanted: Vec<u8> = sizes.iter().flat_map(|&size| vec![size as u8; size]).collect();
    assert!(got == wanted);
    let mut stream = reader.unsplit(writer);
    stream.shutdown().await.unwrap();
    let ended = stream.closed().await;
    let code = Some(1000);
    assert_eq!(ended.ending, Ending::WsClose { code, reason: String::new(), by: Party::Local });
}

#[tokio::test]
async fn b1_tungstenite_echoes_as_server() {
    for over in [Over::Memory, Over::Tls] {
        let [near, far] = over.carriers();
        let ours = async {
            let options = ClientOptions::new("example.org", "/").unwrap();
            question(WsStream::connect(near, options).await.unwrap()).await;
        };
        tokio::join!(ours, async { echo(accept_async(far).await.unwrap()).await });
    }
}

#[tokio::test]
async fn b1_tungstenite_echoes_as_client() {
    for over in [Over::Memory, Over::Tls] {
        let [near, far] = over.carriers();
        let theirs = async {
            let (peer, _) = client_async("ws://example.org/", near).await.unwrap();
            echo(peer).await;
        };
        let ours = async {
            question(WsStream::accept(far, ServerOptions::default()).await.unwrap()).await;
        };
        tokio::join!(theirs, ours);
    }
}

/// C1, E2: it pings, and closes first with a reason; over a carrier that waits at every few bytes.
#[tokio::test]
async fn c1_tungstenite_closes_first() {
    let (near, far) = tokio::io::duplex(64);
    let (near, far) = (Trickle::new(near, 7), Trickle::new(far, 5));
    let theirs = async {
        let (mut peer, _) = client_async("ws://example.org/", near).await.unwrap();
        peer.send(Message::Ping(b"ping"[..].into())).await.unwrap();
        peer.send(Message::Binary(vec![9; 1000].into())).await.unwrap();
        assert_eq!(peer.next().await.unwrap().unwrap(), Message::Pong(b"ping"[..].into()));
        let frame = CloseFrame { code: CloseCode::Away, reason: "bye".into() };
        peer.close(Some(frame)).await.unwrap();
        while let Some(Ok(_)) = peer.next().await {}
    };
    let ours = async {
        let mut stream = WsStream::accept(far, ServerOptions::default()).await.unwrap();
        let (data, end) = read_all(&mut stream).await;
        end.unwrap();
        assert_eq!(data, [9; 1000]);
        stream.closed().await
    };
    let ((), ended) = tokio::join!(theirs, ours);
    let (code, reason) = (Some(1001), "bye".to_owned());
    assert_eq!(ended.ending, Ending::WsClose { code, reason, by: Party::Peer });
}
