//! One protected session: a task that relays, and answers questions about it.

use std::future::{Future as _, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use levada::{Deadline, Ended, Ending, Facts, Identity, Party, Relay, Socket};
use levada_pool_wire::{Chain, ErrorCode, Report};
use sha2::{Digest as _, Sha256};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Sleep, sleep};

use crate::plain::Plain;

/// How long an application that has closed its control connection may take to close the plain side
/// as well: a process that ends closes one descriptor after the other.
const GRACE: Duration = Duration::from_millis(250);

/// What others want of a session.
pub(crate) enum Inquiry {
    /// To look at it.
    Look(Box<dyn FnOnce(&Session) + Send>),
    /// Its owner is gone: it ends, unless the application has ended its side and only the tail is
    /// on its way.
    Orphan,
    /// It ends at once.
    Cut,
}

/// The way to a session. The session ends by itself; a handle does not keep it.
///
/// What waits is bounded by the exchanges of those who ask.
#[derive(Clone)]
pub(crate) struct SessionHandle(mpsc::UnboundedSender<Inquiry>);

impl SessionHandle {
    /// What `look` sees; `None` when the session has ended.
    pub(crate) async fn look<T: Send + 'static>(
        &self,
        look: impl FnOnce(&Session) -> T + Send + 'static,
    ) -> Option<T> {
        let (answer, answered) = oneshot::channel();
        // Who asked may have gone.
        self.show(move |session| drop(answer.send(look(session))));
        answered.await.ok()
    }

    /// Has `look` look at the session; it is dropped when the session has ended.
    pub(crate) fn show(&self, look: impl FnOnce(&Session) + Send + 'static) {
        self.tell(Inquiry::Look(Box::new(look)));
    }

    /// Tells the session. One that has ended needs no telling.
    pub(crate) fn tell(&self, inquiry: Inquiry) {
        let _ = self.0.send(inquiry);
    }
}

/// A session whose handshake is done and whose plain side is there.
pub(crate) struct Session {
    tls: Socket,
    /// Who we are to the peer, where we have shown it.
    own: Option<Identity>,
    plain: Plain,
    /// SHA-256 of the chain that the peer has shown.
    peer_chain_sha256: Option<[u8; 32]>,
    relay: Relay,
    inbox: mpsc::UnboundedReceiver<Inquiry>,
    handle: SessionHandle,
    grace: Option<Pin<Box<Sleep>>>,
}

impl Session {
    pub(crate) fn new(tls: Socket, own: Option<Identity>, plain: Plain) -> Self {
        let (sender, inbox) = mpsc::unbounded_channel();
        let handle = SessionHandle(sender);
        let chain = Chain::encode(tls.peer_chain());
        let peer_chain_sha256 = (!chain.is_empty()).then(|| Sha256::digest(chain).into());
        let relay = Relay::default();
        Self { tls, own, plain, peer_chain_sha256, relay, inbox, handle, grace: None }
    }

    pub(crate) fn handle(&self) -> SessionHandle {
        self.handle.clone()
    }

    /// What is known about it.
    pub(crate) fn report(&self) -> Report {
        self.reported(&self.tls.facts(), self.tls.ended())
    }

    /// The same from what is left of its stream.
    pub(crate) fn reported(&self, facts: &Facts, ended: Option<&Ended>) -> Report {
        Report { peer_chain_sha256: self.peer_chain_sha256, ..report(facts, ended) }
    }

    pub(crate) const fn tls(&self) -> &Socket {
        &self.tls
    }

    pub(crate) const fn own(&self) -> Option<&Identity> {
        self.own.as_ref()
    }

    /// Relays until both sides have ended, and tells how each did, that of TLS first.
    pub(crate) async fn run(&mut self) -> (Ended, Ended) {
        poll_fn(|cx| self.poll(cx)).await
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<(Ended, Ended)> {
        loop {
            // Who is cut must not say goodbye first, whatever the plain side says by now.
            let mut looks = Vec::new();
            while let Poll::Ready(Some(inquiry)) = self.inbox.poll_recv(cx) {
                match inquiry {
                    Inquiry::Look(look) => looks.push(look),
                    Inquiry::Orphan => {
                        self.grace.get_or_insert_with(|| Box::pin(sleep(GRACE)));
                    }
                    Inquiry::Cut => self.cut(),
                }
            }
            let relayed = self.relay.poll(cx, &mut self.tls, &mut self.plain.stream);
            // Behind the relay, so that whoever has seen the plain side end is told how.
            for look in looks {
                look(self);
            }
            let mut changed = false;
            if let Some(grace) = &mut self.grace
                && grace.as_mut().poll(cx).is_ready()
            {
                self.grace = None;
                if !self.plain.is_let_go() {
                    self.cut();
                    changed = true;
                }
            }
            if relayed.is_ready() || !changed {
                return relayed;
            }
        }
    }

    fn cut(&mut self) {
        self.tls.abort();
        self.plain.stream.abort();
    }
}

/// What is known about a stream, as the private command tells it.
pub(crate) fn report(facts: &Facts, ended: Option<&Ended>) -> Report {
    let ending = ended.map(|ended| ended.ending.clone());
    let by_peer = facts.first_goodbye == Some(Party::Peer);
    let peer_goodbye = by_peer || ending == Some(Ending::Finished);
    let tls = facts.tls.as_deref().cloned();
    Report { tls, peer_goodbye, ending, ..Report::default() }
}

/// The report of a handshake that was given up from outside.
pub(crate) fn given_up(code: ErrorCode) -> Report {
    let ending = match code {
        ErrorCode::HandshakeFailed => Ending::TimedOut(Deadline::Handshake),
        _ => Ending::Aborted,
    };
    Report { ending: Some(ending.before_established()), ..Report::default() }
}
