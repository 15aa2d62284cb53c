//! tokio's stream traits.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncBufRead, AsyncRead, AsyncWrite, ReadBuf};

use super::WsStream;
use crate::wakers::Half;

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for WsStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.poll_half(Half::Read, cx, |stream, cx| stream.poll_take(cx, buf))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncBufRead for WsStream<S> {
    fn poll_fill_buf(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        let stream = self.get_mut();
        ready!(stream.poll_half(Half::Read, cx, |stream, cx| stream.poll_input(cx, None)))?;
        Poll::Ready(Ok(stream.inbox.ready()))
    }

    fn consume(mut self: Pin<&mut Self>, count: usize) {
        WsStream::consume(&mut self, count);
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for WsStream<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_writing(cx, |stream, cx| stream.poll_give(cx, buf))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.poll_writing(cx, |stream, cx| stream.poll_give_all(cx, bufs))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_behind_writes(cx, Self::poll_push)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_behind_writes(cx, Self::poll_say_goodbye)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> WsStream<S> {
    /// Polls for a write, and notes whether it waits.
    fn poll_writing<R>(
        &mut self,
        cx: &mut Context<'_>,
        work: impl FnOnce(&mut Self, &mut Context<'_>) -> Poll<R>,
    ) -> Poll<R> {
        self.poll_half(Half::Write, cx, |stream, cx| {
            let result = work(stream, cx);
            stream.watch.writer(result)
        })
    }

    /// Polls on behalf of the writer when no write of its waits any more.
    fn poll_behind_writes<R>(
        &mut self,
        cx: &mut Context<'_>,
        work: impl FnOnce(&mut Self, &mut Context<'_>) -> Poll<R>,
    ) -> Poll<R> {
        self.watch.write_waits = false;
        self.poll_half(Half::Write, cx, work)
    }
}
