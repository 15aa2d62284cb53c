//! Until when a session may be resumed: rustls asks no verifier then, and does not know that a
//! certificate or a revocation list that let the peer in has expired meanwhile.
//!
//! By which rules it may be is bound in another way: a client that verifies by others has other
//! sessions, and tickets are sealed for the rules of their server. What is not resumed shakes hands in
//! full, and is judged.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use rustls::NamedGroup;
use rustls::client::{
    ClientSessionMemoryCache, ClientSessionStore, Tls12ClientSessionValue, Tls13ClientSessionValue,
};
use rustls::pki_types::{ServerName, UnixTime};
use rustls::server::ProducesTickets;
use zeroize::Zeroizing;

use crate::witness::Notes;

/// Names that are kept in mind; beyond, those that came first are forgotten, and not resumed.
const NAMES: usize = 1024;

/// Until when a client's verdict about each server holds, in seconds since 1970-01-01 UTC.
#[derive(Debug, Default)]
pub(crate) struct Untils(Mutex<HashMap<ServerName<'static>, u64>>);

impl Untils {
    pub(crate) fn set(&self, name: &ServerName<'_>, until: u64) {
        let now = UnixTime::now().as_secs();
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= NAMES {
            all.retain(|_, until| *until >= now);
        }
        if all.len() >= NAMES {
            all.clear();
        }
        // Several servers may answer to one name, with different certificates: the earliest end counts.
        let before = all.get(name).copied().filter(|&before| before >= now);
        all.insert(name.to_owned(), until.min(before.unwrap_or(u64::MAX)));
    }

    fn holds(&self, name: &ServerName<'_>) -> bool {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.get(name).is_some_and(|&until| UnixTime::now().as_secs() <= until)
    }
}

/// A client's sessions, as long as the verdict about their server holds.
#[derive(Debug)]
pub(crate) struct Lasting {
    sessions: ClientSessionMemoryCache,
    untils: Arc<Untils>,
    /// The name that is verified, where it is not the one asked for.
    verified: Option<ServerName<'static>>,
}

impl Lasting {
    /// Room for so many sessions.
    pub(crate) fn new(
        most: usize,
        untils: Arc<Untils>,
        verified: Option<ServerName<'static>>,
    ) -> Self {
        Self { sessions: ClientSessionMemoryCache::new(most), untils, verified }
    }

    fn holds(&self, asked_for: &ServerName<'_>) -> bool {
        self.untils.holds(self.verified.as_ref().unwrap_or(&asked_for.to_owned()))
    }
}

impl ClientSessionStore for Lasting {
    fn set_kx_hint(&self, name: ServerName<'static>, group: NamedGroup) {
        self.sessions.set_kx_hint(name, group);
    }

    fn kx_hint(&self, name: &ServerName<'_>) -> Option<NamedGroup> {
        self.sessions.kx_hint(name)
    }

    fn set_tls12_session(&self, name: ServerName<'static>, session: Tls12ClientSessionValue) {
        self.sessions.set_tls12_session(name, session);
    }

    fn tls12_session(&self, name: &ServerName<'_>) -> Option<Tls12ClientSessionValue> {
        self.sessions.tls12_session(name).filter(|_| self.holds(name))
    }

    fn remove_tls12_session(&self, name: &ServerName<'static>) {
        self.sessions.remove_tls12_session(name);
    }

    fn insert_tls13_ticket(&self, name: ServerName<'static>, ticket: Tls13ClientSessionValue) {
        self.sessions.insert_tls13_ticket(name, ticket);
    }

    fn take_tls13_ticket(&self, name: &ServerName<'static>) -> Option<Tls13ClientSessionValue> {
        self.sessions.take_tls13_ticket(name).filter(|_| self.holds(name))
    }
}

/// Tickets that say until when the verdict about their client holds: its seconds since 1970-01-01 UTC
/// stand before the session, sealed with it.
#[derive(Debug)]
pub(crate) struct Dated(pub(crate) Arc<dyn ProducesTickets>);

impl ProducesTickets for Dated {
    fn enabled(&self) -> bool {
        self.0.enabled()
    }

    fn lifetime(&self) -> u32 {
        self.0.lifetime()
    }

    fn encrypt(&self, session: &[u8]) -> Option<Vec<u8>> {
        let mut until = None;
        Notes::note(|notes| until = notes.until);
        let until = until.unwrap_or(u64::MAX).to_be_bytes();
        self.0.encrypt(&Zeroizing::new([&until, session].concat()))
    }

    fn decrypt(&self, ticket: &[u8]) -> Option<Vec<u8>> {
        let mut session = self.0.decrypt(ticket)?;
        let until = u64::from_be_bytes(*session.first_chunk()?);
        if until < UnixTime::now().as_secs() {
            return None;
        }
        session.drain(..size_of_val(&until));
        // The next tickets of this session rest on the same certificate.
        Notes::note(|notes| notes.until = Some(until));
        Some(session)
    }
}
