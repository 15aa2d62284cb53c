//! A server before its handshake: the ClientHello comes, and somebody answers it.

use std::sync::Arc;

use levada_core::{AlertDescription, Ending, Fault};
use rustls::server::UnbufferedServerConnection;

use crate::connection::Connection;
use crate::fault::fault_of;
use crate::hello::{ClientHello, Front, HelloAnswer, HelloHook};
use crate::identity::Identity;
use crate::record;
use crate::running::Running;
use crate::server::Setup;
use crate::session::{Records, Session, Stage};
use crate::voice::Voice;
use crate::waiting::{Away, Deciding, Done};
use crate::witness::Notes;

const TLS_1_2: u16 = 0x0303;
/// The peer may say so much that is not to the point before its ClientHello.
const MOST_WARNINGS: u8 = 4;
/// Bytes of records that are held; a ClientHello that needs more is refused.
const MOST_HELD: usize = 128 * 1024;

/// A server before the ClientHello is whole, or answered.
pub(crate) struct Accepting {
    server: Arc<Setup>,
    /// Who we are, where that is decided on already.
    identity: Option<Identity>,
    /// Warning alerts that came instead of it.
    warnings: u8,
    /// It offers nothing newer than TLS 1.1.
    is_old: bool,
    /// Who is to be asked about it.
    hook: Option<HelloHook>,
    /// All that came.
    records: Vec<u8>,
    /// What that carries of the handshake.
    handshake: Vec<u8>,
}

impl Accepting {
    pub(crate) fn new(server: Arc<Setup>) -> Self {
        Self {
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

    /// Keeps a record, and tells what has come of the ClientHello.
    fn hold(&mut self, record: &[u8]) -> Front {
        self.records.extend_from_slice(record);
        // One that carries nothing is none, but a header that no record can have.
        let Some(content @ [_, ..]) = record::handshake(record) else { return Front::Other };
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
        } else {
            match accepting.hold(record) {
                Front::Partial => {}
                Front::Hello(hello) => {
                    self.known.sni.clone_from(&hello.sni);
                    accepting.is_old = hello.versions.iter().all(|&version| version < TLS_1_2);
                    match accepting.hook.take() {
                        Some(hook) => self.ask(hook, *hello),
                        None => self.go_on(true),
                    }
                }
                // rustls knows what is wrong with it.
                Front::Other => self.go_on(false),
            }
        }
    }

    /// Asks who answers.
    fn ask(&mut self, hook: HelloHook, hello: ClientHello) {
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
        self.go_on(true);
    }

    /// Gives rustls what was held: a ClientHello, or what `is_read` tells to be none.
    fn go_on(&mut self, is_read: bool) {
        let Stage::Accepting(accepting) = &mut self.stage else { return };
        if accepting.is_old {
            return self.refuse(AlertDescription::PROTOCOL_VERSION, Fault::OldVersion);
        }
        let chosen = accepting.identity.take();
        let chosen = chosen.or_else(|| accepting.server.identities.find(self.known.sni.as_deref()));
        if chosen.is_none() && is_read {
            let fault = Fault::UnknownName(self.known.sni.clone());
            return self.refuse(AlertDescription::UNRECOGNIZED_NAME, fault);
        }
        let own_chain = chosen.as_ref().map(Identity::certified_key);
        self.known.identity = chosen.as_ref().map(Identity::shown);
        self.known.own_chain.clone_from(&own_chain);
        self.known.trust = accepting.server.trust;
        let config = accepting.server.config.clone();
        let record_size = accepting.server.record_size;
        let may_block = accepting.server.asks || chosen.as_ref().is_some_and(Identity::may_block);
        let mut notes = Notes { identity: own_chain, may_block, ..Notes::default() };
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
}
