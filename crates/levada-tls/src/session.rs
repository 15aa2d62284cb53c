//! One TLS session over rustls' connections without buffers.

use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::{fmt, io};

use levada_core::{AlertDescription, Ending, Fault, Role, TlsFacts};
use rustls::Error;
use rustls::client::UnbufferedClientConnection;

use crate::accepting::Accepting;
use crate::connection::Connection;
use crate::engine::{Engine, Opened};
use crate::exporter::{self, ChannelBinding, Exporter, ExporterError, KeyingMaterial};
use crate::facts::Known;
use crate::fault::fault_of;
use crate::hello::{ClientHello, HelloAnswer};
use crate::kernel::Keeping;
use crate::kernel::duties::USED_UP;
use crate::offload::{Awaited, BlockingPool};
use crate::over::Over;
use crate::peer_hello::PeerHello;
use crate::record::{self, Front, RecordSize};
use crate::running::{Processed, Running};
use crate::server::Setup;
use crate::version::Versions;
use crate::voice::Voice;
use crate::waiting::{Away, Deciding, Done};
use crate::witness::Notes;

/// Where a session is in its life.
pub(crate) enum Stage {
    /// A server waits for the whole ClientHello: the name in it picks the identity.
    Accepting(Box<Accepting>),
    /// A server waits until somebody has decided how the ClientHello is answered.
    Deciding(Box<Deciding>),
    /// The handshake, and all that follows it.
    Running(Box<Running>),
    /// Another thread works on the handshake: it waits for a signature or a verdict.
    Away(Box<Away>),
    /// Nothing comes in any more: it failed, or it was given up before it was established.
    Over(Box<Over>),
    /// The client is somebody else's, with these bytes from it.
    PassedOn(Vec<u8>),
}

/// Bytes of what is no TLS that are told.
pub(crate) const FIRST_BYTES: usize = 16;

/// Who does the records behind the handshake.
pub(crate) enum Records {
    Ours,
    /// We do, but what the kernel would need for it is kept.
    ForKernel,
    /// The kernel does.
    ByKernel(Box<Keeping>),
}

/// One TLS session of a client or a server: bytes in, bytes out. See [`Engine`] for its use.
///
/// Begun by [`TlsClient::session`](crate::TlsClient::session) or
/// [`TlsServer::session`](crate::TlsServer::session).
pub struct Session {
    pub(crate) stage: Stage,
    pub(crate) versions: Versions,
    pub(crate) known: Known,
    pub(crate) peer_hello: PeerHello,
    /// Nothing of the peer was taken yet.
    pub(crate) is_fresh: bool,
    /// We have said goodbye, or given up.
    closed: bool,
    pub(crate) peer_closed: bool,
    pub(crate) records: Records,
}

impl Session {
    pub(crate) fn server(server: Arc<Setup>) -> Self {
        Self {
            versions: server.versions,
            stage: Stage::Accepting(Box::new(Accepting::new(server))),
            known: Known::server(),
            peer_hello: PeerHello::new(),
            is_fresh: true,
            closed: false,
            peer_closed: false,
            records: Records::Ours,
        }
    }

    pub(crate) fn client(
        connection: UnbufferedClientConnection,
        versions: Versions,
        record_size: RecordSize,
        known: Known,
        may_block: bool,
    ) -> Self {
        let notes = Notes { may_block, ..Notes::default() };
        let running = Running::new(Connection::Client(connection), notes, record_size);
        Self {
            stage: Stage::Running(Box::new(running)),
            versions,
            known,
            peer_hello: PeerHello::new(),
            is_fresh: true,
            closed: false,
            peer_closed: false,
            records: Records::Ours,
        }
    }

    /// Which end of the handshake this is.
    pub const fn role(&self) -> Role {
        self.known.role
    }

    /// Has `hook` decide, once the whole ClientHello is there, who answers it. Its future is polled by
    /// whoever drives the session: it may wait, and must not block.
    ///
    /// `false`, and no effect, unless this is a server that nothing was shown of its client yet.
    pub fn on_hello<F, A>(&mut self, hook: F) -> bool
    where
        F: FnOnce(ClientHello) -> A + Send + 'static,
        A: Future<Output = HelloAnswer> + Send + 'static,
    {
        match &mut self.stage {
            Stage::Accepting(accepting) if self.is_fresh => {
                accepting.ask(Box::new(|hello| Box::pin(hook(hello))));
                true
            }
            _ => false,
        }
    }

    /// What the session waits for, if it waits for somebody other than the peer:
    /// [`poll_awaited`](Self::poll_awaited) goes on with it. Nothing is taken in meanwhile.
    pub fn awaits(&self) -> Option<Awaited> {
        match &self.stage {
            Stage::Deciding(_) => Some(Awaited::Hello),
            Stage::Away(away) => Some(away.awaited()),
            _ => None,
        }
    }

    /// Ready when the session waits for nobody but the peer. What may block is done by `pool`.
    pub fn poll_awaited(&mut self, cx: &mut Context<'_>, pool: &dyn BlockingPool) -> Poll<()> {
        loop {
            match &mut self.stage {
                Stage::Deciding(deciding) => {
                    let answer = ready!(deciding.poll(cx));
                    self.answer(answer);
                }
                Stage::Away(away) => {
                    let done = ready!(away.poll(cx, pool));
                    self.come_back(done);
                }
                _ => return Poll::Ready(()),
            }
        }
    }

    /// Ends a session that waits for somebody: it has taken too long. The peer is sent
    /// internal_error, and what comes later is ignored. No effect while it waits for nobody.
    pub fn stop_waiting(&mut self) {
        let cause = match self.awaits() {
            None => return,
            Some(Awaited::Hello) => {
                Fault::Undecided("what looks at ClientHellos gave no answer in time".to_owned())
            }
            Some(Awaited::Verdict) => {
                Fault::Undecided("no verdict on its certificates in time".to_owned())
            }
            Some(Awaited::Signature) => Fault::Signer("it gave no signature in time".to_owned()),
            Some(Awaited::Thread) => {
                Fault::Internal("no thread had time for its handshake".to_owned())
            }
        };
        self.fail_waiting(cause);
    }

    /// What the client has sent so far, where a hook has answered [`HelloAnswer::PassThrough`]: the
    /// session is of no more use then.
    pub fn take_passed_on(&mut self) -> Option<Vec<u8>> {
        match &mut self.stage {
            Stage::PassedOn(bytes) => Some(std::mem::take(bytes)),
            _ => None,
        }
    }

    /// The stage, to be put back at once.
    pub(crate) fn take_stage(&mut self) -> Stage {
        std::mem::replace(&mut self.stage, Stage::PassedOn(Vec::new()))
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
        self.exporter()?.export(label, context, length)
    }

    fn exporter(&self) -> Result<Exporter<'_>, ExporterError> {
        let Stage::Running(running) = &self.stage else { return Err(ExporterError::NoSession) };
        running.exporter(self.peer_hello.random()).ok_or(ExporterError::NoSession)
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
        let exporter = self.exporter()?;
        match binding {
            ChannelBinding::TlsExporter => {
                exporter.tls_exporter(self.peer_hello.has_extended_master_secret())
            }
            ChannelBinding::TlsServerEndPoint => {
                let server = match &self.known.own_chain {
                    Some(identity) => identity.cert.first().map(AsRef::as_ref),
                    None => self.peer_chain().next(),
                };
                exporter::tls_server_end_point(server.ok_or(ExporterError::NoSession)?)
            }
        }
    }

    /// The certificates that the peer has shown in DER, its own first, verified or not; none before they
    /// were shown, and behind the end.
    pub fn peer_chain(&self) -> impl Iterator<Item = &[u8]> {
        let shown = match &self.stage {
            Stage::Running(running) => running.evidence().0.peer_certificates(),
            _ => None,
        };
        shown.unwrap_or_default().iter().map(AsRef::as_ref)
    }

    /// Has [`open`](Engine::open) give the plaintext of one record at most, so that what was sealed by
    /// itself comes out by itself. Before the handshake runs it has no effect.
    pub fn keep_records_apart(&mut self) {
        if let Stage::Running(running) = &mut self.stage {
            running.keep_records_apart();
        }
    }

    /// Whether a goodbye was said, by either end, or it was handed over already.
    pub(crate) const fn is_over(&self) -> bool {
        self.closed || self.peer_closed || self.is_handed_over()
    }

    const fn is_handed_over(&self) -> bool {
        matches!(self.records, Records::ByKernel(_))
    }

    /// Whether nothing is to be taken in any more.
    fn is_deaf(&self) -> bool {
        // Who gives up a handshake does not go on with it.
        self.peer_closed || self.is_handed_over() || (self.closed && self.is_handshaking())
    }

    /// Takes in one record, or a header that none can have; how many bytes it has put into `plain`.
    fn take(&mut self, record: &mut [u8], plain: &mut [u8]) -> usize {
        self.is_fresh = false;
        self.peer_hello.take(record);
        match &mut self.stage {
            Stage::Accepting(_) => self.accept(record),
            Stage::Running(running) if running.may_block() => self.send_away(record.to_vec()),
            Stage::Running(running) => {
                let processed = running.process(record, self.closed, plain);
                return self.processed(processed);
            }
            Stage::Deciding(_) | Stage::Away(_) | Stage::Over(_) | Stage::PassedOn(_) => {}
        }
        0
    }

    fn processed(&mut self, processed: Processed) -> usize {
        match processed {
            Processed::GoesOn { peer_has_closed, plain } => {
                self.peer_closed = peer_has_closed;
                plain
            }
            Processed::Failed(error, voice) => {
                self.fail(&error, &voice);
                0
            }
        }
    }

    /// Has another thread take in `record`.
    fn send_away(&mut self, mut record: Vec<u8>) {
        let facts = self.facts();
        let Stage::Running(mut running) = self.take_stage() else { return };
        let (voice, wire) = (running.voice(), running.drain());
        let step = move || {
            let processed = running.process(&mut record, false, &mut []);
            Done::Processed(running, processed)
        };
        self.stage = Stage::Away(Box::new(Away::new(voice, wire, facts, step)));
    }

    /// Goes on with what has become of a step.
    pub(crate) fn come_back(&mut self, done: Done) {
        match done {
            Done::Processed(mut running, processed) => {
                if let Some(cause) = running.failed() {
                    return self.fail_waiting(cause);
                }
                if let Stage::Away(away) = &mut self.stage {
                    running.put_back(away.take_wire());
                }
                self.stage = Stage::Running(running);
                self.processed(processed);
            }
            Done::Lost(why) => self.fail_waiting(Fault::Internal(why.to_owned())),
        }
    }

    /// Ends a session that waits, or whose wait was in vain. What rustls has made of our next flight
    /// goes nowhere: internal_error takes its place.
    fn fail_waiting(&mut self, cause: Fault) {
        let (alert, wire) = self.instead_of_flight(AlertDescription::INTERNAL_ERROR);
        self.over(Some(Ending::FatalError { alert, cause }), wire);
    }

    /// The records of a session that waits which are to be written, with `alert` behind them, if it can
    /// be said.
    fn instead_of_flight(
        &mut self,
        alert: AlertDescription,
    ) -> (Option<AlertDescription>, Vec<u8>) {
        let (mut wire, said) = match &mut self.stage {
            Stage::Away(away) => (away.take_wire(), away.voice.alert(alert)),
            _ => (Vec::new(), Voice::Plain.alert(alert)),
        };
        let is_said = said.is_some();
        wire.extend(said.unwrap_or_default());
        (is_said.then_some(alert), wire)
    }

    /// Ends a session in which nothing of ours has left yet, with an alert of our choice.
    pub(crate) fn refuse(&mut self, alert: AlertDescription, cause: Fault) {
        let ending = Ending::FatalError { alert: Some(alert), cause };
        self.end(ending, &record::alert_record(alert));
    }

    /// Ends it after an error of the connection.
    fn fail(&mut self, error: &Error, voice: &Voice) {
        let Stage::Running(running) = &mut self.stage else { return };
        let handshaking = running.is_handshaking();
        if self.known.role == Role::Server && running.our_random().is_empty() {
            // Nothing of ours has answered the ClientHello.
            self.known.identity = None;
            self.known.own_chain = None;
        }
        let (wire, alert) = running.last_words(error, voice, self.closed);
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
        let cause = Fault::Internal(USED_UP.to_owned());
        let wire = running.drain();
        self.over(Some(Ending::FatalError { alert: None, cause }), wire);
    }

    pub(crate) fn end(&mut self, ending: Ending, wire: &[u8]) {
        self.over(Some(ending), wire.to_vec());
    }

    fn over(&mut self, ending: Option<Ending>, wire: Vec<u8>) {
        let (facts, handshaking) = (self.facts(), self.is_handshaking());
        self.stage = Stage::Over(Box::new(Over::new(ending, wire, facts, handshaking)));
    }
}

impl Engine for Session {
    fn open(&mut self, wire: &mut [u8], plain: &mut [u8]) -> Result<Opened, Ending> {
        let mut opened = Opened::default();
        loop {
            match &mut self.stage {
                Stage::Accepting(_) => {}
                Stage::Running(running) => {
                    opened.plain += running.read(&mut plain[opened.plain..]);
                    if running.has_plaintext()
                        || (running.keeps_records_apart() && opened.plain > 0)
                    {
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
                Stage::Over(_) | Stage::Deciding(_) | Stage::Away(_) | Stage::PassedOn(_) => {
                    return Ok(opened);
                }
            }
            let rest = &mut wire[opened.taken..];
            if self.is_deaf() {
                return Ok(opened);
            }
            if self.is_fresh && rest.first().is_some_and(|&first| !record::can_be_first(first)) {
                let first = rest[..rest.len().min(FIRST_BYTES)].to_vec();
                // An alert would be noise to who does not speak TLS.
                let ending = Ending::FatalError { alert: None, cause: Fault::NotTls { first } };
                self.end(ending, &[]);
                continue;
            }
            let length = match record::front(rest) {
                Front::Partial => return Ok(opened),
                Front::Record(record) | Front::IllegalHeader(record) => record.len(),
            };
            opened.taken += length;
            opened.plain += self.take(&mut rest[..length], &mut plain[opened.plain..]);
        }
    }

    fn has_plaintext(&self) -> bool {
        match &self.stage {
            Stage::Running(running) => running.has_plaintext() || running.is_worn_out(),
            Stage::Over(over) => over.has_news(),
            _ => false,
        }
    }

    fn seal(&mut self, plain: &[u8]) -> bool {
        let may = !self.closed && !self.is_handed_over();
        let Stage::Running(running) = &mut self.stage else { return false };
        may && !running.is_handshaking() && running.seal(plain)
    }

    fn close(&mut self) {
        if std::mem::replace(&mut self.closed, true) {
            return;
        }
        let is_handed_over = self.is_handed_over();
        match &mut self.stage {
            Stage::Accepting(_) | Stage::Deciding(_) | Stage::Away(_) => {
                let (_, wire) = self.instead_of_flight(AlertDescription::CLOSE_NOTIFY);
                self.over(None, wire);
            }
            Stage::Running(_) if is_handed_over => {}
            Stage::Running(running) => running.close(self.peer_hello.random()),
            Stage::Over(_) | Stage::PassedOn(_) => {}
        }
    }

    fn wants_write(&self) -> bool {
        match &self.stage {
            Stage::Accepting(_) | Stage::Deciding(_) | Stage::PassedOn(_) => false,
            Stage::Running(running) => running.wants_write(),
            Stage::Away(away) => away.wants_write(),
            Stage::Over(over) => over.wants_write(),
        }
    }

    fn write_wire(&mut self, transport: &mut dyn io::Write) -> io::Result<usize> {
        match &mut self.stage {
            Stage::Accepting(_) | Stage::Deciding(_) | Stage::PassedOn(_) => Ok(0),
            Stage::Running(running) => running.write(transport),
            Stage::Away(away) => away.write(transport),
            Stage::Over(over) => over.write(transport),
        }
    }

    fn is_handshaking(&self) -> bool {
        match &self.stage {
            Stage::Accepting(_) | Stage::Deciding(_) | Stage::Away(_) | Stage::PassedOn(_) => true,
            Stage::Running(running) => running.is_handshaking(),
            Stage::Over(over) => over.was_handshaking(),
        }
    }

    fn peer_has_closed(&self) -> bool {
        self.peer_closed
    }

    fn facts(&self) -> TlsFacts {
        match &self.stage {
            Stage::Accepting(_) | Stage::Deciding(_) | Stage::PassedOn(_) => self.known.facts(),
            Stage::Away(away) => away.facts(),
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

    /// A client and its server before a byte has moved.
    fn begin(version: TlsVersion) -> (Session, Session) {
        let identity = Identity::from_pem(
            include_bytes!("../tests/data/ec-cert.pem"),
            Some(include_bytes!("../tests/data/ec-pkcs8.pem")),
            None,
        );
        let server = TlsServer::builder(Identities::one(&identity.unwrap())).without_tickets();
        let client = TlsClient::builder().danger_no_verification().max_version(version);
        let name = SessionName::new("host.example").unwrap();
        (client.build().unwrap().session(&name).unwrap(), server.build().unwrap().session())
    }

    fn shake_hands(client: &mut Session, server: &mut Session) {
        for _ in 0..2 {
            pass(client, server);
            pass(server, client);
        }
        assert!(!client.is_handshaking() && !server.is_handshaking());
    }

    fn pass(from: &mut Session, to: &mut Session) {
        let mut wire = Vec::new();
        while from.wants_write() {
            from.write_wire(&mut wire).unwrap();
        }
        assert_eq!(to.open(&mut wire, &mut []).unwrap().taken, wire.len());
    }

    fn established(version: TlsVersion) -> (Session, Session) {
        let (mut client, mut server) = begin(version);
        shake_hands(&mut client, &mut server);
        (client, server)
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
        assert_eq!(ours.open(&mut wire, &mut []).unwrap().taken, wire.len());

        assert!(ours.seal(b"the last record"));
        assert!(!ours.seal(b"one too many"));
        assert!(ours.has_plaintext(), "there is news for the driver");
        let mut plain = [0; 100];
        assert_eq!(
            ours.open(&mut [], &mut plain).unwrap().plain,
            11,
            "what came before is delivered"
        );
        let ending = ours.open(&mut [], &mut plain).unwrap_err();
        assert!(matches!(ending, Ending::FatalError { alert: None, cause: Fault::Internal(_) }));
        let mut wire = Vec::new();
        ours.write_wire(&mut wire).unwrap();
        let opened = peer.open(&mut wire, &mut plain).unwrap();
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

    #[test]
    fn half_a_message_behind_the_handshake_stops_no_data() {
        const KEY_UPDATE: [u8; 5] = [24, 0, 0, 1, 0];
        let (mut client, mut server) = begin(TlsVersion::V1_3);
        assert!(client.for_kernel());
        shake_hands(&mut client, &mut server);
        let mut keys = client.handover().unwrap().transmit;
        let (first, second) = KEY_UPDATE.split_at(2);
        let mut plain = [0; 100];
        for part in [first, second] {
            let mut record = keys.seal(record::HANDSHAKE, part).unwrap();
            let taken = server.open(&mut record, &mut plain).unwrap().taken;
            assert_eq!(taken, record.len());
            assert!(server.seal(b"data"));
            let mut wire = Vec::new();
            server.write_wire(&mut wire).unwrap();
            let opened = client.open(&mut wire, &mut plain).unwrap();
            assert_eq!(&plain[..opened.plain], b"data");
        }
        let mut under_old_keys = keys.seal(record::APPLICATION_DATA, b"late").unwrap();
        server.open(&mut under_old_keys, &mut plain).unwrap_err();
    }
}
