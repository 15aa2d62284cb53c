//! Plaintext from the kernel, on the connection itself.
#![expect(
    clippy::disallowed_methods,
    reason = "who waits here waits for real, outside any runtime"
)]

use std::io::{self, IoSlice};
use std::os::fd::BorrowedFd;
use std::thread;

use levada_core::Ending;
use levada_kernel_tls::{KeepTickets, LOOK_AGAIN, Records, Transport};
use levada_pool_wire::{Document, KernelState, Report};
use levada_tls::KernelSession;

use super::{Session, Stop, Way};
use crate::client::error::PoolError;

pub(super) struct Kernel {
    records: Records<AtPool>,
    /// What came before our direction failed, and was read to hear what the peer has said of that.
    ahead: Vec<u8>,
}

/// The pool, which keeps tickets, and what the handshake agreed on.
struct AtPool(Session);

/// How many turns an alert has to leave: a tenth of a second.
const LAST_WORDS: u32 = 20;

/// How much is read to hear why our direction has failed.
const AHEAD: usize = 256 * 1024;

impl Kernel {
    pub(super) fn new(state: &KernelState, session: Session) -> Result<Self, PoolError> {
        let kernel = KernelSession::from_bytes(state.bytes());
        let kernel = kernel.map_err(|error| PoolError::Protocol(error.to_string()))?;
        Ok(Self { records: Records::new(kernel, AtPool(session)), ahead: Vec::new() })
    }

    pub(super) fn rekeys(&self) -> bool {
        self.records.session().rekeys()
    }

    /// Makes a call.
    fn call<'a, T>(
        &mut self,
        socket: BorrowedFd<'a>,
        call: impl FnOnce(&mut Records<AtPool>, &mut Socket<'a>) -> io::Result<T>,
    ) -> Result<T, Stop> {
        let mut socket = Socket { socket, lacks_room: false };
        call(&mut self.records, &mut socket).map_err(|error| match error.kind() {
            io::ErrorKind::WouldBlock => Stop::Wait(socket.lacks_room.then_some(LOOK_AGAIN)),
            _ => Stop::Ended(
                Ending::of(&error).cloned().unwrap_or_else(|| Ending::SocketError((&error).into())),
            ),
        })
    }

    fn receive(&mut self, socket: BorrowedFd<'_>, room: &mut [u8]) -> Result<usize, Stop> {
        match self.call(socket, |records, socket| records.read(socket, room))? {
            0 if self.records.is_truncated() => Err(Stop::Ended(Ending::SocketClose)),
            count => Ok(count),
        }
    }

    /// Our direction has failed. Why may have been said by the peer before: nobody is to read "connection
    /// reset" where an alert was sent.
    fn reason(&mut self, socket: BorrowedFd<'_>, stop: Stop) -> Stop {
        if !matches!(stop, Stop::Ended(Ending::SocketError(_))) {
            return stop;
        }
        let mut room = [0; 4096];
        while self.ahead.len() < AHEAD {
            match self.receive(socket, &mut room) {
                Ok(count @ 1..) => self.ahead.extend_from_slice(&room[..count]),
                Err(Stop::Ended(ending @ (Ending::FatalAlert(_) | Ending::FatalError { .. }))) => {
                    return Stop::Ended(ending);
                }
                Ok(_) | Err(_) => break,
            }
        }
        stop
    }
}

impl Way for Kernel {
    fn read(&mut self, socket: BorrowedFd<'_>, room: &mut [u8]) -> Result<usize, Stop> {
        if self.ahead.is_empty() {
            return self.receive(socket, room);
        }
        let count = room.len().min(self.ahead.len());
        room[..count].copy_from_slice(&self.ahead[..count]);
        self.ahead.drain(..count);
        Ok(count)
    }

    fn write(&mut self, socket: BorrowedFd<'_>, bufs: &[IoSlice<'_>]) -> Result<usize, Stop> {
        let written = self.call(socket, |records, socket| records.write_vectored(socket, bufs));
        written.map_err(|stop| self.reason(socket, stop))
    }

    fn finish(&mut self, socket: BorrowedFd<'_>) -> Result<(), Stop> {
        let finished = self.call(socket, Records::finish);
        finished.map_err(|stop| self.reason(socket, stop))
    }

    fn has_outgoing(&self) -> bool {
        self.records.has_outgoing()
    }

    fn fail(&mut self, socket: BorrowedFd<'_>, mut ending: Ending, may_wait: bool) -> Ending {
        let Ending::FatalError { alert, .. } = &mut ending else { return ending };
        let mut turns = if may_wait && alert.is_some() { LAST_WORDS } else { 0 };
        let has_left = loop {
            match self.call(socket, Records::send_last_words) {
                Ok(()) => break true,
                Err(Stop::Wait(_)) if turns > 0 => thread::sleep(LOOK_AGAIN),
                Err(_) => break false,
            }
            turns -= 1;
        };
        if !has_left {
            *alert = None;
        }
        // There is nobody to be told what fails here.
        let _ = self.call(socket, Records::finish);
        ending
    }

    fn let_go(&mut self, report: &Report, _: bool) {
        // Without our close_notify nobody can take the end for a clean one.
        let AtPool(Session { client, control_key }) = self.records.keeper();
        client.post(Document::Farewell, control_key, &report.encode());
    }
}

impl KeepTickets for AtPool {
    fn keep(&mut self, ticket: &[u8]) -> Result<(), Ending> {
        let Self(Session { client, control_key }) = self;
        // A lost one costs a resumption, and that it was faulty nothing else.
        client.post(Document::Ticket, control_key, ticket);
        Ok(())
    }
}

/// The connection in a call.
struct Socket<'a> {
    socket: BorrowedFd<'a>,
    /// TCP has none for what the kernel holds back.
    lacks_room: bool,
}

impl Transport for Socket<'_> {
    fn socket(&self) -> BorrowedFd<'_> {
        self.socket
    }

    fn pause(&mut self) -> io::Result<()> {
        self.lacks_room = true;
        Err(io::ErrorKind::WouldBlock.into())
    }
}
