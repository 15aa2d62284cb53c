//! The loads: a client with TLS in front, a server in plaintext behind.

use std::net::SocketAddr;
use std::time::Duration;

use levada::{Address, Anchors, Options, SessionName, Socket, TlsClient};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::time::timeout;

use crate::arm::Arm;

/// What is done.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Load {
    /// So many MiB from the server.
    Down { mib: usize },
    /// So many MiB to the server.
    Up { mib: usize },
    /// So many connections with full handshakes, one after another, and an echo on each.
    Handshakes { count: usize },
    /// So many echoes of 64 bytes, one after another, on one connection.
    Trips { count: usize },
}

/// CPU time of the process that does TLS, and of the one behind it, in the load's unit.
pub(crate) struct Took {
    pub(crate) first: f64,
    pub(crate) second: f64,
}

impl Load {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Down { .. } => "download",
            Self::Up { .. } => "upload",
            Self::Handshakes { .. } => "full handshakes",
            Self::Trips { .. } => "echoes of 64 bytes",
        }
    }

    pub(crate) const fn unit(self) -> &'static str {
        match self {
            Self::Down { .. } | Self::Up { .. } => "CPU s per GiB",
            Self::Handshakes { .. } => "CPU ms each",
            Self::Trips { .. } => "CPU µs each",
        }
    }

    /// From CPU seconds for all of it to the unit.
    fn in_unit(self, seconds: f64) -> f64 {
        match self {
            Self::Down { mib } | Self::Up { mib } => seconds * 1024.0 / mib as f64,
            Self::Handshakes { count } => seconds * 1e3 / count as f64,
            Self::Trips { count } => seconds * 1e6 / count as f64,
        }
    }
}

/// The size of a piece of a bulk transfer.
const PIECE: usize = 256 * 1024;

/// A server that does what the first byte of a connection says: `d` sends, anything else comes back.
pub(crate) async fn backend(mib: usize) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                stream.set_nodelay(true).unwrap();
                let mut room = vec![0; PIECE];
                if stream.read_exact(&mut room[..1]).await.is_err() {
                    return;
                }
                match room[0] {
                    b'd' => {
                        for _ in 0..mib * 1024 * 1024 / PIECE {
                            stream.write_all(&room).await.unwrap();
                        }
                    }
                    b'u' => {
                        let mut total = 0;
                        while let Ok(count @ 1..) = stream.read(&mut room).await {
                            total += count;
                        }
                        stream.write_all(&total.to_le_bytes()).await.unwrap();
                    }
                    _ => {
                        while let Ok(count @ 1..) = stream.read(&mut room).await {
                            stream.write_all(&room[..count]).await.unwrap();
                        }
                    }
                }
                let _ = stream.shutdown().await;
            });
        }
    });
    address
}

pub(crate) async fn run(load: Load, arm: &Arm) -> Took {
    let anchors = Anchors::from_pem(arm.ca.as_bytes()).unwrap();
    let client = TlsClient::builder().anchors(anchors).resume_servers(0).build().unwrap();
    let name = SessionName::new("localhost").unwrap();
    let address: Address = format!("tcp://{}", arm.address).parse().unwrap();
    let endpoint = address.for_connecting().unwrap().endpoint;
    let dial = || {
        let session = client.session(&name).unwrap();
        Socket::dial(endpoint.clone(), session, Options::default())
    };
    // What is done once is not measured.
    echo(&mut dial(), 1).await;
    let before = arm.cpu();
    let work = async {
        match load {
            Load::Down { mib } => {
                let mut stream = dial();
                stream.write_all(b"d").await.unwrap();
                let (mut room, mut total) = (vec![0; PIECE], 0);
                while let Ok(count @ 1..) = stream.read(&mut room).await {
                    total += count;
                }
                assert_eq!(total, mib * 1024 * 1024, "all of it arrives");
            }
            Load::Up { mib } => {
                let mut stream = dial();
                stream.write_all(b"u").await.unwrap();
                let room = vec![0; PIECE];
                for _ in 0..mib * 1024 * 1024 / PIECE {
                    stream.write_all(&room).await.unwrap();
                }
                stream.shutdown().await.unwrap();
                let mut total = Vec::new();
                stream.read_to_end(&mut total).await.unwrap();
                let total = usize::from_le_bytes(total.try_into().unwrap());
                assert_eq!(total, mib * 1024 * 1024, "all of it arrives");
            }
            Load::Handshakes { count } => {
                for _ in 0..count {
                    echo(&mut dial(), 1).await;
                }
            }
            Load::Trips { count } => echo(&mut dial(), count).await,
        }
    };
    timeout(Duration::from_secs(600), work).await.expect("it does not hang");
    let took: Vec<f64> =
        arm.cpu().iter().zip(before).map(|(after, before)| after - before).collect();
    Took { first: load.in_unit(took[0]), second: load.in_unit(took.get(1).copied().unwrap_or(0.0)) }
}

/// So many echoes of 64 bytes, and both goodbyes.
async fn echo(stream: &mut Socket, count: usize) {
    let (sent, mut came) = ([b'e'; 64], [0; 64]);
    // The first byte is only told.
    stream.write_all(b"e").await.unwrap();
    for _ in 0..count {
        stream.write_all(&sent).await.unwrap();
        stream.read_exact(&mut came).await.unwrap();
        assert_eq!(sent, came);
    }
    stream.shutdown().await.unwrap();
    assert!(stream.closed().await.is_clean());
}
