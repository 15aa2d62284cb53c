//! Standard input and output as one transport.
//!
//! A terminal or pipe may be shared with other processes, so its `O_NONBLOCK` is never touched: the
//! file is opened anew for this process alone where the system lets us, and polled before each call
//! where not. No thread is ever blocked in a read, so nothing holds the process at its exit.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::task::{Context, Poll, ready};

use rustix::event::{PollFd, PollFlags};
use rustix::fs::{FileType, Mode, OFlags};
use rustix::net::{RecvFlags, SendFlags, Shutdown};
use tokio::io::unix::AsyncFd;
use tokio::io::{Interest, ReadBuf};

/// The most that is written at once where a write could block: what a pipe that is ready takes
/// (`PIPE_BUF`).
const BLOCKING_WRITE: usize = 4096;

/// Standard input and output.
#[derive(Debug)]
pub(crate) struct Stdio {
    input: Option<Side>,
    output: Option<Side>,
    /// A session at a terminal is over when its output is: nobody types an end of file then.
    interactive: bool,
}

impl Stdio {
    /// Takes over standard input and output. Needs a tokio runtime with io.
    pub(crate) fn open() -> io::Result<Self> {
        let input = Side::open(rustix::stdio::stdin(), Interest::READABLE)?;
        let output = Side::open(rustix::stdio::stdout(), Interest::WRITABLE)?;
        let interactive = rustix::termios::isatty(rustix::stdio::stdin());
        Ok(Self { input: Some(input), output: Some(output), interactive })
    }

    pub(crate) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let Some(side) = &self.input else { return Poll::Ready(Ok(())) };
        let room = buf.initialize_unfilled();
        let count = ready!(side.poll(cx, Interest::READABLE, |side| side.read(room)))?;
        buf.advance(count);
        Poll::Ready(Ok(()))
    }

    pub(crate) fn poll_write(&self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match &self.output {
            Some(side) => side.poll(cx, Interest::WRITABLE, |side| side.write(buf)),
            None => Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
        }
    }

    /// Ends the output: who reads our standard output sees end of file.
    pub(crate) fn finish(&mut self) {
        let Some(output) = self.output.take() else { return };
        if let Access::Socket(socket) = &output.access {
            // It fails only where the peer is gone already.
            let _ = rustix::net::shutdown(socket.get_ref(), Shutdown::Write);
        }
        drop(output);
        // Descriptor 1 is the same pipe: put nothing in its place, so that its number stays taken.
        if let Ok(null) = rustix::fs::open("/dev/null", OFlags::WRONLY, Mode::empty()) {
            let _ = rustix::stdio::dup2_stdout(null);
        }
        if self.interactive {
            self.input = None;
        }
    }
}

#[derive(Debug)]
struct Side {
    access: Access,
}

/// How one side is read or written without blocking.
#[derive(Debug)]
enum Access {
    /// Opened anew, with `O_NONBLOCK` of its own.
    Own(AsyncFd<OwnedFd>),
    /// A socket: each call asks not to wait.
    Socket(AsyncFd<OwnedFd>),
    /// Shared and blocking: asked before each call whether it is ready.
    Shared(AsyncFd<OwnedFd>),
    /// A file, or a device such as `/dev/null`, that is always ready.
    File(OwnedFd),
}

impl Side {
    fn open(fd: BorrowedFd<'_>, interest: Interest) -> io::Result<Self> {
        let duplicate = || rustix::io::fcntl_dupfd_cloexec(fd, 3);
        let watch = |fd: OwnedFd, access: fn(AsyncFd<OwnedFd>) -> Access| {
            levada_sys::watch(fd, interest).map(access).or_else(|(fd, error)| {
                // EPERM: epoll does not watch files that are always ready.
                match error.kind() {
                    io::ErrorKind::PermissionDenied => Ok(Access::File(fd)),
                    _ => Err(error),
                }
            })
        };
        let access = match FileType::from_raw_mode(rustix::fs::fstat(fd)?.st_mode) {
            FileType::Socket => watch(duplicate()?, Access::Socket)?,
            FileType::Fifo | FileType::CharacterDevice => match reopen(fd, interest) {
                Ok(own) => watch(own, Access::Own)?,
                // Another user's terminal, say, after `su`.
                Err(_) => watch(duplicate()?, Access::Shared)?,
            },
            _ => Access::File(duplicate()?),
        };
        Ok(Self { access })
    }

    fn poll<R>(
        &self,
        cx: &mut Context<'_>,
        interest: Interest,
        mut call: impl FnMut(&Self) -> io::Result<R>,
    ) -> Poll<io::Result<R>> {
        let watched = match &self.access {
            Access::File(_) => return Poll::Ready(call(self)),
            Access::Own(fd) | Access::Socket(fd) | Access::Shared(fd) => fd,
        };
        loop {
            let mut ready = if interest.is_readable() {
                ready!(watched.poll_read_ready(cx))?
            } else {
                ready!(watched.poll_write_ready(cx))?
            };
            match ready.try_io(|_| call(self)) {
                Ok(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(result) => return Poll::Ready(result),
                Err(_would_block) => {}
            }
        }
    }

    fn read(&self, room: &mut [u8]) -> io::Result<usize> {
        Ok(match &self.access {
            Access::Own(fd) => rustix::io::read(fd.get_ref(), room)?,
            Access::File(fd) => rustix::io::read(fd, room)?,
            Access::Socket(fd) => rustix::net::recv(fd.get_ref(), room, RecvFlags::DONTWAIT)?.0,
            Access::Shared(fd) => {
                ask(fd.get_ref(), PollFlags::IN)?;
                rustix::io::read(fd.get_ref(), room)?
            }
        })
    }

    fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        Ok(match &self.access {
            Access::Own(fd) => rustix::io::write(fd.get_ref(), bytes)?,
            Access::File(fd) => rustix::io::write(fd, bytes)?,
            Access::Socket(fd) => {
                rustix::net::send(fd.get_ref(), bytes, SendFlags::DONTWAIT | SendFlags::NOSIGNAL)?
            }
            Access::Shared(fd) => {
                ask(fd.get_ref(), PollFlags::OUT)?;
                let first = &bytes[..bytes.len().min(BLOCKING_WRITE)];
                rustix::io::write(fd.get_ref(), first)?
            }
        })
    }
}

/// Opens the file behind `fd` a second time, for this process alone and not blocking.
fn reopen(fd: BorrowedFd<'_>, interest: Interest) -> rustix::io::Result<OwnedFd> {
    use std::os::fd::AsRawFd;

    let access = if interest.is_readable() { OFlags::RDONLY } else { OFlags::WRONLY };
    let flags = access | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    rustix::fs::open(format!("/proc/self/fd/{}", fd.as_raw_fd()), flags, Mode::empty())
}

/// `WouldBlock` unless `fd` is ready at this moment, or has come to its end.
fn ask(fd: &OwnedFd, flags: PollFlags) -> io::Result<()> {
    let mut asked = [PollFd::new(fd, flags)];
    match rustix::event::poll(&mut asked, Some(&rustix::event::Timespec::default()))? {
        0 => Err(io::ErrorKind::WouldBlock.into()),
        _ => Ok(()),
    }
}
