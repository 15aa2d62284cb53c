//! The peer under our control. Its TLS is a [`Session`] that it uses by hand: whatever it makes can be
//! cut, flipped, held back and sent in another order.

use std::io;

use levada::{AlertDescription, Ending, Role, Session};
use levada_tls::Engine;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::wire::Wire;
use crate::world::{Layer, Setup};

pub(crate) struct Peer {
    wire: Option<Wire>,
    session: Option<Session>,
    setup: Setup,
    /// Bytes of the wire that the session has not taken.
    unopened: Vec<u8>,
    /// Plain bytes that came.
    pub(crate) plain: Vec<u8>,
    /// All bytes that came over the wire.
    pub(crate) raw: Vec<u8>,
    /// How the other end ended the wire.
    pub(crate) end: Option<WireEnd>,
    /// The alert that came.
    pub(crate) alert: Option<AlertDescription>,
    /// What it found wrong.
    pub(crate) failed: Option<Ending>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WireEnd {
    Fin,
    Reset,
}

impl Peer {
    pub(crate) fn new(wire: Wire, session: Option<Session>, setup: Setup) -> Self {
        Self {
            wire: Some(wire),
            session,
            setup,
            unopened: Vec::new(),
            plain: Vec::new(),
            raw: Vec::new(),
            end: None,
            alert: None,
            failed: None,
        }
    }

    /// Gives the peer another session than the usual one.
    pub(crate) fn with_session(mut self, session: Session) -> Self {
        self.session = Some(session);
        self
    }

    fn session(&mut self) -> &mut Session {
        self.session.as_mut().unwrap()
    }

    /// Whether the other end has said goodbye: close_notify, or FIN where there is no layer.
    pub(crate) fn has_goodbye(&self) -> bool {
        match &self.session {
            Some(session) => session.peer_has_closed(),
            None => self.end == Some(WireEnd::Fin),
        }
    }

    // What it takes in.

    /// Reads once from the wire and opens what came; `false` at its end.
    pub(crate) async fn take(&mut self) -> bool {
        let mut buffer = vec![0; 16 * 1024];
        let Some(wire) = &mut self.wire else { return false };
        let count = match wire.read(&mut buffer).await {
            Ok(0) => {
                self.end = Some(WireEnd::Fin);
                return false;
            }
            Ok(count) => count,
            Err(error) => {
                assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
                self.end = Some(WireEnd::Reset);
                return false;
            }
        };
        self.raw.extend_from_slice(&buffer[..count]);
        self.unopened.extend_from_slice(&buffer[..count]);
        self.open();
        true
    }

    fn open(&mut self) {
        let Some(session) = &mut self.session else {
            self.plain.append(&mut self.unopened);
            return;
        };
        let mut room = vec![0; 16 * 1024];
        loop {
            match session.open(&mut self.unopened, &mut room) {
                Ok(opened) if opened == levada_tls::Opened::default() => return,
                Ok(opened) => {
                    self.unopened.drain(..opened.taken);
                    self.plain.extend_from_slice(&room[..opened.plain]);
                }
                Err(Ending::FatalAlert(alert)) => {
                    self.alert = Some(alert);
                    return;
                }
                Err(ending) => {
                    self.failed = Some(ending);
                    return;
                }
            }
        }
    }

    /// Reads until `done`, or the end of the wire.
    pub(crate) async fn take_until(&mut self, done: impl Fn(&Self) -> bool) {
        while !done(self) && self.take().await {}
    }

    /// Reads to the end of the wire.
    pub(crate) async fn take_all(&mut self) {
        while self.take().await {}
    }

    /// Goes through the handshake until its session fails, and does not say so.
    pub(crate) async fn take_until_failed(&mut self) {
        while self.failed.is_none() {
            let flight = self.says();
            self.send(&flight).await;
            assert!(self.take().await, "the other end ended in the handshake");
        }
    }

    // What it makes.

    /// What the session has to say, unsent.
    pub(crate) fn says(&mut self) -> Vec<u8> {
        let mut wire = Vec::new();
        if let Some(session) = &mut self.session {
            while session.wants_write() {
                session.write_wire(&mut wire).unwrap();
            }
        }
        wire
    }

    /// `plain` as it goes over the wire, unsent.
    pub(crate) fn seal(&mut self, plain: &[u8]) -> Vec<u8> {
        match &mut self.session {
            Some(session) => {
                assert!(session.seal(plain));
                self.says()
            }
            None => plain.to_vec(),
        }
    }

    /// Its close_notify, unsent; nothing where there is no layer.
    pub(crate) fn close_notify(&mut self) -> Vec<u8> {
        if let Some(session) = &mut self.session {
            session.close();
        }
        self.says()
    }

    /// A fatal alert, with its number: what the session says when it is shown nonsense.
    pub(crate) fn fatal_alert(&mut self) -> (Vec<u8>, AlertDescription) {
        // It may have failed before, by itself.
        let mut nonsense = [&[23, 3, 3, 0, 64][..], &[0; 64]].concat();
        let ending = self.session().open(&mut nonsense, &mut [0; 16]).unwrap_err();
        let Ending::FatalError { alert: Some(alert), .. } = ending else { panic!("{ending:?}") };
        (self.says(), alert)
    }

    // What it does.

    pub(crate) async fn send(&mut self, bytes: &[u8]) {
        self.wire.as_mut().unwrap().write_all(bytes).await.unwrap();
    }

    /// Seals and sends.
    pub(crate) async fn send_plain(&mut self, plain: &[u8]) {
        let sealed = self.seal(plain);
        self.send(&sealed).await;
    }

    /// Says its goodbye, as its layer does.
    pub(crate) async fn say_goodbye(&mut self) {
        if self.session.is_none() {
            return self.fin().await;
        }
        let goodbye = self.close_notify();
        self.send(&goodbye).await;
    }

    pub(crate) async fn fin(&mut self) {
        self.wire.as_mut().unwrap().shutdown().await.unwrap();
    }

    /// Says its goodbye and ends the wire, as far as the other end is still there.
    pub(crate) async fn end_wire(&mut self) {
        let goodbye = self.close_notify();
        if let Some(wire) = &mut self.wire {
            let _ = wire.write_all(&goodbye).await;
            let _ = wire.shutdown().await;
        }
    }

    /// Ends the wire at once.
    pub(crate) fn reset(&mut self) {
        self.wire.take().unwrap().reset();
    }

    /// Goes through the handshake as far as its own last flight, which it gives, unsent. `None` where
    /// there is no handshake.
    pub(crate) async fn last_flight(&mut self) -> Option<Vec<u8>> {
        let role = self.session.as_ref()?.role();
        let mut flights = match (role, self.setup.layer) {
            (Role::Server, Layer::Tls13) => 1,
            _ => 2,
        };
        loop {
            let flight = self.says();
            if !flight.is_empty() {
                flights -= 1;
                if flights == 0 {
                    return Some(flight);
                }
                self.send(&flight).await;
            }
            assert!(self.take().await, "the other end ended in the handshake");
        }
    }

    /// As [`Peer::last_flight`] of a server, or in TLS 1.2 its first one, with its certificate.
    pub(crate) async fn last_or_only_flight(&mut self) -> Vec<u8> {
        loop {
            let flight = self.says();
            if !flight.is_empty() {
                return flight;
            }
            assert!(self.take().await, "the other end ended in the handshake");
        }
    }

    /// Goes through the whole handshake.
    pub(crate) async fn handshake(&mut self) {
        let Some(flight) = self.last_flight().await else { return };
        self.send(&flight).await;
        self.take_until(|peer| !peer.session.as_ref().unwrap().is_handshaking()).await;
        // Tickets of a server.
        let more = self.says();
        self.send(&more).await;
    }
}
