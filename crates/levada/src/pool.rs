//! TLS by a pool: another process holds the keys, and our transport carries plaintext from there.

use std::fmt;
use std::future::Future;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use levada_core::{Ending, Fault, KernelTls, Mode, NoKernelTls, OsError, OsErrorKind, TlsFacts};
use levada_pool::wire::body::InfoKind;
use levada_pool::wire::{ErrorCode, KernelState, Role as PoolRole, StartTlsFlags, TextError};
use levada_pool::{Client, PoolError, SessionHandle, TlsRequest};
use levada_tls::{ChannelBinding, ExporterError, KernelSession, KeyingMaterial, Session};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::UnixStream;

use crate::carrier::{Carrier, Kind};
use crate::kernel::{self, Keeper};

/// TLS by the pool that listens at a path, in place of a [`TlsClient`](crate::TlsClient) or a
/// [`TlsServer`](crate::TlsServer): the private keys stay in the pool's process, and so do the
/// authorities to trust.
///
/// ```no_run
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use levada::{Options, PoolTls, Socket};
///
/// let endpoint = "tcp://orvelte.nep:443".parse::<levada::Address>()?.for_connecting()?.endpoint;
/// let tls = PoolTls::at("/run/levada/pool.sock");
/// let mut stream = Socket::dial(endpoint, tls.client("orvelte.nep")?, Options::default());
/// stream.established().await?;
/// # Ok(())
/// # }
/// ```
///
/// Where the kernel has TLS the connection comes back once the handshake is done, and the pool is no longer
/// on the way of its data; [`Facts::kernel_tls`](crate::Facts::kernel_tls) says so, or why not.
///
/// States, events, facts and endings are those of TLS in this process. Three things differ: the
/// counters of wire bytes count plaintext, since that is what this process moves;
/// [`end_tls`](crate::Socket::end_tls) has no effect; and the transport must be a TCP or Unix socket.
///
/// A pool of another make than Levada's cannot tell how the peer's direction ended, so every end of it
/// counts as truncation.
#[derive(Clone, Debug)]
pub struct PoolTls {
    client: Client,
    relay_only: bool,
}

impl PoolTls {
    /// The pool that listens at `path`. Nothing is connected before a stream needs it.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self { client: Client::at(path), relay_only: false }
    }

    /// Has all data go through the pool, also where the kernel could seal and open the records in this
    /// process: then this process never has their keys, and the pool sees how each session ends.
    #[must_use]
    pub fn relay_only(self) -> Self {
        Self { relay_only: true, ..self }
    }

    /// The pool's socket.
    pub fn path(&self) -> &Path {
        self.client.path()
    }

    /// TLS with us as the client; `peer` is whom the pool asks for and verifies.
    ///
    /// # Errors
    ///
    /// [`TextError`] for a name of more than 127 bytes, or with a NUL.
    pub fn client(&self, peer: &str) -> Result<PoolSession, TextError> {
        Ok(self.session(TlsRequest::client(peer)?))
    }

    /// TLS with us as the server, under whichever identity of the pool the peer asks for.
    pub fn server(&self) -> PoolSession {
        self.session(TlsRequest::server())
    }

    /// TLS as `request` says: with a service, application protocols, an identity of ours.
    pub fn session(&self, request: TlsRequest) -> PoolSession {
        let request = request.hand_back(!self.relay_only);
        PoolSession { client: self.client.clone(), request: Box::new(request) }
    }
}

/// One stream's TLS by a pool, before it has begun.
#[derive(Clone, Debug)]
pub struct PoolSession {
    client: Client,
    request: Box<TlsRequest>,
}

impl PoolSession {
    pub(crate) fn mode(&self) -> Mode {
        match self.request.role() {
            Some(PoolRole::Client) => Mode::TlsClient,
            _ => Mode::TlsServer,
        }
    }

    /// Hands the transport to the pool. `handshake` is how long that may take.
    pub(crate) fn entrust(self, carrier: Carrier, handshake: Option<Duration>) -> Entrusting {
        let Self { client, request } = self;
        Entrusting::new(async move {
            let network = carrier.into_fd().map_err(|error| (ending_of_io(&error), None))?;
            let wanted = request.wants_hand_back();
            let can = wanted && levada_sys::kernel_tls::is_supported();
            let request = request.timeout(handshake).hand_back(can);
            let session = client.start_tls(network, &request).await.map_err(ending_of)?;
            let outcome = session.protected().hand_back.clone();
            let (plain, handle) = session.into_parts();
            let tls = handle.tls_facts().await.map_err(ending_of)?;
            let opened = match outcome {
                Some(Ok(state)) => handed_back(plain, &state, handle),
                declined => {
                    // No kernel here to ask for it, or a pool that does not know it.
                    let unsupported = NoKernelTls::Unsupported;
                    let why = declined.and_then(Result::err).unwrap_or(unsupported);
                    relayed(plain, handle).map(|carrier| (carrier, KernelTls::Declined(why)))
                }
            };
            let (carrier, kernel_tls) = opened.map_err(|error| (ending_of_io(&error), None))?;
            let kernel_tls = Some(kernel_tls).filter(|_| wanted);
            Ok(Entrusted { carrier, tls: Some(Box::new(tls)), kernel_tls })
        })
    }
}

/// The plaintext that the pool relays.
fn relayed(plain: OwnedFd, handle: SessionHandle) -> io::Result<Carrier> {
    let unix = std::os::unix::net::UnixStream::from(plain);
    unix.set_nonblocking(true)?;
    let stream = UnixStream::from_std(unix)?;
    Ok(Pooled { stream, handle, is_drained: false, story: None, told: None }.into())
}

/// Our own socket again, whose records the kernel does.
fn handed_back(
    socket: OwnedFd,
    state: &KernelState,
    handle: SessionHandle,
) -> io::Result<(Carrier, KernelTls)> {
    let session = KernelSession::from_bytes(state.bytes()).map_err(|error| {
        let cause = Fault::Internal(format!("what the TLS pool hands back: {error}"));
        io::Error::other(Ending::FatalError { alert: None, cause })
    })?;
    let rekeys = session.rekeys();
    let keeper = Keeper::Pool(Box::new(handle));
    let kernel = kernel::KernelTls::adopt(socket, session, keeper)?;
    Ok((Carrier(Kind::Kernel(Box::new(kernel))), KernelTls::Armed { rekeys }))
}

pub(crate) type Outcome = Result<Entrusted, Failed>;

/// What comes back of a transport that was entrusted to somebody.
pub(crate) struct Entrusted {
    pub(crate) carrier: Carrier,
    /// What is known of TLS since.
    pub(crate) tls: Option<Box<TlsFacts>>,
    /// What came of kernel TLS, unless it was not to be.
    pub(crate) kernel_tls: Option<KernelTls>,
}

impl From<Carrier> for Entrusted {
    /// Nothing is new but the carrier.
    fn from(carrier: Carrier) -> Self {
        Self { carrier, tls: None, kernel_tls: None }
    }
}

/// How it ended, and what was agreed on until then.
type Failed = (Ending, Option<Box<TlsFacts>>);

/// A transport that is in somebody's hands, until it comes back as plaintext.
pub(crate) struct Entrusting(Pin<Box<dyn Future<Output = Outcome> + Send>>);

impl Entrusting {
    pub(crate) fn new(work: impl Future<Output = Outcome> + Send + 'static) -> Self {
        Self(Box::pin(work))
    }

    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Outcome> {
        self.0.as_mut().poll(cx)
    }
}

impl fmt::Debug for Entrusting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Entrusting")
    }
}

/// The plaintext side of a session of the pool.
///
/// A Unix socket cannot show how the peer's direction ended: at its end of file, and when it fails,
/// the pool is asked.
pub(crate) struct Pooled {
    stream: UnixStream,
    handle: SessionHandle,
    /// Nothing more comes from the socket.
    is_drained: bool,
    /// The pool is being asked.
    story: Option<Pin<Box<dyn Future<Output = Told> + Send>>>,
    told: Option<Told>,
}

/// What the pool says about the end: nothing for the peer's goodbye.
type Told = Result<(), Ending>;

impl fmt::Debug for Pooled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pooled").field("handle", &self.handle).finish_non_exhaustive()
    }
}

impl Pooled {
    pub(crate) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        if !self.is_drained {
            match ready!(Pin::new(&mut self.stream).poll_read(cx, buf)) {
                Ok(()) if buf.filled().len() > before => return Poll::Ready(Ok(())),
                // The end of file, or what ends a Unix socket that was closed with bytes unread.
                Ok(()) | Err(_) => self.is_drained = true,
            }
        }
        Poll::Ready(ready!(self.poll_story(cx)).map_err(io::Error::other))
    }

    pub(crate) fn poll_write_vectored(
        &mut self,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.told.is_none() && self.story.is_none() {
            match ready!(Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)) {
                Ok(count) => return Poll::Ready(Ok(count)),
                Err(error) if !is_closed(&error) => return Poll::Ready(Err(error)),
                Err(_) => {}
            }
        } else if let Some(Ok(())) = self.told {
            // The peer has only ended its own direction: ours is open until the socket says else.
            return Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        }
        match ready!(self.poll_story(cx)) {
            Ok(()) => Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
            Err(ending) => Poll::Ready(Err(io::Error::other(ending))),
        }
    }

    pub(crate) fn poll_finish(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match ready!(Pin::new(&mut self.stream).poll_shutdown(cx)) {
            Err(error) if is_closed(&error) => match ready!(self.poll_story(cx)) {
                Ok(()) => Poll::Ready(Ok(())),
                Err(ending) => Poll::Ready(Err(io::Error::other(ending))),
            },
            other => Poll::Ready(other),
        }
    }

    /// Has the pool cut the session, so that the peer cannot take our silence for a clean end. The
    /// plaintext socket stays open until the pool has heard of it.
    pub(crate) fn reset(&mut self) {
        if matches!(self.told, Some(Err(_))) {
            return;
        }
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        let plain = self.stream.as_fd().try_clone_to_owned();
        let handle = self.handle.clone();
        runtime.spawn(async move {
            // A pool of another make has no such command; what it sends the peer is its own.
            let _ = handle.cut().await;
            drop(plain);
        });
    }

    pub(crate) const fn handle(&self) -> &SessionHandle {
        &self.handle
    }

    fn poll_story(&mut self, cx: &mut Context<'_>) -> Poll<Told> {
        if let Some(told) = &self.told {
            return Poll::Ready(told.clone());
        }
        let story = self.story.get_or_insert_with(|| {
            let handle = self.handle.clone();
            Box::pin(async move { handle.peers_end().await })
        });
        let told = ready!(story.as_mut().poll(cx));
        self.story = None;
        self.told = Some(told.clone());
        Poll::Ready(told)
    }
}

/// Keys that a pool is asked for.
type KeysAsked = Pin<Box<dyn Future<Output = Result<KeyingMaterial, ExporterError>> + Send>>;

/// Has the pool derive keys from a session.
pub(crate) fn export(
    handle: &SessionHandle,
    label: &str,
    context: Option<&[u8]>,
    length: usize,
) -> KeysAsked {
    let (handle, label, context) = (handle.clone(), label.to_owned(), context.map(<[u8]>::to_vec));
    Box::pin(async move {
        let keys = handle.export(label.as_bytes(), context.as_deref(), length).await;
        keys.map(KeyingMaterial::given).map_err(|error| underivable(&error))
    })
}

/// Has the pool tell what binds a login to a session.
pub(crate) fn channel_binding(handle: &SessionHandle, binding: ChannelBinding) -> KeysAsked {
    let handle = handle.clone();
    Box::pin(async move {
        let told = match binding {
            ChannelBinding::TlsExporter => {
                handle.export(ChannelBinding::TLS_EXPORTER.as_bytes(), Some(&[]), 32).await
            }
            ChannelBinding::TlsServerEndPoint => {
                handle.info(InfoKind::TlsServerEndPoint, None).await
            }
        };
        told.map(KeyingMaterial::given).map_err(|error| match (binding, error.code()) {
            (ChannelBinding::TlsExporter, Some(ErrorCode::PrngUnavailable)) => {
                ExporterError::NotUnique
            }
            (ChannelBinding::TlsServerEndPoint, Some(ErrorCode::InfoNotFound)) => {
                ExporterError::NoHash
            }
            _ => underivable(&error),
        })
    })
}

/// Why there are no keys of a session of the pool.
fn underivable(error: &PoolError) -> ExporterError {
    match error.code() {
        Some(ErrorCode::ControlKeyNotFound | ErrorCode::ClientDisconnect) => {
            ExporterError::NoSession
        }
        _ => ExporterError::Pool(error.to_string()),
    }
}

fn is_closed(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset | io::ErrorKind::NotConnected
    )
}

fn ending_of(error: PoolError) -> Failed {
    match error {
        PoolError::Handshake { ending, tls } => (*ending, tls),
        other => (other.into(), None),
    }
}

fn ending_of_io(error: &io::Error) -> Ending {
    if error.kind() == io::ErrorKind::Unsupported {
        let text = "only a TCP or Unix socket can be handed to a TLS pool".to_owned();
        let kind = OsErrorKind::Unsupported;
        return Ending::SocketError(OsError { code: None, kind, text });
    }
    Ending::of(error).cloned().unwrap_or_else(|| Ending::SocketError(error.into()))
}

/// What a stream is to be wrapped in: nothing, TLS in this process, or TLS by a pool.
///
/// Made from whatever is at hand: `None`, `Some(session)`, a [`Session`] or a [`PoolSession`].
#[derive(Debug, Default)]
pub struct Layer(pub(crate) Wrapping);

#[derive(Debug, Default)]
pub(crate) enum Wrapping {
    #[default]
    None,
    Session(Session),
    Pool(PoolSession),
}

impl From<Session> for Layer {
    fn from(session: Session) -> Self {
        Self(Wrapping::Session(session))
    }
}

impl From<PoolSession> for Layer {
    fn from(session: PoolSession) -> Self {
        Self(Wrapping::Pool(session))
    }
}

impl From<Option<Session>> for Layer {
    fn from(session: Option<Session>) -> Self {
        session.map(Self::from).unwrap_or_default()
    }
}

/// What a listener wraps the streams in that it accepts.
///
/// Made from whatever is at hand: `None`, `Some(server)`, a [`TlsServer`](crate::TlsServer) or a
/// [`PoolSession`].
#[derive(Clone, Debug, Default)]
pub struct ServerLayer(Accepting);

#[derive(Clone, Debug, Default)]
enum Accepting {
    #[default]
    Plain,
    Tls(levada_tls::TlsServer),
    Pool(PoolSession),
}

impl ServerLayer {
    pub(crate) const fn tls(&self) -> Option<&levada_tls::TlsServer> {
        match &self.0 {
            Accepting::Tls(tls) => Some(tls),
            Accepting::Plain | Accepting::Pool(_) => None,
        }
    }

    pub(crate) const fn is_plain(&self) -> bool {
        matches!(self.0, Accepting::Plain)
    }

    /// The layer of one stream.
    pub(crate) fn layer(&self) -> Layer {
        match &self.0 {
            Accepting::Plain => Layer::default(),
            Accepting::Tls(tls) => tls.session().into(),
            Accepting::Pool(session) => session.clone().into(),
        }
    }

    /// Has a server of TLS go on as `newer` is set up.
    pub(crate) fn replace(&self, newer: &Self) {
        if let (Accepting::Tls(ours), Accepting::Tls(newer)) = (&self.0, &newer.0) {
            ours.replace(newer);
        }
    }
}

impl From<levada_tls::TlsServer> for ServerLayer {
    fn from(tls: levada_tls::TlsServer) -> Self {
        Self(Accepting::Tls(tls))
    }
}

impl From<PoolSession> for ServerLayer {
    fn from(session: PoolSession) -> Self {
        Self(Accepting::Pool(session))
    }
}

impl From<Option<levada_tls::TlsServer>> for ServerLayer {
    fn from(tls: Option<levada_tls::TlsServer>) -> Self {
        tls.map(Self::from).unwrap_or_default()
    }
}

/// The flags of a server whose clients prove who they are.
pub(crate) fn client_certificate(request: TlsRequest, required: bool) -> TlsRequest {
    let request = request.without(StartTlsFlags::IGNORE_REMOTEID);
    if required { request } else { request.with(StartTlsFlags::REQUEST_REMOTEID) }
}
