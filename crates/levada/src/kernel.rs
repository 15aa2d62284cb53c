//! TLS records by the kernel: a transport of plaintext, in tokio.

use std::io::{self, IoSlice};
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use levada_core::Ending;
use levada_kernel_tls::{KeepTickets, LOOK_AGAIN, Records, Transport};
use levada_pool::SessionHandle;
use levada_pool::wire::Report;
use levada_sys::kernel_tls::{self, Received};
use levada_tls::{KernelSession, Session};
use tokio::io::{AsyncWrite as _, Interest, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Sleep, sleep};

/// A connection whose records the kernel seals and opens: see [`Records`].
#[derive(Debug)]
pub(crate) struct KernelTls {
    tcp: TcpStream,
    records: Records<Keeper>,
    /// While TCP has not all that was sent: when to look again.
    looks_again: Option<Pin<Box<Sleep>>>,
}

/// Who answers for what the handshake agreed on, and keeps tickets.
pub(crate) enum Keeper {
    /// The session, in this process.
    Here(Box<Session>),
    /// A pool, which has handed the connection back to us.
    Pool(Box<SessionHandle>),
}

impl KernelTls {
    pub(crate) fn new(tcp: TcpStream, session: KernelSession, keeper: Keeper) -> Self {
        Self { tcp, records: Records::new(session, keeper), looks_again: None }
    }

    /// Takes over the descriptor of a session that another process has armed.
    ///
    /// # Errors
    ///
    /// Where it is no TCP socket, or cannot be watched.
    pub(crate) fn adopt(
        descriptor: OwnedFd,
        session: KernelSession,
        keeper: Keeper,
    ) -> io::Result<Self> {
        let tcp = std::net::TcpStream::from(descriptor);
        tcp.set_nonblocking(true)?;
        Ok(Self::new(TcpStream::from_std(tcp)?, session, keeper))
    }

    pub(crate) const fn tcp(&self) -> &TcpStream {
        &self.tcp
    }

    pub(crate) const fn session(&self) -> &KernelSession {
        self.records.session()
    }

    pub(crate) const fn keeper(&self) -> &Keeper {
        self.records.keeper()
    }

    /// The parts, where nothing was moved and the session is here.
    pub(crate) fn into_parts(self) -> Result<(TcpStream, KernelSession, Box<Session>), Box<Self>> {
        if self.records.is_touched() {
            return Err(Box::new(self));
        }
        let Self { tcp, records, .. } = self;
        match records.into_parts() {
            (session, Keeper::Here(keeper)) => Ok((tcp, session, keeper)),
            (session, keeper) => Err(Box::new(Self::new(tcp, session, keeper))),
        }
    }

    /// Whether the end of file came without the peer's close_notify.
    pub(crate) const fn is_truncated(&self) -> bool {
        self.records.is_truncated()
    }

    /// Whether an alert has to go out before the end.
    pub(crate) const fn has_last_words(&self) -> bool {
        self.records.has_last_words()
    }

    /// Reads data; none is the end. With `now` it asks the system whatever the runtime has learned.
    pub(crate) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
        now: bool,
    ) -> Poll<io::Result<()>> {
        let room = buf.initialize_unfilled();
        let count = ready!(self.poll(cx, now, |records, tcp| records.read(tcp, room)))?;
        buf.advance(count);
        Poll::Ready(Ok(()))
    }

    /// Writes data, behind what is owed.
    pub(crate) fn poll_write_vectored(
        &mut self,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.poll(cx, false, |records, tcp| records.write_vectored(tcp, bufs))
    }

    /// Sends what is owed that is no data. Ready when nothing is.
    pub(crate) fn poll_outgoing(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll(cx, false, Records::send_outgoing)
    }

    /// As [`poll_outgoing`](Self::poll_outgoing); ready when TCP has it.
    pub(crate) fn poll_last_words(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll(cx, false, Records::send_last_words)
    }

    /// Says our goodbye, behind what is owed; behind a failure it ends the transport.
    pub(crate) fn poll_finish(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll(cx, false, Records::finish)
    }

    fn poll<'a, 'cx, T>(
        &'a mut self,
        cx: &'a mut Context<'cx>,
        now: bool,
        call: impl FnOnce(&mut Records<Keeper>, &mut Watched<'a, 'cx>) -> io::Result<T>,
    ) -> Poll<io::Result<T>> {
        let Self { tcp, records, looks_again } = self;
        match call(records, &mut Watched { tcp, looks_again, cx, now }) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Poll::Pending,
            result => Poll::Ready(result),
        }
    }
}

/// The connection in a poll: `WouldBlock` stands for pending, and the task of `cx` is woken then.
struct Watched<'a, 'cx> {
    tcp: &'a mut TcpStream,
    looks_again: &'a mut Option<Pin<Box<Sleep>>>,
    cx: &'a mut Context<'cx>,
    /// Asks the system whatever the runtime has learned, and has nobody woken.
    now: bool,
}

fn or_would_block<T>(poll: Poll<io::Result<T>>) -> io::Result<T> {
    match poll {
        Poll::Ready(result) => result,
        Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
    }
}

impl Transport for Watched<'_, '_> {
    fn socket(&self) -> BorrowedFd<'_> {
        self.tcp.as_fd()
    }

    fn pause(&mut self) -> io::Result<()> {
        let sleep = || Box::pin(sleep(LOOK_AGAIN));
        let due = self.looks_again.get_or_insert_with(sleep).as_mut().poll(self.cx);
        or_would_block(due.map(Ok))?;
        *self.looks_again = None;
        Ok(())
    }

    fn receive(&mut self, room: &mut [u8]) -> io::Result<Received> {
        if self.now {
            return kernel_tls::receive(&*self.tcp, room);
        }
        loop {
            or_would_block(self.tcp.poll_read_ready(self.cx))?;
            let receive = || kernel_tls::receive(&*self.tcp, room);
            match self.tcp.try_io(Interest::READABLE, receive) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                received => return received,
            }
        }
    }

    fn send(&mut self, content_type: u8, content: &[u8]) -> io::Result<usize> {
        loop {
            or_would_block(self.tcp.poll_write_ready(self.cx))?;
            let try_send = || kernel_tls::send(&*self.tcp, content_type, content);
            match self.tcp.try_io(Interest::WRITABLE, try_send) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                sent => return sent,
            }
        }
    }

    fn write(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        or_would_block(Pin::new(&mut *self.tcp).poll_write_vectored(self.cx, bufs))
    }
}

impl KeepTickets for Keeper {
    fn keep(&mut self, ticket: &[u8]) -> Result<(), Ending> {
        match self {
            Self::Here(session) => session.take_ticket(ticket),
            Self::Pool(handle) => {
                let (handle, ticket) = (handle.clone(), ticket.to_vec());
                // A lost one costs a resumption, and that it was faulty nothing else.
                in_background(async move { drop(handle.ticket(&ticket).await) });
                Ok(())
            }
        }
    }
}

impl Keeper {
    /// Tells how it ended, where nobody else can.
    pub(crate) fn tell_end(&self, ending: &Ending, peer_goodbye: bool) {
        if let Self::Pool(handle) = self {
            let report = Report { peer_goodbye, ending: Some(ending.clone()), ..Report::default() };
            let handle = handle.clone();
            in_background(async move { drop(handle.farewell(&report).await) });
        }
    }
}

/// Has the runtime do what nobody waits for. Without one the process is about to end, and its control
/// connection with it.
fn in_background(work: impl Future<Output = ()> + Send + 'static) {
    if let Ok(runtime) = tokio::runtime::Handle::try_current() {
        runtime.spawn(work);
    }
}
