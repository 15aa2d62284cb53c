//! The crates that are measured, each as what a user of byte streams would make of it: `write` takes
//! borrowed bytes, `read` fills a buffer of its caller's.

use futures_util::{SinkExt, StreamExt};
use levada::{Role, WsStream};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio_tungstenite::tungstenite::Bytes;

/// What a crate calls this role.
pub(crate) fn by_role<R>(role: Role, client: R, server: R) -> R {
    match role {
        Role::Client => client,
        Role::Server => server,
    }
}

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
        use async_tungstenite::tungstenite::protocol::Role::{Client, Server};
        let role = by_role(role, Client, Server);
        let io = async_tungstenite::tokio::TokioAdapter::new(io);
        let stream = async_tungstenite::WebSocketStream::from_raw_socket(io, role, None).await;
        Tokio(ws_stream_tungstenite::WsStream::new(stream))
    }
}

/// A WebSocket whose unit is the message.
pub(crate) trait Socket {
    type Payload: AsRef<[u8]> + Default;
    async fn send(&mut self, data: &[u8]);
    async fn flush(&mut self);
    async fn next(&mut self) -> Self::Payload;
}

/// The stream that one can make of such a WebSocket.
pub(crate) struct Messages<W: Socket> {
    socket: W,
    /// The message that is being read, and how far it is.
    payload: W::Payload,
    read: usize,
}

impl<W: Socket> From<W> for Messages<W> {
    fn from(socket: W) -> Self {
        Self { socket, payload: W::Payload::default(), read: 0 }
    }
}

impl<W: Socket> Stream for Messages<W> {
    async fn write(&mut self, data: &[u8]) {
        self.socket.send(data).await;
    }

    async fn flush(&mut self) {
        self.socket.flush().await;
    }

    async fn read(&mut self, room: &mut [u8]) -> usize {
        while self.payload.as_ref().len() == self.read {
            (self.payload, self.read) = (self.socket.next().await, 0);
        }
        let rest = &self.payload.as_ref()[self.read..];
        let count = rest.len().min(room.len());
        room[..count].copy_from_slice(&rest[..count]);
        self.read += count;
        count
    }
}

pub(crate) struct TokioTungstenite;

impl Subject for TokioTungstenite {
    const NAME: &str = "tokio-tungstenite";
    type Over<S: Io> = Messages<tokio_tungstenite::WebSocketStream<S>>;

    async fn open<S: Io>(io: S, role: Role) -> Self::Over<S> {
        use tokio_tungstenite::tungstenite::protocol::Role::{Client, Server};
        let role = by_role(role, Client, Server);
        tokio_tungstenite::WebSocketStream::from_raw_socket(io, role, None).await.into()
    }
}

impl<S: Io> Socket for tokio_tungstenite::WebSocketStream<S> {
    type Payload = Bytes;

    async fn send(&mut self, data: &[u8]) {
        let data = Bytes::copy_from_slice(data);
        self.feed(tokio_tungstenite::tungstenite::Message::Binary(data)).await.unwrap();
    }

    async fn flush(&mut self) {
        SinkExt::flush(self).await.unwrap();
    }

    async fn next(&mut self) -> Bytes {
        StreamExt::next(self).await.unwrap().unwrap().into_data()
    }
}

pub(crate) struct TokioWebsockets;

impl Subject for TokioWebsockets {
    const NAME: &str = "tokio-websockets";
    type Over<S: Io> = Messages<tokio_websockets::WebSocketStream<S>>;

    async fn open<S: Io>(io: S, role: Role) -> Self::Over<S> {
        match role {
            Role::Client => tokio_websockets::ClientBuilder::new().take_over(io).into(),
            Role::Server => tokio_websockets::ServerBuilder::new().serve(io).into(),
        }
    }
}

impl<S: Io> Socket for tokio_websockets::WebSocketStream<S> {
    type Payload = Bytes;

    async fn send(&mut self, data: &[u8]) {
        let data = Bytes::copy_from_slice(data);
        self.feed(tokio_websockets::Message::binary(data)).await.unwrap();
    }

    async fn flush(&mut self) {
        SinkExt::flush(self).await.unwrap();
    }

    async fn next(&mut self) -> Bytes {
        StreamExt::next(self).await.unwrap().unwrap().into_payload().into()
    }
}

pub(crate) struct Fastwebsockets;

impl Subject for Fastwebsockets {
    const NAME: &str = "fastwebsockets";
    type Over<S: Io> = Messages<fastwebsockets::WebSocket<S>>;

    async fn open<S: Io>(io: S, role: Role) -> Self::Over<S> {
        use fastwebsockets::Role::{Client, Server};
        let role = by_role(role, Client, Server);
        fastwebsockets::WebSocket::after_handshake(io, role).into()
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

impl<S: Io> Socket for fastwebsockets::WebSocket<S> {
    type Payload = Frame;

    async fn send(&mut self, data: &[u8]) {
        let frame = fastwebsockets::Frame::binary(fastwebsockets::Payload::Borrowed(data));
        self.write_frame(frame).await.unwrap();
    }

    async fn flush(&mut self) {
        fastwebsockets::WebSocket::flush(self).await.unwrap();
    }

    async fn next(&mut self) -> Frame {
        Frame(Some(self.read_frame().await.unwrap()))
    }
}

pub(crate) struct Yawc;

impl Subject for Yawc {
    const NAME: &str = "yawc";
    type Over<S: Io> = Messages<yawc::WebSocket<S>>;

    async fn open<S: Io>(io: S, role: Role) -> Self::Over<S> {
        let role = by_role(role, yawc::Role::Client, yawc::Role::Server);
        // Its own limit is what it just does not take.
        let options = yawc::Options { max_payload_read: Some(2 << 20), ..Default::default() };
        yawc::WebSocket::from_stream(io, role, options).unwrap().into()
    }
}

impl<S: Io> Socket for yawc::WebSocket<S> {
    type Payload = Bytes;

    async fn send(&mut self, data: &[u8]) {
        self.feed(yawc::Frame::binary(Bytes::copy_from_slice(data))).await.unwrap();
    }

    async fn flush(&mut self) {
        SinkExt::flush(self).await.unwrap();
    }

    async fn next(&mut self) -> Bytes {
        StreamExt::next(self).await.unwrap().into_payload()
    }
}
