//! One TLS session over rustls' ordinary connections.

use std::sync::Arc;
use std::{fmt, io};

use levada_core::{AlertDescription, Ending, Fault, Role, TlsFacts};
use rustls::PeerIncompatible::SignatureAlgorithmsExtensionRequired;
use rustls::server::Acceptor;
use rustls::{ClientConnection, Error};

use crate::engine::{Engine, Opened};
use crate::exporter::{self, ChannelBinding, ExporterError, KeyingMaterial};
use crate::facts::Known;
use crate::fault::{alert_for, fault_of};
use crate::over::Over;
use crate::peer_hello::PeerHello;
use crate::record::{self, Front, RecordSize};
use crate::running::{Processed, Running};
use crate::server::Setup;
use crate::version::Versions;
use crate::witness::Notes;

/// Where a session is in its life.
enum Stage {
    /// A server waits for the whole ClientHello: the name in it picks the identity.
    Accepting(Box<Accepting>),
    /// The handshake, and all that follows it.
    Running(Box<Running>),
    /// Nothing comes in any more: it failed, or it was given up before it was established.
    Over(Box<Over>),
}

/// A server before the ClientHello.
struct Accepting {
    acceptor: Acceptor,
    server: Arc<Setup>,
    /// Warning alerts that came instead of it.
    warnings: u8,
    /// It is one of TLS 1.1 or older, as far as its first record shows.
    is_old: bool,
}

/// The peer may say so much that is not to the point before its ClientHello.
const MOST_WARNINGS: u8 = 4;

/// One TLS session of a client or a server: bytes in, bytes out. See [`Engine`] for its use.
///
/// Begun by [`TlsClient::session`](crate::TlsClient::session) or
/// [`TlsServer::session`](crate::TlsServer::session).
pub struct Session {
    stage: Stage,
    versions: Versions,
    known: Known,
    peer_hello: PeerHello,
    /// Nothing of the peer was taken yet.
    is_fresh: bool,
    /// We have said goodbye, or given up.
    closed: bool,
    peer_closed: bool,
}

impl Session {
    pub(crate) fn server(server: Arc<Setup>) -> Self {
        Self {
            versions: server.versions,
            stage: Stage::Accepting(Box::new(Accepting {
                acceptor: Acceptor::default(),
                server,
                warnings: 0,
                is_old: false,
            })),
            known: Known::server(),
            peer_hello: PeerHello::new(),
            is_fresh: true,
            closed: false,
            peer_closed: false,
        }
    }

    pub(crate) fn client(
        connection: ClientConnection,
        versions: Versions,
        record_size: RecordSize,
        known: Known,
    ) -> Self {
        Self {
            stage: Stage::Running(Box::new(Running::new(
                connection.into(),
                Notes::default(),
                record_size,
            ))),
            versions,
            known,
            peer_hello: PeerHello::new(),
            is_fresh: true,
            closed: false,
            peer_closed: false,
        }
    }

    /// Which end of the handshake this is.
    pub const fn role(&self) -> Role {
        self.known.role
    }

    /// Derives `length` bytes that both ends of this session have, and nobody else (RFC 5705, RFC 8446
    /// section 7.5). Other labels and contexts give other bytes; on TLS 1.2 no context is another one
    /// than an empty context, on TLS 1.3 they are the same.
    ///
    /// # Errors
    ///
    /// [`ExporterError`], for what cannot be derived, and when the session is not established or has
    /// failed.
    pub fn export_keying_material(
        &self,
        label: &str,
        context: Option<&[u8]>,
        length: usize,
    ) -> Result<KeyingMaterial, ExporterError> {
        let Stage::Running(running) = &self.stage else { return Err(ExporterError::NoSession) };
        exporter::export(running.evidence().0, label, context, length)
    }

    /// What binds a login to this session, or to its server.
    ///
    /// # Errors
    ///
    /// [`ExporterError`], where the binding is not defined, and when the session is not established or
    /// has failed.
    pub fn channel_binding(
        &self,
        binding: ChannelBinding,
    ) -> Result<KeyingMaterial, ExporterError> {
        let Stage::Running(running) = &self.stage else { return Err(ExporterError::NoSession) };
        if running.is_handshaking() {
            return Err(ExporterError::NoSession);
        }
        let (connection, _) = running.evidence();
        match binding {
            ChannelBinding::TlsExporter => {
                let is_unique = self.peer_hello.has_extended_master_secret();
                exporter::tls_exporter(connection, is_unique)
            }
            ChannelBinding::TlsServerEndPoint => {
                let chain = match &self.known.own_chain {
                    Some(identity) => Some(&identity.cert[..]),
                    None => connection.peer_certificates(),
                };
                let server = chain.and_then(<[_]>::first).ok_or(ExporterError::NoSession)?;
                exporter::tls_server_end_point(server)
            }
        }
    }

    /// Whether nothing is to be taken in any more.
    fn is_deaf(&self) -> bool {
        // Who gives up a handshake does not go on with it.
        self.peer_closed || (self.closed && self.is_handshaking())
    }

    /// Takes in one record, or a header that none can have.
    fn take(&mut self, record: &[u8]) {
        self.is_fresh = false;
        self.peer_hello.take(record);
        match &mut self.stage {
            Stage::Accepting(_) => self.accept(record),
            Stage::Running(running) => match running.process(record, self.closed) {
                Processed::GoesOn { peer_has_closed } => self.peer_closed = peer_has_closed,
                Processed::Failed(error) => self.fail(&error),
            },
            Stage::Over(_) => {}
        }
    }

    /// Takes in a record before the ClientHello is whole.
    fn accept(&mut self, record: &[u8]) {
        let Stage::Accepting(accepting) = &mut self.stage else { return };
        if let Some(alert) = record::plain_alert(record) {
            if alert.description == AlertDescription::CLOSE_NOTIFY {
                self.peer_closed = true;
            } else if !alert.is_warning {
                self.end(Ending::FatalAlert(alert.description), &[]);
            } else if accepting.warnings == MOST_WARNINGS {
                let words = "it sends warning alerts and no ClientHello".to_owned();
                self.refuse(AlertDescription::UNEXPECTED_MESSAGE, Fault::Protocol(words));
            } else {
                accepting.warnings += 1;
            }
            return;
        }
        accepting.is_old |= record::is_old_hello(record);
        let mut rest = record;
        while !rest.is_empty() {
            match accepting.acceptor.read_tls(&mut rest) {
                Ok(1..) => {}
                Ok(0) | Err(_) => {
                    return self.refuse(
                        AlertDescription::DECODE_ERROR,
                        Fault::Protocol("its ClientHello is longer than 65535 bytes".to_owned()),
                    );
                }
            }
        }
        let accepted = match accepting.acceptor.accept() {
            Ok(Some(accepted)) => accepted,
            Ok(None) => return,
            // An old ClientHello has no signature algorithms, which rustls misses first.
            Err((Error::PeerIncompatible(SignatureAlgorithmsExtensionRequired), _))
                if accepting.is_old =>
            {
                return self.refuse(AlertDescription::PROTOCOL_VERSION, Fault::OldVersion);
            }
            Err((error, alert)) => return self.fail_accepting(&error, alert),
        };
        self.known.sni = accepted.client_hello().server_name().map(ToOwned::to_owned);
        let Some(identity) = accepting.server.identities.find(self.known.sni.as_deref()) else {
            let fault = Fault::UnknownName(self.known.sni.clone());
            return self.refuse(AlertDescription::UNRECOGNIZED_NAME, fault);
        };
        let (own_chain, identity) = (identity.certified_key(), identity.shown());
        let server = accepting.server.clone();
        let mut notes = Notes::default();
        match notes.during(|| accepted.into_connection(server.config.clone())) {
            Ok(connection) => {
                self.known.identity = Some(identity);
                self.known.own_chain = Some(own_chain);
                self.known.trust = server.trust;
                let running = Running::new(connection.into(), notes, server.record_size);
                self.stage = Stage::Running(Box::new(running));
            }
            Err((error, alert)) => self.fail_accepting(&error, alert),
        }
    }

    /// Ends a session in which nothing of ours has left yet, with an alert of our choice.
    fn refuse(&mut self, alert: AlertDescription, cause: Fault) {
        let ending = Ending::FatalError { alert: Some(alert), cause };
        self.end(ending, &record::alert_record(alert));
    }

    /// Ends it with the alert of rustls, and ours where it has none.
    fn fail_accepting(&mut self, error: &Error, mut alert: rustls::server::AcceptedAlert) {
        let mut wire = Vec::new();
        // Writing into memory cannot fail.
        let _ = alert.write_all(&mut wire);
        let sent = record::last(&wire).and_then(record::plain_alert);
        let number = sent.map_or_else(|| alert_for(error), |alert| alert.description);
        self.refuse(number, fault_of(error, self.versions, true));
    }

    /// Ends it after an error of the connection.
    fn fail(&mut self, error: &Error) {
        let Stage::Running(running) = &mut self.stage else { return };
        let handshaking = running.is_handshaking();
        let (wire, alert) = running.last_words(error, self.closed);
        let ending = match error {
            Error::AlertReceived(alert) => {
                let alert = AlertDescription((*alert).into());
                if alert == AlertDescription::CLOSE_NOTIFY {
                    // In a handshake of TLS 1.3 rustls takes it for a fault.
                    self.peer_closed = true;
                    None
                } else {
                    Some(Ending::FatalAlert(alert))
                }
            }
            error => Some(match running.evidence().1.refusal(error) {
                Some(Err(rule)) => Ending::Refused(rule),
                Some(Ok(fault)) => Ending::FatalError { alert, cause: Fault::Certificate(fault) },
                None => {
                    let cause = fault_of(error, self.versions, handshaking);
                    Ending::FatalError { alert, cause }
                }
            }),
        };
        self.over(ending, wire);
    }

    /// Ends it because its keys are used up. Going on would be unsafe, and a goodbye would pass the
    /// loss off as the end.
    fn wear_out(&mut self) {
        let Stage::Running(running) = &mut self.stage else { return };
        let words = "the keys of this TLS 1.2 session are used up: TLS 1.3 would renew them";
        let cause = Fault::Internal(words.to_owned());
        let wire = running.drain();
        self.over(Some(Ending::FatalError { alert: None, cause }), wire);
    }

    fn end(&mut self, ending: Ending, wire: &[u8]) {
        self.over(Some(ending), wire.to_vec());
    }

    fn over(&mut self, ending: Option<Ending>, wire: Vec<u8>) {
        let (facts, handshaking) = (self.facts(), self.is_handshaking());
        self.stage = Stage::Over(Box::new(Over::new(ending, wire, facts, handshaking)));
    }
}

impl Engine for Session {
    fn open(&mut self, wire: &[u8], plain: &mut [u8]) -> Result<Opened, Ending> {
        let mut opened = Opened::default();
        loop {
            match &mut self.stage {
                Stage::Accepting(_) => {}
                Stage::Running(running) => {
                    opened.plain += running.read(&mut plain[opened.plain..]);
                    if running.has_plaintext() {
                        return Ok(opened);
                    }
                    if running.is_worn_out() {
                        self.wear_out();
                        continue;
                    }
                }
                // What came before the end is handed out before it.
                Stage::Over(over) if opened.plain == 0 => {
                    return over.tell().map_or(Ok(opened), Err);
                }
                Stage::Over(_) => return Ok(opened),
            }
            let rest = &wire[opened.taken..];
            if self.is_deaf() {
                return Ok(opened);
            }
            if self.is_fresh && rest.first().is_some_and(|&first| !record::can_be_first(first)) {
                let first = rest[..rest.len().min(16)].to_vec();
                // An alert would be noise to who does not speak TLS.
                let ending = Ending::FatalError { alert: None, cause: Fault::NotTls { first } };
                self.end(ending, &[]);
                continue;
            }
            match record::front(rest) {
                Front::Partial => return Ok(opened),
                Front::Record(record) | Front::IllegalHeader(record) => {
                    opened.taken += record.len();
                    self.take(record);
                }
            }
        }
    }

    fn has_plaintext(&self) -> bool {
        match &self.stage {
            Stage::Accepting(_) => false,
            Stage::Running(running) => running.has_plaintext() || running.is_worn_out(),
            Stage::Over(over) => over.has_news(),
        }
    }

    fn seal(&mut self, plain: &[u8]) -> bool {
        let Stage::Running(running) = &mut self.stage else { return false };
        !self.closed && !running.is_handshaking() && running.seal(plain)
    }

    fn close(&mut self) {
        if std::mem::replace(&mut self.closed, true) {
            return;
        }
        match &mut self.stage {
            Stage::Accepting(_) => {
                let goodbye = record::alert_record(AlertDescription::CLOSE_NOTIFY);
                self.over(None, goodbye.to_vec());
            }
            Stage::Running(running) => running.close(),
            Stage::Over(_) => {}
        }
    }

    fn wants_write(&self) -> bool {
        match &self.stage {
            Stage::Accepting(_) => false,
            Stage::Running(running) => running.wants_write(),
            Stage::Over(over) => over.wants_write(),
        }
    }

    fn write_wire(&mut self, transport: &mut dyn io::Write) -> io::Result<usize> {
        match &mut self.stage {
            Stage::Accepting(_) => Ok(0),
            Stage::Running(running) => running.write(transport),
            Stage::Over(over) => over.write(transport),
        }
    }

    fn is_handshaking(&self) -> bool {
        match &self.stage {
            Stage::Accepting(_) => true,
            Stage::Running(running) => running.is_handshaking(),
            Stage::Over(over) => over.was_handshaking(),
        }
    }

    fn peer_has_closed(&self) -> bool {
        self.peer_closed
    }

    fn facts(&self) -> TlsFacts {
        match &self.stage {
            Stage::Accepting(_) => self.known.facts(),
            Stage::Running(running) => {
                let (connection, notes) = running.evidence();
                self.known.facts_of(connection, notes)
            }
            Stage::Over(over) => over.facts(),
        }
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("role", &self.role())
            .field("handshaking", &self.is_handshaking())
            .field("closed", &self.closed)
            .field("peer_closed", &self.peer_closed)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Identities, Identity, SessionName, TlsClient, TlsServer, TlsVersion};

    fn established(version: TlsVersion) -> (Session, Session) {
        let identity = Identity::from_pem(
            include_bytes!("../tests/data/ec-cert.pem"),
            Some(include_bytes!("../tests/data/ec-pkcs8.pem")),
            None,
        );
        let server = TlsServer::builder(Identities::one(&identity.unwrap())).build().unwrap();
        let client = TlsClient::builder().danger_no_verification().max_version(version);
        let name = SessionName::new("host.example").unwrap();
        let mut ends = (client.build().unwrap().session(&name).unwrap(), server.session());
        for _ in 0..4 {
            for _ in 0..2 {
                let mut wire = Vec::new();
                while ends.0.wants_write() {
                    ends.0.write_wire(&mut wire).unwrap();
                }
                assert_eq!(ends.1.open(&wire, &mut []).unwrap().taken, wire.len());
                std::mem::swap(&mut ends.0, &mut ends.1);
            }
        }
        assert!(!ends.0.is_handshaking() && !ends.1.is_handshaking());
        ends
    }

    #[test]
    fn keys_of_tls_1_2_that_are_used_up_end_the_session_before_a_byte_is_lost() {
        let (mut ours, mut peer) = established(TlsVersion::V1_2);
        let Stage::Running(running) = &mut ours.stage else { panic!("it runs") };
        // AES-GCM: 2^24 records (RFC 8446 section 5.5), and room for Finished and goodbye.
        running.wear_out_keys((1 << 24) - 3);
        assert!(peer.seal(b"came before"));
        let mut wire = Vec::new();
        peer.write_wire(&mut wire).unwrap();
        assert_eq!(ours.open(&wire, &mut []).unwrap().taken, wire.len());

        assert!(ours.seal(b"the last record"));
        assert!(!ours.seal(b"one too many"));
        assert!(ours.has_plaintext(), "there is news for the driver");
        let mut plain = [0; 100];
        assert_eq!(ours.open(&[], &mut plain).unwrap().plain, 11, "what came before is delivered");
        let ending = ours.open(&[], &mut plain).unwrap_err();
        assert!(matches!(ending, Ending::FatalError { alert: None, cause: Fault::Internal(_) }));
        let mut wire = Vec::new();
        ours.write_wire(&mut wire).unwrap();
        let opened = peer.open(&wire, &mut plain).unwrap();
        assert_eq!(&plain[..opened.plain], b"the last record");
        assert!(!peer.peer_has_closed(), "a loss is not passed off as the end");
    }

    #[test]
    fn keys_of_tls_1_3_are_renewed() {
        let (mut ours, _) = established(TlsVersion::V1_3);
        let Stage::Running(running) = &mut ours.stage else { panic!("it runs") };
        running.wear_out_keys(u64::MAX / 2);
        assert!(ours.seal(b"more"));
    }
}
