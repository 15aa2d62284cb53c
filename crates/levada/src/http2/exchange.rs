//! A stream of an HTTP/2 connection as a carrier: what DATA frames hold, both ways.

use std::future::Future as _;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::{fmt, io};

use hyper::rt::Executor as _;
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, ReadBuf, copy, sink};
use tokio::time::timeout;

use super::LINGER;
use super::link::Entry;
use super::server::Seat;

/// The most that one write hands over: hyper copies it, and holds up to three such.
const WRITE: usize = 64 * 1024;

/// One stream.
///
/// The peer's END_STREAM is its end of file, and ours goes with `shutdown`. A reset by the peer is
/// `ConnectionReset`, unless it says NO_ERROR: then the peer has sent all, and wants no more of us (RFC
/// 9113 section 8.1). Dropping the stream ends it behind what was written, and waits for the peer's end
/// in the connection's task, for a short while: a reset would take our last bytes away from it.
pub(super) struct Exchange {
    phase: Phase,
    entry: Entry,
    ending: Ending,
    /// The turn of the driver within which it is known how the peer's direction has ended.
    peer_ends: Option<u64>,
    peer_has_ended: bool,
    _room: Option<Seat>,
}

/// How far our end of the stream is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ending {
    /// It has not ended, or waits behind what was written.
    Open,
    /// It has been handed over, and leaves with this turn of the driver; `None` before that is known.
    Leaving(Option<u64>),
    Left,
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
    pub(super) const fn asked(upgrade: OnUpgrade, entry: Entry, room: Option<Seat>) -> Self {
        Self::new(Phase::Asked(upgrade), entry, room)
    }

    /// A stream that is open.
    pub(super) fn open(upgraded: Upgraded, entry: Entry) -> Self {
        Self::new(Phase::Open(TokioIo::new(upgraded)), entry, None)
    }

    /// A stream that the server has refused.
    pub(super) const fn refused(entry: Entry) -> Self {
        Self::new(Phase::Refused, entry, None)
    }

    const fn new(phase: Phase, entry: Entry, room: Option<Seat>) -> Self {
        let ending = Ending::Open;
        Self { phase, entry, ending, peer_ends: None, peer_has_ended: false, _room: room }
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

    /// What an error of hyper's means: `BrokenPipe` where nobody takes, or sends, anything more.
    fn error(error: &io::Error) -> io::Error {
        match reason(error) {
            // The connection has ended before the stream, or the peer has all that it wants.
            None | Some(h2::Reason::NO_ERROR) => io::ErrorKind::BrokenPipe.into(),
            Some(reason) => {
                let text = format!("the stream was reset: {}", reason.description());
                io::Error::new(io::ErrorKind::ConnectionReset, text)
            }
        }
    }

    /// How the peer's direction has ended: hyper tells a reset from an end of file to whoever writes,
    /// and that by the connection's next turn.
    fn poll_peers_end(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.entry.link().poll_turn(cx, &mut self.peer_ends));
        self.peer_has_ended = true;
        if let Phase::Open(io) = &mut self.phase
            && let Poll::Ready(result) = Pin::new(io).poll_flush(cx)
        {
            // A reset has come before the connection's end.
            Self::unless_closed(result)?;
        }
        Poll::Ready(
            self.entry.link().ended().map_or(Ok(()), |ending| Err(io::Error::other(ending))),
        )
    }

    /// What hyper has told, but that nobody takes, or sends, anything more.
    fn unless_closed(result: io::Result<()>) -> io::Result<()> {
        let closed = |error: &io::Error| error.kind() == io::ErrorKind::BrokenPipe;
        result
            .map_err(|error| Self::error(&error))
            .or_else(|error| if closed(&error) { Ok(()) } else { Err(error) })
    }
}

/// The code of HTTP/2 that an error has.
fn reason(error: &io::Error) -> Option<h2::Reason> {
    let mut cause = error.get_ref().map(|inner| inner as &(dyn std::error::Error + 'static));
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<h2::Error>() {
            return error.reason();
        }
        cause = error.source();
    }
    None
}

impl fmt::Debug for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Exchange")
    }
}

impl AsyncRead for Exchange {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let Some(io) = ready!(self.poll_open(cx)) else { return Poll::Ready(Ok(())) };
        let before = buf.filled().len();
        match ready!(io.poll_read(cx, buf)).map_err(|error| Self::error(&error)) {
            Ok(()) if buf.filled().len() > before => Poll::Ready(Ok(())),
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                self.peer_has_ended = true;
                Poll::Ready(Err(error))
            }
            Ok(()) | Err(_) => self.poll_peers_end(cx),
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
        Poll::Ready(result.map_err(|error| Self::error(&error)))
    }

    /// Ready when the connection has room for more; what it holds back is bounded. That nobody takes
    /// anything any more is for a write, or for the reader, to tell.
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Some(io) = ready!(self.poll_open(cx)) else { return Poll::Ready(Ok(())) };
        Poll::Ready(Self::unless_closed(ready!(io.poll_flush(cx))))
    }

    /// Ready when all that was written, and END_STREAM behind it, has left for the kernel.
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.ending == Ending::Open {
            if let Some(io) = ready!(self.poll_open(cx))
                && let Err(error) = ready!(io.poll_shutdown(cx))
            {
                self.ending = Ending::Left;
                return Poll::Ready(Err(Self::error(&error)));
            }
            self.ending = Ending::Leaving(None);
        }
        let Self { entry, ending, .. } = &mut *self;
        if let Ending::Leaving(turn) = ending {
            ready!(entry.link().poll_sent(cx, turn));
        }
        *ending = Ending::Left;
        Poll::Ready(Ok(()))
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        let Phase::Open(mut io) = std::mem::replace(&mut self.phase, Phase::Refused) else {
            return;
        };
        if self.peer_has_ended && self.ending == Ending::Left {
            return;
        }
        // Where it fails there is nobody to part from.
        self.entry.link().execute(async move {
            let parting = async {
                io.shutdown().await?;
                copy(&mut io, &mut sink()).await
            };
            let _ = timeout(LINGER, parting).await;
        });
    }
}
