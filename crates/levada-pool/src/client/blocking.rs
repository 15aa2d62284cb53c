//! The client for programs that wait for one thing at a time.

mod shared;
mod stream;

use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use levada_pool_wire::body::{Control as ControlBody, InfoKind, Pin};
use levada_pool_wire::{
    Chain, ControlKey, Cut, Document, ErrorCode, Facilities, Identity, Message, Report,
};

use self::shared::Shared;
pub use self::stream::Stream;
use crate::client::control::{Control, Event};
use crate::client::error::PoolError;
use crate::client::pages::{self, Pages};
use crate::client::request::{self, LocalIdQuestion, PoolIdentity, Protected, SILENCE, TlsRequest};
use crate::client::services::{
    Choice, Chooser, Identities, IdentityQuestion, PinQuestion, Pins, Service,
};
use crate::client::sharing::pool_identity;

/// A client of a pool, each call of which waits for its end. Threads can share it: clones are the same client,
/// on one control connection, and no call waits for another's.
///
/// The sessions that it began end when the last clone and the last [`Stream`] are dropped, unless they were
/// detached or forked.
///
/// Bounds: 64 requests are with the pool at a time, any others wait here for their turn.
///
/// ```no_run
/// use std::io::{Read, Write};
/// use std::net::TcpStream;
///
/// use levada_pool::{TlsRequest, blocking};
///
/// let pool = blocking::Client::connect("/run/levada/pool.sock")?;
/// let tcp = TcpStream::connect("orvelte.nep:443")?;
/// let mut stream = pool.stream(tcp, &TlsRequest::client("orvelte.nep")?)?;
/// stream.write_all(b"GET / HTTP/1.0\r\nHost: orvelte.nep\r\n\r\n")?;
/// stream.read_to_end(&mut Vec::new())?;
/// stream.finish()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Client(Arc<Shared>);

impl Client {
    /// Connects to the pool that listens at `path`.
    ///
    /// # Errors
    ///
    /// [`PoolError::Unreachable`].
    pub fn connect(path: impl AsRef<Path>) -> Result<Self, PoolError> {
        Ok(Self(Arc::new(Shared::new(Control::connect(path)?))))
    }

    /// Asks the pool who it is, and which of the `facilities` it has.
    ///
    /// # Errors
    ///
    /// [`PoolError`].
    pub fn ping(&self, facilities: Facilities) -> Result<PoolIdentity, PoolError> {
        pool_identity(&self.exchange(request::ping(facilities))?)
    }

    /// Has the pool protect the connection of `socket`, and returns the stream of plaintext: under kernel TLS
    /// where that can be, through the pool elsewhere, and the same in both. A question about our identity is
    /// declined.
    ///
    /// # Errors
    ///
    /// [`PoolError`]; the socket is closed then.
    pub fn stream(
        &self,
        socket: impl Into<OwnedFd>,
        request: &TlsRequest,
    ) -> Result<Stream, PoolError> {
        self.stream_with(socket, request, |_| None)
    }

    /// As [`stream`](Self::stream); `local_id` is asked as by [`start_tls_with`](Self::start_tls_with).
    ///
    /// # Errors
    ///
    /// [`PoolError`]; the socket is closed then.
    pub fn stream_with(
        &self,
        socket: impl Into<OwnedFd>,
        request: &TlsRequest,
        local_id: impl FnMut(&LocalIdQuestion) -> Option<Identity>,
    ) -> Result<Stream, PoolError> {
        Stream::open(self.clone(), socket.into(), request, local_id)
    }

    /// Has the pool protect the connection of `socket`, which is the pool's from now on, and returns
    /// the plaintext socket, which blocks: relayed, unless the request asks for a
    /// [hand-back](TlsRequest::hand_back). A question about our identity is declined.
    ///
    /// # Errors
    ///
    /// [`PoolError`]; the socket is closed then.
    pub fn start_tls(
        &self,
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
        &self,
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
        if request.wants_hand_back()
            && self.exchange(request::hand_back(control_key.clone())).is_ok()
        {
            kept = Some(socket.try_clone().map_err(|error| PoolError::local(&error))?);
        }
        let call = self.0.start_tls(Message::StartTls(body), socket, kept.is_some())?;
        let mut plain = None;
        loop {
            let (answer, descriptor) = match call.next(request.patience())? {
                Event::Reply { reply: Ok(reply), .. } => {
                    let (asked, is_relayed) = (kept.is_some(), plain.is_some());
                    let mut protected = request::protected(reply, plain, kept)?;
                    if asked {
                        let told = self.exchange(request::hand_back(control_key));
                        protected.hand_back = request::handed_back(told, is_relayed)?;
                    }
                    return Ok(protected);
                }
                Event::Reply { reply: Err(error), .. } => {
                    return Err(self.failure(control_key, error));
                }
                Event::Question { question, .. } => match question {
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
            };
            call.answer(answer, descriptor)?;
        }
    }

    /// A failed handshake's own story, where the pool tells it.
    fn failure(&self, control_key: ControlKey, error: PoolError) -> PoolError {
        if error.code() != Some(ErrorCode::HandshakeFailed) {
            return error;
        }
        match self.report(control_key) {
            Ok(report) => error.told(report),
            Err(_) => error,
        }
    }

    /// Lets a session live on when this client goes away.
    ///
    /// # Errors
    ///
    /// [`PoolError`].
    pub fn detach(&self, control_key: ControlKey) -> Result<(), PoolError> {
        self.exchange(Message::ControlDetach(ControlBody { flags: 0, control_key })).map(drop)
    }

    /// Makes a detached session this client's own.
    ///
    /// # Errors
    ///
    /// [`PoolError`].
    pub fn reattach(&self, control_key: ControlKey) -> Result<(), PoolError> {
        self.exchange(Message::ControlReattach(ControlBody { flags: 0, control_key })).map(drop)
    }

    /// Has a session cut: without a goodbye to the peer, who cannot take it for a clean end.
    ///
    /// # Errors
    ///
    /// [`PoolError`].
    pub fn cut(&self, control_key: ControlKey) -> Result<(), PoolError> {
        self.exchange(Cut { control_key }.into()).map(drop)
    }

    /// What is known about a session so far, also after its end.
    ///
    /// # Errors
    ///
    /// [`PoolError`].
    pub fn report(&self, control_key: ControlKey) -> Result<Report, PoolError> {
        self.read(Document::Report, control_key)?.report()
    }

    /// The certificates that the peer of a session has shown.
    ///
    /// # Errors
    ///
    /// [`PoolError`]; of a session that has ended they are not kept.
    pub fn peer_chain(&self, control_key: ControlKey) -> Result<Chain, PoolError> {
        self.read(Document::PeerChain, control_key)?.chain()
    }

    /// Tells how a session ended that was handed back to us: the pool cannot know, and keeps what it knows
    /// of the session until then. Behind that nothing can be asked about it.
    ///
    /// # Errors
    ///
    /// [`PoolError`].
    pub fn farewell(&self, control_key: &ControlKey, report: &Report) -> Result<(), PoolError> {
        self.send_pages(Document::Farewell, control_key, &report.encode())
    }

    /// Passes on a session ticket that came on a connection which was handed back to us: the message
    /// NewSessionTicket with its header.
    ///
    /// # Errors
    ///
    /// [`PoolError`]. A ticket that is lost costs a resumption, and nothing else.
    pub fn ticket(&self, control_key: &ControlKey, message: &[u8]) -> Result<(), PoolError> {
        self.send_pages(Document::Ticket, control_key, message)
    }

    /// Derives `len` bytes (1 to 350) from a session's keys (RFC 5705, RFC 8446 section 7.5).
    ///
    /// # Errors
    ///
    /// [`PoolError`]; a label that the pool does not allow is refused.
    pub fn export(
        &self,
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
        &self,
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
    pub fn sessions(&self) -> Result<String, PoolError> {
        self.read(Document::Sessions, ControlKey::default())?.text()
    }

    /// Enters PINs for the pool: `pin` is asked for each, `None` declines, and an answer may take `time`
    /// (up to 71 minutes; 0 has the pool say). Returns when the pool lets us go, for an answer that came
    /// too late too, or is gone.
    pub fn serve_pins(
        &self,
        time: Duration,
        pin: impl FnMut(&PinQuestion) -> Option<Pin>,
    ) -> PoolError {
        self.serve(Pins { time }, pin)
    }

    /// Chooses for the pool which identity its TLS clients show: `choose` is asked about each server,
    /// and `None` refuses the connection. Returns as [`serve_pins`](Self::serve_pins).
    pub fn serve_identities(
        &self,
        chooser: Chooser,
        choose: impl FnMut(&IdentityQuestion) -> Option<Choice>,
    ) -> PoolError {
        self.serve(Identities::new(chooser), choose)
    }

    fn serve<S: Service>(
        &self,
        mut service: S,
        mut ask: impl FnMut(&S::Question) -> Option<S::Answer>,
    ) -> PoolError {
        let call = match self.0.call(service.registration()) {
            Ok(call) => call,
            Err(error) => return error,
        };
        loop {
            let message = match call.next(None) {
                Ok(Event::Question { question, .. }) => question,
                Ok(Event::Reply { reply, .. }) => {
                    return reply.map_or_else(|error| error, |_| request::out_of_place());
                }
                Err(error) => return error,
            };
            let said = service.question(message).and_then(|question| ask(&question));
            let answer = service.answer(said);
            // That it comes too late shows in the reply.
            if let Err(error) = call.answer(answer, None) {
                return error;
            }
        }
    }

    /// Reads a whole document, page by page.
    fn read(&self, document: Document, key: ControlKey) -> Result<Pages, PoolError> {
        let mut pages = Pages::new(document, key);
        while let Some(asked) = pages.next_request() {
            let reply = self.exchange(asked)?;
            pages.take(&reply)?;
        }
        Ok(pages)
    }

    /// Sends a whole document, page by page.
    fn send_pages(
        &self,
        document: Document,
        key: &ControlKey,
        text: &[u8],
    ) -> Result<(), PoolError> {
        pages::of_text(document, key, text).try_for_each(|page| self.exchange(page).map(drop))
    }

    /// Makes a request that the pool asks nothing about, and waits for the reply.
    fn exchange(&self, message: Message) -> Result<Message, PoolError> {
        let call = self.0.call(message)?;
        loop {
            if let Event::Reply { reply, .. } = call.next(Some(SILENCE))? {
                return reply;
            }
        }
    }

    /// Sends a whole document, and waits for nothing: what has no room is lost.
    #[cfg(feature = "kernel-tls")]
    fn post(&self, document: Document, key: &ControlKey, text: &[u8]) {
        self.0.post(pages::of_text(document, key, text));
    }
}
