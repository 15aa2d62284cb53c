//! A signer that takes its time keeps those waiting whom it signs for, and nobody else: whether it
//! waits as a program should, or blocks its thread. Who goes meanwhile is no harm either.

use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use levada::{Options, SignatureScheme};
use rcgen::SigningKey as _;
use tokio::sync::Semaphore;

use crate::harness::library::key;
use crate::harness::{Caller, Foreign, Library, PATIENCE, Pki, Visitor};

/// Clients that wait for a signature at once.
const WAITING: usize = 12;

/// No deadline ends a wait here.
fn patient() -> Options {
    let mut options = Options::default();
    options.signer_deadline = Duration::from_secs(600);
    options.deadlines.handshake = None;
    options
}

/// Clients of `server` whose handshakes wait for the signer, as it says in `asked`.
fn waiting(
    pki: &Pki,
    server: &Library,
    (program, version): (Foreign, &str),
    asked: &Receiver<()>,
) -> Vec<Visitor> {
    let start = |_| {
        let visitor = program.client(pki, server.address, version, Caller::default());
        asked.recv_timeout(PATIENCE).expect("the signer is asked");
        visitor
    };
    (0..WAITING).map(start).collect()
}

/// All others shake hands, talk and end, with a key that is at hand.
#[track_caller]
fn assert_others_are_served(pki: &Pki, server: &Library) {
    for (program, version) in Foreign::EACH {
        let caller = Caller { name: Some(Library::ORDINARY), ..Caller::default() };
        let mut visitor = program.client(pki, server.address, version, caller);
        assert!(visitor.is_echoed(), "{program:?} {version}");
        visitor.leave();
        let ended = server.ended();
        assert!(ended.is_clean(), "{program:?} {version}: {ended}");
    }
}

/// Those who have waited are served.
#[track_caller]
fn assert_served(server: &Library, waiting: Vec<Visitor>) {
    for mut visitor in waiting {
        assert!(visitor.is_echoed());
        visitor.leave();
        let ended = server.ended();
        assert!(ended.is_clean(), "{ended}");
    }
}

#[test]
fn who_waits_to_sign() {
    for peer in Foreign::EACH {
        let pki = Pki::new();
        let (key, gate) = (Arc::new(key(&pki.localhost)), Arc::new(Semaphore::new(0)));
        let (sender, asked) = channel();
        let open = gate.clone();
        let signer = move |_: SignatureScheme, message: Vec<u8>| {
            let (key, gate, sender) = (key.clone(), open.clone(), sender.clone());
            async move {
                sender.send(())?;
                gate.acquire().await?.forget();
                Ok(key.sign(&message)?)
            }
        };
        let server = Library::signed(&pki, signer, patient());
        let mut waiting = waiting(&pki, &server, peer, &asked);
        assert_others_are_served(&pki, &server);
        // One of them goes: what is signed for it is for nobody, and harms nobody.
        drop(waiting.remove(0));
        gate.add_permits(1);
        let ended = server.ended();
        assert!(!ended.is_clean(), "{ended}");
        gate.add_permits(waiting.len());
        assert_served(&server, waiting);
    }
}

#[test]
fn who_blocks_its_thread_to_sign() {
    for peer in Foreign::EACH {
        let pki = Pki::new();
        let (key, gate) =
            (Arc::new(key(&pki.localhost)), Arc::new((Mutex::new(false), Condvar::new())));
        let (sender, asked) = channel();
        let open = gate.clone();
        let signer = move |_: SignatureScheme, message: Vec<u8>| {
            let (key, gate, sender) = (key.clone(), open.clone(), sender.clone());
            async move {
                sender.send(())?;
                let is_open = gate.0.lock().unwrap();
                drop(gate.1.wait_while(is_open, |is_open| !*is_open).unwrap());
                Ok(key.sign(&message)?)
            }
        };
        let server = Library::signed(&pki, signer, patient());
        let waiting = waiting(&pki, &server, peer, &asked);
        assert_others_are_served(&pki, &server);
        *gate.0.lock().unwrap() = true;
        gate.1.notify_all();
        assert_served(&server, waiting);
    }
}
