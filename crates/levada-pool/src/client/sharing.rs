//! The client for tokio: many exchanges on one control connection, opened anew when it is lost.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use levada_core::{Ending, TlsFacts};
use levada_pool_wire::body::{Control as ControlBody, InfoKind, Ping};
use levada_pool_wire::{
    Chain, ControlKey, Cut, Document, ErrorCode, Facilities, Identity, Message, Report,
};
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep, timeout};

use crate::client::connection::{Connection, News};
use crate::client::control::Control;
use crate::client::error::PoolError;
use crate::client::pages::{self, Pages};
use crate::client::request::{self, LocalIdQuestion, PoolIdentity, Protected, TlsRequest};

/// How long a pool that is not there is waited for.
const RECONNECT: Duration = Duration::from_secs(5);

/// The pause before the second attempt to connect; it doubles from one to the next, up to a second.
const FIRST_PAUSE: Duration = Duration::from_millis(20);

/// How long a pool may take for an answer that needs nobody else.
const REPLY: Duration = Duration::from_secs(10);

/// A client of a pool that all tasks of a program can share: clones are the same client.
///
/// Nothing is connected before the first request. When the pool goes away the requests under way
/// fail with [`PoolError::Gone`], and its sessions end; the next request connects anew, with pauses
/// that grow, for up to five seconds.
///
/// # Cancel safety
///
/// A call that is dropped is abandoned: the pool's questions about it are declined, and its reply
/// goes to nobody. The socket that went with it is the pool's, which closes it.
#[derive(Clone, Debug)]
pub struct Client {
    path: Arc<Path>,
    connection: Arc<Mutex<Option<Arc<Connection>>>>,
}

impl Client {
    /// A client of the pool that listens at `path`.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into().into(), connection: Arc::default() }
    }

    /// The pool's socket.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Asks the pool who it is, and which of the `facilities` it has.
    ///
    /// # Errors
    ///
    /// [`PoolError`].
    pub async fn ping(&self, facilities: Facilities) -> Result<PoolIdentity, PoolError> {
        let connection = self.connected().await?;
        let ping = request::ping(facilities);
        pool_identity(&soon(connection.exchange(ping)).await?)
    }

    /// Has the pool protect the connection of `socket`, which is the pool's from now on.
    ///
    /// A question about our identity is declined: see [`start_tls_with`](Self::start_tls_with).
    ///
    /// # Errors
    ///
    /// [`PoolError`]; the socket is closed then.
    pub async fn start_tls(
        &self,
        socket: impl Into<OwnedFd>,
        request: &TlsRequest,
    ) -> Result<Session, PoolError> {
        self.start_tls_with(socket, request, async |_| None).await
    }

    /// Has the pool protect the connection of `socket`; `local_id` is asked for the identity to
    /// stand for when the pool wants to know (with
    /// [`StartTlsFlags::LOCALID_CHECK`](levada_pool_wire::StartTlsFlags::LOCALID_CHECK)), and `None`
    /// refuses.
    ///
    /// # Errors
    ///
    /// [`PoolError`]; the socket is closed then.
    pub async fn start_tls_with(
        &self,
        socket: impl Into<OwnedFd>,
        request: &TlsRequest,
        mut local_id: impl AsyncFnMut(&LocalIdQuestion) -> Option<Identity>,
    ) -> Result<Session, PoolError> {
        let socket = socket.into();
        let (body, offer) = request.begin()?;
        let control_key = body.control_key.clone();
        let connection = self.connected().await?;
        if let Some(offer) = offer {
            soon(connection.exchange(offer)).await?;
        }
        let mut kept = None;
        if request.wants_hand_back() {
            let wish = request::hand_back(control_key.clone());
            if soon(connection.exchange(wish)).await.is_ok() {
                kept = Some(socket.try_clone().map_err(|error| PoolError::local(&error))?);
            }
        }
        let mut call =
            connection.call(Message::StartTls(body), Some(socket), kept.is_some()).await?;
        let mut plain = None;
        let reply = loop {
            match call.next().await {
                News::Question(Message::StartTlsLocalId(body)) => {
                    let question = LocalIdQuestion::new(body);
                    match local_id(&question).await {
                        Some(identity) => call.answer(question.accept(identity), None),
                        None => call.answer(request::refusal(), None),
                    }
                }
                News::Question(Message::PlaintextConnect(body)) => {
                    let (ours, theirs) =
                        UnixStream::pair().map_err(|error| PoolError::local(&error))?;
                    plain = Some(ours);
                    call.answer(Message::PlaintextConnect(body), Some(theirs.into()));
                }
                News::Question(_) => call.answer(request::refusal(), None),
                News::Reply(reply) => break reply,
            }
        };
        drop(call);
        match reply {
            Ok(message) => {
                let (asked, is_relayed) = (kept.is_some(), plain.is_some());
                let mut protected = request::protected(message, plain, kept)?;
                if asked {
                    let told = soon(connection.exchange(request::hand_back(control_key))).await;
                    protected.hand_back = request::handed_back(told, is_relayed)?;
                }
                Ok(Session { protected, connection })
            }
            Err(error) => Err(failure(&connection, control_key, error).await),
        }
    }

    /// Makes a detached session this client's own.
    ///
    /// # Errors
    ///
    /// [`PoolError`].
    pub async fn reattach(&self, control_key: ControlKey) -> Result<(), PoolError> {
        let body = ControlBody { flags: 0, control_key };
        let connection = self.connected().await?;
        soon(connection.exchange(Message::ControlReattach(body))).await.map(drop)
    }

    /// Every session of the pool that we may see, one JSON object a line.
    ///
    /// # Errors
    ///
    /// [`PoolError`].
    pub async fn sessions(&self) -> Result<String, PoolError> {
        let connection = self.connected().await?;
        read(&connection, Document::Sessions, ControlKey::default()).await?.text()
    }

    /// The control connection, opened anew if need be.
    pub(crate) async fn connected(&self) -> Result<Arc<Connection>, PoolError> {
        let mut current = self.connection.lock().await;
        if let Some(connection) = current.as_ref().filter(|connection| !connection.is_gone()) {
            return Ok(Arc::clone(connection));
        }
        let end = Instant::now() + RECONNECT;
        let mut pause = FIRST_PAUSE;
        loop {
            let error = match Control::connect(&self.path) {
                Ok(control) => {
                    let connection = Arc::new(Connection::new(control)?);
                    *current = Some(Arc::clone(&connection));
                    return Ok(connection);
                }
                Err(error) => error,
            };
            // A pool that was there may be on its way back. Where none ever was, none is expected.
            let again = matches!(
                &error,
                PoolError::Unreachable {
                    kind: io::ErrorKind::ConnectionRefused
                        | io::ErrorKind::NotFound
                        | io::ErrorKind::WouldBlock,
                    ..
                }
            );
            if current.is_none() || !again || Instant::now() + pause > end {
                return Err(error);
            }
            sleep(pause).await;
            pause = (pause * 2).min(Duration::from_secs(1));
        }
    }
}

/// A connection that the pool protects for us, as long as this is not dropped.
#[derive(Debug)]
pub struct Session {
    protected: Protected,
    connection: Arc<Connection>,
}

impl Session {
    /// What the handshake came to; the plaintext socket in it blocks.
    pub fn protected(&self) -> &Protected {
        &self.protected
    }

    /// The plaintext socket, and what stands for the session: it ends when that is dropped.
    pub fn into_parts(self) -> (OwnedFd, SessionHandle) {
        let Self { protected, connection } = self;
        let Protected { plain, control_key, local_id, remote_id, .. } = protected;
        (plain, SessionHandle { control_key, local_id, remote_id, connection })
    }
}

/// What stands for a session whose plaintext socket went elsewhere.
#[derive(Clone, Debug)]
pub struct SessionHandle {
    control_key: ControlKey,
    local_id: Identity,
    remote_id: Identity,
    connection: Arc<Connection>,
}

impl SessionHandle {
    /// The key to the session.
    pub fn control_key(&self) -> &ControlKey {
        &self.control_key
    }

    /// Who we are.
    pub fn local_id(&self) -> &Identity {
        &self.local_id
    }

    /// Who the peer is, verified; empty for a client that was not asked.
    pub fn remote_id(&self) -> &Identity {
        &self.remote_id
    }

    /// What is known about the session so far, also after its end.
    ///
    /// # Errors
    ///
    /// [`PoolError`]; a pool of another make refuses with
    /// [`ErrorCode::UnknownCommand`](levada_pool_wire::ErrorCode::UnknownCommand).
    pub async fn report(&self) -> Result<Report, PoolError> {
        report(&self.connection, self.control_key.clone()).await
    }

    /// What TLS agreed on. A pool of another make tells no more than the peer's name.
    ///
    /// # Errors
    ///
    /// [`PoolError`].
    pub async fn tls_facts(&self) -> Result<TlsFacts, PoolError> {
        request::tls_facts(self.report().await, &self.remote_id)
    }

    /// How the peer's direction ended, where the pool relays: a Unix socket cannot show it. Ask once it has.
    ///
    /// # Errors
    ///
    /// How, where it was not the peer's goodbye. A pool of another make cannot say, so that is
    /// [`Ending::SocketClose`].
    pub async fn peers_end(&self) -> Result<(), Ending> {
        request::peers_end(self.report().await)
    }

    /// The certificates that the peer has shown, while the session lives.
    ///
    /// # Errors
    ///
    /// [`PoolError`]; a pool of another make refuses with
    /// [`ErrorCode::UnknownCommand`](levada_pool_wire::ErrorCode::UnknownCommand).
    pub async fn peer_chain(&self) -> Result<Chain, PoolError> {
        read(&self.connection, Document::PeerChain, self.control_key.clone()).await?.chain()
    }

    /// Lets the session live on when this client goes away.
    ///
    /// # Errors
    ///
    /// [`PoolError`].
    pub async fn detach(&self) -> Result<(), PoolError> {
        let body = ControlBody { flags: 0, control_key: self.control_key.clone() };
        soon(self.connection.exchange(Message::ControlDetach(body))).await.map(drop)
    }

    /// Has the session cut: without a goodbye to the peer, who cannot take it for a clean end.
    ///
    /// # Errors
    ///
    /// [`PoolError`].
    pub async fn cut(&self) -> Result<(), PoolError> {
        soon(self.connection.exchange(Cut { control_key: self.control_key.clone() }.into()))
            .await
            .map(drop)
    }

    /// Tells how the session ended, where it was handed back: the pool cannot know, and keeps what it
    /// knows of the session until then. Behind that nothing can be asked about it.
    ///
    /// # Errors
    ///
    /// [`PoolError`].
    pub async fn farewell(&self, report: &Report) -> Result<(), PoolError> {
        self.send_pages(Document::Farewell, &report.encode()).await
    }

    /// Passes on a session ticket that came on the connection, where it was handed back: the message
    /// NewSessionTicket with its header.
    ///
    /// # Errors
    ///
    /// [`PoolError`]. A ticket that is lost costs a resumption, and nothing else.
    pub async fn ticket(&self, message: &[u8]) -> Result<(), PoolError> {
        self.send_pages(Document::Ticket, message).await
    }

    async fn send_pages(&self, document: Document, text: &[u8]) -> Result<(), PoolError> {
        for page in pages::of_text(document, &self.control_key, text) {
            soon(self.connection.exchange(page)).await?;
        }
        Ok(())
    }

    /// Derives `len` bytes (1 to 350) from the session's keys (RFC 5705, RFC 8446 section 7.5).
    ///
    /// # Errors
    ///
    /// [`PoolError`]; a label that the pool does not allow is refused.
    pub async fn export(
        &self,
        label: &[u8],
        context: Option<&[u8]>,
        len: usize,
    ) -> Result<Vec<u8>, PoolError> {
        let asked = request::export(self.control_key.clone(), label, context, len)?;
        request::exported(&soon(self.connection.exchange(asked)).await?)
    }

    /// A fact about the session, in DER for what is in a certificate. With `fact` of up to 334 bytes it
    /// is compared, which is all that can be done with a subjectAltName.
    ///
    /// # Errors
    ///
    /// [`PoolError`]; a fact that is not there, or is another one, is refused with
    /// [`ErrorCode::InfoNotFound`](levada_pool_wire::ErrorCode::InfoNotFound).
    pub async fn info(&self, kind: InfoKind, fact: Option<&[u8]>) -> Result<Vec<u8>, PoolError> {
        let asked = request::info(self.control_key.clone(), kind, fact)?;
        request::fact(soon(self.connection.exchange(asked)).await?)
    }
}

/// A failed handshake's own story, where the pool tells it.
async fn failure(connection: &Connection, key: ControlKey, error: PoolError) -> PoolError {
    if error.code() != Some(ErrorCode::HandshakeFailed) {
        return error;
    }
    match report(connection, key).await {
        Ok(report) => error.told(report),
        Err(_) => error,
    }
}

async fn report(connection: &Connection, key: ControlKey) -> Result<Report, PoolError> {
    read(connection, Document::Report, key).await?.report()
}

/// Reads a whole document, page by page.
async fn read(
    connection: &Connection,
    document: Document,
    key: ControlKey,
) -> Result<Pages, PoolError> {
    let mut pages = Pages::new(document, key);
    while let Some(asked) = pages.next_request() {
        let reply = soon(connection.exchange(asked)).await?;
        pages.take(&reply)?;
    }
    Ok(pages)
}

async fn soon<T>(work: impl Future<Output = Result<T, PoolError>>) -> Result<T, PoolError> {
    timeout(REPLY, work).await.unwrap_or(Err(PoolError::TimedOut))
}

pub(crate) fn pool_identity(reply: &Message) -> Result<PoolIdentity, PoolError> {
    let Message::Ping(Ping { producer, facilities }) = reply else {
        return Err(request::out_of_place());
    };
    let producer = String::from_utf8_lossy(producer.as_bytes()).into_owned();
    Ok(PoolIdentity { producer, facilities: *facilities })
}
