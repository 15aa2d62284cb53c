//! A control connection that threads share: one of those that wait watches it, for all.
#![expect(clippy::disallowed_types, reason = "who waits here waits for real, outside any runtime")]

use std::collections::{BTreeMap, VecDeque};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use levada_pool_wire::{CallKey, Message};
use rustix::event::PollFlags;

use crate::client::control::{Control, Event};
use crate::client::error::PoolError;
use crate::client::waiting::wait;

/// The connection. Its lock is held for no longer than what does not wait takes.
#[derive(Debug)]
pub(crate) struct Shared {
    /// The connection's own, to wait for it without the lock.
    socket: Arc<UnixStream>,
    state: Mutex<State>,
    /// Something has come, for whomever; or nobody watches any more.
    news: Condvar,
}

#[derive(Debug)]
struct State {
    control: Control,
    /// What has come for each request that a thread waits for.
    mail: BTreeMap<CallKey, VecDeque<Event>>,
    /// A thread watches for input. It alone takes that in, or it would wait for what another has taken.
    is_watched: bool,
}

/// A request that its thread waits for. When it is dropped, its questions are declined.
#[derive(Debug)]
pub(crate) struct Call<'a> {
    shared: &'a Shared,
    key: CallKey,
}

impl Shared {
    pub(crate) fn new(control: Control) -> Self {
        let socket = control.socket();
        let state = State { control, mail: BTreeMap::new(), is_watched: false };
        Self { socket, state: Mutex::new(state), news: Condvar::new() }
    }

    /// Makes a request, once there is room for it.
    pub(crate) fn call(&self, message: Message) -> Result<Call<'_>, PoolError> {
        self.begin(message, None, false)
    }

    /// Makes a request with a descriptor, whose connection [may come
    /// back](Control::may_be_handed_back).
    pub(crate) fn start_tls(
        &self,
        message: Message,
        network: OwnedFd,
        hand_back: bool,
    ) -> Result<Call<'_>, PoolError> {
        self.begin(message, Some(network), hand_back)
    }

    fn begin(
        &self,
        message: Message,
        descriptor: Option<OwnedFd>,
        hand_back: bool,
    ) -> Result<Call<'_>, PoolError> {
        let mut state = self.lock();
        while state.control.is_full() {
            state = self.turn(state, None)?;
        }
        let key = state.control.call(message, descriptor)?;
        if hand_back {
            state.control.may_be_handed_back(key);
        }
        state.mail.insert(key, VecDeque::new());
        Ok(Call { shared: self, key })
    }

    /// Makes requests whose replies nobody waits for, as long as there is room for them at once.
    #[cfg(feature = "kernel-tls")]
    pub(crate) fn post(&self, messages: impl Iterator<Item = Message>) {
        let mut state = self.lock();
        if !state.is_watched {
            // Replies that nobody has taken in yet make room.
            self.take_in(&mut state);
        }
        for message in messages {
            let Ok(key) = state.control.call(message, None) else { return };
            state.control.abandon(key);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing panics in between, and whoever did has left it whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes in what has come, as who watches.
    fn take_in(&self, state: &mut State) {
        // What comes of a loss is among the events.
        drop(state.control.process());
        while let Some(event) = state.control.next_event() {
            let (Event::Reply { call, .. } | Event::Question { call, .. }) = &event;
            if let Some(mail) = state.mail.get_mut(call) {
                mail.push_back(event);
            }
        }
        self.news.notify_all();
    }

    /// Waits until something may have come for us, or until `due`.
    fn turn<'a>(
        &'a self,
        mut state: MutexGuard<'a, State>,
        due: Option<Instant>,
    ) -> Result<MutexGuard<'a, State>, PoolError> {
        let left = due.map(|due| due.saturating_duration_since(Instant::now()));
        if left.is_some_and(|left| left.is_zero()) {
            return Err(PoolError::TimedOut);
        }
        let wants_write = state.control.wants_write();
        if state.is_watched && !wants_write {
            return Ok(match left {
                Some(left) => match self.news.wait_timeout(state, left) {
                    Ok((state, _)) => state,
                    Err(poisoned) => poisoned.into_inner().0,
                },
                None => self.news.wait(state).unwrap_or_else(PoisonError::into_inner),
            });
        }
        let watches = !state.is_watched;
        let mut flags = PollFlags::empty();
        flags.set(PollFlags::IN, watches);
        flags.set(PollFlags::OUT, wants_write);
        state.is_watched = true;
        drop(state);
        let waited = wait(&self.socket, flags, left);
        state = self.lock();
        if watches {
            state.is_watched = false;
            self.take_in(&mut state);
        } else {
            // A failure shows to who watches.
            let _ = state.control.flush();
        }
        waited.map(|_| state)
    }
}

impl Call<'_> {
    /// Waits for what comes of it next, as long as that may take.
    pub(crate) fn next(&self, limit: Option<Duration>) -> Result<Event, PoolError> {
        let due = limit.and_then(|limit| Instant::now().checked_add(limit));
        let mut state = self.shared.lock();
        loop {
            if let Some(event) = state.mail.get_mut(&self.key).and_then(VecDeque::pop_front) {
                return Ok(event);
            }
            if state.control.is_gone() {
                return Err(PoolError::Gone);
            }
            state = self.shared.turn(state, due)?;
        }
    }

    /// Answers its question.
    pub(crate) fn answer(
        &self,
        message: Message,
        descriptor: Option<OwnedFd>,
    ) -> Result<(), PoolError> {
        self.shared.lock().control.answer(self.key, message, descriptor)
    }
}

impl Drop for Call<'_> {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.mail.remove(&self.key);
        state.control.abandon(self.key);
    }
}
