//! Streams that fail: two ends of ours with something wrong between them, or one of ours and a peer that
//! says what it should not, or goes when it should not.

use std::future::Future;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::time::Duration;

use levada::{
    AlertDescription, ConnectEndpoint, Crls, Ended, Host, Options, PeerRules, Pipe, Resolve, Role,
    Session, SessionName, Socket, TlsClient, TlsVersion,
};
use levada_tls::Engine as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::support::{Authority, HOST, Setup};

/// A stream that comes to its ending.
pub(crate) type Failing = Pin<Box<dyn Future<Output = Ended>>>;

/// What a peer does when it has said all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Then {
    Wait,
    Fin,
    Reset,
}

const V13: TlsVersion = TlsVersion::V1_3;

/// Both ends of ours, from the first byte to their endings: the one of `role`.
pub(crate) async fn meet(setup: Setup, role: Role) -> Ended {
    meet_with(setup, role, Options::default()).await
}

async fn meet_with(setup: Setup, role: Role, options: Options) -> Ended {
    let (near, far) = Pipe::pair(64 * 1024);
    let client = setup.client.build().unwrap().session(&setup.name).unwrap();
    let server = setup.server.build().unwrap().session();
    let client = Socket::adopt(near, Some(client), options);
    let server = Socket::adopt(far, Some(server), options);
    let (client, server) = tokio::join!(to_its_end(client), to_its_end(server));
    match role {
        Role::Client => client,
        Role::Server => server,
    }
}

/// What a user does who has nothing to say: opens, says goodbye, waits.
pub(crate) async fn to_its_end(mut socket: Socket) -> Ended {
    if socket.established().await.is_ok() {
        // The ending tells more.
        let _ = socket.shutdown().await;
    }
    socket.closed().await
}

/// What a user does who reads what comes, and says goodbye behind it.
async fn read_to_its_end(mut socket: Socket) -> Ended {
    let mut room = [0; 1024];
    while let Ok(1..) = socket.read(&mut room).await {}
    let _ = socket.shutdown().await;
    socket.closed().await
}

/// A client or server of ours, whose setup is fine.
pub(crate) fn session(role: Role) -> Session {
    let setup = Setup::new(V13);
    let setup = Setup {
        client: setup.client.min_version(TlsVersion::V1_2),
        server: setup.server.min_version(TlsVersion::V1_2),
        ..setup
    };
    match role {
        Role::Client => setup.client.build().unwrap().session(&setup.name).unwrap(),
        Role::Server => setup.server.build().unwrap().session(),
    }
}

/// Two ends of a TCP connection.
async fn cable() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let near = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    (near, listener.accept().await.unwrap().0)
}

/// One of ours hears these bytes, and the peer's silence or end behind them.
pub(crate) async fn hears(role: Role, bytes: Vec<u8>, then: Then) -> Ended {
    let (near, mut far) = cable().await;
    let ours = to_its_end(Socket::adopt(near, Some(session(role)), Options::default()));
    let peer = async {
        if role == Role::Client {
            // A server speaks second.
            let _ = far.read(&mut [0; 4096]).await;
        }
        far.write_all(&bytes).await.unwrap();
        go(far, then).await
    };
    tokio::join!(ours, peer).0
}

/// Goes as told; holds what it keeps until the caller has ended.
async fn go(far: TcpStream, then: Then) -> Option<TcpStream> {
    match then {
        Then::Wait => Some(far),
        Then::Fin => {
            let mut far = far;
            far.shutdown().await.unwrap();
            Some(far)
        }
        Then::Reset => {
            reset(far);
            None
        }
    }
}

fn reset(stream: TcpStream) {
    socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
    drop(stream);
}

/// A fatal alert in answer to our ClientHello.
pub(crate) async fn alert(alert: AlertDescription) -> Ended {
    hears(Role::Client, vec![21, 3, 3, 0, 2, 2, alert.0], Then::Wait).await
}

/// What our server makes of a ClientHello by hand.
pub(crate) async fn offered(hello: levada_probe::ClientHello<'_>) -> Ended {
    hears(Role::Server, hello.record(), Then::Wait).await
}

/// An established stream whose peer then writes this instead of a record of its own: what it makes of
/// two records, the first with data in it.
pub(crate) async fn after_data(change: fn(Vec<u8>) -> Vec<u8>, then: Then) -> Ended {
    let (near, far) = cable().await;
    let mut far = Far { stream: far, session: None };
    let setup = Setup::new(V13);
    let client = setup.client.build().unwrap().session(&setup.name).unwrap();
    far.session = Some(setup.server.build().unwrap().session());
    let ours = read_to_its_end(Socket::adopt(near, Some(client), Options::default()));
    let peer = async {
        far.shake_hands().await;
        let mut session = far.session.take().unwrap();
        assert!(session.seal(b"what came before") && session.seal(b"what is behind it"));
        let wire = change(written(&mut session));
        far.stream.write_all(&wire).await.unwrap();
        go(far.stream, then).await
    };
    tokio::join!(ours, peer).0
}

/// The other end, with a session that it uses by hand.
struct Far {
    stream: TcpStream,
    session: Option<Session>,
}

impl Far {
    async fn shake_hands(&mut self) {
        let session = self.session.as_mut().unwrap();
        let mut wire = Vec::new();
        while session.is_handshaking() || session.wants_write() {
            let ours = written(session);
            self.stream.write_all(&ours).await.unwrap();
            if !session.is_handshaking() {
                continue;
            }
            let mut room = [0; 4096];
            let count = self.stream.read(&mut room).await.unwrap();
            wire.extend_from_slice(&room[..count]);
            let opened = session.open(&mut wire, &mut []).unwrap();
            wire.drain(..opened.taken);
        }
    }
}

fn written(session: &mut Session) -> Vec<u8> {
    let mut wire = Vec::new();
    while session.wants_write() {
        session.write_wire(&mut wire).unwrap();
    }
    wire
}

/// A server of ours that is cut in the middle of the handshake: after its client's first flight.
pub(crate) async fn cut_in_the_handshake(then: Then) -> Ended {
    let (near, far) = cable().await;
    let setup = Setup::new(V13);
    let mut client = setup.client.build().unwrap().session(&setup.name).unwrap();
    let server = setup.server.build().unwrap().session();
    let ours = to_its_end(Socket::adopt(near, Some(server), Options::default()));
    let peer = async move {
        let mut far = far;
        far.write_all(&written(&mut client)).await.unwrap();
        let count = far.read(&mut [0; 4096]).await.unwrap();
        assert!(count > 5, "the server's flight came");
        go(far, then).await
    };
    tokio::join!(ours, peer).0
}

/// A peer that sends back what it gets, in plaintext.
pub(crate) async fn echoed() -> Ended {
    let ours =
        Socket::adopt(Pipe::echo(64 * 1024), Some(session(Role::Client)), Options::default());
    to_its_end(ours).await
}

/// A peer that says nothing, against a deadline.
pub(crate) async fn silence(which: levada::Deadline) -> Ended {
    use levada::Deadline;
    let (near, far) = Pipe::pair(64 * 1024);
    match which {
        Deadline::Handshake => {
            let options = quick(|deadlines| &mut deadlines.handshake);
            let ours = Socket::adopt(near, Some(session(Role::Client)), options);
            let ended = to_its_end(ours).await;
            drop(far);
            ended
        }
        which => {
            let setup = Setup::new(V13);
            let client = setup.client.build().unwrap().session(&setup.name).unwrap();
            let server = setup.server.build().unwrap().session();
            let options = match which {
                Deadline::Idle => quick(|deadlines| &mut deadlines.idle),
                _ => quick(|deadlines| &mut deadlines.close),
            };
            let mut ours = Socket::adopt(near, Some(client), options);
            let mut peer = Socket::adopt(far, Some(server), Options::default());
            let (ours_up, peer_up) = tokio::join!(ours.established(), peer.established());
            ours_up.and(peer_up).unwrap();
            let ended =
                if which == Deadline::Idle { ours.closed().await } else { to_its_end(ours).await };
            drop(peer);
            ended
        }
    }
}

/// Options with one deadline that passes soon.
fn quick(which: fn(&mut levada::Deadlines) -> &mut Option<Duration>) -> Options {
    let mut options = Options::default();
    *which(&mut options.deadlines) = Some(Duration::from_millis(30));
    options
}

/// A client that dials.
pub(crate) async fn dialled(endpoint: ConnectEndpoint) -> Ended {
    dialled_with(endpoint, Options::default()).await
}

async fn dialled_with(endpoint: ConnectEndpoint, options: Options) -> Ended {
    to_its_end(Socket::dial(endpoint, Some(session(Role::Client)), options)).await
}

pub(crate) fn tcp(address: SocketAddr, bind: Option<SocketAddr>) -> ConnectEndpoint {
    ConnectEndpoint::Tcp {
        host: Host::Ip(address.ip()),
        port: address.port().try_into().unwrap(),
        family: levada::Family::Any,
        bind,
    }
}

/// An address at which nobody listens.
pub(crate) async fn nobody() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    listener.local_addr().unwrap()
}

/// A listener whose queue is full: the system drops what comes.
pub(crate) async fn deaf() -> Ended {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
    let listener = socket.listen(1).unwrap();
    let address = listener.local_addr().unwrap();
    let mut held = Vec::new();
    // Until one is not taken any more.
    while let Ok(Ok(stream)) =
        tokio::time::timeout(Duration::from_millis(50), TcpStream::connect(address)).await
    {
        held.push(stream);
    }
    let options = quick(|deadlines| &mut deadlines.connect);
    let ended = dialled_with(tcp(address, None), options).await;
    drop((held, listener));
    ended
}

/// A resolver with one answer for all.
#[derive(Debug)]
struct Answer(Option<&'static str>);

impl Resolve for Answer {
    fn resolve(&self, _: &str, _: levada::IpVersion) -> levada::Resolving {
        let answer = self.0;
        Box::pin(async move {
            match answer {
                Some(words) => Err(std::io::Error::other(words)),
                None => std::future::pending().await,
            }
        })
    }
}

/// A client whose resolver fails with these words, or never answers.
pub(crate) async fn looked_up(answer: Option<&'static str>) -> Ended {
    let options = match answer {
        Some(_) => Options::default(),
        None => quick(|deadlines| &mut deadlines.lookup),
    };
    let endpoint = ConnectEndpoint::Tcp {
        host: Host::Name("host.example".to_owned()),
        port: 443.try_into().unwrap(),
        family: levada::Family::Any,
        bind: None,
    };
    let resolver = std::sync::Arc::new(Answer(answer));
    to_its_end(Socket::dial_by(resolver, endpoint, Some(session(Role::Client)), options)).await
}

/// A setup of TLS 1.3, with something changed.
pub(crate) fn setup(change: impl FnOnce(Setup) -> Setup) -> Setup {
    change(Setup::new(V13))
}

/// The server shows a certificate with something changed.
pub(crate) fn server_certificate(change: fn(&mut rcgen::CertificateParams)) -> Setup {
    let setup = Setup::new(V13);
    let identity = setup.authority.identity_with(&[HOST], change);
    setup.with_identity(&identity, V13)
}

/// Both ends show certificates; the client's with something changed.
pub(crate) fn client_certificate(change: fn(&mut rcgen::CertificateParams)) -> Setup {
    let mut setup = Setup::mutual(V13);
    let identity = setup.authority.identity_with(&["client.example"], change);
    setup.client = setup.client.identity(identity);
    setup
}

/// A server that requires a certificate, and a client that has none.
pub(crate) fn no_client_certificate(version: TlsVersion) -> Setup {
    let mut setup = Setup::new(version);
    let anchors = setup.authority.anchors();
    setup.server = setup.server.client_auth(levada::ClientAuth::Required(anchors));
    setup
}

/// A client that trusts another authority of this name.
pub(crate) fn stranger(name: &str) -> Setup {
    setup(|setup| Setup {
        client: TlsClient::builder().anchors(Authority::new(name).anchors()),
        ..setup
    })
}

/// A server that answers for `host.example` alone, and a client that asks for `name`.
pub(crate) fn strict(name: SessionName) -> Setup {
    setup(|setup| {
        let identity = setup.authority.identity(&[HOST]);
        let table = levada::Identities::builder().with(&identity).unwrap().build().unwrap();
        Setup { server: levada::TlsServer::builder(table), name, ..setup }
    })
}

/// A server that trusts another authority than that of the client.
pub(crate) fn untrusted_client() -> Setup {
    let mut setup = Setup::mutual(V13);
    let anchors = Authority::new("somebody else's authority").anchors();
    setup.server = setup.server.client_auth(levada::ClientAuth::Required(anchors));
    setup
}

/// A client of one version and a server of another.
pub(crate) fn versions(client: TlsVersion, server: TlsVersion) -> Setup {
    let setup = Setup::new(client);
    let server = setup.server.min_version(server).max_version(server);
    Setup { server, ..setup }
}

/// A ServerHello without extensions.
pub(crate) fn server_hello(version: [u8; 2], suite: [u8; 2]) -> Vec<u8> {
    let mut record = vec![22, version[0], version[1], 0, 42, 2, 0, 0, 38, version[0], version[1]];
    record.extend([7; 32]);
    record.extend([0, suite[0], suite[1], 0]);
    record
}

/// A stream whose transport fails with an error of the system, once it is established.
pub(crate) async fn lost(error: rustix::io::Errno) -> Ended {
    let (near, far) = tokio::io::duplex(64 * 1024);
    let setup = Setup::new(V13);
    let client = setup.client.build().unwrap().session(&setup.name).unwrap();
    let server = setup.server.build().unwrap().session();
    let breaks = std::sync::Arc::new(std::sync::atomic::AtomicI32::new(0));
    let near = Breaking { inner: near, error: breaks.clone() };
    let mut ours = Socket::adopt(levada::Carrier::foreign(near), Some(client), Options::default());
    let far = levada::Carrier::foreign(far);
    let mut peer = Socket::adopt(far, Some(server), Options::default());
    let (ours_up, peer_up) = tokio::join!(ours.established(), peer.established());
    ours_up.and(peer_up).unwrap();
    breaks.store(error.raw_os_error(), std::sync::atomic::Ordering::Relaxed);
    let ended = ours.closed().await;
    drop(peer);
    ended
}

/// A transport whose reads fail once an error is set.
struct Breaking {
    inner: tokio::io::DuplexStream,
    error: std::sync::Arc<std::sync::atomic::AtomicI32>,
}

impl tokio::io::AsyncRead for Breaking {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
        room: &mut tokio::io::ReadBuf<'_>,
    ) -> std::task::Poll<std::io::Result<()>> {
        match self.error.load(std::sync::atomic::Ordering::Relaxed) {
            0 => Pin::new(&mut self.inner).poll_read(cx, room),
            code => std::task::Poll::Ready(Err(std::io::Error::from_raw_os_error(code))),
        }
    }
}

impl tokio::io::AsyncWrite for Breaking {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
        bytes: &[u8],
    ) -> std::task::Poll<std::io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, bytes)
    }

    fn poll_flush(
        mut self: Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<std::io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(
        mut self: Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<std::io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

/// What a server's own rules see: the client's setup, with rules about the server.
pub(crate) fn judging(setup: Setup, rules: PeerRules) -> Setup {
    Setup { client: setup.client.rules(rules), ..setup }
}

/// A client that has revocation lists, by which `list` tells of the server.
pub(crate) fn listed(list: fn(&Authority) -> rcgen::CertificateRevocationList) -> Setup {
    let setup = server_certificate(|params| params.serial_number = Some(8_u64.into()));
    let crls = Crls::from_bytes(list(&setup.authority).der()).unwrap();
    judging(setup, PeerRules::new().crls(crls))
}

/// A client that lets in one key alone, which is another's.
pub(crate) fn pinned() -> Setup {
    let pin = "spki:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=".parse().unwrap();
    judging(Setup::new(V13), PeerRules::new().pin(pin))
}

/// A server that lets in clients by a name that this one has not.
pub(crate) fn not_allowed() -> Setup {
    let mut setup = Setup::mutual(V13);
    let rule = "spiffe://example.org/allowed".parse().unwrap();
    setup.server = setup.server.client_rules(PeerRules::new().san(rule));
    setup
}

/// A client whose clock stands in 1971.
pub(crate) fn slow_clock() -> Setup {
    let year = Duration::from_secs(366 * 24 * 60 * 60);
    let then = std::time::SystemTime::UNIX_EPOCH + year;
    judging(Setup::new(V13), PeerRules::new().verify_at(then))
}

/// A server whose issuer stands below the authority that is trusted. It sends that issuer's certificate
/// only where it is changed.
pub(crate) fn below(issuer: Option<fn(&mut rcgen::CertificateParams)>) -> Setup {
    let setup = Setup::new(V13);
    let intermediate = setup
        .authority
        .below("the issuer", issuer.unwrap_or(|_: &mut rcgen::CertificateParams| {}));
    let (leaf, key) = intermediate.issue(&[HOST], |_| {});
    let chain = if issuer.is_some() { format!("{leaf}{}", intermediate.pem) } else { leaf };
    let identity = levada::Identity::from_pem(chain.as_bytes(), Some(key.as_bytes()), None);
    setup.with_identity(&identity.unwrap(), V13)
}

/// Two ends that verify each other, and the key of `holder` is with this signer: the ending of `told_by`.
pub(crate) async fn signed(
    holder: Role,
    told_by: Role,
    signer: impl levada::Signer + 'static,
    is_late: bool,
) -> Ended {
    let mut setup = Setup::mutual(V13);
    let (chain, _) = setup.authority.issue(&[HOST], |_| {});
    let identity = levada::Identity::with_signer(chain.as_bytes(), signer).unwrap();
    match holder {
        Role::Client => setup.client = setup.client.identity(identity),
        Role::Server => setup = setup.with_identity(&identity, V13),
    }
    let mut options = Options::default();
    if is_late {
        options.signer_deadline = Duration::from_millis(30);
    }
    meet_with(setup, told_by, options).await
}

/// A signer that fails with these words.
pub(crate) fn failing(words: &'static str) -> impl levada::Signer {
    move |_, _| async move { Err(levada::SignerError::from(words)) }
}

/// A server that asks somebody about the client's hello, who refuses it.
pub(crate) async fn refused_by_hook(told_by: Role) -> Ended {
    let (near, far) = Pipe::pair(64 * 1024);
    let setup = Setup::new(V13);
    let client = setup.client.build().unwrap().session(&setup.name).unwrap();
    let server = setup.server.build().unwrap().session();
    let client = Socket::adopt(near, Some(client), Options::default());
    let mut server = Socket::adopt(far, Some(server), Options::default());
    let asks =
        server.on_hello(|_| async { levada::HelloAnswer::Refuse(AlertDescription::ACCESS_DENIED) });
    assert!(asks, "the hello has not come yet");
    let (client, server) = tokio::join!(to_its_end(client), to_its_end(server));
    match told_by {
        Role::Client => client,
        Role::Server => server,
    }
}
