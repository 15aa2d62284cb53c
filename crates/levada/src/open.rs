//! From an address to a stream: reads the files that it names and makes what dials or listens.

use std::io;
use std::net::IpAddr;
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use levada_address::{
    Address, CertificateRules, ClientAuth as Wanted, ClientCheck, ConnectAddress, ConnectEndpoint,
    ConnectPool, ConnectProxy, ConnectTls, ConnectWebSocket, Deflate, Host, Http, ListenAddress,
    ListenEndpoint, ListenPool, ListenTls, ListenWebSocket, SessionOptions,
};
use levada_core::{ClosePolicy, Deadlines};
use levada_pool::TlsRequest;
use levada_tls::{Anchors, ClientAuth, Identities, Identity, SessionName, TlsClient, TlsServer};

use crate::files;
#[cfg(feature = "http2")]
use crate::http2::client::Call;
use crate::key_log::KeyLogFile;
use crate::listener::Listener;
use crate::pool::{Layer, PoolSession, PoolTls, ServerLayer, client_certificate};
use crate::proxy::Proxy;
use crate::setup_error::SetupError;
use crate::socket::{Options, Socket};
use crate::stream::Stream;
use crate::ws::{
    ClientOptions, CloseReply, DeflateParams, Field, Keepalive, Offer, OriginPattern, Origins,
    Paths, ServerOptions, TextPolicy, WsOptions, WsStream,
};

/// Connects to `address` and waits until the stream is established.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use tokio::io::{AsyncReadExt, AsyncWriteExt};
///
/// let mut stream = levada::connect(&"echo:".parse()?).await?;
/// stream.write_all(b"hello").await?;
/// stream.shutdown().await?;
/// let mut answer = String::new();
/// stream.read_to_string(&mut answer).await?;
/// assert_eq!(answer, "hello");
/// assert!(stream.closed().await.is_clean());
/// # Ok(())
/// # }
/// ```
///
/// # Errors
///
/// A [`SetupError`], or the [`Ended`](crate::Ended) of a stream that was never established, inside.
pub async fn connect(address: &Address) -> io::Result<Stream> {
    let mut stream = Dialer::new(address)
        .and_then(|dialer| dialer.dial())
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
    stream.established().await?;
    Ok(stream)
}

/// Listens at `address`.
///
/// # Errors
///
/// A [`SetupError`].
///
/// # Panics
///
/// Outside a tokio runtime that has io enabled.
pub async fn listen(address: &Address) -> Result<Listener, SetupError> {
    Binder::new(address)?.bind().await
}

/// Listens at one address when the time has come; the files that it names are read before, so that
/// what is wrong with them is known while nothing is open yet.
#[derive(Clone, Debug)]
pub struct Binder {
    address: Address,
    endpoint: ListenEndpoint,
    layer: ServerLayer,
    web_socket: Option<ServerOptions>,
    #[cfg(feature = "http2")]
    http: Http,
    identities: Vec<Identity>,
    key_log: Option<KeyLogFile>,
    options: Arc<Options>,
}

impl Binder {
    /// Reads what `address` names.
    ///
    /// # Errors
    ///
    /// A [`SetupError`] when the address does not fit for listening, and when a file cannot be read
    /// or used.
    pub fn new(address: &Address) -> Result<Self, SetupError> {
        let tls = address.for_listening()?.tls;
        Self::read(address, tls.and_then(|tls| KeyLogFile::of(&tls.session)))
    }

    fn read(address: &Address, key_log: Option<KeyLogFile>) -> Result<Self, SetupError> {
        let ListenAddress { endpoint, tls, pool, web_socket, deadlines } =
            address.for_listening()?;
        let identities = match &tls {
            Some(tls) => files::identities(&tls.identities)?,
            None => Vec::new(),
        };
        let layer = match (&tls, &pool) {
            (Some(tls), _) => server(tls, &identities, key_log.as_ref())?.into(),
            (None, Some(pool)) => pool_server(pool)?.into(),
            (None, None) => ServerLayer::default(),
        };
        let options = Arc::new(Options { deadlines, ..Options::default() });
        let http = web_socket.as_ref().map_or(Http::V1, |ws| ws.http);
        check_http(http)?;
        let web_socket = web_socket.map(|ws| web_socket_server(&ws, deadlines)).transpose()?;
        let address = address.clone();
        Ok(Self {
            address,
            endpoint,
            layer,
            web_socket,
            #[cfg(feature = "http2")]
            http,
            identities,
            key_log,
            options,
        })
    }

    /// Reads again what the address names, and changes nothing: see [`replace`](Self::replace).
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    pub fn reread(&self) -> Result<Self, SetupError> {
        Self::read(&self.address, self.key_log.clone())
    }

    /// Goes on with what `newer` has read: every listener that this one or a clone of it has bound
    /// takes it for the next handshake. Streams that are there go on as they are.
    pub fn replace(&mut self, newer: Self) {
        self.layer.replace(&newer.layer);
        self.identities = newer.identities;
    }

    /// The identities, in the order of the address.
    pub fn identities(&self) -> &[Identity] {
        &self.identities
    }

    /// How a WebSocket is opened on each stream, if one is.
    pub const fn web_socket(&self) -> Option<&ServerOptions> {
        self.web_socket.as_ref()
    }

    /// The TLS of its own that the address asks for, if it does.
    pub const fn tls(&self) -> Option<&TlsServer> {
        self.layer.tls()
    }

    /// Opens the file for the secrets of sessions, if the address has one (`danger-key-log`).
    /// [`bind`](Self::bind) does it, too.
    ///
    /// # Errors
    ///
    /// [`SetupError::KeyLog`] when it cannot be opened.
    pub fn open_key_log(&self) -> Result<(), SetupError> {
        self.key_log.as_ref().map_or(Ok(()), KeyLogFile::open)
    }

    /// Lets several listeners share one port (`SO_REUSEPORT`), if all of them say so.
    #[must_use]
    pub fn share_port(mut self) -> Self {
        Arc::make_mut(&mut self.options).tcp.reuse_port = true;
        self
    }

    /// Listens.
    ///
    /// # Errors
    ///
    /// [`SetupError::Listen`] when the system does not let us, [`SetupError::KeyLog`] when the file
    /// for the secrets cannot be opened.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime that has io enabled.
    pub async fn bind(&self) -> Result<Listener, SetupError> {
        self.bind_as(self.layer.clone()).await
    }

    /// Listens where the address says, and wraps what it accepts in `layer`, whatever the address says
    /// of that.
    ///
    /// # Errors
    ///
    /// As those of [`bind`](Self::bind).
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime that has io enabled.
    pub async fn bind_as(&self, layer: impl Into<ServerLayer>) -> Result<Listener, SetupError> {
        self.open_key_log()?;
        let listener = Listener::bind(&self.endpoint, layer, Arc::clone(&self.options))
            .await
            .map_err(|error| SetupError::Listen { address: self.address.clone(), error })?;
        #[cfg(feature = "http2")]
        let listener = listener.http(self.http);
        Ok(match &self.web_socket {
            Some(options) => listener.web_socket(options.clone()),
            None => listener,
        })
    }
}

/// Dials one address as often as wanted; the files that it names are read once.
#[derive(Clone, Debug)]
pub struct Dialer {
    address: Address,
    endpoint: ConnectEndpoint,
    wrap: Wrap,
    /// What its clones share, since a file of header fields may be read again.
    web_socket: Option<Arc<RwLock<Asking>>>,
    proxy: Option<Proxy>,
    identity: Option<Identity>,
    key_log: Option<KeyLogFile>,
    options: Arc<Options>,
}

/// How a dialer asks for a WebSocket.
#[derive(Clone, Debug)]
struct Asking {
    options: ClientOptions,
    /// By HTTP/2, where it asks so.
    #[cfg(feature = "http2")]
    call: Option<Call>,
}

/// What every stream of a dialer is wrapped in.
#[derive(Clone, Debug)]
enum Wrap {
    Plain,
    /// The last is for another try, with HTTP/1.1 alone.
    Tls(TlsClient, SessionName, Option<TlsClient>),
    Pool(PoolSession),
}

impl Dialer {
    /// Reads what `address` names.
    ///
    /// # Errors
    ///
    /// A [`SetupError`] when the address does not fit for connecting, and when a file cannot be read
    /// or used.
    pub fn new(address: &Address) -> Result<Self, SetupError> {
        let tls = address.for_connecting()?.tls;
        Self::read(address, tls.and_then(|tls| KeyLogFile::of(&tls.session)))
    }

    fn read(address: &Address, key_log: Option<KeyLogFile>) -> Result<Self, SetupError> {
        let ConnectAddress { endpoint, tls, pool, web_socket, proxy, deadlines } =
            address.for_connecting()?;
        let identity = tls.as_ref().and_then(|tls| tls.identity.as_ref());
        let identity = files::identities(identity.map_or(&[], std::slice::from_ref))?.pop();
        let wrap = match (&tls, &pool) {
            (Some(tls), _) => {
                let client = |tls: &_| client(tls, identity.as_ref(), key_log.as_ref());
                let again = match &web_socket {
                    Some(ConnectWebSocket { http: Http::Auto, .. }) => {
                        let alpn = vec![b"http/1.1".to_vec()];
                        Some(client(&ConnectTls { alpn, ..tls.clone() })?)
                    }
                    _ => None,
                };
                Wrap::Tls(client(tls)?, session_name(tls)?, again)
            }
            (None, Some(pool)) => Wrap::Pool(pool_client(pool)?),
            (None, None) => Wrap::Plain,
        };
        let options = Arc::new(Options { deadlines, ..Options::default() });
        let http = web_socket.as_ref().map_or(Http::V1, |ws| ws.http);
        check_http(http)?;
        let web_socket = web_socket.map(|ws| web_socket_client(&ws, deadlines)).transpose()?;
        let web_socket = match web_socket {
            #[cfg(feature = "http2")]
            Some(options) => {
                let ClientOptions { offer, limits, .. } = &options;
                let call = (http != Http::V1)
                    .then(|| Call::new(offer, *limits, tls.is_some(), http))
                    .transpose()
                    .map_err(SetupError::Offer)?;
                Some(Asking { options, call })
            }
            #[cfg(not(feature = "http2"))]
            Some(options) => Some(Asking { options }),
            None => None,
        };
        let web_socket = web_socket.map(|asking| Arc::new(RwLock::new(asking)));
        let proxy = proxy.map(|wanted| through(&wanted)).transpose()?;
        let address = address.clone();
        Ok(Self { address, endpoint, wrap, web_socket, proxy, identity, key_log, options })
    }

    /// Reads again what the address names, and changes nothing: see [`replace`](Self::replace).
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    pub fn reread(&self) -> Result<Self, SetupError> {
        Self::read(&self.address, self.key_log.clone())
    }

    /// Goes on with what `newer` has read, as do the clones of this one: for the next stream.
    pub fn replace(&mut self, newer: Self) {
        if let (Wrap::Tls(ours, _, again), Wrap::Tls(newer, _, newer_again)) =
            (&self.wrap, &newer.wrap)
        {
            ours.replace(newer);
            if let (Some(ours), Some(newer)) = (again, newer_again) {
                ours.replace(newer);
            }
        }
        if let (Some(ours), Some(newer)) = (&self.proxy, &newer.proxy) {
            ours.replace(newer);
        }
        if let (Some(ours), Some(newer)) = (&self.web_socket, &newer.web_socket) {
            let newer = newer.read().unwrap_or_else(PoisonError::into_inner).clone();
            *ours.write().unwrap_or_else(PoisonError::into_inner) = newer;
        }
        self.identity = newer.identity;
    }

    /// The proxy that it dials through.
    pub const fn proxy(&self) -> Option<&Proxy> {
        self.proxy.as_ref()
    }

    /// The identity that is shown to a peer who asks for one.
    pub fn identity(&self) -> Option<&Identity> {
        self.identity.as_ref()
    }

    /// What the peer's goodbye means for our own direction on a stream without a WebSocket; half-open
    /// unless said otherwise.
    #[must_use]
    pub fn close_policy(mut self, policy: ClosePolicy) -> Self {
        Arc::make_mut(&mut self.options).close = policy;
        self
    }

    /// Opens the file for the secrets of sessions, if the address has one (`danger-key-log`).
    /// [`dial`](Self::dial) does it, too: this is for who wants to know before.
    ///
    /// # Errors
    ///
    /// [`SetupError::KeyLog`] when it cannot be opened.
    pub fn open_key_log(&self) -> Result<(), SetupError> {
        self.key_log.as_ref().map_or(Ok(()), KeyLogFile::open)
    }

    /// Begins a stream. Nothing happens before its first poll.
    ///
    /// # Errors
    ///
    /// [`SetupError::Tls`] when the system gives no random bytes, [`SetupError::KeyLog`] when the
    /// file for the secrets cannot be opened.
    pub fn dial(&self) -> Result<Stream, SetupError> {
        self.open_key_log()?;
        let dial = |layer: Layer| {
            let (proxy, endpoint) = (self.proxy.clone(), self.endpoint.clone());
            Socket::dial_through(proxy, endpoint, layer, Arc::clone(&self.options))
        };
        let socket = dial(match &self.wrap {
            Wrap::Plain => Layer::default(),
            Wrap::Tls(client, name, _) => client.session(name)?.into(),
            Wrap::Pool(session) => session.clone().into(),
        });
        let Some(asking) = &self.web_socket else { return Ok(socket.into()) };
        let asking = asking.read().unwrap_or_else(PoisonError::into_inner).clone();
        #[cfg(feature = "http2")]
        if let Some(call) = asking.call {
            let again = match &self.wrap {
                Wrap::Tls(_, name, Some(again)) => Some(dial(again.session(name)?.into())),
                _ => None,
            };
            let (calling, answered) = call.begin(again);
            return Ok(WsStream::calling(socket.calling(calling), asking.options, answered).into());
        }
        Ok(WsStream::client(socket, asking.options).into())
    }

    /// Begins a stream to `ip` instead of any address that the host's name has; TLS still asks for the
    /// name, and verifies it. Where there is no host, as on a Unix socket, it is as [`Dialer::dial`].
    ///
    /// # Errors
    ///
    /// As those of [`Dialer::dial`].
    pub fn dial_at(&self, ip: IpAddr) -> Result<Stream, SetupError> {
        let mut there = self.clone();
        if let ConnectEndpoint::Tcp { host, .. } = &mut there.endpoint {
            *host = Host::Ip(ip);
        }
        there.dial()
    }
}

/// Whether this version of HTTP is spoken here.
fn check_http(http: Http) -> Result<(), SetupError> {
    match http {
        Http::V1 => Ok(()),
        Http::V2 | Http::Auto if cfg!(feature = "http2") => Ok(()),
        Http::V2 | Http::Auto => Err(SetupError::NoHttp2),
    }
}

fn client(
    tls: &ConnectTls,
    identity: Option<&Identity>,
    key_log: Option<&KeyLogFile>,
) -> Result<TlsClient, SetupError> {
    let SessionOptions { resume, max_record, .. } = tls.session;
    let builder = TlsClient::builder().alpn(tls.alpn.iter().cloned()).max_record(max_record);
    let mut builder = if resume { builder } else { builder.resume_servers(0) };
    if let Some(key_log) = key_log {
        builder = builder.danger_key_log(key_log.danger_key_log());
    }
    let anchors = files::anchors(tls.ca.as_deref(), &tls.rules, Anchors::platform)?;
    builder = builder.anchors(anchors).rules(files::peer_rules(&tls.rules)?);
    if let Some(identity) = identity {
        builder = builder.identity(identity.clone());
    }
    Ok(builder.build()?)
}

/// The proxy of an address.
fn through(wanted: &ConnectProxy) -> Result<Proxy, SetupError> {
    let password = wanted.password.as_ref().map(|source| match files::passphrase(source) {
        Err(SetupError::PassphraseVariable { name }) => {
            Err(SetupError::ProxyPasswordVariable { name })
        }
        read => read,
    });
    Proxy::new(wanted.address.clone(), password.transpose()?.as_ref(), || {
        let rules = CertificateRules::default();
        let anchors = files::anchors(wanted.ca.as_deref(), &rules, Anchors::platform)?;
        Ok(TlsClient::builder().anchors(anchors).alpn([b"http/1.1".to_vec()]).build()?)
    })
}

fn session_name(tls: &ConnectTls) -> Result<SessionName, SetupError> {
    let name = SessionName::new(&tls.name.to_string())?;
    Ok(match &tls.sni {
        Some(sni) => name.with_sni(sni)?,
        None => name.without_sni(),
    })
}

fn server(
    tls: &ListenTls,
    ours: &[Identity],
    key_log: Option<&KeyLogFile>,
) -> Result<TlsServer, SetupError> {
    let mut identities = Identities::builder();
    for (index, (files, identity)) in tls.identities.iter().zip(ours).enumerate() {
        identities = identities
            .with(identity)
            .map_err(|error| SetupError::Identities { path: files.cert.clone(), error })?;
        // Whoever asks for no name, or an unknown one, gets the first.
        if index == 0 {
            identities = identities.with_default(identity);
        }
    }
    let first = || tls.identities.first().map(|files| files.cert.clone()).unwrap_or_default();
    let identities =
        identities.build().map_err(|error| SetupError::Identities { path: first(), error })?;
    let SessionOptions { resume, max_record, .. } = tls.session;
    let builder =
        TlsServer::builder(identities).alpn(tls.alpn.iter().cloned()).max_record(max_record);
    let mut builder = if resume { builder } else { builder.without_tickets() };
    if let Some(key_log) = key_log {
        builder = builder.danger_key_log(key_log.danger_key_log());
    }
    if let Some(ClientCheck { ca, rules, required }) = &tls.client {
        let anchors = files::anchors(ca.as_deref(), rules, Anchors::none)?;
        builder = builder.client_rules(files::peer_rules(rules)?).client_auth(match required {
            true => ClientAuth::Required(anchors),
            false => ClientAuth::Requested(anchors),
        });
    }
    Ok(builder.build()?)
}

/// What a WebSocket of an address is like: it closes each direction on its own, as the streams that
/// it is joined to do.
fn web_socket_stream(
    text_as_bytes: bool,
    ping: Option<Duration>,
    deadlines: Deadlines,
) -> WsOptions {
    let mut options = WsOptions { close_reply: CloseReply::WhenWeClose, ..WsOptions::default() };
    options.deadlines = deadlines;
    options.keepalive = ping.map(|time| Keepalive { interval: time, pong_deadline: time });
    if text_as_bytes {
        options.text = TextPolicy::AsBytes;
    }
    options
}

/// How messages are compressed, in both directions alike.
fn compression(wanted: Deflate) -> Option<DeflateParams> {
    let is_fresh = match wanted {
        Deflate::Off => return None,
        Deflate::On => false,
        Deflate::NoContextTakeover => true,
    };
    Some(DeflateParams {
        server_no_context_takeover: is_fresh,
        client_no_context_takeover: is_fresh,
        ..DeflateParams::default()
    })
}

fn web_socket_client(
    ws: &ConnectWebSocket,
    deadlines: Deadlines,
) -> Result<ClientOptions, SetupError> {
    let mut offer = Offer::new(&ws.host, &ws.path).map_err(SetupError::Offer)?;
    if let Some(origin) = &ws.origin {
        offer = offer.with_origin(origin).map_err(SetupError::Offer)?;
    }
    for name in &ws.subprotocols {
        offer = offer.with_subprotocol(name).map_err(SetupError::Offer)?;
    }
    if let Some(wanted) = compression(ws.deflate) {
        offer = offer.with_deflate(wanted);
    }
    if let Some(path) = &ws.header_file {
        for (index, line) in files::read(path)?.split(|&byte| byte == b'\n').enumerate() {
            let wrong = || SetupError::Header { path: path.clone(), line: index + 1 };
            let line = str::from_utf8(line).map_err(|_| wrong())?.trim();
            if line.is_empty() {
                continue;
            }
            let (name, value) = line.split_once(':').ok_or_else(wrong)?;
            let field = Field::new(name.trim(), value.trim()).map_err(|_| wrong())?;
            offer = offer.with_field(field);
        }
    }
    let mut options = ClientOptions::from(offer);
    options.stream = web_socket_stream(ws.text_as_bytes, ws.ping, deadlines);
    Ok(options)
}

fn web_socket_server(
    ws: &ListenWebSocket,
    deadlines: Deadlines,
) -> Result<ServerOptions, SetupError> {
    let mut options = ServerOptions::default();
    if let Some(path) = &ws.path {
        options.rules.paths = Paths::Listed(vec![path.clone()]);
    }
    if let Some(origins) = &ws.origins {
        let patterns = origins.iter().map(|origin| OriginPattern::new(origin));
        let patterns = patterns.collect::<Result<_, _>>().map_err(SetupError::Origin)?;
        options.rules.origins = Origins::Listed { patterns, allow_absent: true };
    }
    options.rules.subprotocols.clone_from(&ws.subprotocols);
    options.rules.deflate = compression(ws.deflate);
    options.stream = web_socket_stream(ws.text_as_bytes, ws.ping, deadlines);
    Ok(options)
}

fn pool_client(pool: &ConnectPool) -> Result<PoolSession, SetupError> {
    let name = match &pool.name {
        Host::Name(name) => name.clone(),
        Host::Ip(ip) => ip.to_string(),
    };
    let request = TlsRequest::client(name.trim_end_matches('.')).map_err(SetupError::PoolName)?;
    let pool_tls = pool_at(pool.socket.as_deref(), pool.kernel_tls)?;
    Ok(pool_tls.session(request.alpn(&pool.alpn)))
}

fn pool_server(pool: &ListenPool) -> Result<PoolSession, SetupError> {
    let request = TlsRequest::server().alpn(&pool.alpn);
    let request = match pool.client_auth {
        Wanted::None => request,
        Wanted::Requested => client_certificate(request, false),
        Wanted::Required => client_certificate(request, true),
    };
    Ok(pool_at(pool.socket.as_deref(), pool.kernel_tls)?.session(request))
}

fn pool_at(socket: Option<&Path>, kernel_tls: bool) -> Result<PoolTls, SetupError> {
    let path = socket.map(Path::to_path_buf).or_else(levada_pool::standard_path);
    let tls = PoolTls::at(path.ok_or(SetupError::NoPool)?);
    Ok(if kernel_tls { tls } else { tls.relay_only() })
}
