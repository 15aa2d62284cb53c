//! The plain side of a session: whatever connected socket an application passes.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use levada::{Carrier, Options, Socket};
use rustix::event::{PollFd, PollFlags};
use rustix::io::retry_on_intr;
use rustix::net::{RecvFlags, SendFlags, Shutdown, SocketType};
use rustix::time::Timespec;
use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};

/// The most bytes that one plain message gets: those of one TLS record (RFC 8446 section 5.1).
const MESSAGE: usize = 16 * 1024;

/// The plain side of a session, with one descriptor of whatever type.
#[derive(Debug)]
pub(crate) struct Plain {
    pub(crate) stream: Socket,
    /// A socket that keeps borders between messages, which is foreign to the stream.
    messages: Option<Arc<AsyncFd<OwnedFd>>>,
}

impl Plain {
    /// Takes over a plain socket of any type that the protocol knows.
    ///
    /// Source: TLS Pool protocol V2, descriptor passing and message borders.
    pub(crate) fn adopt(fd: OwnedFd) -> io::Result<Self> {
        let kind = rustix::net::sockopt::socket_type(&fd)?;
        let (carrier, messages) = if matches!(kind, SocketType::SEQPACKET | SocketType::DGRAM) {
            let messages = Messages::new(fd, kind == SocketType::SEQPACKET)?;
            let socket = messages.socket.clone();
            (Carrier::foreign(messages), Some(socket))
        } else {
            // On any other socket than one of TCP there is nothing to set.
            let _ = rustix::net::sockopt::set_tcp_nodelay(&fd, true);
            (Carrier::from_fd(fd)?, None)
        };
        Ok(Self { stream: Socket::adopt(carrier, None, Options::default()), messages })
    }

    /// Whether it has borders between messages.
    pub(crate) const fn keeps_borders(&self) -> bool {
        self.messages.is_some()
    }

    /// Whether nothing new can come from the application: it has ended its direction, or is gone.
    pub(crate) fn is_let_go(&self) -> bool {
        let messages = self.messages.as_ref().map(|socket| socket.as_fd());
        messages.or_else(|| self.stream.descriptor()).is_none_or(is_let_go)
    }
}

fn is_let_go(socket: BorrowedFd<'_>) -> bool {
    let mut asked = [PollFd::new(&socket, PollFlags::RDHUP)];
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    let answered = retry_on_intr(|| rustix::event::poll(&mut asked, Some(&now)));
    let gone = PollFlags::RDHUP | PollFlags::HUP | PollFlags::ERR;
    answered.is_ok() && asked[0].revents().intersects(gone)
}

/// A plain socket with borders between messages: each is read whole, and written whole up to the
/// size of a record.
struct Messages {
    socket: Arc<AsyncFd<OwnedFd>>,
    /// Whether an empty message is the end (SOCK_SEQPACKET); datagrams have none, and end where somebody
    /// who holds the socket as well shuts it down.
    ends: bool,
    /// What of the last message had no room.
    rest: Vec<u8>,
}

impl Messages {
    fn new(fd: OwnedFd, ends: bool) -> io::Result<Self> {
        // One that is not connected would take messages from anybody, and has nowhere to send them.
        rustix::net::getpeername(&fd)?;
        rustix::io::ioctl_fionbio(&fd, true)?;
        let interest = Interest::READABLE | Interest::WRITABLE;
        let socket = levada_sys::watch(fd, interest).map_err(|(_, error)| error)?;
        Ok(Self { socket: Arc::new(socket), ends, rest: Vec::new() })
    }

    /// Reads one message, all of it: what the caller has no room for waits.
    fn receive(fd: &OwnedFd, room: &mut [u8], rest: &mut Vec<u8>) -> io::Result<usize> {
        let look = RecvFlags::PEEK | RecvFlags::TRUNC;
        let (_, whole) = retry_on_intr(|| rustix::net::recv(fd, &mut [0_u8; 0][..], look))?;
        if whole <= room.len() {
            let (count, _) =
                retry_on_intr(|| rustix::net::recv(fd, &mut *room, RecvFlags::empty()))?;
            return Ok(count);
        }
        // Never more than the sender's send buffer holds: the kernel takes no longer message.
        let mut message = vec![0; whole];
        let (count, _) =
            retry_on_intr(|| rustix::net::recv(fd, &mut message[..], RecvFlags::empty()))?;
        message.truncate(count);
        let taken = room.len().min(count);
        room[..taken].copy_from_slice(&message[..taken]);
        message.drain(..taken);
        *rest = message;
        Ok(taken)
    }
}

impl AsyncRead for Messages {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let Self { socket, ends, rest } = &mut *self;
        if !rest.is_empty() {
            let taken = rest.len().min(buf.remaining());
            buf.put_slice(&rest[..taken]);
            rest.drain(..taken);
            return Poll::Ready(Ok(()));
        }
        loop {
            let mut ready = ready!(socket.poll_read_ready(cx))?;
            let is_shut_down = ready.ready().is_read_closed();
            let room = buf.initialize_unfilled();
            match ready.try_io(|fd| Self::receive(fd.get_ref(), room, rest)) {
                // An empty datagram is a message of nothing, which TLS cannot carry.
                Ok(Ok(0)) if !*ends => {}
                Ok(Ok(count)) => {
                    buf.advance(count);
                    return Poll::Ready(Ok(()));
                }
                Ok(Err(error)) => return Poll::Ready(Err(error)),
                // That it is shut down stays so, and is told again and again.
                Err(_would_block) if is_shut_down => return Poll::Ready(Ok(())),
                Err(_would_block) => {}
            }
        }
    }
}

impl AsyncWrite for Messages {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let message = &bytes[..bytes.len().min(MESSAGE)];
        loop {
            let mut ready = ready!(self.socket.poll_write_ready(cx))?;
            let sent = ready.try_io(|fd| {
                let send = || rustix::net::send(fd.get_ref(), message, SendFlags::NOSIGNAL);
                Ok(retry_on_intr(send)?)
            });
            match sent {
                Ok(result) => return Poll::Ready(result),
                Err(_would_block) => {}
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        match rustix::net::shutdown(self.socket.as_fd(), Shutdown::Write) {
            // Who has gone needs no goodbye.
            Err(rustix::io::Errno::NOTCONN) | Ok(()) => Poll::Ready(Ok(())),
            Err(error) => Poll::Ready(Err(error.into())),
        }
    }
}
