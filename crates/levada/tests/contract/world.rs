//! What a stream can stand on, and who it can be: carriers, layers, roles.

use std::fmt;
use std::sync::LazyLock;

use levada::{Carrier, Deadlines, Options, Pipe, Role, Session, Socket};
use levada_tls::{
    Anchors, ClientAuth, Identities, Identity, SessionName, TlsClient, TlsServer, TlsVersion,
};
use socket2::SockRef;
use tokio::net::{TcpListener, TcpStream, UnixStream};

use crate::peer::Peer;
use crate::wire::Wire;

/// Bytes that a carrier holds each way before its writer has to wait, where a test fills it.
pub(crate) const BUFFER: usize = 4096;

/// What moves the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Moved {
    Memory,
    Tcp,
    Unix,
}

/// What is wrapped around it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Layer {
    Plain,
    Tls12,
    Tls13,
}

/// One combination, as seen from our side.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Setup {
    pub(crate) moved: Moved,
    pub(crate) layer: Layer,
    pub(crate) role: Role,
}

impl fmt::Debug for Setup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} over {:?} as {:?}", self.layer, self.moved, self.role)
    }
}

impl Layer {
    pub(crate) const ALL: [Self; 3] = [Self::Plain, Self::Tls12, Self::Tls13];
    pub(crate) const TLS: [Self; 2] = [Self::Tls12, Self::Tls13];

    pub(crate) const fn is_tls(self) -> bool {
        !matches!(self, Self::Plain)
    }

    /// Bytes that a record has beside its content: header and tag, and the content type of TLS 1.3 or the
    /// explicit nonce of 1.2 (AES in GCM).
    pub(crate) const fn around_a_record(self) -> usize {
        5 + 16 + if matches!(self, Self::Tls13) { 1 } else { 8 }
    }

    const fn version(self) -> TlsVersion {
        match self {
            Self::Tls12 => TlsVersion::V1_2,
            Self::Plain | Self::Tls13 => TlsVersion::V1_3,
        }
    }
}

impl Setup {
    /// Every combination.
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        let carriers = [Moved::Memory, Moved::Tcp, Moved::Unix];
        carriers.into_iter().flat_map(Self::all_over)
    }

    /// Every combination over one carrier.
    pub(crate) fn all_over(moved: Moved) -> impl Iterator<Item = Self> {
        Layer::ALL.into_iter().flat_map(move |layer| {
            let roles = [Role::Client, Role::Server].into_iter();
            roles.map(move |role| Self { moved, layer, role })
        })
    }

    /// Our socket and its peer, which has not said anything yet.
    pub(crate) async fn start(self, options: Options) -> (Socket, Peer) {
        self.start_with(options, session(self.layer, self.role)).await
    }

    /// As [`Setup::start`], with a session of our own.
    pub(crate) async fn start_with(
        self,
        options: Options,
        ours: Option<Session>,
    ) -> (Socket, Peer) {
        let (near, far) = self.carrier(BUFFER).await;
        let theirs = session(self.layer, other(self.role));
        (Socket::adopt(near, ours, by_kernel(options)), Peer::new(far, theirs, self))
    }

    /// Both ends of a carrier whose buffers are small.
    pub(crate) async fn carrier(self, buffer: usize) -> (Carrier, Wire) {
        match self.moved {
            Moved::Memory => {
                let (near, far) = Pipe::pair(buffer);
                (near.into(), Wire::Memory(Socket::adopt(far, None, patient()).into()))
            }
            Moved::Tcp => {
                let (near, far) = tcp_pair().await;
                // With less, steps wait for timers of TCP; with more, what a layer seals at once would fit.
                let buffer = buffer.max(20 * 1024);
                shrink(&SockRef::from(&near), buffer);
                shrink(&SockRef::from(&far), buffer);
                (near.into(), Wire::Tcp(far))
            }
            Moved::Unix => {
                let (near, far) = UnixStream::pair().unwrap();
                shrink(&SockRef::from(&near), buffer);
                shrink(&SockRef::from(&far), buffer);
                (near.into(), Wire::Unix(far))
            }
        }
    }
}

async fn tcp_pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (near, far) = tokio::join!(TcpStream::connect(address), listener.accept());
    let (near, (far, _)) = (near.unwrap(), far.unwrap());
    near.set_nodelay(true).unwrap();
    far.set_nodelay(true).unwrap();
    (near, far)
}

fn shrink(socket: &SockRef<'_>, buffer: usize) {
    socket.set_send_buffer_size(buffer).unwrap();
    socket.set_recv_buffer_size(buffer).unwrap();
}

pub(crate) const fn other(role: Role) -> Role {
    match role {
        Role::Client => Role::Server,
        Role::Server => Role::Client,
    }
}

/// Options under which no deadline ends a test.
pub(crate) fn patient() -> Options {
    let mut options = Options::default();
    options.deadlines =
        Deadlines { lookup: None, connect: None, handshake: None, close: None, idle: None };
    options
}

/// As these, with the records in the kernel where that is to be.
pub(crate) fn by_kernel(mut options: Options) -> Options {
    options.kernel_tls = crate::BY_KERNEL;
    options
}

/// A certificate for `localhost` that only those trust who know it, and its key.
pub(crate) struct Credentials {
    pub(crate) certificate: String,
    pub(crate) key: String,
}

impl Credentials {
    fn generate(subject: &str) -> Self {
        let mut params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        params.distinguished_name.push(rcgen::DnType::CommonName, subject);
        let key = rcgen::KeyPair::generate().unwrap();
        Self { certificate: params.self_signed(&key).unwrap().pem(), key: key.serialize_pem() }
    }

    pub(crate) fn identity(&self) -> Identity {
        let (chain, key) = (self.certificate.as_bytes(), self.key.as_bytes());
        Identity::from_pem(chain, Some(key), None).unwrap()
    }

    pub(crate) fn anchors(&self) -> Anchors {
        Anchors::from_pem(self.certificate.as_bytes()).unwrap()
    }
}

/// Whom everybody trusts.
pub(crate) static KNOWN: LazyLock<Credentials> = LazyLock::new(|| Credentials::generate("known"));
/// Whom nobody trusts.
pub(crate) static STRANGER: LazyLock<Credentials> =
    LazyLock::new(|| Credentials::generate("stranger"));

/// The session of a well-behaved end.
pub(crate) fn session(layer: Layer, role: Role) -> Option<Session> {
    layer.is_tls().then(|| match role {
        Role::Client => client(layer, |builder| builder),
        Role::Server => server(layer, |builder| builder),
    })
}

pub(crate) fn client(
    layer: Layer,
    with: impl FnOnce(levada_tls::TlsClientBuilder) -> levada_tls::TlsClientBuilder,
) -> Session {
    let version = layer.version();
    let builder = TlsClient::builder().anchors(KNOWN.anchors()).alpn(["levada"]);
    let builder = with(builder.min_version(version).max_version(version));
    builder.build().unwrap().session(&SessionName::new("localhost").unwrap()).unwrap()
}

pub(crate) fn server(
    layer: Layer,
    with: impl FnOnce(levada_tls::TlsServerBuilder) -> levada_tls::TlsServerBuilder,
) -> Session {
    let version = layer.version();
    let builder = TlsServer::builder(Identities::one(&KNOWN.identity()));
    with(builder.min_version(version).max_version(version)).build().unwrap().session()
}

/// A server that lets in only who shows a certificate of [`KNOWN`].
pub(crate) fn strict_server(layer: Layer) -> Session {
    server(layer, |builder| builder.client_auth(ClientAuth::Required(KNOWN.anchors())))
}
