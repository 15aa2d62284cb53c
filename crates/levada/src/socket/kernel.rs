//! Leaving the records of TLS to the kernel, once the handshake is done.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use levada_core::{
    Ending, Fault, KernelTls as Outcome, Mode, NoKernelTls, Ours, Role, State, Step,
};
use levada_kernel_tls::{Unarmed, arm};
use levada_tls::{KernelSession, Session};
use tokio::time::Instant;

use super::{Options, Socket, Transport};
use crate::carrier::{Carrier, Kind};
use crate::kernel::{Keeper, KernelTls};

/// A stream under TLS whose records the kernel does, taken apart: so that another process goes on with it.
///
/// Whoever holds the descriptor and the [`KernelSession`] reads and writes, and answers new keys, alerts and
/// the goodbye. Whoever keeps the session answers for the handshake: facts, exporters, channel bindings, and
/// as a client [tickets](Session::take_ticket).
#[derive(Debug)]
pub struct KernelHandover {
    /// For the reader and writer.
    pub session: KernelSession,
    /// The session, which seals and opens nothing any more.
    pub keeper: Box<Session>,
    /// The connection.
    pub descriptor: OwnedFd,
}

impl KernelHandover {
    /// Goes on with it in this process.
    ///
    /// # Errors
    ///
    /// When the descriptor cannot be watched.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime that has io enabled.
    pub fn adopt(self, options: impl Into<Arc<Options>>) -> io::Result<Socket> {
        let Self { session, keeper, descriptor } = self;
        let kernel = KernelTls::adopt(descriptor, session, Keeper::Here(keeper))?;
        let mode = mode_of(kernel.session().role());
        let rekeys = kernel.session().rekeys();
        let carrier = Carrier(Kind::Kernel(Box::new(kernel)));
        let ends = carrier.ends();
        let mut socket = Socket::new(Transport::Gone, super::Layer::default(), options.into());
        socket.watch.facts.plain = None;
        socket.watch.facts.local = ends.local;
        socket.watch.facts.peer = ends.peer;
        socket.watch.facts.kernel_tls = Some(Outcome::Armed { rekeys });
        socket.transport = Transport::Up(carrier);
        socket.watch.end_of_phase(Instant::now());
        socket.watch.step(Step::Carry);
        socket.begin_handshake_as(mode);
        socket.establish();
        Ok(socket)
    }
}

const fn mode_of(role: Role) -> Mode {
    match role {
        Role::Client => Mode::TlsClient,
        Role::Server => Mode::TlsServer,
    }
}

impl Socket {
    /// The handshake is done, and all of ours has left: leaves the records to the kernel, if it can.
    pub(super) fn leave_to_kernel(&mut self) {
        let Some(session) = &mut self.session else { return };
        let armed = match &self.transport {
            _ if !self.wire.is_empty() => Err(Unarmed::Declined(NoKernelTls::ReadAhead)),
            Transport::Up(Carrier(Kind::Tcp(tcp))) => arm(tcp, session),
            _ => Err(Unarmed::Declined(NoKernelTls::NotTcp)),
        };
        let state = match armed {
            Ok(state) => state,
            Err(Unarmed::Declined(why)) => {
                session.forget_traffic();
                self.watch.facts.kernel_tls = Some(Outcome::Declined(why));
                return;
            }
            Err(Unarmed::Broken(error)) => {
                let cause = Fault::Internal(format!("the kernel has half of the keys: {error}"));
                return self.end(Ending::FatalError { alert: None, cause });
            }
        };
        let rekeys = state.rekeys();
        self.watch.facts.kernel_tls = Some(Outcome::Armed { rekeys });
        let transport = std::mem::replace(&mut self.transport, Transport::Gone);
        if let (Transport::Up(Carrier(Kind::Tcp(tcp))), Some(session)) =
            (transport, self.session.take())
        {
            let kernel = KernelTls::new(tcp, state, Keeper::Here(Box::new(session)));
            self.transport = Transport::Up(Carrier(Kind::Kernel(Box::new(kernel))));
        }
    }

    /// Takes a stream apart whose records the kernel does, before anything was read or written. For the
    /// socket's listeners its life ends here, with [`Ending::Aborted`]; the connection is untouched.
    ///
    /// # Errors
    ///
    /// The socket itself, where the kernel does not, or bytes were moved.
    pub fn into_kernel_session(mut self) -> Result<KernelHandover, Box<Self>> {
        let is_open = self.state() == State::Established
            && self.goodbyes.ours() == Ours::Open
            && !self.goodbyes.theirs()
            && self.below.is_empty()
            && self.ahead.is_empty();
        match std::mem::replace(&mut self.transport, Transport::Gone) {
            Transport::Up(Carrier(Kind::Kernel(kernel))) if is_open => match kernel.into_parts() {
                Ok((tcp, session, keeper)) => match tcp.into_std() {
                    Ok(tcp) => Ok(KernelHandover { session, keeper, descriptor: tcp.into() }),
                    // The runtime is gone, and the stream with it.
                    Err(_) => Err(Box::new(self)),
                },
                Err(kernel) => {
                    self.transport = Transport::Up(Carrier(Kind::Kernel(kernel)));
                    Err(Box::new(self))
                }
            },
            other => {
                self.transport = other;
                Err(Box::new(self))
            }
        }
    }

    /// Sends the alert of a stream that is about to end, where the kernel does the records.
    pub(super) fn poll_last_words(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Transport::Up(Carrier(Kind::Kernel(kernel))) = &mut self.transport else {
            return Poll::Ready(());
        };
        if let Err(error) = ready!(kernel.poll_last_words(cx)) {
            self.write_failed(cx, error);
        }
        Poll::Ready(())
    }

    /// The session that answers for the handshake, where it is in this process.
    pub(super) fn tls_session(&self) -> Option<&Session> {
        self.session.as_ref().or_else(|| match self.kernel()?.keeper() {
            Keeper::Here(session) => Some(session),
            Keeper::Pool(_) => None,
        })
    }

    /// The kernel's part, where it does the records.
    pub(super) fn kernel(&self) -> Option<&KernelTls> {
        match &self.transport {
            Transport::Up(Carrier(Kind::Kernel(kernel))) => Some(kernel),
            _ => None,
        }
    }
}
