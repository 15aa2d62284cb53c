//! The other end of a protected connection: TLS in a runtime of its own.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{LazyLock, Mutex, PoisonError};

use levada::{
    Anchors, Carrier, ClientAuth, Ended, Identities, Identity, Options, SessionName, Socket,
    TlsClient, TlsServer,
};
use rustix::net::Shutdown;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;

use super::Pki;

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
});

/// One for all connections: a port of its own for each would stay taken for a minute, and a crowd would
/// use them all up.
static LISTENER: LazyLock<Mutex<TcpListener>> =
    LazyLock::new(|| Mutex::new(TcpListener::bind("127.0.0.1:0").unwrap()));

/// Both ends of a TCP connection over the loopback.
pub(crate) fn tcp_pair() -> (TcpStream, TcpStream) {
    // Nobody else connects between the two calls.
    let listener = LISTENER.lock().unwrap_or_else(PoisonError::into_inner);
    let near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (near, listener.accept().unwrap().0)
}

/// A TLS peer.
pub(crate) struct Peer {
    socket: Socket,
}

impl Peer {
    /// A server with this certificate and key; `ca` vouches for its clients, if they have to show
    /// a certificate.
    pub(crate) fn server(stream: impl Into<OwnedFd>, identity: &str, ca: Option<&str>) -> Self {
        let identity = Identity::from_pem(identity.as_bytes(), None, None).unwrap();
        let auth = ca.map_or(ClientAuth::None, |ca| {
            ClientAuth::Requested(Anchors::from_pem(ca.as_bytes()).unwrap())
        });
        let server =
            TlsServer::builder(Identities::one(&identity)).client_auth(auth).build().unwrap();
        Self::over(stream, server.session())
    }

    /// A client that wants to reach `name`, which `pki` vouches for.
    pub(crate) fn client(stream: TcpStream, pki: &Pki, name: &str, identity: Option<&str>) -> Self {
        let anchors = Anchors::from_pem(pki.ca.as_bytes()).unwrap();
        let mut client = TlsClient::builder().anchors(anchors);
        if let Some(identity) = identity {
            client = client.identity(Identity::from_pem(identity.as_bytes(), None, None).unwrap());
        }
        let name = SessionName::new(name).unwrap();
        Self::over(stream, client.build().unwrap().session(&name).unwrap())
    }

    /// A client that wants to reach `name` and offers these application protocols.
    pub(crate) fn client_with(stream: TcpStream, pki: &Pki, name: &str, alpn: &[&[u8]]) -> Self {
        let anchors = Anchors::from_pem(pki.ca.as_bytes()).unwrap();
        let alpn = alpn.iter().map(|protocol| protocol.to_vec());
        let client = TlsClient::builder().anchors(anchors).alpn(alpn).build().unwrap();
        Self::over(stream, client.session(&SessionName::new(name).unwrap()).unwrap())
    }

    fn over(stream: impl Into<OwnedFd>, session: levada::Session) -> Self {
        let _runtime = RUNTIME.enter();
        let carrier = Carrier::from_fd(stream.into()).unwrap();
        let mut options = Options::default();
        // A machine that is busy with other things must not fail a test.
        options.deadlines.handshake = None;
        Self { socket: Socket::adopt(carrier, Some(session), options) }
    }

    /// Gives back what comes, until both have said goodbye.
    pub(crate) fn echo(mut self) -> JoinHandle<Ended> {
        RUNTIME.spawn(async move {
            let mut room = vec![0; 65536];
            loop {
                match self.socket.read(&mut room).await {
                    Ok(0) => break drop(self.socket.shutdown().await),
                    Ok(count) => match self.socket.write_all(&room[..count]).await {
                        Ok(()) => {}
                        Err(_) => break,
                    },
                    Err(_) => break,
                }
            }
            self.socket.closed().await
        })
    }

    /// Does `work` with the stream, in the background.
    pub(crate) fn spawn<F, T>(
        self,
        work: impl FnOnce(Socket) -> F + Send + 'static,
    ) -> JoinHandle<T>
    where
        F: Future<Output = T> + Send + 'static,
        T: Send + 'static,
    {
        RUNTIME.spawn(async move { work(self.socket).await })
    }
}

/// Waits for something in the background.
pub(crate) fn wait<T>(handle: JoinHandle<T>) -> T {
    let waited = async { tokio::time::timeout(super::PATIENCE, handle).await };
    RUNTIME.block_on(waited).expect("in time").expect("no panic")
}

/// Says something through a plain end and hangs up; the peer gives it back, and both have said goodbye.
#[track_caller]
pub(crate) fn echoes(mut plain: impl Read + Write + AsFd, peer: JoinHandle<Ended>) {
    plain.write_all(b"hello").unwrap();
    rustix::net::shutdown(&plain, Shutdown::Write).unwrap();
    let mut answer = String::new();
    plain.read_to_string(&mut answer).unwrap();
    assert_eq!(answer, "hello");
    assert!(wait(peer).is_clean());
}
