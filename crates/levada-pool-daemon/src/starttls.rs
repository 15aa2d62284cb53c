//! STARTTLS: from a passed socket to a protected session, one task for each request.

use std::fmt;
use std::future::poll_fn;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use levada::{
    AlertDescription, Carrier, Ended, Ending, HelloAnswer, KernelHandover, KernelSession,
    KernelTls, NoKernelTls, Options, Rule, SessionName, Socket, TlsFacts, TlsServer, Watched as _,
};
use levada_pool_wire::body::StartTls;
use levada_pool_wire::{
    ErrorCode, ExchangeKey, HandBackOutcome, Identity, KernelState, Message, Report, Role,
    StartTlsFlags,
};
use levada_sys::PeerCredentials;
use rustix::net::{Shutdown, SocketType, shutdown};
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};
use tokio::time::timeout;

use crate::chooser::{self, NoChoice, Wanted};
use crate::control::Event;
use crate::desk::{Desk, Hello};
use crate::names::verified;
use crate::plain::Plain;
use crate::policy::{Asker, ClientCertificate, Local, Policy, Wishes};
use crate::pool::Shared;
use crate::registry::Place;
use crate::service::NoAnswer;
use crate::session::{Session, Way, report};

/// One STARTTLS request, with all that its task needs.
pub(crate) struct Handshake {
    pub(crate) pool: Arc<Shared>,
    pub(crate) policy: Arc<Policy>,
    pub(crate) credentials: Arc<PeerCredentials>,
    pub(crate) request: StartTls,
    pub(crate) role: Role,
    pub(crate) alpn: Vec<Vec<u8>>,
    /// Whether the application wants its connection back under kernel TLS.
    pub(crate) hand_back: bool,
    pub(crate) place: Place,
    /// Held until the session has ended.
    pub(crate) permit: OwnedSemaphorePermit,
    pub(crate) asks: Asks,
}

/// The way from a handshake to the application.
pub(crate) struct Asks {
    pub(crate) exchange: ExchangeKey,
    pub(crate) events: mpsc::Sender<Event>,
}

/// What an application answered.
pub(crate) struct Answer {
    pub(crate) body: StartTls,
    pub(crate) descriptor: Option<OwnedFd>,
}

/// A handshake that is done: the reply, and the session that begins with it.
pub(crate) struct Protected {
    pub(crate) reply: StartTls,
    pub(crate) session: Session,
    /// What came of the wish for kernel TLS, where there was one.
    pub(crate) hand_back: Option<HandBackOutcome>,
    pub(crate) place: Place,
    pub(crate) names: (Identity, Identity),
    pub(crate) permit: OwnedSemaphorePermit,
}

/// Why there is no session: what the client is told, why, what a TLS client is told that waits for an
/// answer to its hello, and how TLS ended if it had begun.
pub(crate) struct Failed {
    pub(crate) code: ErrorCode,
    pub(crate) why: String,
    pub(crate) alert: AlertDescription,
    pub(crate) report: Option<Box<Report>>,
}

impl Failed {
    pub(crate) fn new(code: ErrorCode, why: impl fmt::Display) -> Self {
        let alert = AlertDescription::UNRECOGNIZED_NAME;
        Self { code, why: why.to_string(), alert, report: None }
    }
}

impl Asks {
    /// Asks the application. `None` when it declines, or does not answer in time: the exchange has
    /// ended then, and only the peer has to be told.
    async fn ask(&self, question: Message) -> Option<Answer> {
        let (answer, answered) = oneshot::channel();
        let event = Event::Ask { exchange: self.exchange, question, answer };
        self.events.send(event).await.ok()?;
        answered.await.ok()
    }
}

impl Handshake {
    /// Protects the connection `network`.
    pub(crate) async fn run(mut self, network: OwnedFd) -> Result<Box<Protected>, Failed> {
        let mut network = Some(network);
        let protected = self.protect(&mut network).await;
        if let Some(network) = network {
            // Nothing of TLS has begun. The application may hold the socket as well: closing ours would
            // leave the peer waiting, and a connection that is gone already needs no end.
            let _ = shutdown(&network, Shutdown::Both);
        }
        let Ends { way, own, names, hand_back } = protected?;
        let (local_id, remote_id) = names;
        let reply = self.request.protected(self.role, local_id, remote_id, self.place.key());
        Ok(Box::new(Protected {
            reply,
            session: Session::new(way, own),
            hand_back,
            place: self.place,
            names,
            permit: self.permit,
        }))
    }

    /// Takes the socket out of `network` once TLS begins on it.
    async fn protect(&mut self, network: &mut Option<OwnedFd>) -> Result<Ends, Failed> {
        let mut plain = None;
        let (mut tls, chosen) = match self.role {
            Role::Client => self.client(network).await?,
            Role::Server => self.server(network, &mut plain).await?,
        };
        tls.established().await.map_err(|error| handshake_failed(&tls, &error))?;
        let facts = tls.facts().tls.unwrap_or_default();
        let (local_id, own) = chosen.filter(|_| facts.identity.is_some()).unzip();
        let names = (local_id.unwrap_or_default(), self.remote_id(&facts)?);
        let (mut tls, declined) = match self.hand_back(tls, plain.is_some()) {
            Ok((way, state)) => return Ok(Ends { way, own, names, hand_back: Some(Ok(state)) }),
            Err(relayed) => *relayed,
        };
        let plain = match plain {
            Some(plain) => plain,
            None => self.ask_for_plain(names).await?,
        };
        let unusable = |error| Failed::new(ErrorCode::HandlerSetup, unusable_plain(&error));
        let plain = Plain::adopt(plain).map_err(unusable)?;
        if plain.keeps_borders() {
            tls.keep_records_apart();
        }
        let way = Way::relayed(tls, plain);
        Ok(Ends { way, own, names, hand_back: declined.map(Err) })
    }

    /// Leaves the way of the data, where the application has asked for that and the kernel can seal and
    /// open the records. Otherwise the stream again, and why not if it was asked.
    fn hand_back(&self, tls: Socket, has_plain: bool) -> Result<(Way, KernelState), Box<Relayed>> {
        let facts = tls.facts();
        let declined = match &facts.kernel_tls {
            _ if !self.hand_back => None,
            _ if has_plain => Some(NoKernelTls::PlainSide),
            Some(KernelTls::Declined(why)) => Some(why.clone()),
            Some(KernelTls::Armed { .. }) => {
                return match tls.into_kernel_session() {
                    // Our copy of the socket is closed with that: the application's close is the last.
                    Ok(KernelHandover { session, keeper, .. }) => {
                        const { assert!(KernelSession::MAX_LEN <= KernelState::MAX_LEN) };
                        let state = KernelState::new(&session.to_bytes()).unwrap_or_default();
                        Ok((Way::handed_back(keeper, facts), state))
                    }
                    Err(tls) => Err(Box::new((*tls, Some(NoKernelTls::ReadAhead)))),
                };
            }
            // It was not asked of the kernel.
            None => Some(NoKernelTls::Forbidden),
        };
        Err(Box::new((tls, declined)))
    }

    /// Begins as TLS client. Whom to expect has to be known: nothing is sent to just anybody.
    async fn client(&self, network: &mut Option<OwnedFd>) -> Result<(Socket, Chosen), Failed> {
        let no_tls = |why: &dyn fmt::Display| Failed::new(ErrorCode::TlsDriverSetup, why);
        let remote = text(&self.request.remote_id).map_err(|why| no_tls(&why))?;
        let domain = remote.rsplit_once('@').map_or(remote, |(_, domain)| domain);
        if domain.is_empty() {
            return Err(no_tls(&"a TLS client has to say whom it expects, in remoteid"));
        }
        let mut name = SessionName::new(domain).map_err(|error| no_tls(&error))?;
        if self.request.flags.contains(StartTlsFlags::WITHOUT_SNI) {
            name = name.without_sni();
        }
        let local = self.shown_to(remote).await?;
        let ready = match &local {
            Some(local) => Some((&**local, self.unlocked(local).await?)),
            None => None,
        };
        let shown = ready.as_ref().map(|(local, identity)| (*local, identity));
        let client = self.policy.client(shown, &self.wishes()).map_err(|denied| no_tls(&denied))?;
        let session = client.session(&name).map_err(|error| no_tls(&error))?;
        // Names of identities are short enough: they were looked up by such.
        let chosen =
            ready.and_then(|(local, identity)| Some((Identity::new(local.name()).ok()?, identity)));
        Ok((Socket::adopt(carrier(network)?, session, self.options()), chosen))
    }

    /// The identity that a TLS client shows to `remote`, if it shows any.
    async fn shown_to(&self, remote: &str) -> Result<Option<Arc<Local>>, Failed> {
        let no_tls = |why: &dyn fmt::Display| Failed::new(ErrorCode::TlsDriverSetup, why);
        let local = text(&self.request.local_id).map_err(|why| no_tls(&why))?;
        let asker = self.asker()?;
        if self.makes_local_id() {
            let made = self.policy.make(asker, local, Role::Client).await;
            return made.map(Some).map_err(|denied| no_tls(&denied));
        }
        let wanted = Wanted { asker, local, remote };
        chooser::choose(&self.pool, &self.policy, &wanted).await.map_err(|why| {
            let code = match &why {
                NoChoice::Denied(_) => ErrorCode::TlsDriverSetup,
                NoChoice::NoAnswer(NoAnswer::Unusable) => ErrorCode::BadCallbackResponse,
                NoChoice::NoAnswer(_) => ErrorCode::ClientRefusesCallback,
            };
            Failed::new(code, why)
        })
    }

    /// The identity with its key, for which a person may be waited for.
    async fn unlocked(&self, local: &Local) -> Result<levada::Identity, Failed> {
        local.held().open().await.map_err(|why| {
            let why = format_args!("{:?}: {why}", local.name());
            let failed = Failed::new(ErrorCode::TlsDriverSetup, why);
            Failed { alert: AlertDescription::INTERNAL_ERROR, ..failed }
        })
    }

    /// Begins as TLS server: the ClientHello comes, and is answered as policy and application say.
    async fn server(
        &mut self,
        network: &mut Option<OwnedFd>,
        plain: &mut Option<OwnedFd>,
    ) -> Result<(Socket, Chosen), Failed> {
        if !self.request.local_id.is_empty() && !self.asks_for_local_id() {
            // What the application may not have needs no client to fail.
            self.served().await?;
        }
        let nobody = || Failed::new(ErrorCode::TlsDriverSetup, "the policy has no server");
        let mut session = self.policy.undecided().ok_or_else(nobody)?.session();
        let desk = Arc::<Desk>::default();
        let hook = desk.clone();
        session.on_hello(move |hello| hook.pass(Hello { sni: hello.sni }));
        let mut tls = Socket::adopt(carrier(network)?, session, self.options());
        let heard = poll_fn(|cx| match (tls.poll_established(cx), desk.hello()) {
            (_, Some(hello)) => Poll::Ready(Ok(hello)),
            (Poll::Ready(up), None) => Poll::Ready(Err(up.err())),
            (Poll::Pending, None) => Poll::Pending,
        });
        let Hello { sni } = heard.await.map_err(|error| {
            handshake_failed(&tls, &error.unwrap_or_else(|| io::ErrorKind::InvalidData.into()))
        })?;
        let (answer, chosen) = match self.answer_hello(sni.as_deref(), plain).await {
            Ok((server, chosen)) => (HelloAnswer::Server(server), Ok(chosen)),
            Err(failed) => (HelloAnswer::Refuse(failed.alert), Err(failed)),
        };
        desk.answer(answer);
        match chosen {
            Ok(chosen) => Ok((tls, Some(chosen))),
            Err(failed) => {
                // The alert goes out with the end.
                let _ = timeout(FAREWELL, tls.established()).await;
                Err(failed)
            }
        }
    }

    /// Who answers a client that asks for `sni`.
    ///
    /// Source: TLS Pool protocol V2, STARTTLS, the server's role.
    async fn answer_hello(
        &mut self,
        sni: Option<&str>,
        plain: &mut Option<OwnedFd>,
    ) -> Result<(TlsServer, (Identity, levada::Identity)), Failed> {
        let failed = |why: &dyn fmt::Display| Failed::new(ErrorCode::HandshakeFailed, why);
        let preset = self.request.local_id;
        if let Some(sni) = sni
            && !preset.is_empty()
            && !preset.domain().eq_ignore_ascii_case(sni.as_bytes())
        {
            return Err(failed(&format_args!("the client asks for {sni:?}, who is somebody else")));
        }
        if preset.is_empty() {
            self.request.local_id =
                Identity::new(sni.unwrap_or_default()).map_err(|error| failed(&error))?;
        }
        if self.asks_for_local_id() {
            *plain = self.check_local_id().await?;
        }
        let is_the_peers_wish = preset.is_empty() && !self.asks_for_local_id();
        self.choose().await.map_err(|denied| match denied.code {
            // The application has named nobody, so it has not failed.
            ErrorCode::TlsDriverSetup if is_the_peers_wish => {
                Failed { code: ErrorCode::HandshakeFailed, ..denied }
            }
            _ => denied,
        })
    }

    fn makes_local_id(&self) -> bool {
        self.request.flags.contains(StartTlsFlags::LOCALID_ONTHEFLY)
    }

    fn asks_for_local_id(&self) -> bool {
        self.request.flags.contains(StartTlsFlags::LOCALID_CHECK)
    }

    /// The server for the local identity, and who that is.
    async fn choose(&self) -> Result<(TlsServer, (Identity, levada::Identity)), Failed> {
        let local = self.served().await?;
        let identity = self.unlocked(&local).await?;
        let server =
            self.policy.server(&local, &identity, self.client_certificate(), &self.wishes());
        let server = server.map_err(|denied| Failed::new(ErrorCode::TlsDriverSetup, denied))?;
        let wanted = self.request.local_id;
        let own = Identity::new(local.name()).unwrap_or_default();
        Ok((server, (if wanted.is_empty() { own } else { wanted }, identity)))
    }

    /// Who answers for the local identity, as the policy has it.
    async fn served(&self) -> Result<Arc<Local>, Failed> {
        let no_tls = |why: &dyn fmt::Display| Failed::new(ErrorCode::TlsDriverSetup, why);
        let wanted = text(&self.request.local_id).map_err(|why| no_tls(&why))?;
        let asker = self.asker()?;
        let served = if self.makes_local_id() {
            self.policy.make(asker, wanted, Role::Server).await
        } else if wanted.is_empty() {
            self.policy.default_server(asker).cloned()
        } else {
            self.policy.named(asker, wanted, Role::Server).cloned()
        };
        let served = served.map_err(|denied| no_tls(&denied))?;
        self.policy.client_auth(self.client_certificate()).map_err(|denied| no_tls(&denied))?;
        Ok(served)
    }

    /// Asks the application about the local identity, and takes what it says.
    async fn check_local_id(&mut self) -> Result<Option<OwnedFd>, Failed> {
        let proposal = self.request.local_id;
        let question = Message::StartTlsLocalId(self.request.clone());
        let answer = self.asks.ask(question).await.ok_or_else(declined)?;
        let identities = StartTlsFlags::REQUEST_REMOTEID.with(StartTlsFlags::IGNORE_REMOTEID);
        let kept = self.request.flags.without(identities);
        self.request.flags = kept.with(answer.body.flags.and(identities));
        // A descriptor approves whatever the text says: an empty one then approves the proposal.
        let said = answer.body.local_id;
        self.request.local_id = if said.is_empty() { proposal } else { said };
        Ok(answer.descriptor)
    }

    async fn ask_for_plain(
        &self,
        (local_id, remote_id): (Identity, Identity),
    ) -> Result<OwnedFd, Failed> {
        let question = StartTls { local_id, remote_id, ..self.request.clone() };
        let answer = self.asks.ask(Message::PlaintextConnect(question)).await;
        let answer = answer.ok_or_else(declined)?;
        let missing = || Failed::new(ErrorCode::PlainSocketNeeded, "no plain socket came");
        answer.descriptor.ok_or_else(missing)
    }

    /// The peer's name, where it was verified.
    fn remote_id(&self, facts: &TlsFacts) -> Result<Identity, Failed> {
        verified(facts, &self.request.remote_id, self.request.flags).map_err(|wrong| {
            let ending = Ending::Refused(Rule::San).before_established();
            let tls = Some(facts.clone());
            let report = Report { tls, ending: Some(ending), ..Report::default() };
            let code = ErrorCode::HandshakeFailed;
            Failed { report: Some(Box::new(report)), ..Failed::new(code, wrong) }
        })
    }

    /// The exchange has the deadline of the handshake: it covers the application's answers too. An
    /// application that still holds the socket must not keep its peer waiting.
    fn options(&self) -> Options {
        let mut options = Options::default();
        options.deadlines.handshake = None;
        options.hang_up = true;
        options.kernel_tls = self.hand_back && self.policy.allows_kernel_tls();
        options
    }

    fn wishes(&self) -> Wishes {
        let forgets = self.request.flags.contains(StartTlsFlags::IGNORE_CACHES);
        Wishes { alpn: self.alpn.clone(), forgets }
    }

    fn client_certificate(&self) -> ClientCertificate {
        let flags = self.request.flags;
        if flags.contains(StartTlsFlags::IGNORE_REMOTEID) {
            ClientCertificate::Ignored
        } else if flags.contains(StartTlsFlags::REQUEST_REMOTEID) {
            ClientCertificate::Requested
        } else {
            ClientCertificate::Required
        }
    }

    fn asker(&self) -> Result<Asker<'_>, Failed> {
        let service = self.request.service.as_str().ok_or_else(|| {
            Failed::new(ErrorCode::TlsDriverSetup, "the service's name is no UTF-8")
        })?;
        Ok(Asker { credentials: &self.credentials, service })
    }
}

/// Where the data of a session goes, and who met.
struct Ends {
    way: Way,
    own: Option<levada::Identity>,
    names: (Identity, Identity),
    hand_back: Option<HandBackOutcome>,
}

/// A stream to be relayed, and why it is not handed back, where that was asked for.
type Relayed = (Socket, Option<NoKernelTls>);

/// Who we may turn out to be: the name and the certificate.
type Chosen = Option<(Identity, levada::Identity)>;

/// Takes the network's socket for TLS.
fn carrier(network: &mut Option<OwnedFd>) -> Result<Carrier, Failed> {
    // It is taken once.
    let fd = network.take().ok_or_else(|| unusable_network(&io::ErrorKind::NotConnected.into()))?;
    let kind = rustix::net::sockopt::socket_type(&fd);
    let kind = kind.map_err(|error| unusable_network(&error.into()))?;
    if kind != SocketType::STREAM {
        let why = "TLS runs over stream sockets alone; there is no DTLS";
        return Err(Failed::new(ErrorCode::NotImplemented, why));
    }
    // On any other socket than one of TCP there is nothing to set.
    let _ = rustix::net::sockopt::set_tcp_nodelay(&fd, true);
    Carrier::from_fd(fd).map_err(|error| unusable_network(&error))
}

fn handshake_failed(tls: &Socket, error: &io::Error) -> Failed {
    let ended = Ended::of(error);
    let why = ended.map_or_else(|| error.to_string(), ToString::to_string);
    let report = Some(Box::new(report(&tls.facts(), ended)));
    Failed { report, ..Failed::new(ErrorCode::HandshakeFailed, why) }
}

/// The exchange has ended, and its client been told.
fn declined() -> Failed {
    Failed::new(ErrorCode::ClientRefusesCallback, "the application declined")
}

fn unusable_network(error: &io::Error) -> Failed {
    let why = format_args!("the passed descriptor cannot be used: {error}");
    Failed::new(ErrorCode::CipherSocketNeeded, why)
}

fn unusable_plain(error: &io::Error) -> String {
    format!("the passed plain socket cannot be used: {error}")
}

fn text(identity: &Identity) -> Result<&str, &'static str> {
    identity.as_str().ok_or("an identity is no UTF-8")
}

/// How long the last alert to a refused client may take to go out.
const FAREWELL: Duration = Duration::from_secs(1);

/// How long a handshake may take that states no time.
///
/// Source: TLS Pool protocol V2, STARTTLS.
pub(crate) const HANDSHAKE: Duration = Duration::from_secs(40);
