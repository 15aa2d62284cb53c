//! Plain TCP peers.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use super::PATIENCE;

/// A TCP server whose connections the test takes one by one.
#[derive(Debug)]
pub(crate) struct Backend {
    pub(crate) address: SocketAddr,
    connections: Receiver<TcpStream>,
}

impl Backend {
    pub(crate) fn new() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let (sender, connections) = channel();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let stream = stream.unwrap();
                stream.set_read_timeout(Some(PATIENCE)).unwrap();
                stream.set_write_timeout(Some(PATIENCE)).unwrap();
                if sender.send(stream).is_err() {
                    break;
                }
            }
        });
        Self { address, connections }
    }

    /// Its address, for a target.
    pub(crate) fn url(&self) -> String {
        format!("tcp://{}", self.address)
    }

    #[track_caller]
    pub(crate) fn accept(&self) -> TcpStream {
        self.connections.recv_timeout(PATIENCE).expect("somebody connects")
    }
}

/// Ends a connection with a reset.
pub(crate) fn reset(stream: TcpStream) {
    rustix::net::sockopt::set_socket_linger(&stream, Some(Duration::ZERO)).unwrap();
    drop(stream);
}
