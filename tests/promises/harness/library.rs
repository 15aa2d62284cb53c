//! A server that this process runs, whose key for `localhost` is with a signer. It stands for every
//! program whose private keys live elsewhere.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::mpsc::{Receiver, channel};

use levada::{Ended, Identities, Identity, Listener, Options, Signer, Socket, TlsServer};
use rcgen::KeyPair;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::runtime::Runtime;

use super::{PATIENCE, Pki};

/// A server that echoes. All its streams share one thread: what blocked it would stall everybody.
pub(crate) struct Signed {
    pub(crate) address: SocketAddr,
    endings: Receiver<Ended>,
    _runtime: Runtime,
}

impl Signed {
    /// A name that it has an ordinary key for, as flags of `openssl s_client`.
    pub(crate) const ORDINARY: [&str; 2] = ["-servername", "ordinary.example"];

    #[track_caller]
    pub(crate) fn start(pki: &Pki, signer: impl Signer + 'static, options: Options) -> Self {
        let [_, ordinary] = Self::ORDINARY;
        let ordinary = pki.identity("ordinary.pem", &[ordinary], |_| {});
        let ordinary = Identity::from_pem(&std::fs::read(ordinary).unwrap(), None, None).unwrap();
        let chain = std::fs::read(&pki.localhost).unwrap();
        let elsewhere = Identity::with_signer(&chain, signer).unwrap();
        let table = Identities::builder().with(&elsewhere).unwrap().with(&ordinary).unwrap();
        let tls = TlsServer::builder(table.build().unwrap()).build().unwrap();

        let mut builder = tokio::runtime::Builder::new_multi_thread();
        let runtime = builder.worker_threads(1).enable_all().build().unwrap();
        let endpoint = levada::ListenEndpoint::Tcp {
            host: Some(levada::Host::Ip(Ipv4Addr::LOCALHOST.into())),
            port: 0,
            family: levada::Family::Any,
        };
        let listener = runtime.block_on(Listener::bind(&endpoint, Some(tls), options)).unwrap();
        let Some(levada::Endpoint::Ip(address)) = listener.local() else {
            unreachable!("it is TCP")
        };
        let (sender, endings) = channel();
        runtime.spawn(async move {
            loop {
                let socket = listener.accept().await.unwrap().into_socket().unwrap();
                let sender = sender.clone();
                tokio::spawn(async move {
                    // A test that is over does not want to know.
                    let _ = sender.send(echo(socket).await);
                });
            }
        });
        Self { address, endings, _runtime: runtime }
    }

    /// The key of `localhost`, for the signer that has it.
    pub(crate) fn key(pki: &Pki) -> KeyPair {
        let file = std::fs::read_to_string(&pki.localhost).unwrap();
        let at = file.find("-----BEGIN PRIVATE KEY-----").unwrap();
        KeyPair::from_pem(&file[at..]).unwrap()
    }

    /// How the next stream has ended.
    #[track_caller]
    pub(crate) fn ended(&self) -> Ended {
        self.endings.recv_timeout(PATIENCE).expect("a stream ends")
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
