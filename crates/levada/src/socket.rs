//! The stream: one duplex byte stream whose whole life can be watched.

mod end;
#[cfg(feature = "http2")]
mod http2;
mod kernel;
mod options;
mod pass;
mod plaintext;
mod read;
mod up;
mod upgrade;
mod wait;
mod write;

pub use kernel::KernelHandover;
pub use options::{Options, TcpOptions};
pub use upgrade::UpgradeError;

use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::os::fd::BorrowedFd;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use levada_address::{ConnectEndpoint, Host};
use levada_core::{
    Deadline, Ended, Ending, Endpoint, Facts, Goodbyes, Mode, OsError, Ours, Role, Rule, State,
    TlsFacts, WhyPlain,
};
use levada_pool::SessionHandle;
use levada_tls::{ChannelBinding, Engine, ExporterError, KeyingMaterial, Session};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Sleep;

use crate::alarm::Alarm;
use crate::carrier::{Carrier, Ends};
use crate::dial::Dialing;
use crate::events::Events;
use crate::per_address::AddressPermit;
use crate::pool::{self, Entrusting, Layer, PoolSession, Wrapping};
use crate::proxy::Proxy;
use crate::resolve::{Resolve, SystemResolver};
use crate::wakers::Half;
use crate::watch::Watch;
use plaintext::PlaintextHook;

/// One secure duplex byte stream.
///
/// It is polled in line: no task runs for it, everything moves inside its own reads, writes, flushes
/// and shutdowns. Begin with [`Socket::dial`], [`Socket::adopt`] or
/// [`Listener::accept`](crate::Listener::accept); bytes may be written at once, they leave through
/// every asked-for layer when it is up.
///
/// # How it ends
///
/// Every socket ends with exactly one [`Ended`]: inside the error of the call that meets it
/// ([`Ended::of`]), as the last of its [events](Socket::events), and from [`Socket::closed`]. The
/// peer's goodbye reads as end of file; we may go on writing until our own
/// [`shutdown`](Socket::shutdown).
///
/// Dropping a socket whose shutdown has not resolved aborts it: what was not sent is lost, and the
/// peer sees a reset on plain TCP, and an end without close_notify on TLS. Neither can be taken for a
/// clean end.
///
/// # Cancel safety
///
/// All its futures and polls can be dropped at any time: nothing is lost by it.
#[derive(Debug)]
pub struct Socket {
    transport: Transport,
    session: Option<Session>,
    /// The TLS that a pool is to put around the transport, until the transport is up.
    pool: Option<Box<PoolSession>>,
    /// The call by HTTP/2, until the transport and its TLS are up.
    #[cfg(feature = "http2")]
    calling: Option<Box<crate::http2::client::Calling>>,
    watch: Watch,
    goodbyes: Goodbyes,
    /// The ending that is certain, while its alert goes out.
    dying: Option<Box<Ending>>,
    /// The transport's failure on writing, while what came before it is read.
    write_error: Option<Box<OsError>>,
    /// Whether TLS is being taken off: the stream goes on in plaintext after both close_notify.
    ending_tls: bool,
    /// Plain bytes accepted before the layers were up.
    queue: Vec<u8>,
    /// Plain bytes accepted before a layer was asked for: they go below it, before it.
    below: Vec<u8>,
    /// Bytes of the transport that the session has not taken: less than a record, mostly.
    wire: Vec<u8>,
    /// Plain bytes read ahead of the caller: behind a layer that was taken off, in front of one that
    /// was adopted with its first bytes read, or in search of the reason why writing failed.
    ahead: Vec<u8>,
    options: Arc<Options>,
    plaintext_hook: Option<Box<PlaintextHook>>,
    alarm: Option<Box<Alarm>>,
    /// While a signature is on its way: when it is late.
    signature_is_late: Option<Pin<Box<Sleep>>>,
    /// Held until the socket is established or has ended.
    handshake_permit: Option<OwnedSemaphorePermit>,
    /// Held until the socket has ended.
    permit: Option<OwnedSemaphorePermit>,
    /// As that, for the client that it came from.
    address_permit: Option<Box<AddressPermit>>,
}

#[derive(Debug)]
enum Transport {
    Dialing(Dialing),
    /// With somebody who gives it back in another form: a pool, which runs the handshake, or a
    /// connection of HTTP/2, which opens a stream.
    Entrusted(Entrusting),
    Up(Carrier),
    Gone,
}

impl Socket {
    /// Begins to connect to `endpoint`, and wraps the connection in `layer` if there is one.
    ///
    /// Nothing happens before the first poll: [`Socket::established`], a read, a write or a flush.
    pub fn dial(
        endpoint: ConnectEndpoint,
        layer: impl Into<Layer>,
        options: impl Into<Arc<Options>>,
    ) -> Self {
        Self::dial_by(Arc::new(SystemResolver), endpoint, layer, options)
    }

    /// Begins to connect as [`Socket::dial`] does, through `proxy` where there is one: it connects us to
    /// the host, whose name it looks up by itself. Endpoints that have no host are dialled without it.
    pub fn dial_through(
        proxy: Option<Proxy>,
        endpoint: ConnectEndpoint,
        layer: impl Into<Layer>,
        options: impl Into<Arc<Options>>,
    ) -> Self {
        Self::dial_all(Arc::new(SystemResolver), proxy, endpoint, layer.into(), options.into())
    }

    /// Begins to connect as [`Socket::dial`] does, with a resolver of the caller's.
    pub fn dial_by(
        resolver: Arc<dyn Resolve>,
        endpoint: ConnectEndpoint,
        layer: impl Into<Layer>,
        options: impl Into<Arc<Options>>,
    ) -> Self {
        Self::dial_all(resolver, None, endpoint, layer.into(), options.into())
    }

    fn dial_all(
        resolver: Arc<dyn Resolve>,
        proxy: Option<Proxy>,
        endpoint: ConnectEndpoint,
        layer: Layer,
        options: Arc<Options>,
    ) -> Self {
        let host = match &endpoint {
            ConnectEndpoint::Tcp { host: Host::Name(name), .. } => Some(name.clone()),
            ConnectEndpoint::Tcp { host, .. } if proxy.is_some() => Some(host.to_string()),
            _ => None,
        };
        let proxy = proxy.filter(|_| host.is_some());
        let between = proxy.as_ref().map(|proxy| proxy.address().without_user().to_string());
        let dialing = Dialing::new(endpoint, proxy, resolver, options.tcp, options.deadlines);
        let mut socket = Self::new(Transport::Dialing(dialing), layer, options);
        socket.watch.facts.host = host;
        socket.watch.facts.proxy = between;
        socket.watch.facts.role = Some(Role::Client);
        socket
    }

    /// Takes over a transport that is up, and wraps it in `layer` if there is one.
    pub fn adopt(
        carrier: impl Into<Carrier>,
        layer: impl Into<Layer>,
        options: impl Into<Arc<Options>>,
    ) -> Self {
        Self::adopt_with_prefix(carrier, Vec::new(), layer, options)
    }

    /// Takes over a transport that is up and that `prefix` was read from already: it is the first that
    /// the session, or without one the reader, gets. A pool cannot be given any: the socket ends then.
    pub fn adopt_with_prefix(
        carrier: impl Into<Carrier>,
        prefix: Vec<u8>,
        layer: impl Into<Layer>,
        options: impl Into<Arc<Options>>,
    ) -> Self {
        let carrier = carrier.into();
        let ends = carrier.ends();
        let mut socket = Self::new(Transport::Gone, layer.into(), options.into());
        if socket.is_bare() {
            socket.ahead = prefix;
        } else {
            socket.wire = prefix;
        }
        socket.carried(carrier, ends);
        socket
    }

    /// Takes over a transport that a client has opened, at these two ends.
    pub(crate) fn accepted(
        carrier: Carrier,
        ends: Ends,
        layer: Layer,
        options: Arc<Options>,
    ) -> Self {
        let mut socket = Self::new(Transport::Gone, layer, options);
        socket.watch.facts.role = Some(Role::Server);
        socket.carried(carrier, ends);
        socket
    }

    /// Hands the transport out again, with every byte that was read ahead of the caller. For the
    /// socket's listeners its life ends here, with [`Ending::Aborted`]; the transport is untouched.
    ///
    /// # Errors
    ///
    /// The socket itself, unless it is plain, established, open both ways, and all that was written
    /// has left (flush it first).
    pub fn into_carrier(mut self) -> Result<(Carrier, Vec<u8>), Box<Self>> {
        let open = self.goodbyes.ours() == Ours::Open && !self.goodbyes.theirs();
        let plain = self.state() == State::Established && self.mode() == Mode::Plain;
        if !open || !plain || !self.below.is_empty() {
            return Err(Box::new(self));
        }
        match std::mem::replace(&mut self.transport, Transport::Gone) {
            Transport::Up(carrier) => Ok((carrier, std::mem::take(&mut self.ahead))),
            other => {
                self.transport = other;
                Err(Box::new(self))
            }
        }
    }

    fn new(transport: Transport, layer: Layer, options: Arc<Options>) -> Self {
        let (session, pool) = match layer.0 {
            Wrapping::None => (None, None),
            Wrapping::Session(mut session) => {
                if options.kernel_tls {
                    session.for_kernel();
                }
                (Some(session), None)
            }
            Wrapping::Pool(pool) => (None, Some(Box::new(pool))),
        };
        let bare = session.is_none() && pool.is_none();
        let plain = bare.then_some(WhyPlain::Disabled);
        Self {
            transport,
            watch: Watch::new(Facts { plain, ..Facts::default() }),
            session,
            pool,
            #[cfg(feature = "http2")]
            calling: None,
            goodbyes: Goodbyes::new(options.close),
            dying: None,
            write_error: None,
            ending_tls: false,
            queue: Vec::new(),
            below: Vec::new(),
            wire: Vec::new(),
            ahead: Vec::new(),
            options,
            plaintext_hook: None,
            alarm: None,
            signature_is_late: None,
            handshake_permit: None,
            permit: None,
            address_permit: None,
        }
    }

    /// Where in its life the socket is.
    pub const fn state(&self) -> State {
        self.watch.state()
    }

    /// What is wrapped around the transport.
    pub const fn mode(&self) -> Mode {
        self.watch.life.mode()
    }

    /// How the socket ended; `None` while it lives.
    pub const fn ended(&self) -> Option<&Ended> {
        self.watch.ended()
    }

    /// What is known about the stream so far.
    pub fn facts(&self) -> Facts {
        if let Some(ended) = self.watch.ended() {
            return (*ended.facts).clone();
        }
        self.complete(self.watch.facts.clone())
    }

    /// Adds what others know.
    fn complete(&self, facts: Facts) -> Facts {
        let tls = self.tls_facts().or(facts.tls);
        Facts { first_goodbye: self.goodbyes.first(), tls, ..facts }
    }

    /// Whether no layer is, or is to be, around the transport.
    fn is_bare(&self) -> bool {
        self.session.is_none() && self.pool.is_none() && self.mode() == Mode::Plain
    }

    fn tls_facts(&self) -> Option<Box<TlsFacts>> {
        self.tls_session().map(|session| Box::new(session.facts()))
    }

    /// Derives `length` bytes that both ends of the TLS session have, and nobody else (RFC 5705, RFC
    /// 8446 section 7.5), for `label` (of ASCII, beginning with `EXPORTER-`) and `context`.
    ///
    /// With TLS in this process there is nothing to wait for; a pool is asked, and derives up to 350
    /// bytes for a label and a context of up to 254 bytes each and 334 together.
    ///
    /// # Errors
    ///
    /// [`ExporterError`], for what cannot be derived, and when there is no session: before the stream
    /// is established, behind its end, and where it is plain.
    ///
    /// # Cancel safety
    ///
    /// It can be called again. The future does not borrow the socket.
    pub fn export_keying_material(
        &self,
        label: &str,
        context: Option<&[u8]>,
        length: usize,
    ) -> impl Future<Output = Derived> + Send + use<> {
        let here = self
            .tls_session()
            .map(|session| session.export_keying_material(label, context, length));
        let by_pool =
            self.pool_session().map(|handle| pool::export(handle, label, context, length));
        derived(here, by_pool)
    }

    /// What binds a login on this stream to its TLS session, or to the server's certificate. A pool is
    /// asked, as for [keys](Self::export_keying_material).
    ///
    /// # Errors
    ///
    /// [`ExporterError`], where the binding is not defined, and when there is no session.
    ///
    /// # Cancel safety
    ///
    /// It can be called again. The future does not borrow the socket.
    pub fn channel_binding(
        &self,
        binding: ChannelBinding,
    ) -> impl Future<Output = Derived> + Send + use<> {
        let here = self.tls_session().map(|session| session.channel_binding(binding));
        let by_pool = self.pool_session().map(|handle| pool::channel_binding(handle, binding));
        derived(here, by_pool)
    }

    /// The certificates that the peer has shown in DER, its own first, verified or not; none before they
    /// were shown, behind the end of TLS, and where TLS is by a pool.
    pub fn peer_chain(&self) -> impl Iterator<Item = &[u8]> {
        self.tls_session().into_iter().flat_map(Session::peer_chain)
    }

    /// The descriptor of a TCP or Unix transport that is up: to look at it, or to set what
    /// [`TcpOptions`] has no field for. Whoever reads or writes it breaks the stream.
    pub fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        match &self.transport {
            Transport::Up(carrier) => carrier.descriptor(),
            Transport::Dialing(_) | Transport::Entrusted(_) | Transport::Gone => None,
        }
    }

    /// Has a read give the data of one TLS record at most, and never join two: for streams whose peer
    /// seals each message by itself. TLS promises nothing of it (RFC 8446 section 5.1). Without TLS, and
    /// before its handshake, it has no effect.
    pub fn keep_records_apart(&mut self) {
        if let Some(session) = &mut self.session {
            session.keep_records_apart();
        }
    }

    /// A listener for what happens from now on. A socket without one does no work for it.
    pub fn events(&mut self) -> Events {
        self.watch.events()
    }

    /// Waits until every asked-for layer is up. The last records of its handshake may still have to
    /// leave, where the transport is full; the next read, write or flush sees to that.
    ///
    /// # Errors
    ///
    /// The [`Ended`] inside, if the socket ends before.
    ///
    /// # Cancel safety
    ///
    /// It can be called again.
    pub async fn established(&mut self) -> io::Result<()> {
        poll_fn(|cx| self.poll_established(cx)).await
    }

    /// Polls until every asked-for layer is up.
    pub(crate) fn poll_established(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_half(Half::Write, cx, |socket, cx| {
            socket.poll_up(cx).map(|()| match socket.watch.ended() {
                Some(ended) if ended.phase.is_before_established() => Err(ended.clone().into()),
                // What it has come to since is for reads and writes to tell.
                _ => Ok(()),
            })
        })
    }

    /// Says goodbye behind all that was written, and resolves when both have left for the kernel.
    /// Reading goes on until the peer's goodbye.
    ///
    /// A socket that is not established yet and that nothing was written to is given up instead:
    /// [`Ending::ConnectFinalized`].
    ///
    /// # Errors
    ///
    /// The [`Ended`] inside, if the socket ended badly before that.
    ///
    /// # Cancel safety
    ///
    /// The goodbye stays asked for: any later poll, of reads too, goes on with it.
    pub async fn shutdown(&mut self) -> io::Result<()> {
        poll_fn(|cx| Pin::new(&mut *self).poll_shutdown(cx)).await
    }

    /// Waits for the end, and drives it: what we owe goes out, and what still comes is taken in and
    /// dropped, counted in [`Bytes::discarded`](levada_core::Bytes::discarded). Read to the end of
    /// file first, if you want it.
    ///
    /// This does not say goodbye: without a [`shutdown`](Socket::shutdown) it waits for the peer's
    /// and then for ever, but for the deadlines.
    pub async fn closed(&mut self) -> Ended {
        poll_fn(|cx| self.poll_end(cx)).await
    }

    /// Ends the socket at once with [`Ending::Aborted`]: what was not sent is lost. On plain TCP the
    /// peer sees a reset, over TLS an end without close_notify.
    pub fn abort(&mut self) {
        self.end(Ending::Aborted);
    }

    /// Ends an accepted socket before anything is said.
    pub(crate) fn refuse(&mut self, rule: Rule) {
        self.end(Ending::Refused(rule));
    }

    /// Polls for the end of a stream whose both goodbyes are asked for and received.
    pub(crate) fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<Ended> {
        self.poll_half(Half::Read, cx, Self::poll_closed)
    }

    /// Polls for what `work` waits for, on behalf of one half of the stream.
    fn poll_half<R>(
        &mut self,
        half: Half,
        cx: &mut Context<'_>,
        work: impl FnOnce(&mut Self, &mut Context<'_>) -> Poll<R>,
    ) -> Poll<R> {
        // On a plain transport that is up each half waits for its own direction alone.
        let is_bare = self.session.is_none() && self.kernel().is_none();
        if is_bare && !self.watch.state().is_before_established() {
            let result = work(self, cx);
            // But the end is for both: the other half may meet it, or the alarm wake that one alone.
            if result.is_pending() {
                self.watch.wakers.note(half, cx.waker());
            } else {
                self.watch.wakers.answered(half);
            }
            return result;
        }
        let waker = self.watch.wakers.wait(half, cx.waker());
        let result = work(self, &mut Context::from_waker(&waker));
        if result.is_ready() {
            self.watch.wakers.answered(half);
        }
        result
    }

    /// Sets the alarm for the phase that begins, instead of the one before.
    fn set_alarm(&mut self, deadline: Deadline) {
        let time = self.options.deadlines.of(deadline);
        self.alarm = time.map(|time| Box::new(Alarm::set(deadline, time, self.watch.moved())));
    }

    /// The pool's session, where a pool has run the handshake.
    fn pool_session(&self) -> Option<&SessionHandle> {
        match &self.transport {
            Transport::Up(carrier) => carrier.pool_session(),
            Transport::Dialing(_) | Transport::Entrusted(_) | Transport::Gone => None,
        }
    }

    /// The transport, while there is one.
    fn carrier(&mut self) -> Option<&mut Carrier> {
        match &mut self.transport {
            Transport::Up(carrier) => Some(carrier),
            Transport::Dialing(_) | Transport::Entrusted(_) | Transport::Gone => None,
        }
    }

    pub(crate) fn hold_until_established(&mut self, permit: Option<OwnedSemaphorePermit>) {
        self.handshake_permit = permit;
    }

    pub(crate) fn hold_until_ended(&mut self, permit: OwnedSemaphorePermit) {
        self.permit = Some(permit);
    }

    pub(crate) fn hold_for_address(&mut self, permit: AddressPermit) {
        self.address_permit = Some(Box::new(permit));
    }

    /// Who is at the other end of the transport.
    pub(crate) const fn peer(&self) -> Option<&Endpoint> {
        self.watch.facts.peer.as_ref()
    }
}

/// Keys of the session that is here, or else of the one that the pool has.
async fn derived(here: Option<Derived>, by_pool: Option<impl Future<Output = Derived>>) -> Derived {
    match (here, by_pool) {
        (Some(keys), _) => keys,
        (None, Some(asked)) => asked.await,
        (None, None) => Err(ExporterError::NoSession),
    }
}

type Derived = Result<KeyingMaterial, ExporterError>;

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.poll_half(Half::Read, cx, |socket, cx| socket.poll_take(cx, buf))
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(buf)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.poll_half(Half::Write, cx, |socket, cx| {
            let result = socket.poll_give(cx, bufs);
            socket.watch.writer(result)
        })
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_half(Half::Write, cx, |socket, cx| {
            let result = socket.poll_push(cx);
            socket.watch.writer(result)
        })
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_half(Half::Write, cx, |socket, cx| {
            let result = socket.poll_say_goodbye(cx);
            socket.watch.writer(result)
        })
    }
}
