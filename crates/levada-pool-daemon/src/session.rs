//! One protected session: a task that relays, or keeps what is known of a session that was handed back, and
//! answers questions about it.

use std::future::{Future as _, poll_fn, ready};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use levada::{
    Bytes, ChannelBinding, Deadline, Ended, Ending, ExporterError, Facts, Identity, KeyingMaterial,
    Party, Relay, Socket,
};
use levada_pool_wire::{Chain, ErrorCode, Report};
use sha2::{Digest as _, Sha256};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Sleep, sleep};

use crate::notice::Notice;
use crate::plain::Plain;

/// How long an application that has closed its control connection may take to close the plain side
/// as well: a process that ends closes one descriptor after the other.
const GRACE: Duration = Duration::from_millis(250);

/// What others want of a session.
pub(crate) enum Inquiry {
    /// To look at it.
    Look(Box<dyn FnOnce(&mut Session) + Send>),
    /// Its owner is gone: it ends, unless the application has ended its side and only the tail is
    /// on its way.
    Orphan,
    /// It ends at once.
    Cut,
    /// Its application tells how it ended: of a session that was handed back nobody else can.
    Farewell(Box<Report>),
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
        look: impl FnOnce(&mut Session) -> T + Send + 'static,
    ) -> Option<T> {
        let (answer, answered) = oneshot::channel();
        // Who asked may have gone.
        self.show(move |session| drop(answer.send(look(session))));
        answered.await.ok()
    }

    /// Has `look` look at the session; it is dropped when the session has ended.
    pub(crate) fn show(&self, look: impl FnOnce(&mut Session) + Send + 'static) {
        self.tell(Inquiry::Look(Box::new(look)));
    }

    /// Tells the session. One that has ended needs no telling.
    pub(crate) fn tell(&self, inquiry: Inquiry) {
        let _ = self.0.send(inquiry);
    }
}

/// A session whose handshake is done.
pub(crate) struct Session {
    way: Way,
    /// Who we are to the peer, where we have shown it.
    own: Option<Identity>,
    /// SHA-256 of the chain that the peer has shown.
    peer_chain_sha256: Option<[u8; 32]>,
    inbox: mpsc::UnboundedReceiver<Inquiry>,
    handle: SessionHandle,
}

/// Which way its data goes.
pub(crate) enum Way {
    /// Through the pool.
    Relayed(Box<Relayed>),
    /// Past it: the kernel seals and opens the records on the application's own socket.
    HandedBack(Box<HandedBack>),
}

/// The two ends of a relay.
pub(crate) struct Relayed {
    tls: Socket,
    plain: Plain,
    relay: Relay,
    grace: Option<Pin<Box<Sleep>>>,
}

/// What is left of a session that goes on without the pool.
pub(crate) struct HandedBack {
    /// It derives keys and knows the certificates.
    keeper: Box<levada::Session>,
    facts: Facts,
    /// What is left of it, with the ending if the application has told.
    over: Option<Box<Report>>,
}

/// How a session was over.
pub(crate) enum Over {
    Relayed {
        tls: Ended,
        plain: Ended,
    },
    /// With the ending if the application has told.
    HandedBack(Box<Report>),
}

/// Keys that a session derives, at once or after a while.
type Derived = Pin<Box<dyn Future<Output = Result<KeyingMaterial, ExporterError>> + Send>>;

impl Way {
    pub(crate) fn relayed(tls: Socket, plain: Plain) -> Self {
        Self::Relayed(Box::new(Relayed { tls, plain, relay: Relay::default(), grace: None }))
    }

    pub(crate) fn handed_back(keeper: Box<levada::Session>, facts: Facts) -> Self {
        Self::HandedBack(Box::new(HandedBack { keeper, facts, over: None }))
    }

    pub(crate) const fn is_handed_back(&self) -> bool {
        matches!(self, Self::HandedBack(_))
    }

    /// The certificates that the peer has shown, its own first.
    fn peer_chain(&self) -> Box<dyn Iterator<Item = &[u8]> + '_> {
        match self {
            Self::Relayed(relayed) => Box::new(relayed.tls.peer_chain()),
            Self::HandedBack(handed) => Box::new(handed.keeper.peer_chain()),
        }
    }
}

impl Session {
    pub(crate) fn new(way: Way, own: Option<Identity>) -> Self {
        let (sender, inbox) = mpsc::unbounded_channel();
        let chain = Chain::encode(way.peer_chain());
        let peer_chain_sha256 = (!chain.is_empty()).then(|| Sha256::digest(chain).into());
        Self { way, own, peer_chain_sha256, inbox, handle: SessionHandle(sender) }
    }

    pub(crate) fn handle(&self) -> SessionHandle {
        self.handle.clone()
    }

    /// What is known about it.
    pub(crate) fn report(&self) -> Report {
        self.reported(match &self.way {
            Way::Relayed(relayed) => report(&relayed.tls.facts(), relayed.tls.ended()),
            Way::HandedBack(handed) => report(&handed.facts, None),
        })
    }

    /// A report of its stream, with what is known about it besides.
    pub(crate) fn reported(&self, report: Report) -> Report {
        Report { peer_chain_sha256: self.peer_chain_sha256, ..report }
    }

    /// The bytes that went through the pool; of those that go past it nothing is known.
    pub(crate) fn bytes(&self) -> Option<Bytes> {
        match &self.way {
            Way::Relayed(relayed) => Some(relayed.tls.facts().bytes),
            Way::HandedBack(_) => None,
        }
    }

    pub(crate) const fn own(&self) -> Option<&Identity> {
        self.own.as_ref()
    }

    pub(crate) const fn is_handed_back(&self) -> bool {
        self.way.is_handed_back()
    }

    pub(crate) fn peer_chain(&self) -> Box<dyn Iterator<Item = &[u8]> + '_> {
        self.way.peer_chain()
    }

    pub(crate) fn export_keying_material(
        &self,
        label: &str,
        context: Option<&[u8]>,
        length: usize,
    ) -> Derived {
        match &self.way {
            Way::Relayed(relayed) => {
                Box::pin(relayed.tls.export_keying_material(label, context, length))
            }
            Way::HandedBack(handed) => {
                Box::pin(ready(handed.keeper.export_keying_material(label, context, length)))
            }
        }
    }

    pub(crate) fn channel_binding(&self, binding: ChannelBinding) -> Derived {
        match &self.way {
            Way::Relayed(relayed) => Box::pin(relayed.tls.channel_binding(binding)),
            Way::HandedBack(handed) => Box::pin(ready(handed.keeper.channel_binding(binding))),
        }
    }

    /// Takes a ticket in that the application has got in our stead. One that is none is lost, and with it
    /// a resumption.
    pub(crate) fn take_ticket(&mut self, message: &[u8]) {
        if let Way::HandedBack(handed) = &mut self.way {
            let _ = handed.keeper.take_ticket(message);
        }
    }

    /// Relays until both sides have ended, or keeps what is known until nobody can ask any more.
    pub(crate) async fn run(&mut self) -> Over {
        poll_fn(|cx| self.poll(cx)).await
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Over> {
        loop {
            // Who is cut must not say goodbye first, whatever the plain side says by now.
            let mut looks = Vec::new();
            while let Poll::Ready(Some(inquiry)) = self.inbox.poll_recv(cx) {
                match (inquiry, &mut self.way) {
                    (Inquiry::Look(look), _) => looks.push(look),
                    (Inquiry::Orphan, Way::Relayed(relayed)) => relayed.lose_owner(),
                    (Inquiry::Cut, Way::Relayed(relayed)) => relayed.cut(),
                    // Of a relay the pool knows better.
                    (Inquiry::Farewell(_), Way::Relayed(_)) => {}
                    (Inquiry::Orphan | Inquiry::Cut, Way::HandedBack(handed)) => {
                        handed.end(Report::default());
                    }
                    (Inquiry::Farewell(report), Way::HandedBack(handed)) => {
                        handed.end(*report);
                    }
                }
            }
            let over = match &mut self.way {
                Way::Relayed(relayed) => relayed.poll(cx),
                Way::HandedBack(handed) => match handed.over.take() {
                    Some(report) => Poll::Ready(Over::HandedBack(report)),
                    None => Poll::Pending,
                },
            };
            // Behind the relay, so that whoever has seen the plain side end is told how.
            for look in looks {
                look(self);
            }
            let changed = match &mut self.way {
                Way::Relayed(relayed) => relayed.poll_grace(cx),
                Way::HandedBack(_) => false,
            };
            if over.is_ready() || !changed {
                return over;
            }
        }
    }
}

impl HandedBack {
    /// Its application tells how it ended, or is gone without that.
    fn end(&mut self, told: Report) {
        let tls = self.facts.tls.as_deref().cloned();
        self.over.get_or_insert_with(|| Box::new(Report { tls, ..told }));
    }
}

impl Relayed {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Over> {
        let relayed = self.relay.poll(cx, &mut self.tls, &mut self.plain.stream);
        relayed.map(|(tls, plain)| Over::Relayed { tls, plain })
    }

    fn lose_owner(&mut self) {
        self.grace.get_or_insert_with(|| Box::pin(sleep(GRACE)));
    }

    /// Cuts an orphan whose application has not let go in time, and tells whether it did.
    fn poll_grace(&mut self, cx: &mut Context<'_>) -> bool {
        let Some(grace) = &mut self.grace else { return false };
        if grace.as_mut().poll(cx).is_pending() {
            return false;
        }
        self.grace = None;
        let cuts = !self.plain.is_let_go();
        if cuts {
            self.cut();
        }
        cuts
    }

    fn cut(&mut self) {
        self.tls.abort();
        self.plain.stream.abort();
    }
}

impl Over {
    /// What is kept for the session's owner.
    pub(crate) fn report(&self) -> Report {
        match self {
            Self::Relayed { tls, .. } => report(&tls.facts, Some(tls)),
            Self::HandedBack(report) => (**report).clone(),
        }
    }

    pub(crate) fn notice(self, session: u64) -> Notice {
        match self {
            Self::Relayed { tls, plain } => Notice::Ended { session, tls, plain },
            Self::HandedBack(report) => Notice::LetGo { session, ending: report.ending },
        }
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
