//! The client's end: one WebSocket on an HTTP/2 connection of its own.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http_body_util::Empty;
use hyper::body::Bytes;
use hyper::client::conn::http2::{Builder, Connection};
use hyper::ext::Protocol;
use hyper::header::{HeaderName, HeaderValue};
use hyper::{HeaderMap, Method, Request, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use levada_address::Http;
use levada_core::{Ended, Ending, Fault, TlsFacts};
use levada_ws::handshake::{Limits, Offer, OfferError, Rejection, Response};
use tokio::sync::oneshot;

use super::exchange::{Exchange, cause};
use super::link::{Driver, Entry, Link, Wire};
use super::{ALPN, SEND_BUFFER, STREAM_WINDOW, fields};
use crate::carrier::Carrier;
use crate::pool::{Entrusted, Entrusting, Outcome};
use crate::socket::Socket;

/// A request by HTTP/2, as often as it is wanted.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    uri: Uri,
    headers: HeaderMap,
    offer: Offer,
    limits: Limits,
    /// Whether HTTP/1.1 is as good.
    may_fall_back: bool,
}

impl Call {
    /// A call for what `offer` asks for; `https` says whether it is under TLS.
    ///
    /// # Errors
    ///
    /// When the host or the target cannot stand in a request by HTTP/2.
    pub(crate) fn new(
        offer: &Offer,
        limits: Limits,
        https: bool,
        http: Http,
    ) -> Result<Self, OfferError> {
        let scheme = if https { "https" } else { "http" };
        let builder = Uri::builder().scheme(scheme).authority(offer.host());
        let uri = builder.path_and_query(offer.target()).build();
        let uri = uri.map_err(|_| OfferError::Target)?;
        let headers = offer.fields().into_iter().map(|field| {
            let name = HeaderName::try_from(field.name()).ok()?;
            let mut value = HeaderValue::from_bytes(field.value()).ok()?;
            // It may be a credential: it is not kept for headers to come.
            value.set_sensitive(!field.name().starts_with("Sec-WebSocket-"));
            Some((name, value))
        });
        // What is left out can stand in no request at all.
        let headers = headers.flatten().collect();
        let may_fall_back = http == Http::Auto;
        Ok(Self { uri, headers, offer: offer.clone(), limits, may_fall_back })
    }

    /// The call on a stream that is to be dialled, and where its answer comes. `again` is the stream to
    /// dial where the server speaks HTTP/2 but opens no WebSockets by it.
    pub(crate) fn begin(&self, again: Option<Socket>) -> (Box<Calling>, oneshot::Receiver<Answer>) {
        let (answer, answered) = oneshot::channel();
        (Box::new(Calling { call: self.clone(), again, answer }), answered)
    }
}

/// What became of a call.
#[derive(Debug)]
pub(crate) enum Answer {
    /// The WebSocket is open.
    Open(Response),
    /// There is none.
    Rejected(Rejection),
    /// It is to be asked for by HTTP/1.1.
    AskByHttp1,
}

/// A call that waits for its transport.
#[derive(Debug)]
pub(crate) struct Calling {
    call: Call,
    again: Option<Socket>,
    answer: oneshot::Sender<Answer>,
}

impl Calling {
    /// Gives the call where HTTP/2 is spoken: where TLS has agreed on it, or where there is none.
    pub(crate) fn settle(self: Box<Self>, tls: Option<&TlsFacts>) -> Option<Box<Self>> {
        if tls.is_none_or(|tls| tls.alpn.as_deref() == Some(ALPN)) {
            return Some(self);
        }
        let answer = if self.call.may_fall_back {
            Answer::AskByHttp1
        } else {
            Answer::Rejected(Rejection::NotHttp2)
        };
        // Whoever has dropped the receiver wants no answer.
        let _ = self.answer.send(answer);
        None
    }

    /// Calls over `socket`. It comes back as the stream that was opened.
    pub(crate) fn call(self: Box<Self>, socket: Socket) -> Entrusting {
        Entrusting::new(async move {
            let Self { call, again, answer } = *self;
            let (answered, outcome) = match (ask(&call, socket).await, again) {
                (Ok((exchange, response)), _) => {
                    (Answer::Open(response), Ok(Carrier::foreign(exchange).into()))
                }
                (Err(Failure::Rejected(Rejection::NoExtendedConnect, _)), Some(again)) => {
                    (Answer::AskByHttp1, dial_again(again).await)
                }
                (Err(Failure::Rejected(rejection, entry)), _) => {
                    let carrier = Carrier::foreign(Exchange::refused(entry));
                    (Answer::Rejected(rejection), Ok(carrier.into()))
                }
                (Err(Failure::Ended(ending)), _) => return Err((ending, None)),
            };
            let _ = answer.send(answered);
            outcome
        })
    }
}

async fn dial_again(mut socket: Socket) -> Outcome {
    match socket.established().await {
        Ok(()) => {
            let tls = socket.facts().tls;
            Ok(Entrusted { tls, ..Carrier::foreign(socket).into() })
        }
        Err(error) => {
            let ended = Ended::of(&error).map(|ended| ended.ending.clone());
            Err((ended.unwrap_or_else(|| Ending::SocketError((&error).into())), None))
        }
    }
}

/// Why a call has opened nothing.
enum Failure {
    Rejected(Rejection, Entry),
    Ended(Ending),
}

async fn ask(call: &Call, socket: Socket) -> Result<(Exchange, Response), Failure> {
    let link = Link::default();
    let entry = link.enter();
    let failed = |error: Option<&hyper::Error>| {
        let why = error.map_or_else(|| "the connection has ended".to_owned(), |error| cause(error));
        let cause = Fault::WsHandshake(format!("HTTP/2: {why}"));
        let fault = Ending::FatalError { alert: None, cause };
        Failure::Ended(link.ended().unwrap_or(fault))
    };
    let wire = TokioIo::new(Wire::new(socket, link.clone()));
    let handshake = Builder::new(link.clone())
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(STREAM_WINDOW)
        .max_send_buf_size(SEND_BUFFER)
        .max_header_list_size(call.limits.bytes as u32)
        // None before the server's settings have come: so they are known to have.
        .initial_max_send_streams(0)
        .handshake(wire)
        .await;
    let (mut requests, connection) = handshake.map_err(|error| failed(Some(&error)))?;
    let (settled, settings) = oneshot::channel();
    let connection = Settling { connection: Box::pin(connection), settled: Some(settled) };
    let driver = Driver::new(connection, link.clone());
    let never = std::future::pending::<()>();
    tokio::spawn(driver.run(never, Some(std::time::Duration::ZERO), |_| ()));
    match settings.await {
        Ok(true) => {}
        Ok(false) => return Err(Failure::Rejected(Rejection::NoExtendedConnect, entry)),
        Err(_) => return Err(failed(None)),
    }
    let mut request = Request::new(Empty::<Bytes>::new());
    *request.method_mut() = Method::CONNECT;
    *request.uri_mut() = call.uri.clone();
    *request.headers_mut() = call.headers.clone();
    request.extensions_mut().insert(Protocol::from_static("websocket"));
    let response = requests.send_request(request).await.map_err(|error| failed(Some(&error)))?;
    let status = response.status();
    let read =
        Response::from_extended_connect(&call.offer, status.as_u16(), fields(response.headers()));
    match read {
        // Of the others hyper makes no stream.
        Ok(_) if status != StatusCode::OK => {
            let (status, fields) = (status.as_u16(), Vec::new());
            Err(Failure::Rejected(Rejection::Status { status, fields }, entry))
        }
        Ok(read) => {
            let upgraded = hyper::upgrade::on(response).await;
            let upgraded = upgraded.map_err(|error| failed(Some(&error)))?;
            Ok((Exchange::open(upgraded, entry), read))
        }
        Err(rejection) => Err(Failure::Rejected(rejection, entry)),
    }
}

type Requesting = Connection<TokioIo<Wire>, Empty<Bytes>, Link>;

/// A client's connection that tells, once the server's settings have come, whether extended CONNECT is
/// among them.
struct Settling {
    connection: Pin<Box<Requesting>>,
    settled: Option<oneshot::Sender<bool>>,
}

impl Future for Settling {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let polled = self.connection.as_mut().poll(cx);
        if self.connection.current_max_send_streams() > 0
            && let Some(settled) = self.settled.take()
        {
            let _ = settled.send(self.connection.is_extended_connect_protocol_enabled());
        }
        // Why it failed, each stream learns by itself.
        let _ = ready!(polled);
        self.settled = None;
        Poll::Ready(())
    }
}
