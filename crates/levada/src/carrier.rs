//! What moves the bytes: the transports below every layer.

use std::io::{self, IoSlice};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use levada_core::{Ending, Endpoint};
use levada_pool::SessionHandle;
use rustix::io::{Errno, retry_on_intr};
use rustix::net::{RecvFlags, SendAncillaryBuffer, SendFlags, Shutdown, sendmsg};
use socket2::{Domain, SockRef};
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::{TcpStream, UnixStream};

use crate::kernel::{Keeper, KernelTls};
use crate::memory;
use crate::pool::Pooled;
use crate::splice::Pipe;
use crate::stdio::Stdio;

/// A transport that is up: what a [`Socket`](crate::Socket) stands on.
#[derive(Debug)]
pub struct Carrier(pub(crate) Kind);

#[derive(Debug)]
pub(crate) enum Kind {
    Tcp(TcpStream),
    Unix(UnixStream),
    Memory(memory::Pipe),
    /// Boxed, as are the last ones: the streams of most programs are of another sort.
    Stdio(Box<Stdio>),
    Foreign(Foreign),
    Pooled(Box<Pooled>),
    Kernel(Box<KernelTls>),
}

/// The addresses of a transport's two ends, as far as they are known.
#[derive(Debug)]
pub(crate) struct Ends {
    pub(crate) local: Option<Endpoint>,
    pub(crate) peer: Option<Endpoint>,
}

/// Somebody else's stream.
pub(crate) struct Foreign(Pin<Box<dyn Duplex>>);

/// Both of tokio's stream traits.
pub(crate) trait Duplex: AsyncRead + AsyncWrite + Send {}
impl<T: AsyncRead + AsyncWrite + Send> Duplex for T {}

impl std::fmt::Debug for Foreign {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Foreign")
    }
}

impl From<TcpStream> for Carrier {
    fn from(stream: TcpStream) -> Self {
        Self(Kind::Tcp(stream))
    }
}

impl From<UnixStream> for Carrier {
    fn from(stream: UnixStream) -> Self {
        Self(Kind::Unix(stream))
    }
}

impl From<memory::Pipe> for Carrier {
    fn from(pipe: memory::Pipe) -> Self {
        Self(Kind::Memory(pipe))
    }
}

impl From<Pooled> for Carrier {
    fn from(pooled: Pooled) -> Self {
        Self(Kind::Pooled(Box::new(pooled)))
    }
}

impl Carrier {
    /// Takes any stream that speaks tokio's traits. Its end of file is its goodbye; it cannot be
    /// reset, so aborting only drops it.
    pub fn foreign(stream: impl AsyncRead + AsyncWrite + Send + 'static) -> Self {
        Self(Kind::Foreign(Foreign(Box::pin(stream))))
    }

    /// Takes over a connected stream socket, TCP or Unix, from whoever opened it.
    ///
    /// # Errors
    ///
    /// When `fd` is no such socket, or cannot be watched.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime that has io enabled.
    pub fn from_fd(fd: OwnedFd) -> io::Result<Self> {
        let socket = socket2::Socket::from(fd);
        let refuse = |what: &str| io::Error::new(io::ErrorKind::InvalidInput, what.to_owned());
        if socket.r#type()? != socket2::Type::STREAM {
            return Err(refuse(
                "the descriptor is no stream socket: pass a connected TCP or Unix one",
            ));
        }
        socket.set_nonblocking(true)?;
        match socket.domain()? {
            Domain::IPV4 | Domain::IPV6 => Ok(TcpStream::from_std(socket.into())?.into()),
            Domain::UNIX => {
                let fd = OwnedFd::from(socket);
                Ok(UnixStream::from_std(fd.into())?.into())
            }
            _ => Err(refuse("the descriptor is neither a TCP nor a Unix socket")),
        }
    }

    /// Gives the descriptor of a TCP or Unix transport away; it stays non-blocking.
    ///
    /// # Errors
    ///
    /// `Unsupported` where the transport is of another sort; it is dropped then.
    pub fn into_fd(self) -> io::Result<OwnedFd> {
        match self.0 {
            Kind::Tcp(tcp) => Ok(tcp.into_std()?.into()),
            Kind::Unix(unix) => Ok(unix.into_std()?.into()),
            Kind::Memory(_)
            | Kind::Stdio(_)
            | Kind::Foreign(_)
            | Kind::Pooled(_)
            | Kind::Kernel(_) => Err(io::ErrorKind::Unsupported.into()),
        }
    }

    /// Takes over this process's standard input and output. A terminal's session ends with its
    /// output; else each direction ends on its own.
    ///
    /// # Errors
    ///
    /// When one of the two is closed, or cannot be watched.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime that has io enabled.
    pub fn stdio() -> io::Result<Self> {
        Ok(Self(Kind::Stdio(Box::new(Stdio::open()?))))
    }

    /// Asks the system for the addresses of both ends.
    pub(crate) fn ends(&self) -> Ends {
        Ends { local: self.local(), peer: self.peer() }
    }

    pub(crate) fn local(&self) -> Option<Endpoint> {
        match &self.0 {
            Kind::Tcp(tcp) => tcp.local_addr().ok().map(Endpoint::Ip),
            Kind::Kernel(kernel) => kernel.tcp().local_addr().ok().map(Endpoint::Ip),
            Kind::Unix(unix) => unix.local_addr().ok().map(|address| unix_endpoint(&address)),
            Kind::Memory(_) => Some(Endpoint::Memory),
            Kind::Stdio(_) => Some(Endpoint::Stdio),
            Kind::Foreign(_) | Kind::Pooled(_) => None,
        }
    }

    pub(crate) fn peer(&self) -> Option<Endpoint> {
        match &self.0 {
            Kind::Tcp(tcp) => tcp.peer_addr().ok().map(Endpoint::Ip),
            Kind::Kernel(kernel) => kernel.tcp().peer_addr().ok().map(Endpoint::Ip),
            Kind::Unix(unix) => unix.peer_addr().ok().map(|address| unix_endpoint(&address)),
            Kind::Memory(_) | Kind::Stdio(_) | Kind::Foreign(_) | Kind::Pooled(_) => self.local(),
        }
    }

    pub(crate) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match &mut self.0 {
            Kind::Tcp(tcp) => Pin::new(tcp).poll_read(cx, buf),
            Kind::Unix(unix) => Pin::new(unix).poll_read(cx, buf),
            Kind::Memory(pipe) => pipe.poll_read(cx, buf),
            Kind::Stdio(stdio) => stdio.poll_read(cx, buf),
            Kind::Foreign(foreign) => foreign.0.as_mut().poll_read(cx, buf),
            Kind::Pooled(pooled) => pooled.poll_read(cx, buf),
            Kind::Kernel(kernel) => kernel.poll_read(cx, buf, false),
        }
    }

    /// As [`Carrier::poll_read`], but asks the system at once, whatever the runtime has learned of it so
    /// far: once writing has failed, what the peer said before is there, or never will be.
    pub(crate) fn poll_read_now(
        &mut self,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if let Kind::Kernel(kernel) = &mut self.0 {
            return kernel.poll_read(cx, buf, true);
        }
        let Some(socket) = self.descriptor() else { return self.poll_read(cx, buf) };
        let room = buf.initialize_unfilled();
        match retry_on_intr(|| rustix::net::recv(socket, &mut *room, RecvFlags::DONTWAIT)) {
            Ok((count, _)) => {
                buf.advance(count);
                Poll::Ready(Ok(()))
            }
            Err(Errno::AGAIN) => Poll::Pending,
            Err(error) => Poll::Ready(Err(error.into())),
        }
    }

    pub(crate) fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &mut self.0 {
            Kind::Tcp(tcp) => Pin::new(tcp).poll_write(cx, buf),
            Kind::Unix(unix) => Pin::new(unix).poll_write(cx, buf),
            Kind::Memory(pipe) => pipe.poll_write(cx, buf),
            Kind::Stdio(stdio) => stdio.poll_write(cx, buf),
            Kind::Foreign(foreign) => foreign.0.as_mut().poll_write(cx, buf),
            Kind::Pooled(pooled) => pooled.poll_write_vectored(cx, &[IoSlice::new(buf)]),
            Kind::Kernel(kernel) => kernel.poll_write_vectored(cx, &[IoSlice::new(buf)]),
        }
    }

    pub(crate) fn poll_write_vectored(
        &mut self,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut self.0 {
            Kind::Tcp(tcp) => Pin::new(tcp).poll_write_vectored(cx, bufs),
            Kind::Unix(unix) => Pin::new(unix).poll_write_vectored(cx, bufs),
            Kind::Foreign(foreign) => foreign.0.as_mut().poll_write_vectored(cx, bufs),
            Kind::Pooled(pooled) => pooled.poll_write_vectored(cx, bufs),
            Kind::Kernel(kernel) => kernel.poll_write_vectored(cx, bufs),
            Kind::Memory(_) | Kind::Stdio(_) => {
                let first = bufs.iter().find(|buf| !buf.is_empty());
                self.poll_write(cx, first.map_or(&[], |buf| buf))
            }
        }
    }

    /// As [`poll_write_vectored`](Self::poll_write_vectored), where more follows at once, if only the
    /// end: TCP sends both in one segment.
    pub(crate) fn poll_write_before_more(
        &mut self,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let Kind::Tcp(tcp) = &self.0 else { return self.poll_write_vectored(cx, bufs) };
        let flags = SendFlags::MORE | SendFlags::NOSIGNAL;
        loop {
            ready!(tcp.poll_write_ready(cx))?;
            let send = || sendmsg(tcp, bufs, &mut SendAncillaryBuffer::default(), flags);
            match tcp.try_io(Interest::WRITABLE, || Ok(retry_on_intr(send)?)) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                outcome => return Poll::Ready(outcome),
            }
        }
    }

    /// The descriptor of a TCP or Unix transport.
    pub(crate) fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        match &self.0 {
            Kind::Tcp(tcp) => Some(tcp.as_fd()),
            Kind::Kernel(kernel) => Some(kernel.tcp().as_fd()),
            Kind::Unix(unix) => Some(unix.as_fd()),
            Kind::Memory(_) | Kind::Stdio(_) | Kind::Foreign(_) | Kind::Pooled(_) => None,
        }
    }

    /// The pool's session, where a pool has run the handshake.
    pub(crate) fn pool_session(&self) -> Option<&SessionHandle> {
        match &self.0 {
            Kind::Pooled(pooled) => Some(pooled.handle()),
            Kind::Kernel(kernel) => match kernel.keeper() {
                Keeper::Pool(handle) => Some(handle),
                Keeper::Here(_) => None,
            },
            _ => None,
        }
    }

    /// Whether it is the plaintext side of a pool's session.
    pub(crate) const fn is_pooled(&self) -> bool {
        matches!(self.0, Kind::Pooled(_))
    }

    /// The stream has ended: tells it to who could not know.
    pub(crate) fn tell_end(&self, ending: &Ending, peer_goodbye: bool) {
        if let Kind::Kernel(kernel) = &self.0 {
            kernel.keeper().tell_end(ending, peer_goodbye);
        }
    }

    /// Whether the end of file that was read is not the peer's goodbye, where the transport can tell.
    pub(crate) fn is_truncated(&self) -> bool {
        matches!(&self.0, Kind::Kernel(kernel) if kernel.is_truncated())
    }

    /// Whether bytes can pass through it inside the kernel.
    pub(crate) const fn can_splice(&self) -> bool {
        matches!(self.0, Kind::Tcp(_) | Kind::Unix(_))
    }

    /// Fills an empty `pipe` with what has come; 0 is end of file.
    pub(crate) fn poll_fill(
        &self,
        cx: &mut Context<'_>,
        pipe: &mut Pipe,
    ) -> Poll<io::Result<usize>> {
        loop {
            let filled = match &self.0 {
                Kind::Tcp(tcp) => {
                    ready!(tcp.poll_read_ready(cx))?;
                    tcp.try_io(Interest::READABLE, || pipe.fill(tcp))
                }
                Kind::Unix(unix) => {
                    ready!(unix.poll_read_ready(cx))?;
                    unix.try_io(Interest::READABLE, || pipe.fill(unix))
                }
                _ => Err(io::ErrorKind::Unsupported.into()),
            };
            match filled {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                filled => return Poll::Ready(filled),
            }
        }
    }

    /// Sends what is in `pipe`, as much as goes at once.
    pub(crate) fn poll_drain(
        &self,
        cx: &mut Context<'_>,
        pipe: &mut Pipe,
    ) -> Poll<io::Result<usize>> {
        loop {
            let drained = match &self.0 {
                Kind::Tcp(tcp) => {
                    ready!(tcp.poll_write_ready(cx))?;
                    tcp.try_io(Interest::WRITABLE, || pipe.drain(tcp))
                }
                Kind::Unix(unix) => {
                    ready!(unix.poll_write_ready(cx))?;
                    unix.try_io(Interest::WRITABLE, || pipe.drain(unix))
                }
                _ => Err(io::ErrorKind::Unsupported.into()),
            };
            match drained {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                drained => return Poll::Ready(drained),
            }
        }
    }

    /// Pushes on what a transport below may hold back.
    pub(crate) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.0 {
            Kind::Foreign(foreign) => foreign.0.as_mut().poll_flush(cx),
            Kind::Kernel(kernel) => kernel.poll_outgoing(cx),
            // The kernel, or the other end, has every byte already.
            Kind::Tcp(_) | Kind::Unix(_) | Kind::Memory(_) | Kind::Stdio(_) | Kind::Pooled(_) => {
                Poll::Ready(Ok(()))
            }
        }
    }

    /// Ends our direction of the transport: a FIN.
    pub(crate) fn poll_finish(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.0 {
            Kind::Tcp(tcp) => Pin::new(tcp).poll_shutdown(cx),
            Kind::Unix(unix) => Pin::new(unix).poll_shutdown(cx),
            Kind::Memory(pipe) => {
                pipe.finish();
                Poll::Ready(Ok(()))
            }
            Kind::Stdio(stdio) => {
                stdio.finish();
                Poll::Ready(Ok(()))
            }
            Kind::Foreign(foreign) => foreign.0.as_mut().poll_shutdown(cx),
            Kind::Pooled(pooled) => pooled.poll_finish(cx),
            Kind::Kernel(kernel) => kernel.poll_finish(cx),
        }
    }

    /// Why writing failed with `EPIPE`, where the system knows more than that: a Unix socket keeps the
    /// reset for the reader, and TCP what came before the last write.
    pub(crate) fn reason(&self) -> Option<io::Error> {
        match &self.0 {
            Kind::Tcp(tcp) => tcp.take_error().ok().flatten(),
            Kind::Kernel(kernel) => kernel.tcp().take_error().ok().flatten(),
            Kind::Unix(unix) => unix.take_error().ok().flatten(),
            Kind::Memory(_) | Kind::Stdio(_) | Kind::Foreign(_) | Kind::Pooled(_) => None,
        }
    }

    /// Ends both directions of the connection for everybody who holds the socket. What was sent still
    /// arrives.
    pub(crate) fn hang_up(&self) {
        if let Some(socket) = self.descriptor() {
            // A connection that is gone already needs no end.
            let _ = rustix::net::shutdown(socket, Shutdown::Both);
        }
    }

    /// Makes the drop of a TCP transport a reset, so that the peer cannot take it for a clean end.
    /// A Unix socket has no reset; the other transports see to it themselves.
    pub(crate) fn reset(&mut self) {
        match &mut self.0 {
            Kind::Tcp(tcp) => {
                // It fails only on a socket that is gone already.
                let _ = SockRef::from(&tcp.as_fd()).set_linger(Some(Duration::ZERO));
            }
            Kind::Memory(pipe) => pipe.reset(),
            Kind::Pooled(pooled) => pooled.reset(),
            // Without our close_notify nobody can take the end for a clean one.
            Kind::Kernel(_) => {}
            Kind::Unix(_) | Kind::Stdio(_) | Kind::Foreign(_) => {}
        }
    }
}

/// Lets a layer write straight into the transport: `WouldBlock` stands for pending, and the task of
/// `cx` is woken then.
pub(crate) struct Writer<'a, 'cx> {
    pub(crate) carrier: &'a mut Carrier,
    pub(crate) cx: &'a mut Context<'cx>,
    /// Whether more follows at once.
    pub(crate) more_follows: bool,
}

impl io::Write for Writer<'_, '_> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.write_vectored(&[IoSlice::new(buf)])
    }

    fn write_vectored(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        let written = if self.more_follows {
            self.carrier.poll_write_before_more(self.cx, bufs)
        } else {
            self.carrier.poll_write_vectored(self.cx, bufs)
        };
        match written {
            Poll::Ready(result) => result,
            Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

pub(crate) fn unix_endpoint(address: &tokio::net::unix::SocketAddr) -> Endpoint {
    let name = match (address.as_pathname(), address.as_abstract_name()) {
        (Some(path), _) => path.to_string_lossy().into_owned(),
        (_, Some(name)) => format!("@{}", name.escape_ascii()),
        _ => String::new(),
    };
    Endpoint::Unix(name)
}
