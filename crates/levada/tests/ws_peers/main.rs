//! Other implementations of WebSocket as the other end of a `WsStream`: Python's websockets, npm's
//! ws, a browser, and nginx in between.
//!
//! All of them are asked the same. At `/echo` the server gives back what comes, in a subprotocol
//! `binary`, until the client closes with 4001. At `/bye` the server sends 2 MiB of a pattern and
//! closes with a code of its own.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod browser;
mod proxy;
mod scripts;
mod websocat;

use std::net::SocketAddr;
use std::time::Duration;

use levada::ws::{ClientOptions, CloseCode, Offer, ServerOptions};
use levada::{Ended, Ending, Event, Party, WsStream};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

/// How long anything may take before its test has failed.
const PATIENCE: Duration = Duration::from_secs(60);

/// What is sent at `/bye`.
fn pattern() -> Vec<u8> {
    (0..1_u32 << 21).map(|at| at as u8).collect()
}

fn closed(code: u16, reason: &str, by: Party) -> Ending {
    Ending::WsClose { code: Some(code), reason: reason.to_owned(), by }
}

/// Serves two clients, one after the other: the first asks for the echo, the second for the end.
async fn serve(listener: TcpListener) {
    let ended = echo(accept(&listener).await).await;
    assert_eq!(ended.ending, closed(4001, "genug für heute", Party::Peer));
    let ended = bye(accept(&listener).await).await;
    assert_eq!(ended.ending, closed(4002, "für heute genug", Party::Local));
}

async fn accept(listener: &TcpListener) -> WsStream<TcpStream> {
    let (socket, _) = timeout(PATIENCE, listener.accept()).await.unwrap().unwrap();
    let mut options = ServerOptions::default();
    options.rules.subprotocols = vec!["binary".to_owned()];
    WsStream::accept(socket, options).await.unwrap()
}

async fn echo(stream: WsStream<TcpStream>) -> Ended {
    assert_eq!(stream.request().unwrap().target(), "/echo");
    assert_eq!(stream.subprotocol(), Some("binary"));
    let (mut reader, mut writer) = tokio::io::split(stream);
    let copied = timeout(PATIENCE, tokio::io::copy(&mut reader, &mut writer)).await.unwrap();
    assert!(copied.unwrap() > 5 << 20);
    reader.unsplit(writer).closed().await
}

async fn bye(mut stream: WsStream<TcpStream>) -> Ended {
    assert_eq!(stream.request().unwrap().target(), "/bye");
    stream.write_all(&pattern()).await.unwrap();
    stream.close(CloseCode::new(4002).unwrap(), "für heute genug").await.unwrap();
    timeout(PATIENCE, stream.closed()).await.unwrap()
}

/// Asks a server for the echo and for the end, which it names `last`.
async fn ask(server: SocketAddr, last: Ending) {
    let data: Vec<u8> = (0..5_u32 << 20).map(|at| (at >> 8) as u8 ^ at as u8).collect();
    let mut stream = connect(server, "/echo").await;
    assert_eq!(stream.subprotocol(), Some("binary"));
    let mut events = stream.events();
    stream.ping(b"are you there").unwrap();
    let (mut reader, mut writer) = tokio::io::split(stream);
    let write = async {
        for size in [1, 125, 126, 127, 65_535, 65_536, 1 << 20] {
            writer.write_all(&data[..size]).await.unwrap();
            writer.flush().await.unwrap();
        }
        writer.write_all(&data).await.unwrap();
        writer.flush().await.unwrap();
    };
    let read = async {
        for size in [1, 125, 126, 127, 65_535, 65_536, 1 << 20, data.len()] {
            let mut echo = vec![0; size];
            reader.read_exact(&mut echo).await.unwrap();
            assert!(echo == data[..size], "the echo of {size} bytes");
        }
    };
    timeout(PATIENCE, async { tokio::join!(write, read) }).await.unwrap();
    let mut stream = reader.unsplit(writer);
    let pong = std::iter::from_fn(|| events.try_next())
        .any(|event| event == Event::Pong(b"are you there".to_vec()));
    assert!(pong, "the ping was answered");
    stream.close(CloseCode::new(4001).unwrap(), "genug für heute").await.unwrap();
    let ended = timeout(PATIENCE, stream.closed()).await.unwrap();
    assert_eq!(ended.ending, closed(4001, "genug für heute", Party::Local));

    let mut stream = connect(server, "/bye").await;
    let mut all = Vec::new();
    timeout(PATIENCE, stream.read_to_end(&mut all)).await.unwrap().unwrap();
    assert!(all == pattern());
    assert_eq!(stream.closed().await.ending, last);
}

async fn connect(server: SocketAddr, target: &str) -> WsStream<TcpStream> {
    let offer = Offer::new(&server.to_string(), target).unwrap();
    let offer = offer.with_subprotocol("unknown").unwrap().with_subprotocol("binary").unwrap();
    let socket = TcpStream::connect(server).await.unwrap();
    WsStream::connect(socket, ClientOptions::from(offer)).await.unwrap()
}
