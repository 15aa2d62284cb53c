//! Getting up: from nothing to established.

use std::task::{Context, Poll, ready};

use levada_core::{Deadline, Ending, Event, Ours, State, Step, TlsFacts};
use levada_tls::Engine;
use tokio::time::Instant;

use super::{Socket, Transport};
use crate::carrier::{Carrier, Ends};
use crate::dial::News;
use crate::pool::{Entrusted, PoolSession};

impl Socket {
    /// Ready when the socket is established, or has ended before it was.
    pub(super) fn poll_up(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while self.watch.state().is_before_established() {
            self.poll_alarm(cx);
            match &mut self.transport {
                Transport::Dialing(_) => ready!(self.poll_dial(cx)),
                Transport::Entrusted(_) => ready!(self.poll_entrusted(cx)),
                Transport::Up(_) => ready!(self.poll_handshake(cx)),
                // The alarm went off.
                Transport::Gone => break,
            }
        }
        Poll::Ready(())
    }

    fn poll_dial(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Transport::Dialing(dialing) = &mut self.transport else { return Poll::Ready(()) };
        let outcome = dialing.poll(cx);
        for (at, news) in dialing.news() {
            self.take_news(at, news);
        }
        match ready!(outcome) {
            Ok((carrier, ends)) => {
                self.watch.facts.times.connect = Some(self.watch.end_of_phase(Instant::now()));
                self.carried(carrier, ends);
            }
            Err(ending) => self.end(ending),
        }
        Poll::Ready(())
    }

    fn take_news(&mut self, at: Instant, news: News) {
        match news {
            News::Resolving => {
                self.watch.end_of_phase(at);
                self.watch.step(Step::Resolve);
            }
            News::Found { name, addresses } => {
                self.watch.facts.times.lookup = Some(self.watch.end_of_phase(at));
                self.watch.tell(|| Event::HostFound { name, addresses });
            }
            News::Attempt(address) => {
                if self.watch.state() != State::Connecting {
                    self.watch.end_of_phase(at);
                    self.watch.step(Step::Connect);
                }
                if let Some(address) = address {
                    self.watch.tell(|| Event::Attempt(address));
                }
            }
            News::AttemptFailed(address, error) => {
                self.watch.tell(|| Event::AttemptFailed(address, error));
            }
        }
    }

    /// The transport is up: a plain stream is established by that.
    pub(super) fn carried(&mut self, carrier: Carrier, ends: Ends) {
        self.watch.facts.local = ends.local;
        self.watch.facts.peer = ends.peer;
        self.transport = Transport::Up(carrier);
        self.watch.end_of_phase(Instant::now());
        self.watch.step(Step::Carry);
        match (&self.session, self.pool.take()) {
            (Some(_), _) => self.begin_handshake(),
            (None, Some(pool)) => self.entrust(*pool),
            (None, None) => self.establish(),
        }
    }

    /// Hands the transport to a pool, which runs the handshake.
    pub(super) fn entrust(&mut self, pool: PoolSession) {
        self.begin_handshake_as(pool.mode());
        let Transport::Up(carrier) = std::mem::replace(&mut self.transport, Transport::Gone) else {
            return;
        };
        if !self.wire.is_empty() {
            // The pool reads the transport alone.
            let text = "the first bytes were read: a pool needs the transport from its first byte";
            let error = std::io::Error::new(std::io::ErrorKind::Unsupported, text);
            return self.end(Ending::SocketError((&error).into()));
        }
        let limit = self.options.deadlines.of(Deadline::Handshake);
        self.transport = Transport::Entrusted(pool.entrust(carrier, limit));
    }

    fn poll_entrusted(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Transport::Entrusted(entrusting) = &mut self.transport else { return Poll::Ready(()) };
        match ready!(entrusting.poll(cx)) {
            Ok(Entrusted { carrier, tls, kernel_tls }) => {
                self.transport = Transport::Up(carrier);
                self.learn_of_tls(tls);
                self.watch.facts.kernel_tls = kernel_tls;
                let took = self.watch.end_of_phase(Instant::now());
                // What was done here before counts, too.
                let before = self.watch.facts.times.handshake.unwrap_or_default();
                self.watch.facts.times.handshake = Some(before + took);
                self.establish();
            }
            Err((ending, tls)) => {
                self.learn_of_tls(tls);
                self.end(ending);
            }
        }
        Poll::Ready(())
    }

    fn learn_of_tls(&mut self, tls: Option<Box<TlsFacts>>) {
        if tls.is_some() {
            self.watch.facts.tls = tls;
        }
    }

    fn poll_handshake(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            // Our flight may have to wait, but the peer may have something to say about it meanwhile.
            let _ = self.poll_write_wire(cx);
            if self.dying.is_some() {
                if ready!(self.poll_may_fall_back(cx)) {
                    self.fall_back();
                    return Poll::Ready(());
                }
                return self.poll_die(cx);
            }
            let Some(session) = &mut self.session else { return Poll::Ready(()) };
            if self.watch.ended().is_some() {
                return Poll::Ready(());
            }
            if !session.is_handshaking() {
                if self.options.kernel_tls {
                    // The kernel goes on behind our last record.
                    ready!(self.poll_write_wire(cx));
                    self.leave_to_kernel();
                    if self.watch.ended().is_some() {
                        return Poll::Ready(());
                    }
                }
                self.watch.facts.times.handshake = Some(self.watch.end_of_phase(Instant::now()));
                self.establish();
                return Poll::Ready(());
            }
            if session.peer_has_closed() {
                session.close();
                let unsent = self.queue.len() as u64;
                self.dying = Some(Box::new(Ending::CloseNotify { unsent }));
                continue;
            }
            if session.awaits().is_some() {
                ready!(self.poll_awaited(cx));
                if self.pass_through() {
                    return Poll::Ready(());
                }
                continue;
            }
            ready!(self.poll_take_in(cx, &mut []));
        }
    }

    pub(super) fn establish(&mut self) {
        #[cfg(feature = "http2")]
        if self.call() {
            return;
        }
        self.watch.step(Step::Establish);
        self.handshake_permit = None;
        self.set_alarm(Deadline::Idle);
        let queue = std::mem::take(&mut self.queue);
        match &mut self.session {
            Some(session) => {
                session.seal(&queue);
            }
            // It leaves with the next write, flush or read.
            None => self.below = queue,
        }
        if self.goodbyes.ours() == Ours::Asked {
            self.begin_goodbye();
        }
    }
}
