//! Listening: sockets that others open.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

#[cfg(feature = "http2")]
use levada_address::Http;
use levada_address::{Family, Host, ListenEndpoint, UnixName};
use levada_core::{Endpoint, OsError, Rule};
use rustix::io::Errno;
use socket2::{Domain, Protocol, SockAddr, Socket as RawSocket, Type};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio::time::sleep;

use crate::carrier::{Carrier, Ends, unix_endpoint};
use crate::dial::kernel_name;
#[cfg(feature = "http2")]
use crate::http2::server::{Guest, Hall};
use crate::per_address::PerAddress;
use crate::pool::ServerLayer;
use crate::socket::{Options, Socket, TcpOptions};
use crate::stream::Stream;
use crate::ws::{OwnOrigin, Page, ServerOptions, WsStream};

/// Connections that the kernel holds for us until we accept them; it may hold fewer (`somaxconn`).
const BACKLOG: i32 = 4096;

/// Accepts sockets.
///
/// [`accept`](Listener::accept) gives each as soon as its transport is up: its own polls drive its
/// handshake, so a client that says nothing stops nobody else.
#[derive(Debug)]
pub struct Listener {
    kind: Kind,
    local: Option<Endpoint>,
    layer: ServerLayer,
    options: Arc<Options>,
    handshakes: Option<Arc<Semaphore>>,
    connections: Option<Arc<Semaphore>>,
    per_address: Option<Arc<PerAddress>>,
    web_socket: Option<ServerOptions>,
    /// Where those come in that are greeted before it is known what they speak.
    #[cfg(feature = "http2")]
    hall: Option<Hall>,
    accepting: watch::Sender<bool>,
    short: watch::Sender<Option<OsError>>,
}

#[derive(Debug)]
enum Kind {
    Tcp(TcpListener),
    /// With the path that is to be removed.
    Unix(UnixListener, Option<PathBuf>),
    /// Whether it was accepted.
    Stdio(AtomicBool),
}

impl Listener {
    /// Listens at `endpoint`, and wraps what it accepts in `layer` if there is one.
    ///
    /// A host name is looked up; its first usable address is listened at. A path whose socket nobody
    /// listens at any more is taken over. Standard input and output are accepted once.
    ///
    /// # Errors
    ///
    /// The system's: address in use, not ours, not allowed, …
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime that has io enabled.
    pub async fn bind(
        endpoint: &ListenEndpoint,
        layer: impl Into<ServerLayer>,
        options: impl Into<Arc<Options>>,
    ) -> io::Result<Self> {
        let options = options.into();
        let kind = match endpoint {
            ListenEndpoint::Tcp { host: None, port, family } => {
                Kind::Tcp(listen_everywhere(*port, *family, options.tcp)?)
            }
            ListenEndpoint::Tcp { host: Some(Host::Ip(ip)), port, .. } => {
                Kind::Tcp(listen_tcp(SocketAddr::new(*ip, *port), false, options.tcp)?)
            }
            ListenEndpoint::Tcp { host: Some(Host::Name(name)), port, family } => {
                let mut addresses = tokio::net::lookup_host((name.as_str(), *port)).await?;
                let address = addresses.find(|address| family.contains(address.ip()));
                let address = address.ok_or(io::ErrorKind::AddrNotAvailable)?;
                Kind::Tcp(listen_tcp(address, false, options.tcp)?)
            }
            ListenEndpoint::Unix(name) => listen_unix(name)?,
            ListenEndpoint::Stdio => Kind::Stdio(AtomicBool::new(false)),
            other => {
                let text = format!("{other:?} cannot be listened at");
                return Err(io::Error::new(io::ErrorKind::Unsupported, text));
            }
        };
        Ok(Self {
            local: kind.local(),
            kind,
            layer: layer.into(),
            options,
            handshakes: None,
            connections: None,
            per_address: None,
            web_socket: None,
            #[cfg(feature = "http2")]
            hall: None,
            accepting: watch::Sender::new(true),
            short: watch::Sender::new(None),
        })
    }

    /// Lets at most `count` accepted sockets be on their way to established at once. Those beyond are
    /// accepted and refused: they have ended with [`Rule::Limit`](levada_core::Rule::Limit) when
    /// [`accept`](Listener::accept) gives them.
    #[must_use]
    pub fn limit_handshakes(mut self, count: usize) -> Self {
        self.handshakes = Some(Arc::new(Semaphore::new(count.min(Semaphore::MAX_PERMITS))));
        self
    }

    /// Lets at most `count` accepted sockets live at once. Those beyond wait in the kernel, which
    /// refuses some when its own queue is full.
    #[must_use]
    pub fn limit_connections(mut self, count: usize) -> Self {
        self.connections = Some(Arc::new(Semaphore::new(count.min(Semaphore::MAX_PERMITS))));
        self
    }

    /// Lets at most `count` accepted sockets of one client live at once. Those beyond have ended with
    /// [`Rule::Limit`](levada_core::Rule::Limit) when [`accept`](Listener::accept) gives them.
    ///
    /// A client is known by its IPv4 address, or by the first 64 bits of an IPv6 one. One that has no
    /// address, at a Unix socket, is not limited.
    #[must_use]
    pub fn limit_connections_per_address(mut self, count: usize) -> Self {
        self.per_address = Some(PerAddress::new(count));
        self
    }

    /// Opens a WebSocket on every socket that is accepted.
    #[must_use]
    pub fn web_socket(mut self, options: ServerOptions) -> Self {
        self.web_socket = Some(options);
        self
    }

    /// Chooses the versions of HTTP that WebSockets are opened by; HTTP/1.1 alone unless said otherwise.
    /// Under TLS its server has to offer `h2` (and, for [`Http::Auto`], `http/1.1`) by ALPN.
    ///
    /// A connection of HTTP/2 carries up to 100 streams, and [`accept`](Listener::accept) gives each as
    /// one of its own, with the connection's addresses and TLS for its facts. A task drives what all of
    /// them share: it runs the TLS handshake too, so that a stream's own life begins behind that. Limits
    /// of handshakes and of one client's streams hold for each stream, the limit of connections for each
    /// connection. One that no stream uses ends after `deadline-handshake`; when the listener
    /// [closes](Self::close) or is dropped, clients are told to open no more (GOAWAY), and the streams
    /// that there are go on.
    #[cfg(feature = "http2")]
    #[must_use]
    pub fn http(mut self, http: Http) -> Self {
        self.hall = (http != Http::V1).then(|| Hall::new(http));
        self
    }

    /// Shows these pages to browsers that ask for them and for no WebSocket, and lets pages of this very
    /// server connect. It means nothing to a listener that opens no WebSocket.
    #[must_use]
    pub fn web_pages(mut self, pages: Vec<Page>) -> Self {
        if let Some(options) = &mut self.web_socket {
            let own = if self.layer.is_plain() { OwnOrigin::Plain } else { OwnOrigin::Tls };
            options.rules.pages = pages;
            options.rules.own_origin = own;
            for rules in &mut options.rules.others {
                rules.own_origin = own;
            }
        }
        self
    }

    /// Accepts nothing until [`resume`](Listener::resume): connections wait in the kernel.
    pub fn pause(&self) {
        self.accepting.send_replace(false);
    }

    /// Accepts again.
    pub fn resume(&self) {
        self.accepting.send_replace(true);
    }

    /// What the machine lacks for the next connection, descriptors or memory; `None` while it lacks
    /// nothing. [`accept`](Self::accept) waits it out.
    pub fn shortage(&self) -> watch::Receiver<Option<OsError>> {
        self.short.subscribe()
    }

    /// Where it listens: with the port that the system chose, if it was to choose one.
    pub fn local(&self) -> Option<Endpoint> {
        self.local.clone()
    }

    /// Waits for the next stream. It is still handshaking, or established where there is no layer.
    ///
    /// A lack of descriptors or memory is waited out: the connections wait in the kernel meanwhile.
    ///
    /// # Errors
    ///
    /// When the listener itself is broken; calling again is of no use then.
    ///
    /// # Cancel safety
    ///
    /// No connection is lost by dropping the call.
    pub async fn accept(&self) -> io::Result<Stream> {
        #[cfg(feature = "http2")]
        if let (Some(hall), Some(web_socket)) = (&self.hall, &self.web_socket) {
            return loop {
                let socket = tokio::select! {
                    stream = hall.accept() => break Ok(stream),
                    accepted = self.accept_socket() => match accepted {
                        Ok(socket) => socket,
                        Err(error) => break Err(error),
                    },
                };
                if let Some(stream) = self.greet(hall, web_socket, socket) {
                    break Ok(stream);
                }
            };
        }
        self.accept_socket().await.map(|socket| self.wrap(socket))
    }

    /// Closes: nobody can connect any more. What is given back accepts the streams that still come on
    /// connections which are there, those of [HTTP/2](Self::http).
    pub fn close(self) -> ClosedListener {
        #[cfg(feature = "http2")]
        let streams = {
            let mut listener = self;
            let hall = listener.hall.take();
            // Clients who are told so, find it so.
            drop(listener);
            hall.map(Hall::close)
        };
        #[cfg(not(feature = "http2"))]
        let streams = None;
        ClosedListener { streams }
    }

    /// Waits for the next transport, in the layer of the listener.
    async fn accept_socket(&self) -> io::Result<Socket> {
        let permit = match &self.connections {
            // Nobody closes it.
            Some(connections) => Arc::clone(connections).acquire_owned().await.ok(),
            None => None,
        };
        let mut pause = Duration::from_millis(5);
        loop {
            let error = match self.accept_carrier().await {
                Ok((carrier, ends)) => {
                    self.short.send_if_modified(|short| short.take().is_some());
                    return Ok(self.take(carrier, ends, permit));
                }
                Err(error) => error,
            };
            match shortage(&error) {
                Shortage::None => return Err(error),
                Shortage::OfThisConnection => {}
                Shortage::OfTheMachine => {
                    let short = Some(OsError::from(&error));
                    self.short.send_if_modified(|told| {
                        let is_news = *told != short;
                        *told = short;
                        is_news
                    });
                    sleep(pause).await;
                    pause = (pause * 2).min(Duration::from_secs(1));
                }
            }
        }
    }

    async fn accept_carrier(&self) -> io::Result<(Carrier, Ends)> {
        let mut accepting = self.accepting.subscribe();
        loop {
            // The sender is ours.
            let _ = accepting.wait_for(|&accepting| accepting).await;
            tokio::select! {
                biased;
                _ = accepting.wait_for(|&accepting| !accepting) => {}
                accepted = self.accept_next() => return accepted,
            }
        }
    }

    async fn accept_next(&self) -> io::Result<(Carrier, Ends)> {
        let (carrier, peer): (Carrier, _) = match &self.kind {
            Kind::Tcp(listener) => {
                let (stream, peer) = listener.accept().await?;
                (stream.into(), Endpoint::Ip(peer))
            }
            Kind::Unix(listener, _) => {
                let (stream, peer) = listener.accept().await?;
                (stream.into(), unix_endpoint(&peer))
            }
            Kind::Stdio(accepted) => {
                if accepted.swap(true, Ordering::Relaxed) {
                    std::future::pending::<()>().await;
                }
                (Carrier::stdio()?, Endpoint::Stdio)
            }
        };
        let local = match &self.local {
            // The client has chosen one of ours.
            Some(Endpoint::Ip(all)) if all.ip().is_unspecified() => carrier.local(),
            here => here.clone(),
        };
        Ok((carrier, Ends { local, peer: Some(peer) }))
    }

    /// Takes room for one more that is on its way up, or refuses it.
    fn handshake_permit(&self, socket: &mut Socket) -> Option<OwnedSemaphorePermit> {
        let is_on_its_way = socket.ended().is_none()
            && (self.web_socket.is_some() || socket.state().is_before_established());
        let handshakes = self.handshakes.as_ref().filter(|_| is_on_its_way)?;
        let permit = Arc::clone(handshakes).try_acquire_owned().ok();
        if permit.is_none() {
            socket.refuse(Rule::Limit);
        }
        permit
    }

    /// Has a task find out which version of HTTP is spoken; gives back what has ended already.
    #[cfg(feature = "http2")]
    fn greet(&self, hall: &Hall, web_socket: &ServerOptions, mut socket: Socket) -> Option<Stream> {
        let permit = self.handshake_permit(&mut socket);
        if socket.ended().is_some() {
            return Some(socket.into());
        }
        let guest = Guest {
            web_socket: web_socket.clone(),
            options: Arc::clone(&self.options),
            permit,
            handshakes: self.handshakes.clone(),
            per_address: self.per_address.clone(),
        };
        hall.greet(socket, guest);
        None
    }

    /// Wraps what is on its way up, if there is room for one more such.
    fn wrap(&self, mut socket: Socket) -> Stream {
        let permit = self.handshake_permit(&mut socket);
        match &self.web_socket {
            // One that has ended, since it is one too many, tells so best itself.
            Some(options) if socket.ended().is_none() => {
                WsStream::server(socket, options.clone()).holding_until_established(permit).into()
            }
            _ => {
                socket.hold_until_established(permit);
                socket.into()
            }
        }
    }

    fn take(&self, carrier: Carrier, ends: Ends, permit: Option<OwnedSemaphorePermit>) -> Socket {
        let options = Arc::clone(&self.options);
        let mut socket = Socket::accepted(carrier, ends, self.layer.layer(), options);
        if let Some(permit) = permit {
            socket.hold_until_ended(permit);
        }
        if let (Some(all), Some(Endpoint::Ip(peer))) = (&self.per_address, socket.peer()) {
            match all.admit(peer.ip()) {
                Some(permit) => socket.hold_for_address(permit),
                None => socket.refuse(Rule::Limit),
            }
        }
        socket
    }
}

/// A [`Listener`] that has closed.
#[derive(Debug)]
pub struct ClosedListener {
    streams: Option<mpsc::Receiver<Stream>>,
}

impl ClosedListener {
    /// Waits for a stream that a client has asked for before it knew of the end; `None` when all
    /// connections of HTTP/2 have ended, and at once where there are none. Whoever ends the process
    /// before takes the last bytes of their streams away from clients that are slow.
    ///
    /// # Cancel safety
    ///
    /// No stream is lost by dropping the call. Those that come when this is dropped are refused, so that
    /// their clients ask elsewhere (REFUSED_STREAM).
    pub async fn accept(&mut self) -> Option<Stream> {
        self.streams.as_mut()?.recv().await
    }
}

impl Kind {
    fn local(&self) -> Option<Endpoint> {
        match self {
            Self::Tcp(listener) => listener.local_addr().ok().map(Endpoint::Ip),
            Self::Unix(listener, _) => listener.local_addr().ok().as_ref().map(unix_endpoint),
            Self::Stdio(_) => Some(Endpoint::Stdio),
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if let Kind::Unix(_, Some(path)) = &self.kind {
            // Somebody may have removed it already.
            let _ = std::fs::remove_file(path);
        }
    }
}

/// Listens at all addresses of the family; for both, on one socket of the newer one, or of the older
/// where the system lacks the newer.
fn listen_everywhere(port: u16, family: Family, tcp: TcpOptions) -> io::Result<TcpListener> {
    let v4 = SocketAddr::from((Ipv4Addr::UNSPECIFIED, port));
    let v6 = SocketAddr::from((Ipv6Addr::UNSPECIFIED, port));
    match family {
        Family::V4 => listen_tcp(v4, false, tcp),
        Family::V6 => listen_tcp(v6, false, tcp),
        Family::Any => match listen_tcp(v6, true, tcp) {
            Err(error) if Errno::from_io_error(&error) == Some(Errno::AFNOSUPPORT) => {
                listen_tcp(v4, false, tcp)
            }
            other => other,
        },
    }
}

fn listen_tcp(
    address: SocketAddr,
    both_families: bool,
    tcp: TcpOptions,
) -> io::Result<TcpListener> {
    let socket = RawSocket::new(
        Domain::for_address(address),
        Type::STREAM.nonblocking().cloexec(),
        Some(Protocol::TCP),
    )?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(tcp.reuse_port)?;
    if address.is_ipv6() {
        socket.set_only_v6(!both_families)?;
    }
    // Every socket that is accepted inherits them (tcp(7)).
    tcp.apply(&socket)?;
    socket.bind(&SockAddr::from(address))?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

fn listen_unix(name: &UnixName) -> io::Result<Kind> {
    let kernel_name = kernel_name(name);
    let path = match name {
        UnixName::Path(path) => path,
        UnixName::Abstract(_) => return Ok(Kind::Unix(UnixListener::bind(kernel_name)?, None)),
    };
    let listener = match UnixListener::bind(&kernel_name) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            remove_deserted(path).map_err(|_| error)?;
            UnixListener::bind(&kernel_name)?
        }
        other => other?,
    };
    Ok(Kind::Unix(listener, Some(path.clone())))
}

/// Removes a socket that nobody listens at, left behind by a process that was killed.
fn remove_deserted(path: &Path) -> io::Result<()> {
    if !std::fs::symlink_metadata(path)?.file_type().is_socket() {
        return Err(io::ErrorKind::AlreadyExists.into());
    }
    match std::os::unix::net::UnixStream::connect(path) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            std::fs::remove_file(path)
        }
        Err(error) => Err(error),
        Ok(_) => Err(io::ErrorKind::AddrInUse.into()),
    }
}

/// What an error of accept says about the calls to come.
enum Shortage {
    /// The listener is broken.
    None,
    /// This one connection was lost before it was accepted (accept(2), "Error handling").
    OfThisConnection,
    /// No descriptors or memory: others must close some first.
    OfTheMachine,
}

fn shortage(error: &io::Error) -> Shortage {
    match Errno::from_io_error(error) {
        Some(Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM) => Shortage::OfTheMachine,
        Some(
            Errno::CONNABORTED
            | Errno::INTR
            | Errno::PERM
            | Errno::PROTO
            | Errno::NETDOWN
            | Errno::NOPROTOOPT
            | Errno::HOSTDOWN
            | Errno::NONET
            | Errno::HOSTUNREACH
            | Errno::OPNOTSUPP
            | Errno::NETUNREACH,
        ) => Shortage::OfThisConnection,
        _ => Shortage::None,
    }
}
