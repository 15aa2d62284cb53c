//! Every session of the pool: under which control key, whose, and how it ended; and how much each user has
//! of the pool.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use levada_pool_wire::{ControlKey, ErrorCode, Identity, Report, Role, StartTlsFlags, Text};
use levada_sys::PeerCredentials;
use rustix::rand::{GetRandomFlags, getrandom};
use tokio::time::Instant;

use crate::ownership::{Bereaved, ClientId, Ownership};
use crate::per_user::PerUser;
use crate::session::{Inquiry, Session, SessionHandle};

/// Reports of ended sessions that are kept for any control connection, whatever the others have.
const REPORTS: usize = 64;

/// Reports that are kept in all, beyond which a connection with more than its due loses its oldest: as
/// many as there are sessions by default, since those of one connection may all end at once.
const ALL_REPORTS: usize = 16_384;

type Key = [u8; 16];

/// Every session of the pool. No lock is held across anything that waits.
#[derive(Default)]
pub(crate) struct Registry(Mutex<Inner>);

#[derive(Default)]
struct Inner {
    last: u64,
    by_key: HashMap<Key, u64>,
    sessions: BTreeMap<u64, Entry>,
    /// How sessions and handshakes ended, for the control connections that owned them.
    reports: HashMap<ClientId, VecDeque<(Key, Arc<Report>)>>,
    /// How many reports these are.
    kept: usize,
    /// Control connections and sessions.
    clients_of: PerUser,
    sessions_of: PerUser,
}

struct Entry {
    began: Instant,
    pid: Option<u32>,
    ownership: Ownership,
    role: Role,
    service: Text<16>,
    local_id: Identity,
    remote_id: Identity,
    /// `None` while the handshake runs.
    handle: Option<SessionHandle>,
    /// Whether its data goes past the pool. Nobody but its owner can tell when it ends, so it is kept as
    /// long as it has one.
    handed_back: bool,
}

/// How far a session has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    Handshake,
    Protected,
    /// Protected, and no control connection owns it.
    Detached,
    /// Protected by the kernel, past the pool: whether it still lives is for its application to tell.
    HandedBack,
}

/// What a list of sessions tells about one.
pub(crate) struct Listed {
    pub(crate) number: u64,
    pub(crate) began: Instant,
    pub(crate) uid: u32,
    pub(crate) pid: Option<u32>,
    pub(crate) role: Role,
    pub(crate) stage: Stage,
    pub(crate) service: Text<16>,
    pub(crate) local_id: Identity,
    pub(crate) remote_id: Identity,
    pub(crate) handle: Option<SessionHandle>,
}

impl Registry {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Nothing in this file panics while it holds the lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Enters a control connection of `uid`, unless the user has `most` already.
    #[must_use]
    pub(crate) fn connect(&self, uid: u32, most: Option<usize>) -> bool {
        self.lock().clients_of.take(uid, most)
    }

    /// Enters a session whose handshake begins. `key` is the one that the client has chosen; all
    /// zeros has one drawn.
    ///
    /// # Errors
    ///
    /// [`ErrorCode::ControlKeyRegistration`] when another session has the key, and
    /// [`ErrorCode::OutOfMemory`] when the user has `most` already.
    pub(crate) fn enter(
        self: &Arc<Self>,
        client: ClientId,
        peer: &PeerCredentials,
        most: Option<usize>,
        begun: &Begun<'_>,
    ) -> Result<Place, ErrorCode> {
        let key = match *begun.key.expose() {
            chosen if chosen != [0; 16] => chosen,
            _ => draw()?,
        };
        let entry = Entry {
            began: Instant::now(),
            pid: peer.pid,
            ownership: Ownership::new(client, peer.uid, begun.flags),
            role: begun.role,
            service: begun.service,
            local_id: begun.local_id,
            remote_id: begun.remote_id,
            handle: None,
            handed_back: false,
        };
        let mut inner = self.lock();
        if inner.by_key.contains_key(&key) {
            return Err(ErrorCode::ControlKeyRegistration);
        }
        if !inner.sessions_of.take(peer.uid, most) {
            return Err(ErrorCode::OutOfMemory);
        }
        inner.last += 1;
        let number = inner.last;
        inner.by_key.insert(key, number);
        inner.sessions.insert(number, entry);
        drop(inner);
        Ok(Place { registry: self.clone(), number, key })
    }

    /// The way to a protected session that is attached to `client`.
    pub(crate) fn session(
        &self,
        client: ClientId,
        key: &ControlKey,
    ) -> Result<SessionHandle, ErrorCode> {
        let inner = self.lock();
        let entry = inner.protected(key)?;
        let handle = entry.handle.clone().filter(|_| entry.ownership.is_owned_by(client));
        handle.ok_or(ErrorCode::ControlKeyNotFound)
    }

    pub(crate) fn detach(&self, client: ClientId, key: &ControlKey) -> Result<(), ErrorCode> {
        let mut inner = self.lock();
        let entry = inner.protected_mut(key)?;
        entry.ownership.detach(client)?;
        entry.let_go_of_handed_back();
        Ok(())
    }

    pub(crate) fn reattach(
        &self,
        client: ClientId,
        uid: u32,
        key: &ControlKey,
    ) -> Result<(), ErrorCode> {
        self.lock().protected_mut(key)?.ownership.reattach(client, uid)
    }

    /// A control connection of `uid` is closed: what it owned is detached, or told so.
    pub(crate) fn disconnect(&self, client: ClientId, uid: u32) {
        let mut inner = self.lock();
        inner.clients_of.give_back(uid);
        inner.kept -= inner.reports.remove(&client).map_or(0, |reports| reports.len());
        for entry in inner.sessions.values_mut() {
            match (entry.ownership.bereave(client), &entry.handle) {
                (Bereaved::Orphaned, Some(handle)) => handle.tell(Inquiry::Orphan),
                (Bereaved::Detached, _) => entry.let_go_of_handed_back(),
                _ => {}
            }
        }
    }

    /// Cuts every session.
    pub(crate) fn cut_all(&self) {
        for handle in self.lock().sessions.values().filter_map(|entry| entry.handle.as_ref()) {
            handle.tell(Inquiry::Cut);
        }
    }

    /// How the session ended that `client` owned under this key, as long as that is kept.
    pub(crate) fn report(&self, client: ClientId, key: &ControlKey) -> Option<Arc<Report>> {
        let inner = self.lock();
        let reports = inner.reports.get(&client)?;
        let found = reports.iter().rev().find(|(ended, _)| ended == key.expose());
        found.map(|(_, report)| report.clone())
    }

    /// Keeps how a session or a handshake of `client` ended.
    pub(crate) fn keep(&self, client: ClientId, key: &ControlKey, report: Report) {
        self.lock().keep(client, *key.expose(), report);
    }

    /// The sessions that `uid` may see, all of them where it is `None`, by their numbers.
    pub(crate) fn list(&self, uid: Option<u32>) -> Vec<Listed> {
        let inner = self.lock();
        let seen = |entry: &Entry| uid.is_none_or(|uid| entry.ownership.uid() == uid);
        let sessions = inner.sessions.iter().filter(|(_, entry)| seen(entry));
        sessions.map(|(&number, entry)| entry.listed(number)).collect()
    }
}

impl Entry {
    /// Has a session that was handed back be kept no longer, where it has lost its owner.
    fn let_go_of_handed_back(&self) {
        if let Some(handle) = self.handle.as_ref().filter(|_| self.handed_back) {
            handle.tell(Inquiry::Cut);
        }
    }

    fn listed(&self, number: u64) -> Listed {
        let stage = match (&self.handle, self.ownership.owner()) {
            (None, _) => Stage::Handshake,
            (Some(_), _) if self.handed_back => Stage::HandedBack,
            (Some(_), Some(_)) => Stage::Protected,
            (Some(_), None) => Stage::Detached,
        };
        Listed {
            number,
            began: self.began,
            uid: self.ownership.uid(),
            pid: self.pid,
            role: self.role,
            stage,
            service: self.service,
            local_id: self.local_id,
            remote_id: self.remote_id,
            handle: self.handle.clone(),
        }
    }
}

impl Inner {
    fn protected(&self, key: &ControlKey) -> Result<&Entry, ErrorCode> {
        let found = self.by_key.get(key.expose()).and_then(|number| self.sessions.get(number));
        found.filter(|entry| entry.handle.is_some()).ok_or(ErrorCode::ControlKeyNotFound)
    }

    fn protected_mut(&mut self, key: &ControlKey) -> Result<&mut Entry, ErrorCode> {
        let Some(number) = self.by_key.get(key.expose()) else {
            return Err(ErrorCode::ControlKeyNotFound);
        };
        let found = self.sessions.get_mut(number).filter(|entry| entry.handle.is_some());
        found.ok_or(ErrorCode::ControlKeyNotFound)
    }

    fn keep(&mut self, client: ClientId, key: Key, report: Report) {
        let reports = self.reports.entry(client).or_default();
        if reports.len() >= REPORTS && self.kept >= ALL_REPORTS {
            reports.pop_front();
        } else {
            self.kept += 1;
        }
        reports.push_back((key, Arc::new(report)));
    }
}

/// What is known of a session when its handshake begins.
pub(crate) struct Begun<'a> {
    pub(crate) key: &'a ControlKey,
    pub(crate) flags: StartTlsFlags,
    pub(crate) role: Role,
    pub(crate) service: Text<16>,
    pub(crate) local_id: Identity,
    pub(crate) remote_id: Identity,
}

/// The place of one session in the registry: it is free when this is dropped.
pub(crate) struct Place {
    registry: Arc<Registry>,
    number: u64,
    key: Key,
}

impl Place {
    pub(crate) const fn number(&self) -> u64 {
        self.number
    }

    pub(crate) const fn key(&self) -> ControlKey {
        ControlKey::new(self.key)
    }

    /// The handshake is done.
    pub(crate) fn protect(&self, session: &Session, local_id: Identity, remote_id: Identity) {
        if let Some(entry) = self.registry.lock().sessions.get_mut(&self.number) {
            (entry.local_id, entry.remote_id) = (local_id, remote_id);
            entry.handle = Some(session.handle());
            entry.handed_back = session.is_handed_back();
            if entry.ownership.owner().is_none() {
                entry.let_go_of_handed_back();
            }
        }
    }

    /// The session has ended: its owner may ask how.
    pub(crate) fn end(self, report: Report) {
        let mut inner = self.registry.lock();
        let owner = inner.sessions.get(&self.number).and_then(|entry| entry.ownership.owner());
        if let Some(owner) = owner {
            inner.keep(owner, self.key, report);
        }
        drop(inner);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut inner = self.registry.lock();
        if let Some(entry) = inner.sessions.remove(&self.number) {
            inner.sessions_of.give_back(entry.ownership.uid());
        }
        inner.by_key.remove(&self.key);
    }
}

fn draw() -> Result<Key, ErrorCode> {
    let mut key = [0; 16];
    match getrandom(&mut key, GetRandomFlags::empty()) {
        Ok(16) => Ok(key),
        _ => Err(ErrorCode::ControlKeyRegistration),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::given_up;

    fn key(number: usize) -> ControlKey {
        ControlKey::new((number as u128).to_le_bytes())
    }

    #[test]
    fn reports_are_bounded_and_every_connection_has_its_due() {
        let registry = Registry::default();
        let (greedy, other) = (ClientId(1), ClientId(2));
        let keep = |client, number| {
            registry.keep(client, &key(number), given_up(ErrorCode::HandshakeFailed));
        };
        let is_kept = |client, number| registry.report(client, &key(number)).is_some();
        (0..=ALL_REPORTS).for_each(|number| keep(greedy, number));
        assert!(!is_kept(greedy, 0) && is_kept(greedy, 1) && is_kept(greedy, ALL_REPORTS));
        (0..=REPORTS).for_each(|number| keep(other, number));
        assert!(!is_kept(other, 0) && is_kept(other, 1) && is_kept(other, REPORTS));
        // Who goes makes room.
        registry.disconnect(greedy, 0);
        keep(other, 0);
        assert!(is_kept(other, 0) && is_kept(other, 1));
        registry.disconnect(other, 0);
        assert_eq!(registry.lock().kept, 0);
    }
}
