//! A WebSocket that is a byte stream (RFC 6455), over any carrier.
//!
//! [`WsStream`] is the stream; what its opening handshake asks and answers stands in
//! [`ClientOptions`] and [`ServerOptions`], how it behaves afterwards in [`WsOptions`].

mod end;
#[cfg(feature = "futures-io")]
mod futures;
mod inbox;
mod keys;
mod open;
mod options;
mod outbox;
mod read;
mod room;
mod tick;
mod traits;
mod write;

use std::any::Any;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use levada_core::{Ended, Ending, Facts, Mode, Party, Role, State, Step, WebSocketFacts};
pub use levada_ws::connection::{CloseReply, Counters, Keepalive, TextPolicy};
use levada_ws::connection::{Connection, Ending as WsEnding};
pub use levada_ws::deflate::Params as DeflateParams;
pub use levada_ws::frame::{PayloadTooLong, SizeLimits};
pub use levada_ws::handshake::{
    Answer, AnswerError, Field, FieldError, Limits, Offer, OfferError, OriginPattern,
    OriginPatternError, Origins, OwnOrigin, Page, Paths, Refusal, Rejection, Request, Response,
    Rules, accept_of,
};
pub use levada_ws::{CloseCode, CloseFrame, ForbiddenCloseCode, ReasonTooLong};
pub use open::{HandshakeError, Incoming};
pub use options::{ClientOptions, ServerOptions, WsOptions};
use tokio::io::{AsyncRead, AsyncWrite};

use crate::events::Events;
use crate::socket::Socket;
use crate::wakers::Half;
use crate::watch::Watch;
use end::Farewell;
use inbox::Inbox;
use open::{Opening, Said};
use outbox::Outbox;
use tick::Ticker;

/// A WebSocket that is a byte stream: binary messages without their borders, over any carrier that
/// speaks tokio's traits.
///
/// It is polled in line: no task runs for it. Payload is read straight into the reader's buffer as it
/// arrives, whatever length its frame claims; small writes are gathered into frames of up to 64 KiB.
///
/// ```
/// use levada::ws::{ClientOptions, ServerOptions};
/// use levada::WsStream;
/// use tokio::io::{AsyncReadExt, AsyncWriteExt};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> std::io::Result<()> {
/// // In earnest: a `levada::Socket`, plain or TLS, or any other stream.
/// let (near, far) = tokio::io::duplex(4096);
/// let client = async {
///     let options = ClientOptions::new("example.org", "/channel").expect("both can be sent");
///     let mut stream = WsStream::connect(near, options).await?;
///     stream.write_all(b"over a kept channel").await?;
///     stream.shutdown().await?;
///     // The end of the stream: both Close frames have passed, and the server has ended the carrier.
///     assert_eq!(stream.read(&mut [0; 10]).await?, 0);
///     std::io::Result::Ok(stream.closed().await)
/// };
/// let server = async {
///     let mut stream = WsStream::accept(far, ServerOptions::default()).await?;
///     let mut text = String::new();
///     stream.read_to_string(&mut text).await?;
///     std::io::Result::Ok(text)
/// };
/// let (ended, text) = tokio::try_join!(client, server)?;
/// assert_eq!(text, "over a kept channel");
/// assert!(ended.is_clean());
/// # Ok(())
/// # }
/// ```
///
/// # What is written, and when it leaves
///
/// A write is accepted while less than 64 KiB wait inside; one large write may bring that to 128 KiB
/// and the frames' headers. Small writes are gathered, and leave on flush, on shutdown, when a frame
/// is full, and whenever a read finds nothing. An empty write puts nothing on the wire.
///
/// # Compression
///
/// Off by default. A client offers it by [`Offer::with_deflate`], a server takes it up by
/// [`Rules::deflate`], and [`Facts::web_socket`] tells what came of it (permessage-deflate, RFC 7692).
/// What is sent at once is then one message and compressed as such, and what comes is decompressed into
/// the reader's buffer, as much as that takes: nothing is held of what a peer's message would become.
/// **Do not compress a secret beside anything that others can choose**: the length of what goes over the
/// wire betrays what both have in common, TLS or not (RFC 7692 section 9).
///
/// # How it ends
///
/// Exactly one [`Ended`] tells how: inside the error of the call that meets it ([`Ended::of`]), as the
/// last of its [events](WsStream::events), and from [`WsStream::closed`]. `read` gives end of file
/// only after a closing handshake; an end of the carrier without one, or before it has taken all that
/// was written, is `UnexpectedEof`, a breach of the protocol `InvalidData`. Once either side has
/// closed, writes fail with `NotConnected`; one that was waiting fails with `BrokenPipe`.
///
/// **Read on until the end of file, also after [`shutdown`](WsStream::close)**: a reader alone drives
/// the closing handshake, answers pings and watches the deadlines. A client's end of file comes when
/// the server has ended the carrier (RFC 6455 section 7.1.1).
///
/// Dropping it before that sends what was written and a Close frame with 1001, if all of it can go
/// without waiting; else the peer sees a stream that was cut.
///
/// # Cancel safety
///
/// All its futures and polls can be dropped at any time: nothing is lost by it. Its halves can be used
/// by two tasks through `tokio::io::split`; neither takes the other's wake-ups.
#[derive(Debug)]
pub struct WsStream<S = Socket> {
    /// There until it is [given back](WsStream::into_inner).
    io: Option<S>,
    /// Until the opening handshake is done.
    opening: Option<Box<Opening>>,
    said: Option<Box<Said>>,
    connection: Connection,
    inbox: Inbox,
    outbox: Outbox,
    /// Whether the carrier may hold bytes of ours that it has not been flushed of.
    dirty: bool,
    /// The carrier's failure on writing, while what came before it is read.
    write_error: Option<Ending>,
    /// The peer's Close frame, where its code tells of something missing.
    broken_off: Option<Box<CloseFrame>>,
    /// What is left to do for the carrier before the ending that is certain is told.
    farewell: Option<Farewell>,
    /// Whether our Close frame has left, and that is told.
    goodbye_left: bool,
    /// What this poll has moved, for the other half's sake.
    moved: Moved,
    watch: Watch,
    ticker: Ticker,
    /// What is known about the carrier, where it is a [`Socket`].
    facts_below: fn(&S) -> Option<Facts>,
    /// What dropping the stream does: [`WsStream::leave`], which `Drop` cannot name.
    leave: fn(&mut Self),
}

/// Whether a poll has set the other half free.
#[derive(Clone, Copy, Debug, Default)]
struct Moved {
    /// There is something to read that was not there, or a deadline to watch.
    input: bool,
    /// There is room to write that was not there.
    output: bool,
}

impl<S: AsyncRead + AsyncWrite + Unpin + 'static> WsStream<S> {
    /// Takes over a WebSocket whose opening handshake somebody else has made.
    ///
    /// `prefix` is what was read of the connection behind the handshake, and not used yet: none of it
    /// is lost. `role` is the end that we are: a client masks what it sends.
    ///
    /// Two examples of this crate take over from other libraries: `websocket_in_hyper`, where the prefix
    /// is the `read_buf` of an upgraded stream, and `websocket_after_tungstenite`, where it is the tail
    /// of a handshake.
    ///
    /// ```
    /// use levada::ws::WsOptions;
    /// use levada::{Role, WsStream};
    /// use tokio::io::AsyncReadExt;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// # let (tcp, _client) = tokio::io::duplex(64);
    /// // What a handshake of somebody else's has read too far: an unfinished frame of a client.
    /// let tail = b"\x82\x85\0\0\0\0hel".to_vec();
    /// let mut stream = WsStream::after_upgrade(tcp, tail, Role::Server, WsOptions::default());
    ///
    /// let mut text = [0; 3];
    /// stream.read_exact(&mut text).await?;
    /// assert_eq!(text, *b"hel");
    /// # Ok(())
    /// # }
    /// ```
    pub fn after_upgrade(
        io: S,
        prefix: impl Into<Vec<u8>>,
        role: Role,
        options: WsOptions,
    ) -> Self {
        let prefix = prefix.into();
        let mut stream = Self::new(io, role, options);
        for step in [Step::Carry, Step::Establish] {
            stream.watch.step(step);
        }
        stream.watch.facts.bytes.wire_read = prefix.len() as u64;
        stream.inbox = Inbox::new(prefix);
        stream
    }

    /// Compresses messages from here on, as an opening handshake that somebody else has made agreed on. To
    /// be called before anything is read or written; a handshake of ours does by itself what it agreed on.
    #[must_use]
    pub fn with_deflate(mut self, agreed: DeflateParams) -> Self {
        self.agree(None, Some(agreed));
        self
    }

    /// Begins to open a WebSocket as client. Nothing happens before the first poll, and what is
    /// written before the stream is established waits, within the usual bound.
    ///
    /// Over a [`Socket`] that is still on its way, that one's life is told as the stream's own.
    pub fn client(mut io: S, options: ClientOptions) -> Self {
        let below = life_below(&mut io);
        let opening = Opening::client(&options);
        let mut stream = Self::new(io, Role::Client, options.stream);
        stream.begin_opening(opening, below);
        stream
    }

    /// Begins to open a WebSocket as server, for every client that the rules let in. Nothing happens
    /// before the first poll, and what is written before the stream is established waits, within the
    /// usual bound.
    ///
    /// Over a [`Socket`] that is still on its way, that one's life is told as the stream's own.
    pub fn server(mut io: S, options: ServerOptions) -> Self {
        let ServerOptions { rules, limits, stream } = options;
        let below = life_below(&mut io);
        let mut stream = Self::new(io, Role::Server, stream);
        stream.begin_opening(Opening::server(limits, Some(rules)), below);
        stream
    }

    /// As [`server`](Self::server), but the owner decides about the request.
    fn deciding(mut io: S, limits: Limits, options: WsOptions) -> Self {
        let below = life_below(&mut io);
        let mut stream = Self::new(io, Role::Server, options);
        stream.begin_opening(Opening::server(limits, None), below);
        stream
    }

    fn new(io: S, role: Role, options: WsOptions) -> Self {
        let side = match role {
            Role::Client => levada_ws::Role::Client,
            Role::Server => levada_ws::Role::Server,
        };
        let connection = Connection::new(side, options.config(), Duration::ZERO);
        let mut facts = options.facts;
        facts.role.get_or_insert(role);
        // What the carrier counted are not this stream's bytes.
        facts.bytes = levada_core::Bytes::default();
        facts.first_goodbye = None;
        Self {
            io: Some(io),
            opening: None,
            said: None,
            connection,
            inbox: Inbox::default(),
            outbox: Outbox::default(),
            dirty: false,
            write_error: None,
            broken_off: None,
            farewell: None,
            goodbye_left: false,
            moved: Moved::default(),
            watch: Watch::new(facts),
            ticker: Ticker::new(options.deadlines),
            facts_below: |io| (io as &dyn Any).downcast_ref().map(Socket::facts),
            leave: Self::leave,
        }
    }
}

/// A [`Socket`] that is still on its way up: how far it is, and what it tells from here on.
fn life_below<S: 'static>(io: &mut S) -> Option<(State, Mode, Events)> {
    let socket = (io as &mut dyn Any).downcast_mut::<Socket>()?;
    let (state, mode) = (socket.state(), socket.mode());
    state.is_before_established().then(|| (state, mode, socket.events()))
}

impl<S> WsStream<S> {
    /// Goes by what the opening handshake has agreed on, and tells it.
    fn agree(&mut self, subprotocol: Option<String>, deflate: Option<DeflateParams>) {
        if let Some(agreed) = deflate {
            self.connection.compress(agreed);
        }
        let extension = deflate.map(|agreed| agreed.to_string());
        self.watch.facts.web_socket = Some(Box::new(WebSocketFacts { subprotocol, extension }));
    }

    /// Where in its life the stream is.
    pub const fn state(&self) -> State {
        self.watch.state()
    }

    /// How the stream ended; `None` while it lives.
    pub const fn ended(&self) -> Option<&Ended> {
        self.watch.ended()
    }

    /// What is known about the stream so far.
    pub fn facts(&self) -> Facts {
        if let Some(ended) = self.watch.ended() {
            return (*ended.facts).clone();
        }
        let mut facts = self.watch.facts.clone();
        if let Some(below) = self.io.as_ref().and_then(self.facts_below) {
            facts.host = below.host.or(facts.host);
            facts.proxy = below.proxy.or(facts.proxy);
            facts.local = below.local.or(facts.local);
            facts.peer = below.peer.or(facts.peer);
            facts.plain = below.plain;
            facts.tls = below.tls.or(facts.tls);
            facts.times.lookup = below.times.lookup;
            facts.times.connect = below.times.connect;
        }
        facts
    }

    /// What has passed, in payload bytes and data frames.
    pub fn counters(&self) -> Counters {
        self.connection.counters()
    }

    /// Bytes that are accepted or encoded and that the carrier has not taken yet.
    pub fn buffered(&self) -> usize {
        self.outbox.wire().len() + self.outbox.gathered()
    }

    /// What is wrapped around the carrier's transport.
    pub const fn mode(&self) -> Mode {
        self.watch.life.mode()
    }

    /// Whether frames wait for the carrier.
    pub(crate) fn has_unsent(&self) -> bool {
        !self.outbox.wire().is_empty()
    }

    /// The subprotocol that the opening handshake agreed on.
    pub fn subprotocol(&self) -> Option<&str> {
        match self.said.as_deref()? {
            Said::Request(_, answer) => answer.subprotocol.as_deref(),
            Said::Response(response) => response.subprotocol(),
            Said::Rejected(_) | Said::Refused(_) => None,
        }
    }

    /// The client's request, on a server that read it itself.
    pub fn request(&self) -> Option<&Request> {
        match self.said.as_deref()? {
            Said::Request(request, _) => Some(request),
            _ => None,
        }
    }

    /// Why we have refused the client, on a server that did; [`Refusal::Page`] where it came to look at a
    /// page.
    pub fn refusal(&self) -> Option<&Refusal> {
        match self.said.as_deref()? {
            Said::Refused(refusal) => Some(refusal),
            _ => None,
        }
    }

    /// The server's response, on a client that read it itself.
    pub fn response(&self) -> Option<&Response> {
        match self.said.as_deref()? {
            Said::Response(response) => Some(response),
            _ => None,
        }
    }

    /// A listener for what happens from now on. It never stops the data: one that is too slow loses
    /// the oldest events, and is told how many.
    pub fn events(&mut self) -> Events {
        self.watch.events()
    }

    /// Queues a ping of at most 125 bytes, in place of one that has not gone yet; it leaves with the
    /// next flush or read. Once either side has closed it is dropped, since nobody would answer.
    ///
    /// # Errors
    ///
    /// When the payload is longer.
    pub fn ping(&mut self, payload: &[u8]) -> Result<(), PayloadTooLong> {
        self.connection.ping(payload)?;
        self.watch.wakers.wake(Half::Read);
        Ok(())
    }

    /// Asks for our Close frame behind all that was written, without waiting for anything: whoever
    /// reads, flushes or shuts down next sends it. `false` when it was asked for before.
    pub fn start_close(&mut self, frame: CloseFrame) -> bool {
        if self.watch.ended().is_some() || !self.connection.can_write() {
            return false;
        }
        self.seal();
        self.connection.close(self.ticker.now(), frame);
        self.begin_goodbye(Party::Local);
        self.watch.wakers.wake(Half::Read);
        true
    }

    /// Whether the peer's Close frame had a code other than 1000 and 1001, so that something may be
    /// missing from what came before it.
    pub const fn peer_broke_off(&self) -> bool {
        self.broken_off.is_some()
    }

    /// The carrier.
    #[expect(clippy::missing_panics_doc, reason = "it is there as long as there is a stream")]
    pub fn get_ref(&self) -> &S {
        self.io.as_ref().expect(PRESENT)
    }

    /// Gives the carrier back, together with every byte that was read from it and not delivered: raw
    /// bytes, which a WebSocket at the border of two frames, or what follows it, begins with. What
    /// `poll_fill_buf` has shown counts as delivered.
    ///
    /// What was not flushed is lost, and the WebSocket with it unless somebody goes on with it. A
    /// compressed one nobody can go on with, unless each message stands by itself.
    #[expect(clippy::missing_panics_doc, reason = "it is there as long as there is a stream")]
    pub fn into_inner(mut self) -> (S, Vec<u8>) {
        let io = self.io.take().expect(PRESENT);
        (io, self.inbox.take_raw())
    }
}

const PRESENT: &str = "the carrier is there until it is given back";

impl<S: AsyncRead + AsyncWrite + Unpin> WsStream<S> {
    /// Closes with this code and reason (cut to 123 bytes, between characters) behind all that was
    /// written, and resolves when both have left: it does not wait for the peer. Go on reading until
    /// the end of file. When we have closed already, what was said first stands.
    ///
    /// `shutdown` does the same with 1000 and no reason.
    ///
    /// # Errors
    ///
    /// The [`Ended`] inside, if the stream ended badly before that.
    ///
    /// # Cancel safety
    ///
    /// The Close frame stays asked for: any later poll, of reads too, goes on with it.
    pub async fn close(&mut self, code: CloseCode, reason: &str) -> io::Result<()> {
        self.start_close(CloseFrame::with_cut_reason(code, reason));
        poll_fn(|cx| Pin::new(&mut *self).poll_shutdown(cx)).await
    }

    /// Waits for the end, and drives it: what we owe goes out, and what still comes is dropped,
    /// counted in [`Bytes::discarded`](levada_core::Bytes::discarded).
    ///
    /// This does not close: without a [`close`](WsStream::close) it waits for the peer's.
    pub async fn closed(&mut self) -> Ended {
        poll_fn(|cx| self.poll_end(cx)).await
    }

    /// Ends the stream at once. What was written and a Close frame with 1001 go if they can go
    /// without waiting; else the peer sees a stream that was cut. The carrier ends when the stream is
    /// dropped.
    pub fn abort(&mut self) {
        self.leave();
    }

    /// Polls for what `work` waits for, on behalf of one half of the stream.
    fn poll_half<R>(
        &mut self,
        half: Half,
        cx: &mut Context<'_>,
        work: impl FnOnce(&mut Self, &mut Context<'_>) -> Poll<R>,
    ) -> Poll<R> {
        let waker = self.watch.wakers.wait(half, cx.waker());
        let result = work(self, &mut Context::from_waker(&waker));
        if result.is_ready() {
            self.watch.wakers.answered(half);
        }
        let moved = std::mem::take(&mut self.moved);
        match half {
            Half::Read if moved.output => self.watch.wakers.wake(Half::Write),
            Half::Write if moved.input => self.watch.wakers.wake(Half::Read),
            _ => {}
        }
        result
    }

    /// Polls for the end, dropping what comes.
    pub(crate) fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<Ended> {
        self.poll_half(Half::Read, cx, Self::poll_closed)
    }

    fn io(&mut self) -> Pin<&mut S> {
        Pin::new(self.io.as_mut().expect(PRESENT))
    }
}
