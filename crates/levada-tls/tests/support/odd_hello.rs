//! What must hold of any first bytes of a client that a hook is asked about, for tests and the fuzzer.

use std::future::ready;
use std::sync::{Arc, Mutex};
use std::task::{Context, Waker};

use levada_tls::{BlockingPool, ClientHello, Engine, HelloAnswer, Identities, TlsServer, Work};

struct NoThreads;

impl BlockingPool for NoThreads {
    fn run(&self, _: Work) {}
}

/// Shows `wire` to a server whose hook hands every client on; what the hook was told.
pub(crate) fn check(wire: &[u8]) -> Option<ClientHello> {
    let server = TlsServer::builder(Identities::none()).without_tickets().build();
    let Ok(server) = server else { panic!("nothing is wrong with the settings") };
    let mut session = server.session();
    let told = Arc::new(Mutex::new(None));
    let tell = told.clone();
    session.on_hello(move |hello| {
        if let Ok(mut told) = tell.lock() {
            *told = Some(hello);
        }
        ready(HelloAnswer::PassThrough)
    });
    let taken = match session.open(&mut wire.to_vec(), &mut []) {
        Ok(opened) => opened.taken,
        Err(_) => return None,
    };
    let mut cx = Context::from_waker(Waker::noop());
    assert!(session.poll_awaited(&mut cx, &NoThreads).is_ready(), "the answer was there at once");
    let hello = told.lock().ok()?.take()?;
    assert_eq!(session.take_passed_on().as_deref(), Some(&wire[..taken]), "not a byte is lost");
    assert!(!hello.to_string().chars().any(char::is_control), "{hello}");
    assert!(!hello.versions.is_empty());
    Some(hello)
}
