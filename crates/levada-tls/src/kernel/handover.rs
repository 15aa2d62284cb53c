//! From a session behind its handshake to keys for the kernel; and what is left behind.

use std::fmt;

use levada_core::{AlertDescription, Ending, Fault, Role};
use rustls::SupportedCipherSuite;

use crate::fault::{alert_for, fault_of};
use crate::kernel::session::{KernelSession, Secrets};
use crate::reader::Reader;
use crate::record::{self, HANDSHAKE};
use crate::record_keys::{RecordKeys, Tls12Secrets, tls13_keys};
use crate::running::Processed;
use crate::session::{FIRST_BYTES, Records, Session, Stage};
use crate::version::TlsVersion;

/// What the kernel, and whoever reads and writes through it, take over.
#[derive(Debug)]
pub struct Handover {
    /// For the reader and writer.
    pub session: KernelSession,
    /// The keys of what we send.
    pub transmit: RecordKeys,
    /// The keys of what we receive.
    pub receive: RecordKeys,
}

/// Why a session cannot be handed over. It goes on as it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotReady {
    /// It was not prepared for it by [`Session::for_kernel`], its handshake is not over, or it has ended.
    NotPrepared,
    /// Records were taken in or sealed behind the handshake, or wait to be written.
    InUse,
    /// The kernel knows no such cipher suite.
    Suite,
}

impl fmt::Display for NotReady {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotPrepared => "the session was not prepared for it, or is not established",
            Self::InUse => "the session has been used already",
            Self::Suite => "its cipher suite is none of the kernel's",
        })
    }
}

impl std::error::Error for NotReady {}

/// What a session that was handed over still does: it takes tickets.
pub(crate) struct Keeping {
    /// As a client of TLS 1.3: what rustls opens the next record with. It goes on to think that it opens
    /// all that comes, of which it is shown tickets alone.
    receive: Option<RecordKeys>,
}

impl Session {
    /// Has the session keep what the kernel needs to do the records behind the handshake, until it is
    /// [handed over](Self::handed_over) or has to [forget](Self::forget_traffic) that again. Show it no
    /// more than one record at a time, as [`lacks`](Self::lacks) tells: what was read from behind the
    /// handshake cannot be handed over.
    ///
    /// `false`, and no effect, where something of the peer was taken in already.
    pub fn for_kernel(&mut self) -> bool {
        if !self.is_fresh {
            return false;
        }
        self.records = Records::ForKernel;
        if let Stage::Running(running) = &mut self.stage {
            running.keep_traffic();
        }
        true
    }

    /// How many bytes to read behind `wire`, in front of which a record begins, to have no more than that
    /// record: at first those of its header alone. Of the first record, enough to tell what it is if it is
    /// none: no handshake is that short.
    pub fn lacks(&self, wire: &[u8]) -> usize {
        match FIRST_BYTES.checked_sub(wire.len()) {
            Some(first @ 1..) if self.is_fresh => first,
            _ => record::lacks(wire),
        }
    }

    /// What the kernel takes over: only right behind the handshake, once all that waited is
    /// [written](crate::Engine::write_wire). The session itself is not changed.
    ///
    /// # Errors
    ///
    /// [`NotReady`], why that cannot be.
    pub fn handover(&self) -> Result<Handover, NotReady> {
        let Stage::Running(running) = &self.stage else { return Err(NotReady::NotPrepared) };
        let traffic = running.traffic().ok_or(NotReady::NotPrepared)?;
        if running.is_handshaking() || self.is_over() {
            return Err(NotReady::NotPrepared);
        }
        if !running.is_at_start() {
            return Err(NotReady::InUse);
        }
        let (connection, _) = running.evidence();
        let suite = connection.negotiated_cipher_suite().ok_or(NotReady::NotPrepared)?;
        let role = self.role();
        let (sealed, secrets, keys) = match suite {
            SupportedCipherSuite::Tls13(tls13) => {
                let (ours, theirs) = match role {
                    Role::Client => (&traffic.client, &traffic.server),
                    Role::Server => (&traffic.server, &traffic.client),
                };
                // Behind the handshake a server has sealed its tickets, and a client nothing.
                let sealed = match role {
                    Role::Client => 0,
                    Role::Server => running.tickets(),
                };
                let transmit = tls13_keys(tls13, ours, sealed);
                let keys = transmit.zip(tls13_keys(tls13, theirs, 0));
                (sealed, Some(Secrets { transmit: ours.clone(), receive: theirs.clone() }), keys)
            }
            SupportedCipherSuite::Tls12(tls12) => {
                let server_random = match role {
                    Role::Client => self.peer_hello.random(),
                    Role::Server => running.our_random(),
                };
                let secrets = Tls12Secrets {
                    master: &traffic.master,
                    client_random: &traffic.client_random,
                    server_random,
                };
                // Each has sealed its Finished.
                (1, None, secrets.keys(tls12, role, 1))
            }
        };
        let (transmit, receive) = keys.ok_or(NotReady::Suite)?;
        Ok(Handover {
            session: KernelSession::new(role, suite, running.record_size(), sealed, secrets),
            transmit,
            receive,
        })
    }

    /// The kernel has taken over, and opens what comes with `receive`: from now on the session seals and
    /// opens nothing and says no goodbye, but it still tells what was agreed on, derives keys, and takes
    /// tickets.
    pub fn handed_over(&mut self, receive: RecordKeys) {
        let takes_tickets = self.role() == Role::Client && receive.version == TlsVersion::V1_3;
        self.forget_traffic();
        let keeping = Keeping { receive: takes_tickets.then_some(receive) };
        self.records = Records::ByKernel(Box::new(keeping));
    }

    /// The kernel does not take over: wipes what it would have needed.
    pub fn forget_traffic(&mut self) {
        self.records = Records::Ours;
        if let Stage::Running(running) = &mut self.stage {
            running.forget_traffic();
        }
    }

    /// Takes a NewSessionTicket, a whole handshake message, that came for a session which was [handed
    /// over](Self::handed_over). Only a client of TLS 1.3 gets any: elsewhere it has no effect.
    ///
    /// # Errors
    ///
    /// How the session has ended, if that is no such message, or a faulty one.
    pub fn take_ticket(&mut self, message: &[u8]) -> Result<(), Ending> {
        /// Plain bytes in one record.
        const RECORD: usize = 16 * 1024;
        const NEW_SESSION_TICKET: u8 = 4;
        let versions = self.versions;
        let (Stage::Running(running), Records::ByKernel(keeping)) =
            (&mut self.stage, &mut self.records)
        else {
            return Ok(());
        };
        let Some(receive) = &mut keeping.receive else { return Ok(()) };
        let mut rest = Reader(message);
        let is_one = matches!(rest.message(), Some((NEW_SESSION_TICKET, _))) && rest.is_empty();
        if !is_one {
            let words = "what came as a ticket is no NewSessionTicket".to_owned();
            let alert = Some(AlertDescription::UNEXPECTED_MESSAGE);
            return Err(Ending::FatalError { alert, cause: Fault::Protocol(words) });
        }
        for part in message.chunks(RECORD) {
            let Some(mut record) = receive.seal(HANDSHAKE, part) else { return Ok(()) };
            if let Processed::Failed(error, _) = running.process(&mut record, false, &mut []) {
                let alert = Some(alert_for(&error));
                return Err(Ending::FatalError { alert, cause: fault_of(&error, versions, false) });
            }
        }
        Ok(())
    }
}
