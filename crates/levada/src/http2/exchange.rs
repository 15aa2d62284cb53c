//! A stream of an HTTP/2 connection as a carrier: what DATA frames hold, both ways.

use std::future::Future as _;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::link::Entry;
use super::server::Seat;
use crate::pool::as_error;

/// The most that one write hands over: hyper copies it, and holds up to three such.
const WRITE: usize = 64 * 1024;

/// One stream.
///
/// The peer's END_STREAM is its end of file, and ours goes with `shutdown`. A reset by the peer with
/// NO_ERROR or CANCEL is an end of file too, for hyper makes no difference: without a Close frame before
/// it, either is truncation. With another code it is `ConnectionReset`. Dropping the stream before its
/// shutdown ends it, and resets what the peer still sends.
pub(super) struct Exchange {
    phase: Phase,
    entry: Entry,
    /// The turn of the connection's driver that our end of the stream waits for.
    turn: Option<u64>,
    _room: Option<Seat>,
}

enum Phase {
    /// The request waits for our answer.
    Asked(OnUpgrade),
    Open(TokioIo<Upgraded>),
    /// The answer was, or is, no acceptance.
    Refused,
}

impl Exchange {
    /// A stream that was asked for; it is open when the request is accepted.
    pub(super) const fn asked(
        upgrade: OnUpgrade,
        entry: Entry,
        room: Option<Seat>,
    ) -> Self {
        Self { phase: Phase::Asked(upgrade), entry, turn: None, _room: room }
    }

    /// A stream that is open.
    pub(super) fn open(upgraded: Upgraded, entry: Entry) -> Self {
        let phase = Phase::Open(TokioIo::new(upgraded));
        Self { phase, entry, turn: None, _room: None }
    }

    /// A stream that the server has refused.
    pub(super) const fn refused(entry: Entry) -> Self {
        Self { phase: Phase::Refused, entry, turn: None, _room: None }
    }

    /// The open stream; `None` where none will be.
    fn poll_open(&mut self, cx: &mut Context<'_>) -> Poll<Option<Pin<&mut TokioIo<Upgraded>>>> {
        if let Phase::Asked(upgrade) = &mut self.phase {
            self.phase = match ready!(Pin::new(upgrade).poll(cx)) {
                Ok(upgraded) => Phase::Open(TokioIo::new(upgraded)),
                Err(_) => Phase::Refused,
            };
        }
        Poll::Ready(match &mut self.phase {
            Phase::Open(io) => Some(Pin::new(io)),
            Phase::Asked(_) | Phase::Refused => None,
        })
    }

    /// What an error of hyper's means.
    fn error(&self, error: &io::Error) -> io::Error {
        if let Some(ending) = self.entry.link().ended() {
            return as_error(ending);
        }
        // A connection that has ended without an error, but before the stream.
        if matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::UnexpectedEof) {
            return io::ErrorKind::BrokenPipe.into();
        }
        io::Error::new(io::ErrorKind::ConnectionReset, format!("HTTP/2: {}", cause(error)))
    }
}

/// The innermost of the errors: the others say only that something has failed.
pub(super) fn cause(error: &(dyn std::error::Error + 'static)) -> String {
    let mut cause = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    let inner = cause.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
    inner.map_or_else(|| cause.to_string(), |inner| {
        inner.source().map_or_else(|| inner.to_string(), cause)
    })
}

impl AsyncRead for Exchange {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let Some(io) = ready!(self.poll_open(cx)) else { return Poll::Ready(Ok(())) };
        match ready!(io.poll_read(cx, buf)).map_err(|error| self.error(&error)) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Poll::Ready(Ok(())),
            result => Poll::Ready(result),
        }
    }
}

impl AsyncWrite for Exchange {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let Some(io) = ready!(self.poll_open(cx)) else {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        };
        let result = ready!(io.poll_write(cx, &buf[..buf.len().min(WRITE)]));
        Poll::Ready(result.map_err(|error| self.error(&error)))
    }

    /// Ready when the connection has room for more; what it holds back is bounded.
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Some(io) = ready!(self.poll_open(cx)) else { return Poll::Ready(Ok(())) };
        let result = ready!(io.poll_flush(cx));
        Poll::Ready(result.map_err(|error| self.error(&error)))
    }

    /// Ready when all that was written, and END_STREAM behind it, has left for the kernel.
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.turn.is_none()
            && let Some(io) = ready!(self.poll_open(cx))
            && let Err(error) = ready!(io.poll_shutdown(cx))
        {
            return Poll::Ready(Err(self.error(&error)));
        }
        let Self { entry, turn, .. } = &mut *self;
        entry.link().poll_sent(cx, turn).map(Ok)
    }
}
