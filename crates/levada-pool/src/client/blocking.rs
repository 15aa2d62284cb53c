//! The client for programs that wait for one thing at a time.

use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use levada_pool_wire::body::{Control as ControlBody, InfoKind, Pin};
use levada_pool_wire::{Chain, ControlKey, Document, Facilities, Identity, Message, Report};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::client::control::{Control, Event};
use crate::client::error::PoolError;
use crate::client::pages::{self, Pages};
use crate::client::request::{self, LocalIdQuestion, PoolIdentity, Protected, SILENCE, TlsRequest};
use crate::client::services::{
    Choice, Chooser, Identities, IdentityQuestion, PinQuestion, Pins, Service,
};
use crate::client::sharing::pool_identity;

/// A client of a pool: one exchange at a time, and each call waits for its end.
///
/// The sessions that it began end when it is dropped, unless they were detached or forked.
///
/// ```no_run
/// use std::io::{Read, Write};
/// use std::net::TcpStream;
/// use std::os::unix::net::UnixStream;
///
/// use levada_pool::{TlsRequest, blocking};
///
/// let mut pool = blocking::Client::connect("/run/levada/pool.sock")?;
/// let tcp = TcpStream::connect("orvelte.nep:443")?;
/// let protected = pool.start_tls(tcp, &TlsRequest::client("orvelte.nep")?)?;
/// let mut plain = UnixStream::from(protected.plain);
/// plain.write_all(b"GET / HTTP/1.0\r\nHost: orvelte.nep\r\n\r\n")?;
/// plain.read_to_end(&mut Vec::new())?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Client(Control);

impl Client {
    /// Connects to the pool that listens at `path`.
    ///
    /// # Errors
    ///
    /// [`PoolError::Unreachable`].
    pub fn connect(path: impl AsRef<Path>) -> Result<Self, PoolError> {
        Control::connect(path).map(Self)
    }

    /// Asks the pool who it is, and which of the `facilities` it has.
    ///
    /// # Errors
    ///
    /// [`PoolError`].
    pub fn ping(&mut self, facilities: Facilities) -> Result<PoolIdentity, PoolError> {
        pool_identity(&self.exchange(request::ping(facilities))?)
    }

    /// Has the pool protect the connection of `socket`, which is the pool's from now on, and returns
    /// the plaintext socket, which blocks. A question about our identity is declined.
    ///
    /// # Errors
    ///
    /// [`PoolError`]; the socket is closed then.
    pub fn start_tls(
        &mut self,
        socket: impl Into<OwnedFd>,
        request: &TlsRequest,
    ) -> Result<Protected, PoolError> {
        self.start_tls_with(socket, request, |_| None)
    }

    /// Has the pool protect the connection of `socket`; `local_id` is asked for the identity to
    /// stand for when the pool wants to know, and `None` refuses.
    ///
    /// # Errors
    ///
    /// [`PoolError`]; the socket is closed then.
    pub fn start_tls_with(
        &mut self,
        socket: impl Into<OwnedFd>,
        request: &TlsRequest,
        mut local_id: impl FnMut(&LocalIdQuestion) -> Option<Identity>,
    ) -> Result<Protected, PoolError> {
        let (body, offer) = request.begin()?;
        if let Some(offer) = offer {
            self.exchange(offer)?;
        }
        let socket = socket.into();
        let control_key = body.control_key.clone();
        let mut kept = None;
        if request.hand_back && self.exchange(request::hand_back(control_key.clone())).is_ok() {
            kept = Some(socket.try_clone().map_err(|error| PoolError::local(&error))?);
        }
        let call = self.0.call(Message::StartTls(body), Some(socket))?;
        if kept.is_some() {
            self.0.may_be_handed_back(call);
        }
        let mut plain = None;
        loop {
            let (answer, descriptor) = match self.wait_for(request.patience())? {
                Event::Reply { call: of, reply } if of == call => {
                    let (asked, is_relayed) = (kept.is_some(), plain.is_some());
                    let mut protected = request::protected(reply?, plain, kept)?;
                    if asked {
                        let told = self.exchange(request::hand_back(control_key));
                        protected.hand_back = request::handed_back(told, is_relayed)?;
                    }
                    return Ok(protected);
                }
                Event::Question { call: of, question } if of == call => match question {
                    Message::StartTlsLocalId(body) => {
                        let question = LocalIdQuestion::new(body);
                        let answer = local_id(&question)
                            .map_or_else(request::refusal, |identity| question.accept(identity));
                        (answer, None)
                    }
                    Message::PlaintextConnect(body) => {
                        let (ours, theirs) =
                            UnixStream::pair().map_err(|error| PoolError::local(&error))?;
                        plain = Some(ours);
                        (Message::PlaintextConnect(body), Some(theirs.into()))
                    }
                    _ => (request::refusal(), None),
                },
                _ => continue,
            };
            self.0.answer(call, answer, descriptor)?;
        }
    }

    /// Lets a session live on when this client goes away.
    ///
    /// # Errors
    ///
    /// [`PoolError`].
    pub fn detach(&mut self, control_key: ControlKey) -> Result<(), PoolError> {
        self.exchange(Message::ControlDetach(ControlBody { flags: 0, control_key })).map(drop)
    }

    /// Makes a detached session this client's own.
    ///
    /// # Errors
    ///
    /// [`PoolError`].
    pub fn reattach(&mut self, control_key: ControlKey) -> Result<(), PoolError> {
        self.exchange(Message::ControlReattach(ControlBody { flags: 0, control_key })).map(drop)
    }

    /// What is known about a session so far, also after its end.
    ///
    /// # Errors
    ///
    /// [`PoolError`].
    pub fn report(&mut self, control_key: ControlKey) -> Result<Report, PoolError> {
        self.read(Document::Report, control_key)?.report()
    }

    /// The certificates that the peer of a session has shown.
    ///
    /// # Errors
    ///
    /// [`PoolError`]; of a session that has ended they are not kept.
    pub fn peer_chain(&mut self, control_key: ControlKey) -> Result<Chain, PoolError> {
        self.read(Document::PeerChain, control_key)?.chain()
    }

    /// Tells how a session ended that was handed back to us: the pool cannot know, and keeps what it knows
    /// of the session until then. Behind that nothing can be asked about it.
    ///
    /// # Errors
    ///
    /// [`PoolError`].
    pub fn farewell(&mut self, control_key: &ControlKey, report: &Report) -> Result<(), PoolError> {
        self.send_pages(Document::Farewell, control_key, &report.encode())
    }

    /// Passes on a session ticket that came on a connection which was handed back to us: the message
    /// NewSessionTicket with its header.
    ///
    /// # Errors
    ///
    /// [`PoolError`]. A ticket that is lost costs a resumption, and nothing else.
    pub fn ticket(&mut self, control_key: &ControlKey, message: &[u8]) -> Result<(), PoolError> {
        self.send_pages(Document::Ticket, control_key, message)
    }

    /// Derives `len` bytes (1 to 350) from a session's keys (RFC 5705, RFC 8446 section 7.5).
    ///
    /// # Errors
    ///
    /// [`PoolError`]; a label that the pool does not allow is refused.
    pub fn export(
        &mut self,
        control_key: ControlKey,
        label: &[u8],
        context: Option<&[u8]>,
        len: usize,
    ) -> Result<Vec<u8>, PoolError> {
        let asked = request::export(control_key, label, context, len)?;
        request::exported(&self.exchange(asked)?)
    }

    /// A fact about a session, in DER for what is in a certificate. With `fact` of up to 334 bytes it is
    /// compared, which is all that can be done with a subjectAltName.
    ///
    /// # Errors
    ///
    /// [`PoolError`]; a fact that is not there, or is another one, is refused with
    /// [`ErrorCode::InfoNotFound`](levada_pool_wire::ErrorCode::InfoNotFound).
    pub fn info(
        &mut self,
        control_key: ControlKey,
        kind: InfoKind,
        fact: Option<&[u8]>,
    ) -> Result<Vec<u8>, PoolError> {
        let asked = request::info(control_key, kind, fact)?;
        request::fact(self.exchange(asked)?)
    }

    /// Every session of the pool that we may see, one JSON object a line.
    ///
    /// # Errors
    ///
    /// [`PoolError`].
    pub fn sessions(&mut self) -> Result<String, PoolError> {
        self.read(Document::Sessions, ControlKey::default())?.text()
    }

    /// Enters PINs for the pool: `pin` is asked for each, `None` declines, and an answer may take `time`
    /// (up to 71 minutes; 0 has the pool say). Returns when the pool lets us go, for an answer that came
    /// too late too, or is gone.
    pub fn serve_pins(
        &mut self,
        time: Duration,
        pin: impl FnMut(&PinQuestion) -> Option<Pin>,
    ) -> PoolError {
        self.serve(Pins { time }, pin)
    }

    /// Chooses for the pool which identity its TLS clients show: `choose` is asked about each server,
    /// and `None` refuses the connection. Returns as [`serve_pins`](Self::serve_pins).
    pub fn serve_identities(
        &mut self,
        chooser: Chooser,
        choose: impl FnMut(&IdentityQuestion) -> Option<Choice>,
    ) -> PoolError {
        self.serve(Identities::new(chooser), choose)
    }

    fn serve<S: Service>(
        &mut self,
        mut service: S,
        mut ask: impl FnMut(&S::Question) -> Option<S::Answer>,
    ) -> PoolError {
        let call = match self.0.call(service.registration(), None) {
            Ok(call) => call,
            Err(error) => return error,
        };
        loop {
            let message = match self.wait_for(None) {
                Ok(Event::Question { call: of, question }) if of == call => question,
                Ok(Event::Reply { call: of, reply }) if of == call => {
                    return reply.map_or_else(|error| error, |_| request::out_of_place());
                }
                Ok(_) => continue,
                Err(error) => return error,
            };
            let answer = match service.question(message) {
                Ok(question) => {
                    let said = ask(&question);
                    service.answer(said)
                }
                Err(answer) => *answer,
            };
            // That it comes too late shows in the reply.
            if let Err(error) = self.0.answer(call, answer, None) {
                return error;
            }
        }
    }

    /// Reads a whole document, page by page.
    fn read(&mut self, document: Document, key: ControlKey) -> Result<Pages, PoolError> {
        let mut pages = Pages::new(document, key);
        while let Some(asked) = pages.next_request() {
            let reply = self.exchange(asked)?;
            pages.take(&reply)?;
        }
        Ok(pages)
    }

    /// Sends a whole document, page by page.
    fn send_pages(
        &mut self,
        document: Document,
        key: &ControlKey,
        text: &[u8],
    ) -> Result<(), PoolError> {
        pages::of_text(document, key, text).try_for_each(|page| self.exchange(page).map(drop))
    }

    /// Makes a request that the pool asks nothing about, and waits for the reply.
    fn exchange(&mut self, message: Message) -> Result<Message, PoolError> {
        let asked = self.0.call(message, None)?;
        loop {
            match self.wait()? {
                Event::Reply { call, reply } if call == asked => return reply,
                _ => {}
            }
        }
    }

    /// Waits for what comes next.
    fn wait(&mut self) -> Result<Event, PoolError> {
        self.wait_for(Some(SILENCE))
    }

    /// Waits for what comes next, as long as that may take.
    fn wait_for(&mut self, limit: Option<Duration>) -> Result<Event, PoolError> {
        let limit = limit.map(|limit| Timespec {
            tv_sec: limit.as_secs().try_into().unwrap_or(i64::MAX),
            tv_nsec: limit.subsec_nanos().into(),
        });
        loop {
            if let Some(event) = self.0.next_event() {
                return Ok(event);
            }
            let mut flags = PollFlags::IN;
            flags.set(PollFlags::OUT, self.0.wants_write());
            let ready = {
                let mut watched = [PollFd::from_borrowed_fd(self.0.as_fd(), flags)];
                rustix::io::retry_on_intr(|| poll(&mut watched, limit.as_ref()))
            };
            match ready.map_err(|error| PoolError::local(&error.into()))? {
                0 => return Err(PoolError::TimedOut),
                // What comes of a loss is among the events.
                _ => drop(self.0.process()),
            }
            if self.0.is_gone() {
                return self.0.next_event().ok_or(PoolError::Gone);
            }
        }
    }
}
