//! Programs that are made of the library, in this process: for what the command has no word for, such
//! as keys that live elsewhere.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::mpsc::{Receiver, channel};

use levada::{
    Ended, Identities, Identity, Listener, Options, SessionName, Signer, Socket, TlsClient,
    TlsServer,
};
use rcgen::KeyPair;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::runtime::{Builder, Runtime};

use super::{PATIENCE, Pki};

/// A server that echoes. All its streams share one thread: what blocked it would stall everybody.
pub(crate) struct Library {
    pub(crate) address: SocketAddr,
    ended: Receiver<Ended>,
    _runtime: Runtime,
}

impl Library {
    /// A server that shakes hands as `tls` says, behind whatever `begin` does to each socket.
    #[track_caller]
    pub(crate) fn start(
        tls: TlsServer,
        options: Options,
        begin: impl Fn(&mut Socket) + Send + 'static,
    ) -> Self {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let endpoint = levada::ListenEndpoint::Tcp {
            host: Some(levada::Host::Ip(Ipv4Addr::LOCALHOST.into())),
            port: 0,
            family: levada::Family::Any,
        };
        let listener = runtime.block_on(Listener::bind(&endpoint, Some(tls), options)).unwrap();
        let Some(levada::Endpoint::Ip(address)) = listener.local() else {
            unreachable!("it is TCP")
        };
        let (sender, ended) = channel();
        runtime.spawn(async move {
            loop {
                let mut socket = listener.accept().await.unwrap().into_socket().unwrap();
                begin(&mut socket);
                let sender = sender.clone();
                tokio::spawn(async move {
                    // A test that is over does not want to know.
                    let _ = sender.send(echo(socket).await);
                });
            }
        });
        Self { address, ended, _runtime: runtime }
    }

    /// A name that a [signed](Self::signed) server has an ordinary key for.
    pub(crate) const ORDINARY: &str = "ordinary.example";

    /// A server whose key for `localhost` is with `signer`.
    #[track_caller]
    pub(crate) fn signed(pki: &Pki, signer: impl Signer + 'static, options: Options) -> Self {
        let ordinary = identity(&pki.identity("ordinary.pem", &[Self::ORDINARY], |_| {}));
        let chain = std::fs::read(&pki.localhost).unwrap();
        let elsewhere = Identity::with_signer(&chain, signer).unwrap();
        let table = Identities::builder().with(&elsewhere).unwrap().with(&ordinary).unwrap();
        let tls = TlsServer::builder(table.build().unwrap()).build().unwrap();
        Self::start(tls, options, |_| {})
    }

    /// How the next stream has ended.
    #[track_caller]
    pub(crate) fn ended(&self) -> Ended {
        self.ended.recv_timeout(PATIENCE).expect("a stream ends")
    }
}

async fn echo(mut socket: Socket) -> Ended {
    let mut room = [0; 1024];
    // Whatever goes wrong shows in how the stream ended.
    while let Ok(count @ 1..) = socket.read(&mut room).await {
        let _ = socket.write_all(&room[..count]).await;
        let _ = socket.flush().await;
    }
    let _ = socket.shutdown().await;
    socket.closed().await
}

/// What a client heard that said `hello` and the end of the line to `localhost` at `address`, and how
/// its stream ended.
#[track_caller]
pub(crate) fn call(tls: &TlsClient, address: SocketAddr, options: Options) -> (Vec<u8>, Ended) {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let stream = TcpStream::connect(address).await.unwrap();
        let session = tls.session(&SessionName::new("localhost").unwrap()).unwrap();
        let mut socket = Socket::adopt(stream, Some(session), options);
        let mut heard = vec![0; 6];
        // Whatever goes wrong shows in how the stream ended.
        let _ = socket.write_all(b"hello\n").await;
        let _ = socket.flush().await;
        if socket.read_exact(&mut heard).await.is_err() {
            heard.clear();
        }
        let _ = socket.shutdown().await;
        (heard, socket.closed().await)
    })
}

/// The identity in `file`.
#[track_caller]
pub(crate) fn identity(file: &str) -> Identity {
    Identity::from_pem(&std::fs::read(file).unwrap(), None, None).unwrap()
}

/// The private key in `file`, for the signer that has it.
#[track_caller]
pub(crate) fn key(file: &str) -> KeyPair {
    let file = std::fs::read_to_string(file).unwrap();
    let at = file.find("-----BEGIN PRIVATE KEY-----").unwrap();
    KeyPair::from_pem(&file[at..]).unwrap()
}
