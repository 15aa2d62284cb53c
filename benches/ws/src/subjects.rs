//! The crates that are measured, each as what a user of byte streams would make of it: `write` takes
//! borrowed bytes, `read` fills a buffer of its caller's.

use futures_util::{SinkExt, StreamExt};
use levada::{Role, WsStream};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio_tungstenite::tungstenite::Bytes;

/// What a WebSocket can run over.
pub(crate) trait Io: AsyncRead + AsyncWrite + Unpin + Send + 'static {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send + 'static> Io for T {}

/// A stream of bytes. What fails ends the benchmark.
pub(crate) trait Stream {
    async fn write(&mut self, data: &[u8]);
    async fn flush(&mut self);
    async fn read(&mut self, room: &mut [u8]) -> usize;
}

/// A crate.
pub(crate) trait Subject {
    /// As `Cargo.lock` has it.
    const NAME: &str;
    type Over<S: Io>: Stream;
    /// One end of a WebSocket behind its opening handshake.
    async fn open<S: Io>(io: S, role: Role) -> Self::Over<S>;
}

/// Whatever speaks tokio's traits is a stream as it is.
pub(crate) struct Tokio<S>(S);

impl<S: AsyncRead + AsyncWrite + Unpin> Stream for Tokio<S> {
    async fn write(&mut self, data: &[u8]) {
        self.0.write_all(data).await.unwrap();
    }

    async fn flush(&mut self) {
        self.0.flush().await.unwrap();
    }

    async fn read(&mut self, room: &mut [u8]) -> usize {
        self.0.read(room).await.unwrap()
    }
}

/// The carrier itself.
pub(crate) struct Raw;

impl Subject for Raw {
    const NAME: &str = "raw carrier";
    type Over<S: Io> = Tokio<S>;

    async fn open<S: Io>(io: S, _: Role) -> Tokio<S> {
        Tokio(io)
    }
}

pub(crate) struct Levada;

impl Subject for Levada {
    const NAME: &str = "levada";
    type Over<S: Io> = Tokio<WsStream<S>>;

    async fn open<S: Io>(io: S, role: Role) -> Self::Over<S> {
        Tokio(WsStream::after_upgrade(io, [], role, Default::default()))
    }
}

pub(crate) struct WsStreamTungstenite;

impl Subject for WsStreamTungstenite {
    const NAME: &str = "ws_stream_tungstenite";
    type Over<S: Io> =
        Tokio<ws_stream_tungstenite::WsStream<async_tungstenite::tokio::TokioAdapter<S>>>;

    async fn open<S: Io>(io: S, role: Role) -> Self::Over<S> {
        use async_tungstenite::tungstenite::protocol;
        let role = match role {
            Role::Client => protocol::Role::Client,
            Role::Server => protocol::Role::Server,
        };
        let io = async_tungstenite::tokio::TokioAdapter::new(io);
        let stream = async_tungstenite::WebSocketStream::from_raw_socket(io, role, None).await;
        Tokio(ws_stream_tungstenite::WsStream::new(stream))
    }
}

/// Whole messages, and what is left of the one that is being read.
pub(crate) struct Messages<W, P> {
    socket: W,
    payload: P,
    read: usize,
}

impl<W, P: Default> Messages<W, P> {
    fn new(socket: W) -> Self {
        Self { socket, payload: P::default(), read: 0 }
    }
}

impl<W, P: AsRef<[u8]>> Messages<W, P> {
    /// What of the message fits `room`; 0 when there is nothing left of it.
    fn take(&mut self, room: &mut [u8]) -> usize {
        let rest = &self.payload.as_ref()[self.read..];
        let count = rest.len().min(room.len());
        room[..count].copy_from_slice(&rest[..count]);
        self.read += count;
        count
    }

    fn refill(&mut self, payload: P) {
        (self.payload, self.read) = (payload, 0);
    }
}

pub(crate) struct TokioTungstenite;

impl Subject for TokioTungstenite {
    const NAME: &str = "tokio-tungstenite";
    type Over<S: Io> = Messages<tokio_tungstenite::WebSocketStream<S>, Bytes>;

    async fn open<S: Io>(io: S, role: Role) -> Self::Over<S> {
        use tokio_tungstenite::tungstenite::protocol;
        let role = match role {
            Role::Client => protocol::Role::Client,
            Role::Server => protocol::Role::Server,
        };
        let socket = tokio_tungstenite::WebSocketStream::from_raw_socket(io, role, None).await;
        Messages::new(socket)
    }
}

impl<S: Io> Stream for Messages<tokio_tungstenite::WebSocketStream<S>, Bytes> {
    async fn write(&mut self, data: &[u8]) {
        let data = Bytes::copy_from_slice(data);
        self.socket.feed(tokio_tungstenite::tungstenite::Message::Binary(data)).await.unwrap();
    }

    async fn flush(&mut self) {
        self.socket.flush().await.unwrap();
    }

    async fn read(&mut self, room: &mut [u8]) -> usize {
        loop {
            match self.take(room) {
                0 => {
                    let message = self.socket.next().await.unwrap().unwrap();
                    self.refill(message.into_data());
                }
                count => return count,
            }
        }
    }
}

pub(crate) struct TokioWebsockets;

impl Subject for TokioWebsockets {
    const NAME: &str = "tokio-websockets";
    type Over<S: Io> = Messages<tokio_websockets::WebSocketStream<S>, Bytes>;

    async fn open<S: Io>(io: S, role: Role) -> Self::Over<S> {
        let socket = match role {
            Role::Client => tokio_websockets::ClientBuilder::new().take_over(io),
            Role::Server => tokio_websockets::ServerBuilder::new().serve(io),
        };
        Messages::new(socket)
    }
}

impl<S: Io> Stream for Messages<tokio_websockets::WebSocketStream<S>, Bytes> {
    async fn write(&mut self, data: &[u8]) {
        let data = Bytes::copy_from_slice(data);
        self.socket.feed(tokio_websockets::Message::binary(data)).await.unwrap();
    }

    async fn flush(&mut self) {
        self.socket.flush().await.unwrap();
    }

    async fn read(&mut self, room: &mut [u8]) -> usize {
        loop {
            match self.take(room) {
                0 => {
                    let message = self.socket.next().await.unwrap().unwrap();
                    self.refill(message.into_payload().into());
                }
                count => return count,
            }
        }
    }
}

pub(crate) struct Fastwebsockets;

impl Subject for Fastwebsockets {
    const NAME: &str = "fastwebsockets";
    type Over<S: Io> = Messages<fastwebsockets::WebSocket<S>, Frame>;

    async fn open<S: Io>(io: S, role: Role) -> Self::Over<S> {
        let role = match role {
            Role::Client => fastwebsockets::Role::Client,
            Role::Server => fastwebsockets::Role::Server,
        };
        Messages::new(fastwebsockets::WebSocket::after_handshake(io, role))
    }
}

/// The payload of a frame that is read.
#[derive(Default)]
pub(crate) struct Frame(Option<fastwebsockets::Frame<'static>>);

impl AsRef<[u8]> for Frame {
    fn as_ref(&self) -> &[u8] {
        self.0.as_ref().map_or(&[], |frame| &frame.payload)
    }
}

impl<S: Io> Stream for Messages<fastwebsockets::WebSocket<S>, Frame> {
    async fn write(&mut self, data: &[u8]) {
        let frame = fastwebsockets::Frame::binary(fastwebsockets::Payload::Borrowed(data));
        self.socket.write_frame(frame).await.unwrap();
    }

    async fn flush(&mut self) {
        self.socket.flush().await.unwrap();
    }

    async fn read(&mut self, room: &mut [u8]) -> usize {
        loop {
            match self.take(room) {
                0 => {
                    let frame = self.socket.read_frame().await.unwrap();
                    self.refill(Frame(Some(frame)));
                }
                count => return count,
            }
        }
    }
}

pub(crate) struct Yawc;

impl Subject for Yawc {
    const NAME: &str = "yawc";
    type Over<S: Io> = Messages<yawc::WebSocket<S>, Bytes>;

    async fn open<S: Io>(io: S, role: Role) -> Self::Over<S> {
        let role = match role {
            Role::Client => yawc::Role::Client,
            Role::Server => yawc::Role::Server,
        };
        // Its own limit is what it just does not take.
        let options = yawc::Options { max_payload_read: Some(2 << 20), ..Default::default() };
        Messages::new(yawc::WebSocket::from_stream(io, role, options).unwrap())
    }
}

impl<S: Io> Stream for Messages<yawc::WebSocket<S>, Bytes> {
    async fn write(&mut self, data: &[u8]) {
        let data = Bytes::copy_from_slice(data);
        self.socket.feed(yawc::Frame::binary(data)).await.unwrap();
    }

    async fn flush(&mut self) {
        self.socket.flush().await.unwrap();
    }

    async fn read(&mut self, room: &mut [u8]) -> usize {
        loop {
            match self.take(room) {
                0 => {
                    let frame = self.socket.next().await.unwrap();
                    self.refill(frame.into_payload());
                }
                count => return count,
            }
        }
    }
}
