//! What the tests share: carriers, pairs of streams, and a peer of raw frames.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll, Wake, Waker};

use levada::ws::WsOptions;
use levada::{Carrier, Ended, Event, Events, Options, Role, Socket, WsStream};
use levada_tls::{Anchors, Identities, Identity, SessionName, TlsClient, TlsServer};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf};

pub(crate) const ROLES: [Role; 2] = [Role::Client, Role::Server];

pub(crate) trait Io: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Io for T {}

pub(crate) type End = WsStream<Box<dyn Io>>;

/// A carrier that is Pending before each step, and moves at most `step` bytes in one.
pub(crate) struct Trickle<S> {
    pub(crate) inner: S,
    pub(crate) step: usize,
    waits: [bool; 3],
}

impl<S> Trickle<S> {
    pub(crate) fn new(inner: S, step: usize) -> Self {
        Self { inner, step, waits: [false; 3] }
    }

    /// Pending every other time.
    fn wait(&mut self, way: usize, cx: &Context<'_>) -> bool {
        self.waits[way] = !self.waits[way];
        if self.waits[way] {
            cx.waker().wake_by_ref();
        }
        self.waits[way]
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Trickle<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.wait(0, cx) {
            return Poll::Pending;
        }
        let mut piece = vec![0; self.step.min(buf.remaining())];
        let mut part = ReadBuf::new(&mut piece);
        let result = Pin::new(&mut self.inner).poll_read(cx, &mut part);
        buf.put_slice(part.filled());
        result
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Trickle<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.wait(1, cx) {
            return Poll::Pending;
        }
        let len = self.step.min(buf.len());
        Pin::new(&mut self.inner).poll_write(cx, &buf[..len])
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.wait(2, cx) {
            return Poll::Pending;
        }
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.wait(2, cx) {
            return Poll::Pending;
        }
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

/// What a pair of streams stands on.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Over {
    Memory,
    /// Pending at every byte.
    Trickle,
    Tls,
    /// TLS over a carrier that is Pending at every few bytes.
    TlsTrickle,
}

impl Over {
    pub(crate) const ALL: [Self; 4] = [Self::Memory, Self::Trickle, Self::Tls, Self::TlsTrickle];

    /// The carriers of a client and of a server.
    pub(crate) fn carriers(self) -> [Box<dyn Io>; 2] {
        let (client, server) = tokio::io::duplex(64 * 1024);
        match self {
            Self::Memory => [Box::new(client), Box::new(server)],
            Self::Trickle => {
                [client, server].map(|io| Box::new(Trickle::new(io, 1)) as Box<dyn Io>)
            }
            Self::Tls => tls(client, server).map(|end| Box::new(end) as Box<dyn Io>),
            Self::TlsTrickle => tls(Trickle::new(client, 5), Trickle::new(server, 5))
                .map(|end| Box::new(end) as Box<dyn Io>),
        }
    }
}

/// A client and a server of TLS, whose handshake is still before them.
pub(crate) fn tls(client: impl Io + 'static, server: impl Io + 'static) -> [Socket; 2] {
    static ISSUED: LazyLock<[String; 2]> = LazyLock::new(|| {
        let issued = rcgen::generate_simple_self_signed(["ws.example".to_owned()]).unwrap();
        [issued.cert.pem(), issued.signing_key.serialize_pem()]
    });
    let [cert, key] = &*ISSUED;
    let anchors = Anchors::from_pem(cert.as_bytes()).unwrap();
    let identity = Identity::from_pem(cert.as_bytes(), Some(key.as_bytes()), None).unwrap();
    let name = SessionName::new("ws.example").unwrap();
    let ours = TlsClient::builder().anchors(anchors).build().unwrap().session(&name).unwrap();
    let theirs = TlsServer::builder(Identities::one(&identity)).build().unwrap().session();
    let socket = |io, session| Socket::adopt(io, Some(session), Options::default());
    [socket(Carrier::foreign(client), ours), socket(Carrier::foreign(server), theirs)]
}

/// A client and a server behind their handshake.
pub(crate) fn pair_with(over: Over, client: WsOptions, server: WsOptions) -> [End; 2] {
    let [near, far] = over.carriers();
    [
        WsStream::after_upgrade(near, [], Role::Client, client),
        WsStream::after_upgrade(far, [], Role::Server, server),
    ]
}

pub(crate) fn pair(over: Over) -> [End; 2] {
    pair_with(over, WsOptions::default(), WsOptions::default())
}

/// A stream of this role, and the raw other end of its carrier.
pub(crate) fn with_peer(role: Role, options: WsOptions) -> (WsStream<DuplexStream>, Peer) {
    let (near, far) = tokio::io::duplex(256 * 1024);
    (WsStream::after_upgrade(near, [], role, options), Peer::new(far, role))
}

/// A peer that says what the test tells it to.
pub(crate) struct Peer {
    pub(crate) io: DuplexStream,
    masks: bool,
}

impl Peer {
    /// The peer of a stream of this role.
    pub(crate) fn new(io: DuplexStream, role: Role) -> Self {
        Self { io, masks: role == Role::Server }
    }

    /// A whole frame, masked with a key of zeroes where the peer is a client.
    pub(crate) async fn send(&mut self, first: u8, payload: &[u8]) {
        let frame = self.frame(first, payload);
        self.io.write_all(&frame).await.unwrap();
    }

    /// As [`send`](Self::send), of any length and with a key that shows.
    pub(crate) async fn send_any(&mut self, first: u8, payload: &[u8]) {
        let key = if self.masks { vec![0x37, 0xfa, 0x21, 0x3d] } else { Vec::new() };
        let len = payload.len();
        let (short, more) = match len {
            0..126 => (len as u8, Vec::new()),
            126..65_536 => (126, (len as u16).to_be_bytes().to_vec()),
            _ => (127, (len as u64).to_be_bytes().to_vec()),
        };
        let mask = if self.masks { 0x80 } else { 0 };
        let masked = payload
            .iter()
            .enumerate()
            .map(|(index, byte)| byte ^ key.get(index % 4).copied().unwrap_or_default());
        let masked: Vec<u8> = masked.collect();
        let frame = [&[first, mask | short][..], &more, &key, &masked].concat();
        self.io.write_all(&frame).await.unwrap();
    }

    pub(crate) fn frame(&self, first: u8, payload: &[u8]) -> Vec<u8> {
        assert!(payload.len() < 126);
        let mask = if self.masks { 0x80 } else { 0 };
        let mut frame = vec![first, mask | payload.len() as u8];
        frame.resize(if self.masks { 6 } else { 2 }, 0);
        frame.extend_from_slice(payload);
        frame
    }

    /// The next frame: its first byte and its payload, unmasked.
    pub(crate) async fn next(&mut self) -> (u8, Vec<u8>) {
        let first = self.io.read_u8().await.unwrap();
        let second = self.io.read_u8().await.unwrap();
        assert_eq!(second >= 128, !self.masks, "a client masks, a server does not");
        let len = match second & 127 {
            126 => usize::from(self.io.read_u16().await.unwrap()),
            127 => usize::try_from(self.io.read_u64().await.unwrap()).unwrap(),
            short => usize::from(short),
        };
        let mut key = [0; 4];
        if second >= 128 {
            self.io.read_exact(&mut key).await.unwrap();
        }
        let mut payload = vec![0; len];
        self.io.read_exact(&mut payload).await.unwrap();
        payload.iter_mut().zip(key.iter().cycle()).for_each(|(byte, key)| *byte ^= key);
        (first, payload)
    }

    /// Whether nothing more comes: the carrier's end.
    pub(crate) async fn is_at_end(&mut self) -> bool {
        self.io.read(&mut [0; 1]).await.unwrap() == 0
    }

    /// Closes as the side that answers would, this end's Close frame read before.
    pub(crate) async fn answer_close(&mut self) {
        self.send(0x88, &1000_u16.to_be_bytes()).await;
    }
}

/// Polls for a read of up to `size` bytes, once.
pub(crate) fn poll_read<S: Io>(stream: &mut WsStream<S>, size: usize) -> Poll<io::Result<usize>> {
    let mut room = vec![0; size];
    let mut buf = ReadBuf::new(&mut room);
    let polled = Pin::new(stream).poll_read(&mut Context::from_waker(Waker::noop()), &mut buf);
    polled.map_ok(|()| buf.filled().len())
}

/// What has been told so far.
pub(crate) fn told(events: &mut Events) -> Vec<Event> {
    std::iter::from_fn(|| events.try_next()).collect()
}

/// Reads to the end of file, or to the error.
pub(crate) async fn read_all<S: Io>(stream: &mut WsStream<S>) -> (Vec<u8>, io::Result<()>) {
    let mut all = Vec::new();
    let result = stream.read_to_end(&mut all).await.map(drop);
    (all, result)
}

pub(crate) fn kind(error: &io::Error) -> io::ErrorKind {
    error.kind()
}

/// The code of the ending inside of an error.
pub(crate) fn code_in(error: &io::Error) -> &'static str {
    Ended::of(error).expect("the Ended is inside").code()
}

/// Counts its wake-ups.
#[derive(Default)]
pub(crate) struct Count(AtomicUsize);

impl Count {
    pub(crate) fn waker() -> (Arc<Self>, Waker) {
        let count = Arc::new(Self::default());
        (Arc::clone(&count), Waker::from(count))
    }

    pub(crate) fn get(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// A carrier that does what it is told to, one read or write after another, and then goes on
/// well.
pub(crate) struct Scripted<S> {
    pub(crate) inner: S,
    pub(crate) reads: VecDeque<io::ErrorKind>,
    pub(crate) writes: VecDeque<io::ErrorKind>,
}

impl<S: AsyncRead + Unpin> AsyncRead for Scripted<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.reads.pop_front() {
            Some(kind) => Poll::Ready(Err(kind.into())),
            None => Pin::new(&mut self.inner).poll_read(cx, buf),
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Scripted<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.writes.pop_front() {
            Some(kind) => Poll::Ready(Err(kind.into())),
            None => Pin::new(&mut self.inner).poll_write(cx, buf),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}
