//! A mail server in miniature that this process runs: plaintext until `STARTTLS`, then an echo. It stands
//! for every program that upgrades its streams through the library.

use std::net::{Ipv4Addr, SocketAddr};

use levada::{Ended, Identities, Identity, Listener, Options, Socket, TlsServer, UpgradeError};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;

use super::Pki;

/// A server for one client.
pub(crate) struct Upgrader {
    pub(crate) address: SocketAddr,
    runtime: Runtime,
    serving: JoinHandle<Served>,
}

/// What became of the client.
#[derive(Debug)]
pub(crate) struct Served {
    /// Why the stream was not upgraded.
    pub(crate) refused: Option<UpgradeError>,
    /// What came behind the upgrade, each line of it echoed.
    pub(crate) heard: Vec<u8>,
    pub(crate) ended: Ended,
}

impl Upgrader {
    /// Waits for a client of which `ahead` bytes may be read beyond a line, as a buffer would.
    pub(crate) fn start(pki: &Pki, ahead: usize, options: Options) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        let pem = std::fs::read(&pki.localhost).unwrap();
        let identity = Identity::from_pem(&pem, None, None).unwrap();
        let tls = TlsServer::builder(Identities::one(&identity)).build().unwrap();
        let endpoint = levada_address::ListenEndpoint::Tcp {
            host: Some(levada_address::Host::Ip(Ipv4Addr::LOCALHOST.into())),
            port: 0,
            family: levada_address::Family::Any,
        };
        let listener = runtime.block_on(Listener::bind(&endpoint, None, options)).unwrap();
        let Some(levada::Endpoint::Ip(address)) = listener.local() else {
            unreachable!("it is TCP")
        };
        let serving = runtime.spawn(async move {
            let socket = listener.accept().await.unwrap().into_socket().unwrap();
            serve(socket, &tls, ahead, options).await
        });
        Self { address, runtime, serving }
    }

    /// Waits for the client's end.
    pub(crate) fn served(self) -> Served {
        self.runtime.block_on(self.serving).unwrap()
    }
}

async fn serve(mut socket: Socket, tls: &TlsServer, ahead: usize, options: Options) -> Served {
    socket.write_all(b"220 ready\r\n").await.unwrap();
    loop {
        match line(&mut socket).await.as_slice() {
            b"STARTTLS\r\n" => break,
            [b'E', b'H', b'L', b'O', ..] => {
                socket.write_all(b"250-here\r\n250 STARTTLS\r\n").await.unwrap();
            }
            other => panic!("{}", other.escape_ascii()),
        }
    }
    if ahead > 0 {
        // As a reader with a buffer has it, who then hands its stream back.
        let mut buffer = vec![0; ahead];
        socket.read_exact(&mut buffer).await.unwrap();
        let (carrier, _) = socket.into_carrier().unwrap();
        socket = Socket::adopt_with_prefix(carrier, buffer, None, options);
    }
    socket.write_all(b"220 go ahead\r\n").await.unwrap();
    socket.flush().await.unwrap();
    let refused = socket.start_server_encryption(tls).err();
    if refused.is_some() {
        socket.abort();
    }
    let mut heard = Vec::new();
    while let Ok(byte) = socket.read_u8().await {
        heard.push(byte);
        // An error shows in how the stream ended.
        let _ = socket.write_all(&[byte]).await;
        let _ = socket.flush().await;
    }
    let _ = socket.shutdown().await;
    Served { refused, heard, ended: socket.closed().await }
}

/// A line, and not a byte more: what follows may be TLS.
async fn line(socket: &mut Socket) -> Vec<u8> {
    let mut line = Vec::new();
    while !line.ends_with(b"\n") {
        line.push(socket.read_u8().await.unwrap());
    }
    line
}
