//! The server's end: every request of a connection is a stream of its own.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::ext::Protocol;
use hyper::header::{HeaderName, HeaderValue};
use hyper::server::conn::http2::Builder;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use levada_address::Http;
use levada_core::{Endpoint, Facts, Rule};
use levada_ws::handshake::{self, Answer, AnswerError, Field, Refusal};
use tokio::io::AsyncReadExt as _;
use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore, mpsc, oneshot, watch};
use tokio::time::timeout;

use super::exchange::Exchange;
use super::link::{Driver, Link, Wire};
use super::{ALPN, CONNECTION_WINDOW, SEND_BUFFER, STREAM_WINDOW, STREAMS, fields};
use crate::carrier::Carrier;
use crate::per_address::{AddressPermit, PerAddress};
use crate::socket::{Options, Socket};
use crate::stream::Stream;
use crate::ws::{ServerOptions, WsStream};

/// Streams that were opened and wait for an accept; more wait in their connections.
const BACKLOG: usize = 64;

/// What a client of HTTP/2 begins with (RFC 9113 section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Where the streams of all connections of a listener come together.
#[derive(Debug)]
pub(crate) struct Hall {
    http: Http,
    streams: mpsc::Sender<Stream>,
    accepted: Mutex<mpsc::Receiver<Stream>>,
    /// Dropped with the listener.
    open: watch::Sender<()>,
}

impl Hall {
    pub(crate) fn new(http: Http) -> Self {
        let (streams, accepted) = mpsc::channel(BACKLOG);
        Self { http, streams, accepted: accepted.into(), open: watch::Sender::new(()) }
    }

    /// The next stream of any connection. Nothing is lost by dropping the call.
    pub(crate) async fn accept(&self) -> Stream {
        match self.accepted.lock().await.recv().await {
            Some(stream) => stream,
            // One sender is ours.
            None => std::future::pending().await,
        }
    }

    /// Lets nobody else in, and has the connections end (GOAWAY). The streams that they still bring come
    /// to the receiver, which is at its end when all of them have ended.
    pub(crate) fn close(self) -> mpsc::Receiver<Stream> {
        self.accepted.into_inner()
    }

    /// Greets whoever has come on `socket`, in a task of its own: its streams come here.
    pub(crate) fn greet(&self, socket: Socket, guest: Guest) {
        let (streams, open) = (self.streams.clone(), self.open.subscribe());
        tokio::spawn(greet(socket, self.http, guest, streams, open));
    }
}

/// A connection that has come, and what holds for its streams.
pub(crate) struct Guest {
    pub(crate) web_socket: ServerOptions,
    pub(crate) options: Arc<Options>,
    /// The room of the connection, until it is known what it speaks.
    pub(crate) permit: Option<OwnedSemaphorePermit>,
    pub(crate) handshakes: Option<Arc<Semaphore>>,
    pub(crate) per_address: Option<Arc<PerAddress>>,
}

async fn greet(
    mut socket: Socket,
    http: Http,
    mut guest: Guest,
    streams: mpsc::Sender<Stream>,
    open: watch::Receiver<()>,
) {
    let is_up = socket.established().await.is_ok();
    let stream =
        if is_up && speaks_http2(&mut socket, http, guest.options.deadlines.handshake).await {
            return serve(socket, guest, streams, open).await;
        } else if is_up {
            let permit = guest.permit.take();
            WsStream::server(socket, guest.web_socket).holding_until_established(permit).into()
        } else {
            // It tells best itself why there is none.
            socket.into()
        };
    // Where the listener is gone, so is the stream.
    let _ = streams.send(stream).await;
}

/// Whether the client speaks HTTP/2: TLS has agreed on it, or it begins with what nothing else begins
/// with.
async fn speaks_http2(socket: &mut Socket, http: Http, time: Option<Duration>) -> bool {
    let tls = socket.facts().tls;
    match (http, tls.as_ref().map(|tls| tls.alpn.as_deref())) {
        (Http::V1, _) => false,
        (_, Some(Some(protocol))) => protocol == ALPN,
        (Http::V2, _) => true,
        (Http::Auto, Some(None)) => false,
        (Http::Auto, None) => {
            let mut begin = Vec::with_capacity(PREFACE.len());
            let read = async {
                while begin.len() < PREFACE.len() && PREFACE.starts_with(&begin) {
                    let mut rest = (&mut *socket).take((PREFACE.len() - begin.len()) as u64);
                    if rest.read_buf(&mut begin).await? == 0 {
                        break;
                    }
                }
                io::Result::Ok(())
            };
            // Whoever says nothing is late for whatever it wants to say.
            let _ = match time {
                Some(time) => timeout(time, read).await.unwrap_or(Ok(())),
                None => read.await,
            };
            let is_preface = begin == PREFACE;
            socket.unread(begin);
            is_preface
        }
    }
}

async fn serve(
    socket: Socket,
    mut guest: Guest,
    streams: mpsc::Sender<Stream>,
    mut open: watch::Receiver<()>,
) {
    guest.permit = None;
    let link = Link::default();
    let idle = guest.options.deadlines.handshake;
    let room = guest.per_address.take().zip(peer(&socket)).map(|(all, client)| Room {
        all,
        client,
        first: Arc::default(),
    });
    let mut builder = Builder::new(link.clone());
    builder
        .enable_connect_protocol()
        .auto_date_header(false)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_concurrent_streams(STREAMS)
        .max_send_buf_size(SEND_BUFFER)
        .max_header_list_size(guest.web_socket.limits.bytes as u32);
    let desk = Arc::new(Desk { facts: socket.facts(), guest, room, link: link.clone(), streams });
    let answer = service_fn(move |request| Arc::clone(&desk).answer(request));
    let wire = TokioIo::new(Wire::new(socket, link.clone()));
    let connection = builder.serve_connection(wire, answer);
    let closing = async move { while open.changed().await.is_ok() {} };
    let leave = |connection: std::pin::Pin<&mut _>| {
        hyper::server::conn::http2::Connection::graceful_shutdown(connection);
    };
    Driver::new(connection, link).run(closing, idle, leave).await;
}

fn peer(socket: &Socket) -> Option<IpAddr> {
    match socket.peer() {
        Some(Endpoint::Ip(peer)) => Some(peer.ip()),
        _ => None,
    }
}

/// Where the requests of one connection arrive.
struct Desk {
    /// Those of the connection.
    facts: Facts,
    guest: Guest,
    room: Option<Room>,
    link: Link,
    streams: mpsc::Sender<Stream>,
}

impl Desk {
    /// Hands a request out as a stream, and waits for what its owner, or the rules, answer.
    async fn answer(
        self: Arc<Self>,
        mut request: Request<Incoming>,
    ) -> Result<Response<Full<Bytes>>, h2::Error> {
        let upgrade = hyper::upgrade::on(&mut request);
        let asked = asked(&request, &self.guest.web_socket);
        let handshake = self.guest.handshakes.clone().map(Semaphore::try_acquire_owned);
        let room = self.room.as_ref().map(Room::take);
        let is_full = matches!(handshake, Some(Err(_))) || matches!(room, Some(None));
        let exchange = Exchange::asked(upgrade, self.link.enter(), room.flatten());
        let carrier = Carrier::foreign(exchange);
        let options = Arc::clone(&self.guest.options);
        let mut socket = Socket::on_connection(carrier, &self.facts, options);
        let (reply, replied) = oneshot::channel();
        let stream = if is_full {
            socket.refuse(Rule::Limit);
            let _ = reply.send(no_room());
            socket.into()
        } else {
            let web_socket = &self.guest.web_socket;
            let stream = WsStream::asked_by_http2(socket, asked, web_socket, Responder(reply));
            stream.holding_until_established(handshake.and_then(Result::ok)).into()
        };
        // Where the listener is gone, the client may ask elsewhere (RFC 9113 section 8.7).
        self.streams.send(stream).await.map_err(|_| h2::Reason::REFUSED_STREAM)?;
        Ok(replied.await.map_err(|_| h2::Reason::INTERNAL_ERROR)?)
    }
}

/// What a request asks for, or why it is to be refused.
fn asked(
    request: &Request<Incoming>,
    options: &ServerOptions,
) -> Result<handshake::Request, Refusal> {
    let uri = request.uri();
    let path = uri.path_and_query().map_or("", |path| path.as_str());
    match (request.method(), request.extensions().get::<Protocol>()) {
        (&Method::CONNECT, Some(protocol)) if protocol.as_str() == "websocket" => {
            let authority = uri.authority().map(hyper::http::uri::Authority::as_str);
            let fields = fields(request.headers());
            handshake::Request::from_extended_connect(path, authority, fields, options.limits)
        }
        // RFC 9220 section 3.
        (&Method::CONNECT, Some(_)) => {
            Err(Refusal::Application { status: 501, fields: Vec::new() })
        }
        (&Method::GET, _) => Err(match options.rules.page(path) {
            Some(page) => Refusal::Page(page.clone()),
            None => Refusal::NotAnUpgrade,
        }),
        _ => Err(Refusal::Method),
    }
}

fn no_room() -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    response
}

/// Answers a request.
#[derive(Debug)]
pub(crate) struct Responder(oneshot::Sender<Response<Full<Bytes>>>);

impl Responder {
    /// Opens the WebSocket.
    ///
    /// # Errors
    ///
    /// When the answer names a subprotocol that was not offered; the request waits for another.
    pub(crate) fn accept(
        slot: &mut Option<Self>,
        request: &handshake::Request,
        answer: &Answer,
    ) -> Result<(), AnswerError> {
        let fields = request.accept_fields(answer)?;
        if let Some(responder) = slot.take() {
            responder.send(StatusCode::OK, &fields, Bytes::new());
        }
        Ok(())
    }

    /// Refuses it.
    pub(crate) fn refuse(self, refusal: &Refusal) {
        let status = StatusCode::from_u16(refusal.status());
        let status = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        self.send(status, &refusal.fields(), refusal.body().into_owned().into());
    }

    fn send(self, status: StatusCode, fields: &[Field], body: Bytes) {
        let mut response = Response::new(Full::new(body));
        *response.status_mut() = status;
        for field in fields {
            let name = HeaderName::try_from(field.name());
            let value = HeaderValue::from_bytes(field.value());
            // Whatever is a field of HTTP/1.1 is one here.
            if let (Ok(name), Ok(value)) = (name, value) {
                response.headers_mut().append(name, value);
            }
        }
        // Whoever asked may be gone.
        let _ = self.0.send(response);
    }
}

/// The room that one client has for streams. Its connection has taken one stream's already.
struct Room {
    all: Arc<PerAddress>,
    client: IpAddr,
    /// Whether that one is in use.
    first: Arc<AtomicBool>,
}

impl Room {
    /// Takes room for one stream, if there is any.
    fn take(&self) -> Option<Seat> {
        if !self.first.swap(true, Ordering::Relaxed) {
            return Some(Seat::First(Arc::clone(&self.first)));
        }
        self.all.admit(self.client).map(Seat::Own)
    }
}

/// The room of one stream, until it is dropped.
pub(super) enum Seat {
    /// The connection's.
    First(Arc<AtomicBool>),
    /// One of its own, which is held and nothing else.
    Own(#[expect(dead_code, reason = "its drop gives the room back")] AddressPermit),
}

impl Drop for Seat {
    fn drop(&mut self) {
        if let Self::First(in_use) = self {
            in_use.store(false, Ordering::Relaxed);
        }
    }
}
