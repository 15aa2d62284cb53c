//! The peer's end of a carrier: raw bytes, and the two ways in which it can end.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use levada::Socket;
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};

/// The sockets of the system are used as they are; only memory, which has no other, is a plain
/// [`Socket`].
pub(crate) enum Wire {
    Memory(Box<Socket>),
    Tcp(TcpStream),
    Unix(UnixStream),
}

pub(crate) trait Duplex: AsyncRead + AsyncWrite + Unpin {}
impl<T: AsyncRead + AsyncWrite + Unpin> Duplex for T {}

impl Wire {
    fn stream(&mut self) -> Pin<&mut dyn Duplex> {
        match self {
            Self::Memory(socket) => Pin::new(socket),
            Self::Tcp(tcp) => Pin::new(tcp),
            Self::Unix(unix) => Pin::new(unix),
        }
    }

    /// Ends at once. A Unix socket is a reset for the other end where it leaves something unread.
    pub(crate) fn reset(self) {
        match self {
            Self::Memory(mut socket) => socket.abort(),
            Self::Tcp(tcp) => SockRef::from(&tcp).set_linger(Some(Duration::ZERO)).unwrap(),
            Self::Unix(_) => {}
        }
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.stream().poll_read(cx, buf)
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.stream().poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream().poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream().poll_shutdown(cx)
    }
}
