//! Two ways away from tungstenite, for a server that gives back what comes to `/echo`: by our own
//! opening handshake, and by keeping tungstenite's.
//!
//! `websocket_after_tungstenite HOST:PORT [keep]`, then `levada connect ws://HOST:PORT/echo`.

use std::error::Error;

use levada::ws::{Answer, HandshakeError, Incoming, Limits, Refusal, WsOptions};
use levada::{Role, WsStream};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::handshake::machine::{
    HandshakeMachine, RoundResult, StageResult,
};
use tokio_tungstenite::tungstenite::handshake::server::{Request, create_response, write_response};

type Failure = Box<dyn Error + Send + Sync>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failure> {
    let mut words = std::env::args().skip(1);
    let address = words.next().ok_or("usage: HOST:PORT [keep]")?;
    let keeps = words.next().is_some();
    let listener = TcpListener::bind(address).await?;
    loop {
        let (tcp, _) = listener.accept().await?;
        tokio::spawn(async move {
            match open(tcp, keeps).await {
                Ok(stream) => echo(stream).await,
                Err(error) => eprintln!("{error}"),
            }
        });
    }
}

/// Opens a WebSocket by the handshake that `keeps` says.
pub(crate) async fn open(tcp: TcpStream, keeps: bool) -> Result<WsStream<TcpStream>, Failure> {
    if !keeps {
        return Ok(accept(tcp).await?);
    }
    let tcp = tcp.into_std()?;
    tcp.set_nonblocking(false)?;
    tokio::task::spawn_blocking(|| keep_handshake(tcp)).await?
}

/// What `accept_hdr_async` and its callback did: it looks at the request, and lets in or refuses.
async fn accept(tcp: TcpStream) -> Result<WsStream<TcpStream>, HandshakeError> {
    let asked = Incoming::read(tcp, Limits::default(), WsOptions::default()).await?;
    if asked.request().path() != "/echo" {
        return Err(asked.refuse(Refusal::Path).await);
    }
    asked.accept(Answer::default()).await
}

/// The handshake of tungstenite goes on to be the one; what it has read too far is the stream's.
fn keep_handshake(tcp: std::net::TcpStream) -> Result<WsStream<TcpStream>, Failure> {
    let mut machine = HandshakeMachine::start_read(tcp);
    let (request, mut tcp, tail) = loop {
        machine = match machine.single_round::<Request>()? {
            RoundResult::StageFinished(StageResult::DoneReading { result, stream, tail }) => {
                break (result, stream, tail);
            }
            RoundResult::Incomplete(machine) | RoundResult::WouldBlock(machine) => machine,
            RoundResult::StageFinished(StageResult::DoneWriting(_)) => unreachable!("it reads"),
        };
    };
    write_response(&mut tcp, &create_response(&request)?)?;
    tcp.set_nonblocking(true)?;
    let tcp = TcpStream::from_std(tcp)?;
    Ok(WsStream::after_upgrade(tcp, tail, Role::Server, WsOptions::default()))
}

/// What was a loop of `next` and `send` is a copy of bytes.
pub(crate) async fn echo(stream: WsStream<TcpStream>) {
    let (mut reader, mut writer) = tokio::io::split(stream);
    // Why it stopped is told by the ending.
    let _ = tokio::io::copy(&mut reader, &mut writer).await;
    eprintln!("{}", reader.unsplit(writer).closed().await);
}
