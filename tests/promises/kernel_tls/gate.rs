//! Somebody between a client and its pool who lets so many packets pass, and holds the next one.

use std::io::ErrorKind;
use std::net::Shutdown;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};

use levada_sys::descriptors;

use crate::harness::{PATIENCE, Pki, Pool};

/// The bytes of a packet.
const PACKET: usize = 388;

/// A gate for one client.
pub(crate) struct Gate {
    /// Where it listens, for a client that is to find the pool there.
    pub(crate) socket: String,
    passed: Arc<AtomicUsize>,
    held: mpsc::Receiver<()>,
}

/// What both directions share.
#[derive(Clone)]
struct Rule {
    most: usize,
    passed: Arc<AtomicUsize>,
    held: mpsc::Sender<()>,
}

impl Gate {
    /// Lets `most` packets pass, whoever sends them.
    pub(crate) fn to(pool: &Pool, pki: &Pki, most: usize) -> Self {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let socket = pki.folder.path().join(format!("gate-{number}.sock"));
        let listener = UnixListener::bind(&socket).unwrap();
        let (sender, held) = mpsc::channel();
        let passed = Arc::default();
        let rule = Rule { most, passed: Arc::clone(&passed), held: sender };
        let far = pool.socket.clone();
        std::thread::spawn(move || {
            let (near, _) = listener.accept().unwrap();
            let far = UnixStream::connect(far).unwrap();
            let (their_near, their_far) = (near.try_clone().unwrap(), far.try_clone().unwrap());
            let their_rule = rule.clone();
            std::thread::spawn(move || pass(&their_far, &their_near, &their_rule));
            pass(&near, &far, &rule);
        });
        Self { socket: socket.to_str().unwrap().to_owned(), passed, held }
    }

    /// How many packets have passed so far.
    pub(crate) fn passed(&self) -> usize {
        self.passed.load(Ordering::Relaxed)
    }

    /// Waits until a packet is held.
    #[track_caller]
    pub(crate) fn holds(&self) {
        self.held.recv_timeout(PATIENCE).expect("there is one more packet");
    }
}

/// Passes packets on, each with its descriptors, for as long as the rule allows; then it only waits for the
/// end, and passes that on.
fn pass(from: &UnixStream, to: &UnixStream, rule: &Rule) {
    while let Some((bytes, held)) = packet(from) {
        if rule.passed.fetch_add(1, Ordering::Relaxed) < rule.most {
            let held: Vec<_> = held.iter().map(|descriptor| descriptor.as_fd()).collect();
            // Whoever has gone hears it no more.
            let _ = descriptors::send(to, &bytes, &held);
        } else {
            let _ = rule.held.send(());
            // Its descriptors stay open until the client is gone, as they would on their way.
            while packet(from).is_some() {}
        }
    }
    let _ = to.shutdown(Shutdown::Both);
}

/// The next packet; `None` at the end.
fn packet(from: &UnixStream) -> Option<([u8; PACKET], Vec<OwnedFd>)> {
    let mut bytes = [0; PACKET];
    let (mut got, mut held) = (0, Vec::new());
    while got < PACKET {
        match descriptors::receive(from, &mut bytes[got..]) {
            Ok(received) if received.bytes > 0 => {
                got += received.bytes;
                held.extend(received.descriptors);
            }
            Err(error) if error.kind() != ErrorKind::ConnectionReset => panic!("{error}"),
            _ => return None,
        }
    }
    Some((bytes, held))
}
