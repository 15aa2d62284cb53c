//! Reading, writing and ending a session whose records the kernel does.

use std::fmt;
use std::io::{self, IoSlice};

use levada_core::Ending;
use levada_sys::kernel_tls::{APPLICATION_DATA, Received};
use levada_tls::{BadRecord, Direction, Duties, Duty, KernelSession, Permit, Sent};
use rustix::io::Errno;

use crate::transport::Transport;

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

/// Who has somewhere to keep the tickets that come.
pub trait KeepTickets {
    /// Has a NewSessionTicket kept, a whole handshake message.
    ///
    /// # Errors
    ///
    /// How the session has ended, where it is a faulty one.
    fn keep(&mut self, ticket: &[u8]) -> Result<(), Ending>;
}

/// A session whose records the kernel seals and opens: its goodbyes, alerts, keys and tickets are looked after
/// here, and data goes both ways.
///
/// Its end of file is the peer's close_notify; where that is missing, [`is_truncated`](Self::is_truncated)
/// says so. Its own end is our close_notify, and FIN follows when both are said. What ends it otherwise is
/// inside of the error ([`Ending::of`]).
///
/// It waits for nothing: every call may give the `WouldBlock` of its [`Transport`], and goes on where it was
/// when it is made again.
pub struct Records<K> {
    session: KernelSession,
    duties: Duties,
    keeper: K,
    /// The front of a record that is no data and had no room.
    partial: Vec<u8>,
    /// What TCP will have been given once all is sent; `None` until something is.
    due: Option<u64>,
    /// Bytes were moved since the handshake.
    is_touched: bool,
    reading: Reading,
    has_finished: bool,
}

impl<K> Records<K> {
    /// Goes on with a session that was [armed](crate::arm), here or by another process.
    pub fn new(session: KernelSession, keeper: K) -> Self {
        Self {
            duties: session.duties(),
            session,
            keeper,
            partial: Vec::new(),
            due: None,
            is_touched: false,
            reading: Reading::On,
            has_finished: false,
        }
    }

    /// The session.
    pub const fn session(&self) -> &KernelSession {
        &self.session
    }

    /// Who keeps the tickets.
    pub const fn keeper(&self) -> &K {
        &self.keeper
    }

    /// Whether anything was read or written.
    pub const fn is_touched(&self) -> bool {
        self.is_touched
    }

    /// The session, for somebody else to go on with if nothing was [moved](Self::is_touched), and who keeps
    /// its tickets.
    pub fn into_parts(self) -> (KernelSession, K) {
        (self.session, self.keeper)
    }

    /// Whether the end of file came without the peer's close_notify.
    pub const fn is_truncated(&self) -> bool {
        matches!(self.reading, Reading::Truncated)
    }

    /// Whether an alert has to go out before the end.
    pub const fn has_last_words(&self) -> bool {
        matches!(self.reading, Reading::Failed(Ending::FatalError { alert: Some(_), .. }))
    }

    /// Whether something of ours waits that is no data.
    pub fn has_outgoing(&self) -> bool {
        self.duties.outgoing().is_some()
    }
}

impl<K: KeepTickets> Records<K> {
    /// Reads data; none is the end.
    ///
    /// # Errors
    ///
    /// The ending, if that is no end of file, and the transport's.
    pub fn read(&mut self, transport: &mut impl Transport, room: &mut [u8]) -> io::Result<usize> {
        // What we owe goes out from here, too. If it cannot, what the peer has said says why.
        let _ = self.send_outgoing(transport);
        loop {
            match &self.reading {
                Reading::On if room.is_empty() => return Ok(0),
                Reading::On => {}
                Reading::Done | Reading::Truncated => return Ok(0),
                Reading::Failed(ending) => return Err(io::Error::other(ending.clone())),
            }
            let received = match transport.receive(room) {
                Ok(received) => received,
                Err(error) => return Err(self.receive_failed(transport, error)),
            };
            self.is_touched = true;
            match received {
                Received { bytes: 0, content_type: None, .. } => self.reading = Reading::Truncated,
                Received { bytes, content_type: Some(APPLICATION_DATA) | None, .. } => {
                    if let Err(ending) = self.duties.received_data(bytes) {
                        return Err(self.fail(transport, ending));
                    }
                    if bytes > 0 {
                        return Ok(bytes);
                    }
                }
                Received { bytes, content_type: Some(content_type), is_whole } => {
                    self.partial.extend_from_slice(&room[..bytes]);
                    if is_whole {
                        self.received(transport, content_type)?;
                    }
                }
            }
        }
    }

    /// Does what a record obliges to that is no data.
    fn received(&mut self, transport: &mut impl Transport, content_type: u8) -> io::Result<()> {
        let content = std::mem::take(&mut self.partial);
        for duty in self.duties.received(content_type, &content) {
            match duty {
                Duty::Keep(ticket) => {
                    if let Err(ending) = self.keeper.keep(&ticket) {
                        let ending = self.duties.found_wrong(ending);
                        return Err(self.fail(transport, ending));
                    }
                }
                Duty::RenewReceive => {
                    if !self.renew(transport, Direction::Receive) {
                        let ending = self.duties.renewal_failed(Direction::Receive);
                        return Err(self.fail(transport, ending));
                    }
                }
                Duty::EndOfData => self.reading = Reading::Done,
                Duty::End(ending) => return Err(self.fail(transport, ending)),
            }
        }
        // An answer, if one is due, and FIN behind both goodbyes.
        let _ = self.send_outgoing(transport);
        Ok(())
    }

    fn receive_failed(&mut self, transport: &mut impl Transport, error: io::Error) -> io::Error {
        let how = match Errno::from_io_error(&error) {
            Some(Errno::BADMSG) => BadRecord::Forged,
            Some(Errno::MSGSIZE) => BadRecord::TooLong,
            Some(Errno::INVAL) => BadRecord::Header,
            _ => return error,
        };
        transport.forget_error();
        let ending = self.duties.bad_record(how);
        self.fail(transport, ending)
    }

    /// Writes data, behind what is owed.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read).
    pub fn write_vectored(
        &mut self,
        transport: &mut impl Transport,
        bufs: &[IoSlice<'_>],
    ) -> io::Result<usize> {
        let offered: usize = bufs.iter().map(|buf| buf.len()).sum();
        if offered == 0 {
            return Ok(0);
        }
        if let Reading::Failed(ending) = &self.reading {
            return Err(io::Error::other(ending.clone()));
        }
        let permitted = loop {
            self.send_outgoing(transport)?;
            match self.duties.permit(offered) {
                Permit::Bytes(bytes) => break bytes,
                Permit::Behind => {}
                Permit::End(ending) => return Err(self.fail(transport, ending)),
            }
        };
        self.count_what_is_due(transport)?;
        let written = if permitted >= offered {
            transport.write(bufs)?
        } else {
            let first = bufs.iter().find(|buf| !buf.is_empty());
            let first = first.map_or(&[][..], |buf| &buf[..permitted.min(buf.len())]);
            transport.write(&[IoSlice::new(first)])?
        };
        self.duties.data_sent(written);
        self.is_due(written);
        Ok(written)
    }

    /// Begins to count what TCP is to be given.
    fn count_what_is_due(&mut self, transport: &impl Transport) -> io::Result<()> {
        self.is_touched = true;
        if self.due.is_none() {
            self.due = Some(transport.given()?);
        }
        Ok(())
    }

    /// So many bytes were taken with one call: the kernel makes as few records of them as it can.
    fn is_due(&mut self, bytes: usize) {
        let records = bytes.div_ceil(self.session.record_size());
        let wire = bytes + records * self.session.around_a_record();
        self.due = self.due.map(|due| due + wire as u64);
    }

    /// Returns when TCP has all that was sent: the kernel holds back what had no room there, and loses it
    /// when the transport ends.
    fn drain(&mut self, transport: &mut impl Transport) -> io::Result<()> {
        while let Some(due) = self.due
            && transport.given()? < due
        {
            transport.pause()?;
        }
        Ok(())
    }

    /// Sends what is owed that is no data, until nothing is.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read).
    pub fn send_outgoing(&mut self, transport: &mut impl Transport) -> io::Result<()> {
        while let Some(outgoing) = self.duties.outgoing() {
            let content = outgoing.content();
            self.count_what_is_due(transport)?;
            let count = transport.send(outgoing.content_type(), &content)?;
            self.is_due(count);
            if count < content.len() {
                return Err(io::ErrorKind::WriteZero.into());
            }
            if self.duties.sent() == Sent::RenewTransmit
                && !self.renew(transport, Direction::Transmit)
            {
                let ending = self.duties.renewal_failed(Direction::Transmit);
                return Err(self.fail(transport, ending));
            }
        }
        if self.duties.is_done() {
            self.drain(transport)?;
            self.end_transport(transport);
        }
        Ok(())
    }

    /// As [`send_outgoing`](Self::send_outgoing), until TCP has it.
    ///
    /// # Errors
    ///
    /// The same.
    pub fn send_last_words(&mut self, transport: &mut impl Transport) -> io::Result<()> {
        self.send_outgoing(transport)?;
        self.drain(transport)
    }

    /// Says our goodbye, behind what is owed; behind a failure it ends the transport.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read).
    pub fn finish(&mut self, transport: &mut impl Transport) -> io::Result<()> {
        if self.duties.has_failed() {
            self.end_transport(transport);
            return Ok(());
        }
        self.duties.close();
        self.send_last_words(transport)
    }

    fn end_transport(&mut self, transport: &mut impl Transport) {
        if !std::mem::replace(&mut self.has_finished, true) {
            transport.end();
        }
    }

    /// Puts the next keys in place; whether the kernel has taken them.
    fn renew(&mut self, transport: &mut impl Transport, direction: Direction) -> bool {
        let keys = self.session.renew(direction);
        keys.is_some_and(|keys| transport.install(direction, &keys).is_ok())
    }

    /// Ends it. The alert about it may still have to [go out](Self::send_last_words).
    fn fail(&mut self, transport: &mut impl Transport, mut ending: Ending) -> io::Error {
        if let Ending::FatalError { alert, .. } = &mut ending {
            let sent = self.send_outgoing(transport);
            if sent.is_err_and(|error| error.kind() != io::ErrorKind::WouldBlock) {
                *alert = None;
            }
        }
        self.reading = Reading::Failed(ending.clone());
        io::Error::other(ending)
    }
}

impl<K> fmt::Debug for Records<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Records")
            .field("session", &self.session)
            .field("duties", &self.duties)
            .finish_non_exhaustive()
    }
}
