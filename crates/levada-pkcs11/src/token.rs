//! Tokens: who they are, and what is open with them.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use cryptoki::session::Session;
use cryptoki::slot::TokenInfo;
use levada_tls::Passphrase;

use crate::module::CALLS;

/// Which token it is, as it tells itself. `Display` is for a log.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct TokenFacts {
    /// What its owner calls it.
    pub label: String,
    /// Who made it.
    pub manufacturer: String,
    /// What its maker calls it.
    pub model: String,
    /// Its number.
    pub serial: String,
}

impl TokenFacts {
    pub(crate) fn of(info: &TokenInfo) -> Self {
        let text = |text: &str| text.trim_end_matches(['\0', ' ']).to_owned();
        Self {
            label: text(info.label()),
            manufacturer: text(info.manufacturer_id()),
            model: text(info.model()),
            serial: text(info.serial_number()),
        }
    }
}

impl fmt::Display for TokenFacts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.label)?;
        if self.serial.is_empty() {
            Ok(())
        } else {
            write!(f, " (serial {})", self.serial.escape_debug())
        }
    }
}

/// What all keys of one token have in common.
#[derive(Debug, Default)]
pub(crate) struct Token {
    /// Sessions that are logged in where the token wants that, and that nobody uses.
    idle: Mutex<Vec<Session>>,
    /// Held by who logs in: a token knows one login for all sessions of a process.
    pub(crate) login: Mutex<()>,
    /// The last PIN that the token did not take.
    refused: Mutex<Option<Passphrase>>,
    /// Whether somebody was asked for the PIN.
    asked: AtomicBool,
    /// Whether somebody may have to be.
    wants_pin: AtomicBool,
}

impl Token {
    pub(crate) fn session(&self) -> Option<Session> {
        lock(&self.idle).pop()
    }

    /// Keeps a session, which is logged in, for whoever signs next.
    pub(crate) fn keep(&self, session: Session) {
        self.wants_pin.store(false, Ordering::Relaxed);
        let mut idle = lock(&self.idle);
        if idle.len() < CALLS {
            idle.push(session);
        }
    }

    /// Closes what is open and not used: it may be void, and the login of a person with it.
    pub(crate) fn close(&self) {
        lock(&self.idle).clear();
        if self.asked.load(Ordering::Relaxed) {
            self.note_wanted();
        }
    }

    /// Whether the token did not take this PIN.
    pub(crate) fn has_refused(&self, pin: &Passphrase) -> bool {
        lock(&self.refused).as_ref().is_some_and(|refused| refused.bytes() == pin.bytes())
    }

    pub(crate) fn note_refused(&self, pin: Passphrase) {
        *lock(&self.refused) = Some(pin);
    }

    pub(crate) fn note_login(&self, asked: bool) {
        *lock(&self.refused) = None;
        self.asked.store(asked, Ordering::Relaxed);
    }

    pub(crate) fn note_wanted(&self) {
        self.wants_pin.store(true, Ordering::Relaxed);
    }

    pub(crate) fn wants_pin(&self) -> bool {
        self.wants_pin.load(Ordering::Relaxed)
    }

    /// Whether somebody would have to be asked again if its sessions were closed.
    pub(crate) fn is_held_by_a_person(&self) -> bool {
        self.asked.load(Ordering::Relaxed) && !lock(&self.idle).is_empty()
    }
}

/// Nothing panics while it holds one of these locks, but what a module may do in a callback.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
