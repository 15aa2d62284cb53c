//! A server before its handshake: the ClientHello comes, and somebody answers it.

use std::sync::Arc;

use levada_core::{AlertDescription, Ending, Fault};
use rustls::Error;
use rustls::PeerIncompatible::SignatureAlgorithmsExtensionRequired;
use rustls::server::{AcceptedAlert, Acceptor, UnbufferedServerConnection};

use crate::connection::Connection;
use crate::fault::{alert_for, fault_of};
use crate::hello::{ClientHello, Front, HelloAnswer, HelloHook};
use crate::identity::Identity;
use crate::record;
use crate::running::Running;
use crate::server::Setup;
use crate::session::{Records, Session, Stage};
use crate::voice::Voice;
use crate::waiting::{Away, Deciding, Done};
use crate::witness::Notes;

/// The peer may say so much that is not to the point before its ClientHello.
const MOST_WARNINGS: u8 = 4;
/// Bytes of records that are held for a hook; a ClientHello that needs more is refused.
const MOST_HELD: usize = 128 * 1024;

/// A server before the ClientHello is whole, or answered.
pub(crate) struct Accepting {
    acceptor: Acceptor,
    server: Arc<Setup>,
    /// Who we are, where that is decided on already.
    identity: Option<Identity>,
    /// Warning alerts that came instead of it.
    warnings: u8,
    /// It is one of TLS 1.1 or older, as far as its first record shows.
    is_old: bool,
    /// Who is to be asked about it.
    hook: Option<HelloHook>,
    /// All that came.
    records: Vec<u8>,
    /// What they carry of the handshake.
    handshake: Vec<u8>,
}

impl Accepting {
    pub(crate) fn new(server: Arc<Setup>) -> Self {
        Self {
            acceptor: Acceptor::default(),
            server,
            identity: None,
            warnings: 0,
            is_old: false,
            hook: None,
            records: Vec::new(),
            handshake: Vec::new(),
        }
    }

    /// Has `hook` asked about the ClientHello, of which nothing may have come yet.
    pub(crate) fn ask(&mut self, hook: HelloHook) {
        self.hook = Some(hook);
    }

    /// Keeps a record until somebody is asked, and tells what has come of the ClientHello.
    fn hold(&mut self, record: &[u8]) -> Front {
        self.records.extend_from_slice(record);
        let Some(content) = record::handshake(record) else { return Front::Other };
        self.handshake.extend_from_slice(content);
        match ClientHello::front(&self.handshake) {
            Front::Partial if self.records.len() > MOST_HELD => Front::Other,
            front => front,
        }
    }
}

impl Session {
    /// Takes in a record before the ClientHello is whole.
    pub(crate) fn accept(&mut self, record: &[u8]) {
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
                accepting.records.extend_from_slice(record);
            }
        } else if accepting.hook.is_none() {
            self.read_hello(record);
        } else {
            match accepting.hold(record) {
                Front::Partial => {}
                Front::Hello(hello) => self.ask_about(*hello),
                // rustls knows what is wrong with it.
                Front::Other => self.go_on(),
            }
        }
    }

    /// Asks who answers.
    fn ask_about(&mut self, hello: ClientHello) {
        self.known.sni.clone_from(&hello.sni);
        let Stage::Accepting(accepting) = &mut self.stage else { return };
        let Some(hook) = accepting.hook.take() else { return };
        // What makes the answer runs where its panics are caught, too.
        let answering = Box::pin(async move { hook(hello).await });
        if let Stage::Accepting(accepting) = self.take_stage() {
            self.stage = Stage::Deciding(Box::new(Deciding { accepting, answering }));
        }
    }

    /// Does what was decided; `None` is a hook that panicked.
    pub(crate) fn answer(&mut self, answer: Option<HelloAnswer>) {
        let Stage::Deciding(deciding) = self.take_stage() else { return };
        let mut accepting = deciding.accepting;
        match answer {
            Some(HelloAnswer::PassThrough) => {
                self.stage = Stage::PassedOn(accepting.records);
                return;
            }
            Some(HelloAnswer::GoOn) => {}
            Some(HelloAnswer::Identity(identity)) => accepting.identity = Some(identity),
            Some(HelloAnswer::Server(server)) => {
                accepting.server = server.setup();
                self.versions = accepting.server.versions;
            }
            Some(HelloAnswer::Refuse(alert)) => {
                self.stage = Stage::Accepting(accepting);
                return self.refuse(alert, Fault::HelloRefused(self.known.sni.clone()));
            }
            None => {
                self.stage = Stage::Accepting(accepting);
                let words = "what looks at ClientHellos panicked".to_owned();
                return self.refuse(AlertDescription::INTERNAL_ERROR, Fault::Undecided(words));
            }
        }
        self.stage = Stage::Accepting(accepting);
        self.go_on();
    }

    /// Gives rustls what was held until somebody was asked.
    fn go_on(&mut self) {
        let Stage::Accepting(accepting) = &mut self.stage else { return };
        accepting.hook = None;
        accepting.handshake = Vec::new();
        let records = std::mem::take(&mut accepting.records);
        let mut rest = &records[..];
        while let record::Front::Record(record) | record::Front::IllegalHeader(record) =
            record::front(rest)
        {
            rest = &rest[record.len()..];
            if record::plain_alert(record).is_none() {
                self.read_hello(record);
            }
        }
    }

    /// Gives rustls a record of the ClientHello, and answers when it is whole.
    fn read_hello(&mut self, record: &[u8]) {
        let Stage::Accepting(accepting) = &mut self.stage else { return };
        accepting.is_old |= record::is_old_hello(record);
        accepting.records.extend_from_slice(record);
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
        let chosen = accepting.identity.take();
        let chosen = chosen.or_else(|| accepting.server.identities.find(self.known.sni.as_deref()));
        let Some(identity) = chosen else {
            let fault = Fault::UnknownName(self.known.sni.clone());
            return self.refuse(AlertDescription::UNRECOGNIZED_NAME, fault);
        };
        self.known.identity = Some(identity.shown());
        self.known.own_chain = Some(identity.certified_key());
        self.known.trust = accepting.server.trust;
        let config = accepting.server.config.clone();
        let record_size = accepting.server.record_size;
        let may_block = identity.may_block() || accepting.server.asks;
        let mut notes =
            Notes { identity: Some(identity.certified_key()), may_block, ..Notes::default() };
        notes.traffic = matches!(self.records, Records::ForKernel).then(Box::default);
        let mut records = std::mem::take(&mut accepting.records);
        let connection = match UnbufferedServerConnection::new(config) {
            Ok(connection) => Connection::Server(connection),
            Err(error) => {
                let cause = fault_of(&error, self.versions, true);
                return self.refuse(AlertDescription::INTERNAL_ERROR, cause);
            }
        };
        let mut running = Box::new(Running::new(connection, notes, record_size));
        let step = move || {
            let processed = running.begin(&mut records);
            Done::Processed(running, processed)
        };
        if may_block {
            let facts = self.known.facts();
            self.stage = Stage::Away(Box::new(Away::new(Voice::Plain, Vec::new(), facts, step)));
        } else {
            self.come_back(step());
        }
    }

    /// Ends it with the alert of rustls, and ours where it has none.
    fn fail_accepting(&mut self, error: &Error, mut alert: AcceptedAlert) {
        let mut wire = Vec::new();
        // Writing into memory cannot fail.
        let _ = alert.write_all(&mut wire);
        let sent = record::whole(&wire).last().and_then(record::plain_alert);
        let number = sent.map_or_else(|| alert_for(error), |alert| alert.description);
        self.refuse(number, fault_of(error, self.versions, true));
    }
}
