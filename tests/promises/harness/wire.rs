//! A wire between two TCP peers that sees every byte, and can be cut.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, mpsc};

use super::PATIENCE;

/// A wire. Each connection to `address` goes on to the far end.
#[derive(Debug)]
pub(crate) struct Wire {
    pub(crate) address: SocketAddr,
    cables: mpsc::Receiver<[TcpStream; 2]>,
    /// What those who connected have said, and what they were answered.
    seen: [Seen; 2],
}

type Seen = Arc<Mutex<Vec<u8>>>;

impl Wire {
    pub(crate) fn to(far: SocketAddr) -> Self {
        Self::start(far, || true)
    }

    /// One on which each connection waits for a message before it goes on.
    pub(crate) fn gated(far: SocketAddr) -> (Self, mpsc::Sender<()>) {
        let (gate, opened) = mpsc::channel();
        (Self::start(far, move || opened.recv().is_ok()), gate)
    }

    fn start(far: SocketAddr, is_open: impl Fn() -> bool + Send + 'static) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let (sender, cables) = mpsc::channel();
        let seen = <[Seen; 2]>::default();
        let both = seen.clone();
        std::thread::spawn(move || {
            for near in listener.incoming() {
                let near = near.unwrap();
                if !is_open() {
                    break;
                }
                let far = TcpStream::connect(far).unwrap();
                for ((from, to), seen) in [(&near, &far), (&far, &near)].into_iter().zip(&both) {
                    let (from, to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
                    let seen = Arc::clone(seen);
                    std::thread::spawn(move || pump(from, to, &seen));
                }
                if sender.send([near, far]).is_err() {
                    break;
                }
            }
        });
        Self { address, cables, seen }
    }

    /// Its address, to connect to.
    pub(crate) fn tls_url(&self) -> String {
        format!("tls://{}", self.address)
    }

    /// Ends the next connection on both sides, as a peer that dies does: with a FIN below the TLS.
    #[track_caller]
    pub(crate) fn cut(&self) {
        let ends = self.cables.recv_timeout(PATIENCE).expect("somebody connects");
        for end in ends {
            // One side may be gone already.
            let _ = end.shutdown(Shutdown::Both);
        }
    }

    /// Writes into the next connection, towards the far end, as somebody on the way can.
    #[track_caller]
    pub(crate) fn inject(&self, bytes: &[u8]) {
        let [_, mut far] = self.cables.recv_timeout(PATIENCE).expect("somebody connects");
        far.write_all(bytes).unwrap();
    }

    /// All bytes that went over it so far, both ways.
    pub(crate) fn seen(&self) -> Vec<u8> {
        self.said_by_each().concat()
    }

    /// What those who connected have said so far, and what they were answered.
    pub(crate) fn said_by_each(&self) -> [Vec<u8>; 2] {
        self.seen.each_ref().map(|seen| seen.lock().unwrap().clone())
    }
}

fn pump(mut from: TcpStream, mut to: TcpStream, seen: &Mutex<Vec<u8>>) {
    let mut room = vec![0; 64 * 1024];
    while let Ok(count @ 1..) = from.read(&mut room) {
        seen.lock().unwrap().extend_from_slice(&room[..count]);
        if to.write_all(&room[..count]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Write);
}
