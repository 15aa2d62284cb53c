//! A web server of hyper's that hands its WebSockets over: what comes to `/echo` is sent back.
//!
//! `websocket_in_hyper HOST:PORT`, then `levada connect ws://HOST:PORT/echo`.

use std::convert::Infallible;
use std::error::Error;

use http_body_util::Empty;
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONNECTION, HeaderName, HeaderValue, SEC_WEBSOCKET_ACCEPT, UPGRADE};
use hyper::header::{SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::upgrade::Upgraded;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use levada::ws::{WsOptions, accept_of};
use levada::{Role, WsStream};
use tokio::net::{TcpListener, TcpStream};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let address = std::env::args().nth(1).ok_or("usage: HOST:PORT")?;
    serve(TcpListener::bind(address).await?).await?;
    Ok(())
}

/// Serves each client that comes.
pub(crate) async fn serve(listener: TcpListener) -> std::io::Result<Infallible> {
    loop {
        let (tcp, _) = listener.accept().await?;
        let served = http1::Builder::new()
            .serve_connection(TokioIo::new(tcp), service_fn(answer))
            .with_upgrades();
        tokio::spawn(async move { served.await.map_err(|error| eprintln!("{error}")) });
    }
}

/// Answers with 101 who asks for a WebSocket at `/echo`, and hands the stream on.
async fn answer(request: Request<Incoming>) -> Result<Response<Empty<Bytes>>, Infallible> {
    let mut response = Response::new(Empty::new());
    if request.uri().path() != "/echo" {
        *response.status_mut() = StatusCode::NOT_FOUND;
        return Ok(response);
    }
    let field = |name: HeaderName| request.headers().get(name)?.to_str().ok();
    let is_web_socket = field(UPGRADE).is_some_and(|name| name.eq_ignore_ascii_case("websocket"))
        && field(SEC_WEBSOCKET_VERSION) == Some("13");
    let key = field(SEC_WEBSOCKET_KEY).filter(|_| is_web_socket);
    let accept = key.and_then(|key| HeaderValue::from_str(&accept_of(key)).ok());
    let Some(accept) = accept else {
        *response.status_mut() = StatusCode::UPGRADE_REQUIRED;
        return Ok(response);
    };
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    response.headers_mut().insert(UPGRADE, HeaderValue::from_static("websocket"));
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("upgrade"));
    response.headers_mut().insert(SEC_WEBSOCKET_ACCEPT, accept);
    tokio::spawn(async move {
        match hyper::upgrade::on(request).await {
            Ok(upgraded) => echo(web_socket(upgraded)).await,
            Err(error) => eprintln!("{error}"),
        }
    });
    Ok(response)
}

/// The carrier that was served, with what hyper has read of it behind the request.
fn web_socket(upgraded: Upgraded) -> WsStream<TcpStream> {
    let parts = upgraded.downcast::<TokioIo<TcpStream>>().expect("it is what was served");
    let tcp = parts.io.into_inner();
    WsStream::after_upgrade(tcp, parts.read_buf, Role::Server, WsOptions::default())
}

async fn echo(stream: WsStream<TcpStream>) {
    let (mut reader, mut writer) = tokio::io::split(stream);
    // Why it stopped is told by the ending.
    let _ = tokio::io::copy(&mut reader, &mut writer).await;
    eprintln!("{}", reader.unsplit(writer).closed().await);
}
