//! A socket and HTTP/2: below it while it carries a connection, above it as one of its streams.

use std::sync::Arc;

use levada_core::{Facts, Mode, State, Step};

use super::{Options, Socket, Transport};
use crate::carrier::{Carrier, Ends};
use crate::http2::client::Calling;
use crate::pool::Layer;

impl Socket {
    /// Has the socket call by HTTP/2 once it is up: it is established as the stream that was opened, or
    /// as it is where the peer does not speak HTTP/2.
    pub(crate) fn calling(mut self, calling: Box<Calling>) -> Self {
        self.calling = Some(calling);
        self
    }

    /// As [`calling`](Self::calling), on a transport that is up.
    #[cfg(test)]
    pub(crate) fn adopt_calling(carrier: impl Into<Carrier>, calling: Box<Calling>) -> Self {
        let options = Options::default().into();
        let mut socket = Self::new(Transport::Gone, Layer::default(), options).calling(calling);
        let carrier = carrier.into();
        let ends = carrier.ends();
        socket.carried(carrier, ends);
        socket
    }

    /// A stream of a connection that has these facts.
    pub(crate) fn on_connection(
        carrier: Carrier,
        connection: &Facts,
        options: Arc<Options>,
    ) -> Self {
        let mut socket = Self::new(Transport::Gone, Layer::default(), options);
        let Facts { role, host, proxy, local, peer, plain, tls, .. } = connection.clone();
        socket.watch.facts = Facts { role, host, proxy, plain, tls, ..Facts::default() };
        socket.carried(carrier, Ends { local, peer });
        socket
    }

    /// Puts bytes back that were read from a plain socket: they are the next to be read.
    pub(crate) fn unread(&mut self, bytes: Vec<u8>) {
        self.watch.facts.bytes.read -= bytes.len() as u64;
        self.ahead.splice(..0, bytes);
    }

    /// Begins the call, where there is one to begin.
    pub(super) fn call(&mut self) -> bool {
        let Some(calling) = self.calling.take() else { return false };
        let tls = self.tls_facts();
        let Some(calling) = calling.settle(tls.as_deref()) else { return false };
        if self.watch.state() == State::Connected {
            self.begin_handshake_as(Mode::Plain);
        }
        let below = self.hand_over();
        self.transport = Transport::Entrusted(calling.call(below));
        true
    }

    /// Gives the transport, and the session around it, to a socket of their own. What was known of them
    /// stays known here.
    fn hand_over(&mut self) -> Self {
        let transport = std::mem::replace(&mut self.transport, Transport::Gone);
        let mut below = Self::new(transport, Layer::default(), Arc::clone(&self.options));
        self.watch.facts.tls = self.tls_facts();
        below.watch.facts = Facts { bytes: levada_core::Bytes::default(), ..self.facts() };
        below.session = self.session.take();
        below.wire = std::mem::take(&mut self.wire);
        below.watch.step(Step::Carry);
        below.watch.wrap(self.mode());
        below.establish();
        below
    }
}
