//! Ending: the one place where a life becomes its ending.

use std::io;
use std::task::{Context, Poll, Waker};

use levada_core::{Deadline, Ending, Event, Mode, OsError, Ours, Party};
use levada_tls::Engine;
use tokio::io::ReadBuf;

use super::{Socket, Transport};
use crate::scratch::with_wire;

impl Socket {
    /// Ends the life, if it has not ended: the first ending is the only one.
    pub(super) fn end(&mut self, ending: Ending) {
        if self.watch.ended().is_some() {
            return;
        }
        match &ending {
            Ending::FatalAlert(alert) => self.watch.tell(|| Event::Alert(Party::Peer, *alert)),
            Ending::FatalError { alert: Some(alert), .. } => {
                self.watch.tell(|| Event::Alert(Party::Local, *alert));
            }
            _ => {}
        }
        let facts = std::mem::take(&mut self.watch.facts);
        self.watch.facts = self.complete(facts);
        if let Transport::Up(carrier) = &self.transport {
            carrier.tell_end(&ending, self.goodbyes.theirs());
        }
        self.release(&ending);
        self.watch.end(ending);
        self.alarm = None;
        self.dying = None;
        self.handshake_permit = None;
        self.permit = None;
        self.address_permit = None;
        self.queue = Vec::new();
        self.below = Vec::new();
    }

    /// Gives the transport the end that fits the stream's.
    fn release(&mut self, ending: &Ending) {
        let Transport::Up(carrier) = &mut self.transport else {
            self.transport = Transport::Gone;
            return;
        };
        match ending {
            Ending::Aborted => {
                let cuts = self.session.is_none() && self.goodbyes.ours() != Ours::Sent;
                if cuts {
                    carrier.reset();
                }
                self.let_go();
            }
            // Its goodbye was the end of file, which is sent once.
            _ if self.session.is_none() && self.goodbyes.ours() == Ours::Sent => {}
            // Where a write waits, a FIN could be taken for the end of what we had to say.
            Ending::TimedOut(_)
                if self.watch.life.mode() == Mode::Plain && self.watch.write_waits => {}
            // The peer is to read our goodbye or alert, and then end of file.
            Ending::TimedOut(_)
            | Ending::Finished
            | Ending::CloseNotify { .. }
            | Ending::WsClose { .. }
            | Ending::FatalError { .. }
            | Ending::ConnectFinalized
            | Ending::ConnectFailed(_) => {
                let mut cx = Context::from_waker(Waker::noop());
                if self.options.kernel_tls && self.session.is_some() {
                    // A handshake was read no further than it went, and bytes that nobody has read make a
                    // reset of the end.
                    let _ =
                        with_wire(|room| carrier.poll_read_now(&mut cx, &mut ReadBuf::new(room)));
                }
                if let Poll::Ready(Err(error)) = carrier.poll_finish(&mut cx) {
                    self.watch.tell(|| Event::TransportFailed((&error).into()));
                }
            }
            // There may still be something to read; the drop closes the transport.
            Ending::SocketClose
            | Ending::SocketError(_)
            | Ending::FatalAlert(_)
            | Ending::WsProtocol(_)
            | Ending::Refused(_) => {}
        }
    }

    /// Drops the transport.
    fn let_go(&mut self) {
        if let Transport::Up(carrier) = &self.transport
            && self.options.hang_up
            && (self.session.is_some() || self.kernel().is_some())
        {
            carrier.hang_up();
        }
        self.transport = Transport::Gone;
    }

    /// The transport failed, in either direction.
    pub(super) fn transport_failed(&mut self, error: &io::Error) {
        if let Some(ending) = Ending::of(error).cloned() {
            // The alert about it goes out first.
            return match self.kernel() {
                Some(kernel) if kernel.has_last_words() && self.write_error.is_none() => {
                    self.die(ending);
                }
                _ => self.end(ending),
            };
        }
        let error = self.write_error.take().map_or_else(|| OsError::from(error), |error| *error);
        match self.goodbyes.transport_failed(error) {
            Ok(ending) => self.end(ending),
            Err(error) => self.watch.tell(|| Event::TransportFailed(error)),
        }
    }

    /// The transport under a layer came to its end of file.
    pub(super) fn transport_ended(&mut self) {
        if self.write_error.is_some() {
            self.transport_failed(&io::ErrorKind::BrokenPipe.into());
        } else if let Some(ending) = self.goodbyes.end_of_transport() {
            self.end(ending);
        }
    }

    /// The ending is certain, but an alert about it is still to be sent.
    pub(super) fn die(&mut self, ending: Ending) {
        if self.dying.is_none() && self.watch.ended().is_none() {
            self.dying = Some(Box::new(ending));
            self.set_alarm(Deadline::Close);
        }
    }

    /// Begins to end, and goes on with it.
    pub(super) fn poll_die_of(&mut self, cx: &mut Context<'_>, ending: Ending) -> Poll<()> {
        self.die(ending);
        self.poll_die(cx)
    }

    /// Sends the alert and then ends.
    pub(super) fn poll_die(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.poll_alarm(cx);
        let left = self.poll_write_wire(cx).is_ready() && self.poll_last_words(cx).is_ready();
        if !left && self.watch.ended().is_none() {
            return Poll::Pending;
        }
        if let Some(ending) = self.dying.take() {
            self.end(*ending);
        }
        Poll::Ready(())
    }

    /// Ends the life if its deadline has passed.
    pub(super) fn poll_alarm(&mut self, cx: &mut Context<'_>) {
        let moved = self.watch.moved();
        let Some(alarm) = &mut self.alarm else { return };
        let Poll::Ready(deadline) = alarm.poll(cx, moved) else { return };
        self.alarm = None;
        match self.dying.take().map(|ending| *ending) {
            // The peer does not take our alert: the ending stays what it is, but for that.
            Some(Ending::FatalError { cause, .. }) => {
                self.end(Ending::FatalError { alert: None, cause });
            }
            Some(ending) => self.end(ending),
            None => {
                if self.stop_waiting() {
                    return;
                }
                if let Some(session) = &mut self.session {
                    session.close();
                    // A goodbye, if it can go without waiting.
                    let _ = self.poll_write_wire(cx);
                }
                self.end(Ending::TimedOut(deadline));
            }
        }
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        self.end(Ending::Aborted);
        let unsaid = self.goodbyes.ours() != Ours::Sent;
        if let Transport::Up(carrier) = &mut self.transport
            && self.session.is_none()
            && unsaid
        {
            carrier.reset();
        }
        self.let_go();
    }
}
