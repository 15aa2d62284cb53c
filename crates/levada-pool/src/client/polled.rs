//! The client for event loops: one descriptor to watch, requests by their numbers, news of them.

use std::collections::{BTreeMap, VecDeque};
use std::mem;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use levada_pool_wire::body::{Control as ControlBody, InfoKind, StartTls};
use levada_pool_wire::{
    CallKey, Chain, ControlKey, Cut, Document, ErrorCode, Facilities, Identity, Message, Report,
};
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::client::control::{Control, Event as Heard};
use crate::client::error::PoolError;
use crate::client::pages::Pages;
use crate::client::request::{self, LocalIdQuestion, PoolIdentity, Protected, TlsRequest};
use crate::client::sharing::pool_identity;

/// A client of a pool that never blocks: for event loops of any kind.
///
/// Watch its [descriptor](AsFd), for reading alone; it stays the same as long as the client lives. When it
/// is readable, call [`process`](Self::process), and take what came of it with
/// [`next_event`](Self::next_event) until there is nothing more.
///
/// When the pool goes away the requests under way end with [`PoolError::Gone`], and its sessions end;
/// the next request connects anew, at once or not at all.
///
/// Dropping it ends the sessions that it began, but for those that are detached or forked.
///
/// Bounds: 64 requests are with the pool at a time, any others wait here for their turn.
///
/// ```no_run
/// use std::net::TcpStream;
///
/// use levada_pool::TlsRequest;
/// use levada_pool::polled::{Client, Event, Outcome};
///
/// let mut pool = Client::connect("/run/levada/pool.sock")?;
/// let tcp = TcpStream::connect("orvelte.nep:443")?;
/// let asked = pool.start_tls(tcp, &TlsRequest::client("orvelte.nep")?)?;
/// // In an event loop: once the descriptor of `pool` is readable.
/// pool.process();
/// while let Some(event) = pool.next_event() {
///     if let Event::Done { asked: of, outcome } = event && of == asked {
///         let Outcome::Protected(protected) = outcome? else { unreachable!("what was asked for") };
///         println!("protected, with {:?}", protected.remote_id);
///     }
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Client {
    path: PathBuf,
    control: Control,
    /// Stands for the control connection of the moment, and for all that this is to be watched for.
    epoll: OwnedFd,
    /// What the connection is watched for there.
    armed: EventFlags,
    under_way: BTreeMap<CallKey, (Asked, Work)>,
    /// Those that the connection has no room for yet.
    waiting: VecDeque<(Asked, Box<Step>)>,
    events: VecDeque<Event>,
    last: u64,
}

/// The number of a request; its client gives it to no other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Asked(pub u64);

/// What came of a request.
#[derive(Debug)]
pub enum Event {
    /// The pool asks whether we stand for an identity, and waits: see [`Client::answer`].
    Question {
        /// The request that it is about.
        asked: Asked,
        /// The question.
        question: Box<LocalIdQuestion>,
    },
    /// The request is done.
    Done {
        /// The request that is no more.
        asked: Asked,
        /// What was asked for.
        outcome: Result<Outcome, PoolError>,
    },
}

/// What was asked for.
#[derive(Debug)]
pub enum Outcome {
    /// Of [`Client::start_tls`]; the plaintext socket does not block.
    Protected(Box<Protected>),
    /// Of [`Client::ping`].
    Pool(PoolIdentity),
    /// Of [`Client::report`].
    Report(Box<Report>),
    /// Of [`Client::peer_chain`].
    Chain(Chain),
    /// Of [`Client::export`] and [`Client::info`].
    Bytes(Vec<u8>),
    /// Of the others: it is done.
    Done,
}

/// What a request is waiting for.
#[derive(Debug)]
enum Work {
    /// That the pool takes the offer which goes before STARTTLS.
    Offer { body: Box<StartTls>, socket: OwnedFd },
    StartTls {
        control_key: ControlKey,
        question: Option<Box<LocalIdQuestion>>,
        plain: Option<UnixStream>,
    },
    /// The next page of a text.
    Pages { pages: Pages, of: Reading },
    /// One reply, which this makes sense of.
    Reply(fn(Message) -> Result<Outcome, PoolError>),
}

/// What a text is read for.
#[derive(Debug)]
enum Reading {
    Report,
    Chain,
    /// A handshake has failed so: the report tells more.
    Failure(PoolError),
}

/// What a request sends next, and what it waits for then.
#[derive(Debug)]
struct Step {
    message: Message,
    descriptor: Option<OwnedFd>,
    then: Work,
}

/// What follows a reply.
enum Next {
    Step(Box<Step>),
    Done(Result<Outcome, PoolError>),
}

impl Client {
    /// Connects to the pool that listens at `path`.
    ///
    /// # Errors
    ///
    /// [`PoolError::Unreachable`], or [`PoolError::Local`] where there is no descriptor to be had.
    pub fn connect(path: impl AsRef<Path>) -> Result<Self, PoolError> {
        let local = |error: rustix::io::Errno| PoolError::local(&error.into());
        let path = path.as_ref().to_path_buf();
        let control = Control::connect(&path)?;
        let epoll = epoll::create(CreateFlags::CLOEXEC).map_err(local)?;
        let mut client = Self {
            path,
            control,
            epoll,
            armed: EventFlags::empty(),
            under_way: BTreeMap::new(),
            waiting: VecDeque::new(),
            events: VecDeque::new(),
            last: 0,
        };
        client.arm()?;
        Ok(client)
    }

    /// Has the pool protect the connection of `socket`, which is the pool's from now on: an
    /// [`Outcome::Protected`]. The pool may ask about our identity before.
    ///
    /// # Errors
    ///
    /// [`PoolError`], as of every request: [`Unreachable`](PoolError::Unreachable) where the pool has gone
    /// away and not come back, [`AgainstTheRules`](PoolError::AgainstTheRules) and
    /// [`Local`](PoolError::Local). The socket is closed then.
    pub fn start_tls(
        &mut self,
        socket: impl Into<OwnedFd>,
        request: &TlsRequest,
    ) -> Result<Asked, PoolError> {
        let socket = socket.into();
        let (body, offer) = request.begin()?;
        self.begin(match offer {
            Some(message) => {
                let then = Work::Offer { body: Box::new(body), socket };
                Box::new(Step { message, descriptor: None, then })
            }
            None => start(body, socket),
        })
    }

    /// Answers the pool's question about our identity; `None` refuses, and the request fails.
    ///
    /// # Errors
    ///
    /// [`PoolError::Gone`] when nothing was asked any more.
    pub fn answer(&mut self, asked: Asked, identity: Option<Identity>) -> Result<(), PoolError> {
        let mut open = self.under_way.iter_mut().filter(|(_, (of, _))| *of == asked);
        let Some((&call, (_, Work::StartTls { question, .. }))) = open.next() else {
            return Err(PoolError::Gone);
        };
        let question = question.take().ok_or(PoolError::Gone)?;
        let answer = identity.map_or_else(request::refusal, |identity| question.accept(identity));
        self.control.answer(call, answer, None)?;
        self.arm()
    }

    /// Stops waiting for a request: nothing more is told of it. What it has begun ends.
    pub fn abandon(&mut self, asked: Asked) {
        self.waiting.retain(|(of, _)| *of != asked);
        self.events.retain(|event| event.asked() != asked);
        let found = self.under_way.iter().find(|(_, (of, _))| *of == asked);
        if let Some((&call, _)) = found {
            self.under_way.remove(&call);
            self.control.abandon(call);
            // What fails here is heard of by the others, or by nobody.
            let _ = self.arm();
        }
    }

    /// Asks the pool who it is, and which of the `facilities` it has: an [`Outcome::Pool`].
    ///
    /// # Errors
    ///
    /// As [`start_tls`](Self::start_tls).
    pub fn ping(&mut self, facilities: Facilities) -> Result<Asked, PoolError> {
        self.ask(request::ping(facilities), |reply| pool_identity(&reply).map(Outcome::Pool))
    }

    /// Asks what is known about a session so far, also after its end: an [`Outcome::Report`].
    ///
    /// # Errors
    ///
    /// As [`start_tls`](Self::start_tls).
    pub fn report(&mut self, control_key: ControlKey) -> Result<Asked, PoolError> {
        self.read(Document::Report, control_key, Reading::Report)
    }

    /// Asks for the certificates that the peer of a session has shown: an [`Outcome::Chain`].
    ///
    /// # Errors
    ///
    /// As [`start_tls`](Self::start_tls).
    pub fn peer_chain(&mut self, control_key: ControlKey) -> Result<Asked, PoolError> {
        self.read(Document::PeerChain, control_key, Reading::Chain)
    }

    /// Has `len` bytes (1 to 350) derived from a session's keys (RFC 5705, RFC 8446 section 7.5): an
    /// [`Outcome::Bytes`].
    ///
    /// # Errors
    ///
    /// As [`start_tls`](Self::start_tls).
    pub fn export(
        &mut self,
        control_key: ControlKey,
        label: &[u8],
        context: Option<&[u8]>,
        len: usize,
    ) -> Result<Asked, PoolError> {
        let message = request::export(control_key, label, context, len)?;
        self.ask(message, |reply| request::exported(&reply).map(Outcome::Bytes))
    }

    /// Asks for a fact about a session, or whether it is `fact`, as
    /// [`blocking::Client::info`](crate::blocking::Client::info): an [`Outcome::Bytes`].
    ///
    /// # Errors
    ///
    /// As [`start_tls`](Self::start_tls).
    pub fn info(
        &mut self,
        control_key: ControlKey,
        kind: InfoKind,
        fact: Option<&[u8]>,
    ) -> Result<Asked, PoolError> {
        let message = request::info(control_key, kind, fact)?;
        self.ask(message, |reply| request::fact(reply).map(Outcome::Bytes))
    }

    /// Lets a session live on when this client goes away.
    ///
    /// # Errors
    ///
    /// As [`start_tls`](Self::start_tls).
    pub fn detach(&mut self, control_key: ControlKey) -> Result<Asked, PoolError> {
        self.ask(Message::ControlDetach(ControlBody { flags: 0, control_key }), DONE)
    }

    /// Makes a detached session this client's own.
    ///
    /// # Errors
    ///
    /// As [`start_tls`](Self::start_tls).
    pub fn reattach(&mut self, control_key: ControlKey) -> Result<Asked, PoolError> {
        self.ask(Message::ControlReattach(ControlBody { flags: 0, control_key }), DONE)
    }

    /// Has a session cut: without a goodbye to the peer, who cannot take it for a clean end.
    ///
    /// # Errors
    ///
    /// As [`start_tls`](Self::start_tls).
    pub fn cut(&mut self, control_key: ControlKey) -> Result<Asked, PoolError> {
        self.ask(Cut { control_key }.into(), DONE)
    }

    /// Sends what waits and takes in what has come, without blocking. What came of it is among the events.
    pub fn process(&mut self) {
        // A loss is told to each request that it ends.
        let _ = self.control.process();
        while let Some(event) = self.control.next_event() {
            match event {
                Heard::Reply { call, reply } => {
                    if let Some((asked, work)) = self.under_way.remove(&call) {
                        match work.next(reply) {
                            Next::Step(step) => self.take(asked, step),
                            Next::Done(outcome) => self.done(asked, outcome),
                        }
                    }
                }
                Heard::Question { call, question } => self.hear(call, question),
            }
        }
        while !self.control.is_full()
            && let Some((asked, step)) = self.waiting.pop_front()
        {
            self.take(asked, step);
        }
        if let Err(error) = self.arm() {
            // Nobody would hear of the rest.
            for (asked, _) in mem::take(&mut self.under_way).into_values() {
                self.done(asked, Err(error.clone()));
            }
        }
    }

    /// What has come of requests, in the order in which it came.
    pub fn next_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Whether no request is under way, and no event waits to be taken.
    pub fn is_idle(&self) -> bool {
        self.under_way.is_empty() && self.waiting.is_empty() && self.events.is_empty()
    }

    /// Waits until there is something to [`process`](Self::process), for up to `limit`; `None` waits for
    /// ever. Whether there is.
    ///
    /// # Errors
    ///
    /// [`PoolError::Local`] when the system cannot wait.
    pub fn wait(&self, limit: Option<Duration>) -> Result<bool, PoolError> {
        let limit = limit.map(|limit| Timespec {
            tv_sec: limit.as_secs().try_into().unwrap_or(i64::MAX),
            tv_nsec: limit.subsec_nanos().into(),
        });
        let mut watched = [PollFd::new(&self.epoll, PollFlags::IN)];
        let ready = rustix::io::retry_on_intr(|| poll(&mut watched, limit.as_ref()));
        ready.map(|count| count > 0).map_err(|error| PoolError::local(&error.into()))
    }

    /// Makes a request with one reply.
    fn ask(
        &mut self,
        message: Message,
        reply: fn(Message) -> Result<Outcome, PoolError>,
    ) -> Result<Asked, PoolError> {
        self.begin(Box::new(Step { message, descriptor: None, then: Work::Reply(reply) }))
    }

    /// Reads a text, page by page.
    fn read(
        &mut self,
        document: Document,
        control_key: ControlKey,
        of: Reading,
    ) -> Result<Asked, PoolError> {
        match read_on(Pages::new(document, control_key), of) {
            Next::Step(first) => self.begin(first),
            // No text ends before its first page.
            Next::Done(_) => Err(request::out_of_place()),
        }
    }

    /// Makes a request, on a new connection where the pool has gone away.
    fn begin(&mut self, step: Box<Step>) -> Result<Asked, PoolError> {
        if self.under_way.is_empty() {
            // Nobody has looked since: a pool that has gone away shows now, and not in the reply.
            let _ = self.control.process();
        }
        if self.control.is_gone() {
            // Whatever was under way on the old one is told.
            self.process();
            self.control = Control::connect(&self.path)?;
            self.armed = EventFlags::empty();
        }
        self.last += 1;
        let asked = Asked(self.last);
        if self.control.is_full() {
            self.waiting.push_back((asked, step));
        } else {
            let call = self.control.call(step.message, step.descriptor)?;
            self.under_way.insert(call, (asked, step.then));
        }
        self.arm()?;
        Ok(asked)
    }

    /// Goes on with a request.
    fn take(&mut self, asked: Asked, step: Box<Step>) {
        if self.control.is_full() {
            return self.waiting.push_back((asked, step));
        }
        match self.control.call(step.message, step.descriptor) {
            Ok(call) => drop(self.under_way.insert(call, (asked, step.then))),
            Err(error) => {
                let outcome = match step.then {
                    Work::Pages { of: Reading::Failure(failure), .. } => failure,
                    _ => error,
                };
                self.done(asked, Err(outcome));
            }
        }
    }

    fn done(&mut self, asked: Asked, outcome: Result<Outcome, PoolError>) {
        self.events.push_back(Event::Done { asked, outcome });
    }

    /// The pool asks, and waits.
    fn hear(&mut self, call: CallKey, message: Message) {
        // A question that came with the end of the connection is answered with it.
        let Some((asked, work)) = self.under_way.get_mut(&call) else { return };
        let answered = match (work, message) {
            (Work::StartTls { question, .. }, Message::StartTlsLocalId(body)) => {
                let new = question.insert(Box::new(LocalIdQuestion::new(body))).clone();
                self.events.push_back(Event::Question { asked: *asked, question: new });
                return;
            }
            (Work::StartTls { plain, .. }, Message::PlaintextConnect(body)) => {
                pair().map_err(|error| PoolError::local(&error)).and_then(|(ours, theirs)| {
                    *plain = Some(ours);
                    let answer = Message::PlaintextConnect(body);
                    self.control.answer(call, answer, Some(theirs.into()))
                })
            }
            _ => self.control.decline(call),
        };
        if let Err(error) = answered {
            let asked = *asked;
            self.under_way.remove(&call);
            self.control.abandon(call);
            self.done(asked, Err(error));
        }
    }

    /// Has the descriptor stand for what the connection waits for now.
    fn arm(&mut self) -> Result<(), PoolError> {
        let mut wanted = EventFlags::empty();
        if !self.control.is_gone() {
            wanted = EventFlags::IN;
            wanted.set(EventFlags::OUT, self.control.wants_write());
        }
        if wanted == self.armed {
            return Ok(());
        }
        let (epoll, data) = (&self.epoll, EventData::new_u64(0));
        let armed = match (self.armed.is_empty(), wanted.is_empty()) {
            (true, _) => epoll::add(epoll, &self.control, data, wanted),
            (false, true) => epoll::delete(epoll, &self.control),
            (false, false) => epoll::modify(epoll, &self.control, data, wanted),
        };
        armed.map_err(|error| PoolError::local(&error.into()))?;
        self.armed = wanted;
        Ok(())
    }
}

impl AsFd for Client {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.epoll.as_fd()
    }
}

impl AsRawFd for Client {
    fn as_raw_fd(&self) -> RawFd {
        self.epoll.as_raw_fd()
    }
}

impl Event {
    /// The request that it is about.
    pub const fn asked(&self) -> Asked {
        match self {
            Self::Question { asked, .. } | Self::Done { asked, .. } => *asked,
        }
    }
}

impl Work {
    fn next(self, reply: Result<Message, PoolError>) -> Next {
        match (self, reply) {
            (Self::Offer { body, socket }, Ok(_)) => Next::Step(start(*body, socket)),
            (Self::StartTls { plain, .. }, Ok(reply)) => Next::Done(
                request::protected(reply, plain, None).map(Box::new).map(Outcome::Protected),
            ),
            (Self::StartTls { control_key, .. }, Err(error))
                if error.code() == Some(ErrorCode::HandshakeFailed) =>
            {
                let report = Pages::new(Document::Report, control_key);
                read_on(report, Reading::Failure(error))
            }
            (Self::Pages { mut pages, of }, Ok(reply)) => match (pages.take(&reply), of) {
                (Ok(()), of) => read_on(pages, of),
                (Err(_), Reading::Failure(failure)) => Next::Done(Err(failure)),
                (Err(error), _) => Next::Done(Err(error)),
            },
            (Self::Pages { of: Reading::Failure(failure), .. }, Err(_)) => Next::Done(Err(failure)),
            (Self::Reply(read), Ok(reply)) => Next::Done(read(reply)),
            (_, Err(error)) => Next::Done(Err(error)),
        }
    }
}

fn start(body: StartTls, socket: OwnedFd) -> Box<Step> {
    let control_key = body.control_key.clone();
    Box::new(Step {
        message: Message::StartTls(body),
        descriptor: Some(socket),
        then: Work::StartTls { control_key, question: None, plain: None },
    })
}

/// The next page, or what the whole text is.
fn read_on(pages: Pages, of: Reading) -> Next {
    if let Some(message) = pages.next_request() {
        let then = Work::Pages { pages, of };
        return Next::Step(Box::new(Step { message, descriptor: None, then }));
    }
    Next::Done(match of {
        Reading::Report => pages.report().map(Box::new).map(Outcome::Report),
        Reading::Chain => pages.chain().map(Outcome::Chain),
        Reading::Failure(failure) => Err(match pages.report() {
            Ok(report) => failure.told(report),
            Err(_) => failure,
        }),
    })
}

/// There is no more to a reply than that it came.
const DONE: fn(Message) -> Result<Outcome, PoolError> = |_| Ok(Outcome::Done);

/// Both ends of the plaintext; ours does not block.
fn pair() -> std::io::Result<(UnixStream, UnixStream)> {
    let (ours, theirs) = UnixStream::pair()?;
    ours.set_nonblocking(true)?;
    Ok((ours, theirs))
}
