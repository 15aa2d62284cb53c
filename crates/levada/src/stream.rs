//! A stream with whichever layers an address asks for, and what all kinds of stream have in common.

use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use levada_core::{Ended, Facts, Mode, State};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::events::Events;
use crate::socket::Socket;
use crate::ws::WsStream;

/// What every stream whose life can be watched has in common, whichever layers it has: the one shape
/// that the [relay](crate::relay()) needs, and that more layers can have.
///
/// A layer keeps the close contract: end of file only behind the peer's goodbye, one [`Ended`], which
/// every failing call has inside, and all polls to be dropped at any time.
pub trait Watched: AsyncRead + AsyncWrite + Unpin {
    /// Where in its life the stream is.
    fn state(&self) -> State;

    /// How the stream ended; `None` while it lives.
    fn ended(&self) -> Option<&Ended>;

    /// What is known about the stream so far.
    fn facts(&self) -> Facts;

    /// A listener for what happens from now on.
    fn events(&mut self) -> Events;

    /// Polls until every asked-for layer is up.
    ///
    /// # Errors
    ///
    /// The [`Ended`] inside, if the stream ends before.
    fn poll_established(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// Polls for the end, and drives it: what we owe goes out, and what still comes is dropped.
    fn poll_closed(&mut self, cx: &mut Context<'_>) -> Poll<Ended>;

    /// Whether something that was accepted waits for the transport. A relay reads nothing for a stream
    /// that has any.
    fn has_unsent(&self) -> bool;

    /// The socket, where that is all there is of layers: a relay may pass bytes through it inside the
    /// kernel. A stream that does something with its bytes answers with `None`.
    fn as_socket(&mut self) -> Option<&mut Socket> {
        None
    }

    /// Whether the peer has said goodbye in a way that tells of something missing. Its end of file is
    /// then not to be passed on as one.
    fn breaks_off(&self) -> bool {
        false
    }

    /// Ends the stream at once: what was not sent is lost, and the peer is told so where the
    /// outermost layer has words for it.
    fn abort(&mut self);

    /// Ends the stream at once because what stands behind it ended badly. The peer cannot take it for
    /// a clean end.
    fn fail(&mut self) {
        self.abort();
    }
}

/// What every kind of stream has as methods of its own.
macro_rules! own_methods {
    () => {
        fn state(&self) -> State {
            self.state()
        }

        fn ended(&self) -> Option<&Ended> {
            self.ended()
        }

        fn facts(&self) -> Facts {
            self.facts()
        }

        fn events(&mut self) -> Events {
            self.events()
        }

        fn has_unsent(&self) -> bool {
            self.has_unsent()
        }

        fn abort(&mut self) {
            self.abort();
        }
    };
}

impl Watched for Socket {
    own_methods!();

    fn poll_established(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_established(cx)
    }

    fn poll_closed(&mut self, cx: &mut Context<'_>) -> Poll<Ended> {
        self.poll_end(cx)
    }

    fn as_socket(&mut self) -> Option<&mut Socket> {
        Some(self)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Watched for WsStream<S> {
    own_methods!();

    fn poll_established(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_established(cx).map_err(Into::into)
    }

    fn poll_closed(&mut self, cx: &mut Context<'_>) -> Poll<Ended> {
        self.poll_end(cx)
    }

    fn breaks_off(&self) -> bool {
        self.peer_broke_off()
    }

    /// With a Close frame 1011, if it can go without waiting.
    fn fail(&mut self) {
        self.break_off();
    }
}

/// A stream with whichever layers its address asks for: what [`connect`](crate::connect) dials and
/// [`accept`](crate::Listener::accept) gives.
///
/// It is one of the two kinds that there are, and behaves as that one; match on it for what only one
/// of them has.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "who has many of them boxes them whole")]
pub enum Stream {
    /// A transport, plain or under TLS.
    Socket(Socket),
    /// A WebSocket over one.
    WebSocket(Box<WsStream>),
}

impl From<Socket> for Stream {
    fn from(socket: Socket) -> Self {
        Self::Socket(socket)
    }
}

impl From<WsStream> for Stream {
    fn from(stream: WsStream) -> Self {
        Self::WebSocket(Box::new(stream))
    }
}

/// The same for either kind.
macro_rules! either {
    ($self:expr, $stream:ident => $work:expr) => {
        match $self {
            Stream::Socket($stream) => $work,
            Stream::WebSocket($stream) => $work,
        }
    };
}

impl Stream {
    /// Where in its life the stream is.
    pub fn state(&self) -> State {
        either!(self, stream => stream.state())
    }

    /// What is wrapped around the transport.
    pub fn mode(&self) -> Mode {
        either!(self, stream => stream.mode())
    }

    /// How the stream ended; `None` while it lives.
    pub fn ended(&self) -> Option<&Ended> {
        either!(self, stream => stream.ended())
    }

    /// What is known about the stream so far.
    pub fn facts(&self) -> Facts {
        either!(self, stream => stream.facts())
    }

    /// A listener for what happens from now on.
    pub fn events(&mut self) -> Events {
        either!(self, stream => stream.events())
    }

    /// Waits until every asked-for layer is up.
    ///
    /// # Errors
    ///
    /// The [`Ended`] inside, if the stream ends before.
    ///
    /// # Cancel safety
    ///
    /// It can be called again.
    pub async fn established(&mut self) -> io::Result<()> {
        poll_fn(|cx| self.poll_established(cx)).await
    }

    /// Says goodbye behind all that was written, and resolves when both have left for the kernel:
    /// [`Socket::shutdown`], and a Close frame of a WebSocket.
    ///
    /// # Errors
    ///
    /// The [`Ended`] inside, if the stream ended badly before that.
    ///
    /// # Cancel safety
    ///
    /// The goodbye stays asked for: any later poll, of reads too, goes on with it.
    pub async fn shutdown(&mut self) -> io::Result<()> {
        poll_fn(|cx| Pin::new(&mut *self).poll_shutdown(cx)).await
    }

    /// Waits for the end, and drives it: [`Socket::closed`].
    pub async fn closed(&mut self) -> Ended {
        poll_fn(|cx| self.poll_closed(cx)).await
    }

    /// Ends the stream at once with [`Ending::Aborted`](crate::Ending::Aborted): [`Socket::abort`].
    pub fn abort(&mut self) {
        either!(self, stream => stream.abort());
    }

    /// Ends the stream at once because what stands behind it ended badly: as [`abort`](Self::abort),
    /// and a WebSocket says so, with a Close frame 1011 if that can go without waiting.
    pub fn fail(&mut self) {
        match self {
            Self::Socket(socket) => socket.abort(),
            Self::WebSocket(stream) => stream.break_off(),
        }
    }

    /// Whether something that was accepted waits for the transport.
    pub(crate) fn has_unsent(&self) -> bool {
        either!(self, stream => stream.has_unsent())
    }

    /// The socket, where that is all there is.
    ///
    /// # Errors
    ///
    /// The stream itself, where it is a WebSocket.
    pub fn into_socket(self) -> Result<Socket, Box<Self>> {
        match self {
            Self::Socket(socket) => Ok(socket),
            Self::WebSocket(_) => Err(Box::new(self)),
        }
    }
}

impl Watched for Stream {
    own_methods!();

    fn poll_established(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Socket(socket) => socket.poll_established(cx),
            Self::WebSocket(stream) => stream.poll_established(cx).map_err(Into::into),
        }
    }

    fn poll_closed(&mut self, cx: &mut Context<'_>) -> Poll<Ended> {
        either!(self, stream => stream.poll_end(cx))
    }

    fn as_socket(&mut self) -> Option<&mut Socket> {
        match self {
            Self::Socket(socket) => Some(socket),
            Self::WebSocket(_) => None,
        }
    }

    fn breaks_off(&self) -> bool {
        match self {
            Self::Socket(_) => false,
            Self::WebSocket(stream) => stream.peer_broke_off(),
        }
    }

    fn fail(&mut self) {
        self.fail();
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        either!(self.get_mut(), stream => Pin::new(stream).poll_read(cx, buf))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        either!(self.get_mut(), stream => Pin::new(stream).poll_write(cx, buf))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        either!(self.get_mut(), stream => Pin::new(stream).poll_write_vectored(cx, bufs))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self.get_mut(), stream => Pin::new(stream).poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self.get_mut(), stream => Pin::new(stream).poll_shutdown(cx))
    }
}
