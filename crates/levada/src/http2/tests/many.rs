//! Many streams on one connection.

use std::future::{pending, poll_fn};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use futures_util::FutureExt as _;
use http_body_util::Empty;
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http2::{Builder, SendRequest};
use hyper::ext::Protocol;
use hyper::rt::Executor as _;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use levada_core::{Ended, Ending, Role};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

use super::Server;
use crate::http2::exchange::Exchange;
use crate::http2::link::{Driver, Link, Wire};
use crate::memory::Pipe;
use crate::pool::Layer;
use crate::socket::{Options, Socket};
use crate::stream::Stream;
use crate::ws::{HandshakeError, ServerOptions, WsOptions, WsStream};

/// A client that opens many streams on one connection, as browsers do.
struct Visitor {
    link: Link,
    requests: SendRequest<Empty<Bytes>>,
    /// Done when the connection has ended.
    connection: JoinHandle<()>,
}

impl Visitor {
    async fn new(pipe: Pipe) -> Self {
        let link = Link::default();
        let socket = Socket::adopt(pipe, Layer::default(), Options::default());
        let wire = TokioIo::new(Wire::new(socket, link.clone()));
        let (requests, connection) = Builder::new(link.clone()).handshake(wire).await.unwrap();
        let driver = Driver::new(connection, link.clone());
        let connection = tokio::spawn(driver.run(pending::<()>(), None, |_| ()));
        Self { link, requests, connection }
    }

    /// Asks; what comes as an answer.
    async fn answer(
        &mut self,
        method: Method,
        protocol: Option<&'static str>,
    ) -> hyper::Result<Response<Incoming>> {
        let mut request = Request::new(Empty::new());
        *request.method_mut() = method;
        *request.uri_mut() = "http://host.example/".parse().unwrap();
        request.headers_mut().insert("sec-websocket-version", "13".parse().unwrap());
        if let Some(protocol) = protocol {
            request.extensions_mut().insert(Protocol::from_static(protocol));
        }
        self.requests.send_request(request).await
    }

    /// Asks; the stream where it was let in, or the status of the answer.
    async fn ask(
        &mut self,
        method: Method,
        protocol: Option<&'static str>,
    ) -> Result<WsStream<Exchange>, StatusCode> {
        let response = self.answer(method, protocol).await.unwrap();
        if response.status() != StatusCode::OK {
            return Err(response.status());
        }
        let upgraded = hyper::upgrade::on(response).await.unwrap();
        let exchange = Exchange::open(upgraded, self.link.enter());
        Ok(WsStream::after_upgrade(exchange, Vec::new(), Role::Client, WsOptions::default()))
    }

    async fn open(&mut self, server: &Server) -> (WsStream<Exchange>, WsStream) {
        let (near, far) = tokio::join!(self.ask(Method::CONNECT, Some("websocket")), async {
            let mut far = server.accept().await;
            far.established().await.unwrap();
            far
        });
        (near.unwrap(), far)
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_nobody_reads_stops_no_other() {
    let server = Server::new(ServerOptions::default());
    let mut visitor = Visitor::new(server.pipe(64 * 1024)).await;
    let mut unread = Vec::new();
    for _ in 0..8 {
        let (mut near, far) = visitor.open(&server).await;
        let piece = vec![7; 64 * 1024];
        let sent = timeout(Duration::from_secs(1), async {
            loop {
                near.write_all(&piece).await.unwrap();
                near.flush().await.unwrap();
            }
        });
        sent.await.unwrap_err();
        unread.push((near, far));
    }
    let (mut near, mut far) = visitor.open(&server).await;
    let text = vec![9; 500_000];
    let mut got = vec![0; text.len()];
    tokio::join!(
        async {
            near.write_all(&text).await.unwrap();
            near.flush().await.unwrap();
        },
        async { far.read_exact(&mut got).await.unwrap() }
    );
    assert!(got == text);
    // And what was held back is still there.
    for (_, far) in &mut unread {
        far.read_exact(&mut got[..300_000]).await.unwrap();
        assert!(got[..300_000].iter().all(|&byte| byte == 7));
    }
}

#[tokio::test(start_paused = true)]
async fn one_reset_among_many_harms_nobody() {
    let server = Server::new(ServerOptions::default());
    let mut visitor = Visitor::new(server.pipe(64 * 1024)).await;
    let mut streams = Vec::new();
    for _ in 0..20 {
        streams.push(visitor.open(&server).await);
    }
    let (near, mut far) = streams.swap_remove(7);
    drop(near.into_inner());
    let error = far.read(&mut [0; 9]).await.unwrap_err();
    assert_eq!(Ended::of(&error).unwrap().ending, Ending::SocketClose);
    for (mut near, mut far) in streams {
        far.write_all(b"still here").await.unwrap();
        far.flush().await.unwrap();
        let mut got = [0; 10];
        near.read_exact(&mut got).await.unwrap();
        assert_eq!(&got, b"still here");
    }
}

/// What a stream waits a turn for is known then, however busy the others are.
#[tokio::test]
async fn a_turn_goes_on_until_no_work_can() {
    let link = Link::default();
    for _ in 0..3 {
        let mut left = 3;
        link.execute(poll_fn(move |cx| {
            cx.waker().wake_by_ref();
            left -= 1;
            if left > 0 { Poll::Pending } else { Poll::Ready(()) }
        }));
    }
    let (done, is_done) = tokio::sync::oneshot::channel();
    link.execute(async { done.send(()).unwrap() });
    let driver = Driver::new(pending::<()>(), link);
    let running = driver.run(pending::<()>(), None, |_| ());
    assert!(pin!(running).now_or_never().is_none());
    is_done.now_or_never().expect("its turn is over").unwrap();
}

/// A connection that is lost behind a reset does not hide it.
#[tokio::test(start_paused = true)]
async fn a_reset_is_told_though_the_connection_is_lost_behind_it() {
    let server = Server::new(ServerOptions::default());
    let mut visitor = Visitor::new(server.pipe(64 * 1024)).await;
    let (upgraded, mut far) = tokio::join!(
        async {
            let response = visitor.answer(Method::CONNECT, Some("websocket")).await.unwrap();
            hyper::upgrade::on(response).await.unwrap()
        },
        async {
            let mut far = server.accept().await;
            far.established().await.unwrap();
            far
        }
    );
    drop(upgraded);
    // It leaves, and then so does the connection, without a word.
    tokio::time::sleep(Duration::from_millis(1)).await;
    visitor.connection.abort();
    tokio::time::sleep(Duration::from_millis(1)).await;
    let error = far.read(&mut [0; 9]).await.unwrap_err();
    let ended = Ended::of(&error).unwrap();
    assert!(ended.to_string().contains("the stream was reset"), "{ended}");
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_no_stream_uses_is_ended() {
    let server = Server::new(ServerOptions::default());
    let mut visitor = Visitor::new(server.pipe(64 * 1024)).await;
    let (near, far) = visitor.open(&server).await;
    // As long as a stream is there, it is used.
    assert!(timeout(Duration::from_secs(60), &mut visitor.connection).await.is_err());
    drop((near, far));
    let began = Instant::now();
    visitor.connection.await.unwrap();
    // `deadline-handshake`, and the time that parting may take.
    assert!((10..=14).contains(&began.elapsed().as_secs()), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_listener_that_goes_takes_no_stream_with_it() {
    let server = Server::new(ServerOptions::default());
    let mut visitor = Visitor::new(server.pipe(64 * 1024)).await;
    let (mut near, mut far) = visitor.open(&server).await;
    drop(server);
    // GOAWAY: no more of them.
    let gone = async {
        while !visitor.requests.is_closed() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(Duration::from_secs(1), gone).await.unwrap();
    far.write_all(b"to the end").await.unwrap();
    far.shutdown().await.unwrap();
    let mut got = Vec::new();
    let (_, ended) = tokio::join!(near.read_to_end(&mut got), far.closed());
    assert_eq!(got, b"to the end");
    assert!(ended.is_clean(), "{ended}");
    drop(near);
    timeout(Duration::from_secs(5), visitor.connection).await.unwrap().unwrap();
}

/// Who asks while the listener closes did not know of it; and what is left of the connection has its time.
#[tokio::test(start_paused = true)]
async fn a_listener_that_closes_serves_who_is_there() {
    let server = Server::new(ServerOptions::default());
    let mut visitor = Visitor::new(server.pipe(64 * 1024)).await;
    let first = visitor.open(&server).await;
    let mut asking = Box::pin(visitor.ask(Method::CONNECT, Some("websocket")));
    assert!(asking.as_mut().now_or_never().is_none());
    let mut closed = server.hall.close();
    let (near, far) = tokio::join!(asking, async {
        let Some(Stream::WebSocket(mut far)) = closed.recv().await else { panic!("none comes") };
        far.established().await.unwrap();
        *far
    });
    for (mut near, mut far) in [first, (near.unwrap(), far)] {
        assert!(closed.recv().now_or_never().is_none(), "a stream is there");
        far.write_all(b"to the end").await.unwrap();
        far.shutdown().await.unwrap();
        let mut got = Vec::new();
        let (_, ended) = tokio::join!(near.read_to_end(&mut got), far.closed());
        assert_eq!(got, b"to the end");
        assert!(ended.is_clean(), "{ended}");
    }
    let none = timeout(Duration::from_secs(5), closed.recv()).await.unwrap();
    assert!(none.is_none());
    timeout(Duration::from_secs(5), visitor.connection).await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn whom_a_listener_that_is_gone_does_not_serve_may_ask_elsewhere() {
    let server = Server::new(ServerOptions::default());
    let mut visitor = Visitor::new(server.pipe(64 * 1024)).await;
    let _open = visitor.open(&server).await;
    let mut asking = pin!(visitor.answer(Method::CONNECT, Some("websocket")));
    assert!(asking.as_mut().now_or_never().is_none());
    drop(server);
    let error = asking.await.unwrap_err();
    let cause = std::error::Error::source(&error).and_then(|cause| cause.downcast_ref());
    assert_eq!(cause.and_then(h2::Error::reason), Some(h2::Reason::REFUSED_STREAM), "{error:?}");
}

#[tokio::test(start_paused = true)]
async fn what_asks_for_no_websocket_gets_its_status() {
    let server = Server::new(ServerOptions::default());
    let mut visitor = Visitor::new(server.pipe(64 * 1024)).await;
    for (method, protocol, wanted) in [
        (Method::GET, None, 426),
        (Method::POST, None, 405),
        (Method::CONNECT, Some("connect-udp"), 501),
    ] {
        let (answer, error) = tokio::join!(visitor.ask(method, protocol), async {
            server.accept().await.established().await.unwrap_err()
        });
        assert_eq!(answer.err().map(|status| status.as_u16()), Some(wanted));
        assert!(matches!(error, HandshakeError::Refused(..)), "{error}");
    }
}
