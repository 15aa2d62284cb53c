//! Plaintext that the pool relays.

use std::io::{self, IoSlice};
use std::os::fd::BorrowedFd;

use levada_core::Ending;
use levada_pool_wire::Report;
use rustix::io::{Errno, retry_on_intr};
use rustix::net::{RecvFlags, SendAncillaryBuffer, SendFlags, Shutdown, recv, sendmsg, shutdown};

use super::{Session, Stop, Way};
use crate::client::request;

/// A Unix socket cannot show how the peer's direction ended: at its end of file, and when it fails, the pool
/// is asked.
pub(super) struct Relayed {
    session: Session,
    /// Nothing more comes from the socket.
    is_drained: bool,
    /// What the pool says about the end of the peer's direction: nothing for its goodbye.
    told: Option<Result<(), Ending>>,
}

impl Relayed {
    pub(super) fn new(session: Session) -> Self {
        Self { session, is_drained: false, told: None }
    }

    fn story(&mut self) -> Result<(), Stop> {
        let Self { session: Session { client, control_key }, told, .. } = self;
        let ask = || request::peers_end(client.report(control_key.clone()));
        told.get_or_insert_with(ask).clone().map_err(Stop::Ended)
    }

    /// Why our direction has failed: the pool knows more than the socket, unless the peer has only ended its
    /// own.
    fn reason(&mut self, error: Errno) -> Stop {
        let is_closed = matches!(error, Errno::PIPE | Errno::CONNRESET | Errno::NOTCONN);
        match is_closed.then(|| self.story()) {
            Some(Err(stop)) => stop,
            _ => Stop::Ended(Ending::SocketError((&io::Error::from(error)).into())),
        }
    }
}

impl Way for Relayed {
    fn read(&mut self, socket: BorrowedFd<'_>, room: &mut [u8]) -> Result<usize, Stop> {
        if !self.is_drained {
            match retry_on_intr(|| recv(socket, &mut *room, RecvFlags::DONTWAIT)) {
                Ok((count @ 1.., _)) => return Ok(count),
                Err(Errno::AGAIN) => return Err(Stop::Wait(None)),
                // The end of file, or what ends a Unix socket that was closed with bytes unread.
                Ok(_) | Err(_) => self.is_drained = true,
            }
        }
        self.story().map(|()| 0)
    }

    fn write(&mut self, socket: BorrowedFd<'_>, bufs: &[IoSlice<'_>]) -> Result<usize, Stop> {
        let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        let send = || sendmsg(socket, bufs, &mut SendAncillaryBuffer::default(), flags);
        match retry_on_intr(send) {
            Ok(count) => Ok(count),
            Err(Errno::AGAIN) => Err(Stop::Wait(None)),
            Err(error) => Err(self.reason(error)),
        }
    }

    fn finish(&mut self, socket: BorrowedFd<'_>) -> Result<(), Stop> {
        match shutdown(socket, Shutdown::Write) {
            Ok(()) => Ok(()),
            // The pool has closed its end: where that is an end without fault, ours was said for us.
            Err(Errno::NOTCONN | Errno::PIPE) => self.story(),
            Err(error) => Err(self.reason(error)),
        }
    }

    fn has_outgoing(&self) -> bool {
        false
    }

    fn fail(&mut self, _: BorrowedFd<'_>, ending: Ending, _: bool) -> Ending {
        // The pool tells the peer.
        ending
    }

    fn let_go(&mut self, _: &Report, cuts: bool) {
        if cuts {
            let Session { client, control_key } = &self.session;
            // The plaintext socket is open until the pool has heard of it: its end would be a goodbye. A pool
            // of another make has no such command, and what it sends the peer is its own.
            let _ = client.cut(control_key.clone());
        }
    }
}
