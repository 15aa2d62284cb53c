//! TLS records by the kernel: a transport of plaintext, whose goodbyes and keys are looked after here.

use std::fmt;
use std::io::{self, IoSlice};
use std::os::fd::{AsFd, OwnedFd};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use levada_core::{Ending, NoKernelTls};
use levada_pool::SessionHandle;
use levada_pool::wire::Report;
use levada_sys::kernel_tls::{
    self, APPLICATION_DATA, AttachError, Cipher, Keys, Received, Version, attach, install,
};
use levada_tls::{
    BadRecord, Direction, Duties, Duty, Handover, KernelSession, NotReady, Permit, RecordCipher,
    RecordKeys, Sent, Session, TlsVersion,
};
use rustix::io::Errno;
use rustix::net::Shutdown;
use tokio::io::{AsyncWrite as _, Interest, ReadBuf};
use tokio::net::TcpStream;

use crate::pool::as_error;

/// A connection whose records the kernel seals and opens.
///
/// Its end of file is the peer's close_notify; where that is missing, [`is_truncated`](Self::is_truncated)
/// says so. Its own end is our close_notify, and FIN follows when both are said. What ends it otherwise is
/// inside of the error.
pub(crate) struct KernelTls {
    tcp: TcpStream,
    session: KernelSession,
    duties: Duties,
    keeper: Keeper,
    /// The front of a record that is no data and had no room.
    partial: Vec<u8>,
    /// Bytes were moved since the handshake.
    is_touched: bool,
    reading: Reading,
    has_finished: bool,
}

/// How far the peer's direction is.
enum Reading {
    On,
    /// Its close_notify came.
    Done,
    /// Its end of file came, without.
    Truncated,
    /// It all has ended so.
    Failed(Ending),
}

/// Who answers for what the handshake agreed on, and keeps tickets.
pub(crate) enum Keeper {
    /// The session, in this process.
    Here(Box<Session>),
    /// A pool, which has handed the connection back to us.
    Pool(Box<SessionHandle>),
}

impl KernelTls {
    /// Has the kernel take over from a session right behind its handshake, with nothing read from behind
    /// it. Whether it can take new keys is found out with the keys that it has: a second time they are
    /// either refused or change nothing.
    pub(crate) fn arm(tcp: &TcpStream, session: &mut Session) -> Result<KernelSession, Unarmed> {
        attach(tcp).map_err(|error| Unarmed::Declined(declined(error)))?;
        let Handover { session: mut state, transmit, receive } =
            session.handover().map_err(unready)?;
        set(tcp, Direction::Transmit, &transmit)
            .map_err(|error| Unarmed::Declined(unsuitable(&error)))?;
        // From here on there is no way back.
        set(tcp, Direction::Receive, &receive).map_err(Unarmed::Broken)?;
        state.set_rekeys(
            transmit.version == TlsVersion::V1_3
                && set(tcp, Direction::Transmit, &transmit).is_ok(),
        );
        session.handed_over(receive);
        Ok(state)
    }

    pub(crate) fn new(tcp: TcpStream, session: KernelSession, keeper: Keeper) -> Self {
        Self {
            tcp,
            duties: session.duties(),
            session,
            keeper,
            partial: Vec::new(),
            is_touched: false,
            reading: Reading::On,
            has_finished: false,
        }
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
        &self.session
    }

    pub(crate) const fn keeper(&self) -> &Keeper {
        &self.keeper
    }

    /// The parts, where nothing was moved and the session is here.
    pub(crate) fn into_parts(self) -> Result<(TcpStream, KernelSession, Box<Session>), Box<Self>> {
        match self {
            Self { tcp, session, keeper: Keeper::Here(keeper), is_touched: false, .. } => {
                Ok((tcp, session, keeper))
            }
            other => Err(Box::new(other)),
        }
    }

    /// Whether the end of file came without the peer's close_notify.
    pub(crate) const fn is_truncated(&self) -> bool {
        matches!(self.reading, Reading::Truncated)
    }

    /// Reads data; none is the end. With `now` it asks the system whatever the runtime has learned.
    pub(crate) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
        now: bool,
    ) -> Poll<io::Result<()>> {
        // What we owe goes out from here, too. If it cannot, what the peer has said says why.
        let _ = self.poll_outgoing(cx);
        loop {
            match &self.reading {
                Reading::On => {}
                Reading::Done | Reading::Truncated => return Poll::Ready(Ok(())),
                Reading::Failed(ending) => return Poll::Ready(Err(as_error(ending.clone()))),
            }
            let room = buf.initialize_unfilled();
            let received = match ready!(self.poll_receive(cx, room, now)) {
                Ok(received) => received,
                Err(error) => return Poll::Ready(Err(self.receive_failed(cx, error))),
            };
            self.is_touched = true;
            match received {
                Received { bytes: 0, content_type: None, .. } => self.reading = Reading::Truncated,
                Received { bytes, content_type: Some(APPLICATION_DATA) | None, .. } => {
                    if let Err(ending) = self.duties.received_data(bytes) {
                        return Poll::Ready(Err(self.fail(cx, ending)));
                    }
                    if bytes > 0 {
                        buf.advance(bytes);
                        return Poll::Ready(Ok(()));
                    }
                }
                Received { bytes, content_type: Some(content_type), is_whole } => {
                    self.partial.extend_from_slice(&room[..bytes]);
                    if is_whole && let Err(error) = self.received(cx, content_type) {
                        return Poll::Ready(Err(error));
                    }
                }
            }
        }
    }

    /// Does what a record obliges to that is no data.
    fn received(&mut self, cx: &mut Context<'_>, content_type: u8) -> io::Result<()> {
        let content = std::mem::take(&mut self.partial);
        for duty in self.duties.received(content_type, &content) {
            match duty {
                Duty::Keep(ticket) => {
                    if let Err(ending) = self.keeper.keep(&ticket) {
                        let ending = self.duties.found_wrong(ending);
                        return Err(self.fail(cx, ending));
                    }
                }
                Duty::RenewReceive => {
                    if !self.renew(Direction::Receive) {
                        let ending = self.duties.renewal_failed(Direction::Receive);
                        return Err(self.fail(cx, ending));
                    }
                }
                Duty::EndOfData => self.reading = Reading::Done,
                Duty::End(ending) => return Err(self.fail(cx, ending)),
            }
        }
        // An answer, if one is due, and FIN behind both goodbyes.
        let _ = self.poll_outgoing(cx);
        Ok(())
    }

    fn poll_receive(
        &self,
        cx: &mut Context<'_>,
        room: &mut [u8],
        now: bool,
    ) -> Poll<io::Result<Received>> {
        loop {
            if now {
                return match kernel_tls::receive(&self.tcp, room) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => Poll::Pending,
                    received => Poll::Ready(received),
                };
            }
            ready!(self.tcp.poll_read_ready(cx))?;
            let receive = || kernel_tls::receive(&self.tcp, room);
            match self.tcp.try_io(Interest::READABLE, receive) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                received => return Poll::Ready(received),
            }
        }
    }

    fn receive_failed(&mut self, cx: &mut Context<'_>, error: io::Error) -> io::Error {
        let how = match Errno::from_io_error(&error) {
            Some(Errno::BADMSG) => BadRecord::Forged,
            Some(Errno::MSGSIZE) => BadRecord::TooLong,
            Some(Errno::INVAL) => BadRecord::Header,
            _ => return error,
        };
        // The kernel would tell it to the next call, too: our alert.
        let _ = self.tcp.take_error();
        let ending = self.duties.bad_record(how);
        self.fail(cx, ending)
    }

    /// Writes data, behind what is owed.
    pub(crate) fn poll_write_vectored(
        &mut self,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let offered: usize = bufs.iter().map(|buf| buf.len()).sum();
        if offered == 0 {
            return Poll::Ready(Ok(0));
        }
        if let Reading::Failed(ending) = &self.reading {
            return Poll::Ready(Err(as_error(ending.clone())));
        }
        let permitted = loop {
            ready!(self.poll_outgoing(cx))?;
            match self.duties.permit(offered) {
                Permit::Bytes(bytes) => break bytes,
                Permit::Behind => {}
                Permit::End(ending) => return Poll::Ready(Err(self.fail(cx, ending))),
            }
        };
        self.is_touched = true;
        let tcp = Pin::new(&mut self.tcp);
        let written = if permitted >= offered {
            ready!(tcp.poll_write_vectored(cx, bufs))?
        } else {
            let first = bufs.iter().find(|buf| !buf.is_empty());
            let first = first.map_or(&[][..], |buf| &buf[..permitted.min(buf.len())]);
            ready!(tcp.poll_write(cx, first))?
        };
        self.duties.data_sent(written);
        Poll::Ready(Ok(written))
    }

    /// Sends what is owed that is no data. Ready when nothing is.
    pub(crate) fn poll_outgoing(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some(outgoing) = self.duties.outgoing() {
            let content = outgoing.content();
            let count = loop {
                ready!(self.tcp.poll_write_ready(cx))?;
                let try_send = || kernel_tls::send(&self.tcp, outgoing.content_type(), &content);
                match self.tcp.try_io(Interest::WRITABLE, try_send) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    sent => break sent?,
                }
            };
            self.is_touched = true;
            if count < content.len() {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            if self.duties.sent() == Sent::RenewTransmit && !self.renew(Direction::Transmit) {
                let ending = self.duties.renewal_failed(Direction::Transmit);
                return Poll::Ready(Err(self.fail(cx, ending)));
            }
        }
        if self.duties.is_done() {
            self.finish_transport();
        }
        Poll::Ready(Ok(()))
    }

    /// Whether something that is owed waits for the transport.
    pub(crate) fn has_outgoing(&self) -> bool {
        self.duties.outgoing().is_some()
    }

    /// Says our goodbye, behind what is owed; behind a failure it ends the transport.
    pub(crate) fn poll_finish(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.duties.has_failed() {
            self.finish_transport();
            return Poll::Ready(Ok(()));
        }
        self.duties.close();
        self.poll_outgoing(cx)
    }

    fn finish_transport(&mut self) {
        if !std::mem::replace(&mut self.has_finished, true) {
            // A connection that is gone already needs no end.
            let _ = rustix::net::shutdown(&self.tcp, Shutdown::Write);
        }
    }

    /// Puts the next keys in place; whether the kernel has taken them.
    fn renew(&mut self, direction: Direction) -> bool {
        let keys = self.session.renew(direction);
        keys.is_some_and(|keys| set(&self.tcp, direction, &keys).is_ok())
    }

    /// Ends it. The alert about it may still [wait](Self::has_outgoing).
    fn fail(&mut self, cx: &mut Context<'_>, mut ending: Ending) -> io::Error {
        if let Ending::FatalError { alert, .. } = &mut ending
            && matches!(self.poll_outgoing(cx), Poll::Ready(Err(_)))
        {
            *alert = None;
        }
        self.reading = Reading::Failed(ending.clone());
        as_error(ending)
    }
}

impl fmt::Debug for KernelTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KernelTls")
            .field("session", &self.session)
            .field("duties", &self.duties)
            .finish_non_exhaustive()
    }
}

impl Keeper {
    /// Has a ticket kept; how the session has ended, where it is a faulty one.
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

/// Why the kernel did not take over.
pub(crate) enum Unarmed {
    /// The session goes on as it was.
    Declined(NoKernelTls),
    /// It can go on in no way: the kernel has half of it.
    Broken(io::Error),
}

fn declined(error: AttachError) -> NoKernelTls {
    match error {
        AttachError::NoKernelTls => NoKernelTls::Unsupported,
        AttachError::NotTcp => NoKernelTls::NotTcp,
        AttachError::NotConnected => NoKernelTls::NotConnected,
        AttachError::System(error) => NoKernelTls::System((&error).into()),
        other => NoKernelTls::System((&io::Error::other(other)).into()),
    }
}

fn unready(why: NotReady) -> Unarmed {
    Unarmed::Declined(match why {
        NotReady::Suite => NoKernelTls::Suite,
        NotReady::NotPrepared | NotReady::InUse => NoKernelTls::ReadAhead,
    })
}

/// Why the kernel has not taken the first keys.
fn unsuitable(error: &io::Error) -> NoKernelTls {
    match Errno::from_io_error(error) {
        Some(Errno::NOENT | Errno::INVAL | Errno::OPNOTSUPP) => NoKernelTls::Suite,
        _ => NoKernelTls::System(error.into()),
    }
}

fn set(tcp: &TcpStream, direction: Direction, keys: &RecordKeys) -> io::Result<()> {
    let direction = match direction {
        Direction::Transmit => kernel_tls::Direction::Transmit,
        Direction::Receive => kernel_tls::Direction::Receive,
    };
    let keys = Keys {
        version: match keys.version {
            TlsVersion::V1_2 => Version::V1_2,
            TlsVersion::V1_3 => Version::V1_3,
        },
        cipher: match keys.cipher {
            RecordCipher::Aes128Gcm => Cipher::Aes128Gcm,
            RecordCipher::Aes256Gcm => Cipher::Aes256Gcm,
            RecordCipher::Chacha20Poly1305 => Cipher::Chacha20Poly1305,
        },
        key: &keys.key,
        nonce: &keys.nonce,
        sequence: keys.sequence,
    };
    install(tcp.as_fd(), direction, &keys)
}
