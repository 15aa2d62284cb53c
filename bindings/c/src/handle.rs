//! One client of a pool, and what it told last.
#![expect(clippy::disallowed_types, reason = "who waits here waits for real, outside any runtime")]

use std::ffi::{CString, OsStr, c_char, c_int};
use std::os::fd::{AsRawFd as _, IntoRawFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use levada_core::{Ending, StapleStatus, TlsFacts};
use levada_pool::polled::{Asked, Client, Event, Outcome};
use levada_pool::wire::{Identity, Report};
use levada_pool::{PoolError, Protected, TlsRequest, VARIABLE, standard_path};

use crate::border::{Failed, text_of};
use crate::types::{
    levada_pool_error, levada_pool_event, levada_pool_facts, levada_pool_kind, levada_pool_session,
};

/// A client of a pool.
pub struct Pool {
    client: Client,
    /// What the last event has pointers to.
    kept: Kept,
}

#[derive(Default)]
struct Kept {
    texts: Vec<CString>,
    bytes: Vec<u8>,
}

impl Pool {
    pub(crate) fn open(path: Option<&[u8]>) -> Result<Self, Failed> {
        let path = match path {
            Some(path) => PathBuf::from(OsStr::from_bytes(path)),
            None => standard_path().ok_or_else(|| {
                let why =
                    format!("no TLS pool listens at the usual places, and ${VARIABLE} is not set");
                Failed::new(levada_pool_error::LEVADA_POOL_UNREACHABLE, why)
            })?,
        };
        Ok(Self { client: Client::connect(path)?, kept: Kept::default() })
    }

    pub(crate) fn descriptor(&self) -> c_int {
        self.client.as_raw_fd()
    }

    /// Makes a request, and tells its number.
    pub(crate) fn ask(
        &mut self,
        ask: impl FnOnce(&mut Client) -> Result<Asked, PoolError>,
    ) -> Result<u64, Failed> {
        Ok(ask(&mut self.client)?.0)
    }

    pub(crate) fn answer(
        &mut self,
        number: u64,
        identity: Option<Identity>,
    ) -> Result<(), PoolError> {
        self.client.answer(Asked(number), identity)
    }

    pub(crate) fn cancel(&mut self, number: u64) {
        self.client.abandon(Asked(number));
    }

    /// Takes in what has come, and tells the next event if there is one by then.
    pub(crate) fn process(
        &mut self,
        timeout_ms: c_int,
    ) -> Result<Option<levada_pool_event>, Failed> {
        self.kept.clear();
        // Less than none is for ever.
        let limit = u64::try_from(timeout_ms).ok().map(Duration::from_millis);
        let end = limit.and_then(|limit| Instant::now().checked_add(limit));
        loop {
            self.client.process();
            if let Some(event) = self.client.next_event() {
                return Ok(Some(self.kept.tell(event)));
            }
            let left = end.map(|end| end.saturating_duration_since(Instant::now()));
            // Where nothing is under way there is nothing to wait for.
            if left == Some(Duration::ZERO) || self.client.is_idle() {
                return Ok(None);
            }
            self.client.wait(left)?;
        }
    }

    /// Has the pool protect a connection, and waits for that.
    pub(crate) fn start_and_wait(
        &mut self,
        network: OwnedFd,
        request: &TlsRequest,
    ) -> Result<levada_pool_session, Failed> {
        if !self.client.is_idle() {
            return Err(PoolError::Busy.into());
        }
        let patience = request.patience();
        let asked = self.client.start_tls(network, request)?;
        loop {
            match self.client.next_event() {
                Some(Event::Question { asked, .. }) => self.client.answer(asked, None)?,
                Some(Event::Done { outcome: Ok(Outcome::Protected(protected)), .. }) => {
                    return blocking(*protected);
                }
                Some(Event::Done { outcome: Err(error), .. }) => return Err(error.into()),
                Some(Event::Done { .. }) => {
                    return Err(PoolError::Protocol("a reply to something else".to_owned()).into());
                }
                None if self.client.wait(patience)? => self.client.process(),
                None => {
                    self.client.abandon(asked);
                    return Err(PoolError::TimedOut.into());
                }
            }
        }
    }
}

/// The session, with a plaintext socket that blocks.
fn blocking(protected: Protected) -> Result<levada_pool_session, Failed> {
    let plain = UnixStream::from(protected.plain);
    plain
        .set_nonblocking(false)
        .map_err(|error| Failed::new(levada_pool_error::LEVADA_POOL_LOCAL, error.to_string()))?;
    Ok(session(Protected { plain: plain.into(), ..protected }))
}

/// The session, whose plaintext socket is the program's from now on.
fn session(protected: Protected) -> levada_pool_session {
    // No hand-back was asked for.
    let Protected { plain, control_key, local_id, remote_id, .. } = protected;
    levada_pool_session {
        plain: plain.into_raw_fd(),
        key: *control_key.expose(),
        local_id: identity(&local_id),
        remote_id: identity(&remote_id),
    }
}

/// An identity has 127 bytes at most: the last one of the field is a NUL.
fn identity(identity: &Identity) -> [c_char; 128] {
    let mut field = [0; 128];
    for (to, &from) in field.iter_mut().zip(identity.as_bytes()) {
        *to = c_char::from_ne_bytes([from]);
    }
    field
}

impl Kept {
    fn clear(&mut self) {
        self.texts.clear();
        // They may be keys.
        self.bytes.fill(0);
        // Else the compiler may leave the zeros out.
        std::hint::black_box(&self.bytes);
        self.bytes.clear();
    }

    fn tell(&mut self, event: Event) -> levada_pool_event {
        let new = levada_pool_event::new;
        match event {
            Event::Question { asked, question } => levada_pool_event {
                session: levada_pool_session {
                    local_id: identity(&question.local_id),
                    remote_id: identity(&question.remote_id),
                    ..levada_pool_session::NONE
                },
                ..new(asked.0, levada_pool_kind::LEVADA_POOL_QUESTION)
            },
            Event::Done { asked: Asked(number), outcome } => match outcome {
                Ok(Outcome::Protected(protected)) => levada_pool_event {
                    session: session(*protected),
                    ..new(number, levada_pool_kind::LEVADA_POOL_PROTECTED)
                },
                Ok(Outcome::Report(report)) => levada_pool_event {
                    facts: self.facts(&report),
                    ..new(number, levada_pool_kind::LEVADA_POOL_REPORT)
                },
                Ok(Outcome::Chain(chain)) => {
                    self.bytes(number, levada_pool_kind::LEVADA_POOL_CHAIN, chain.0.concat())
                }
                Ok(Outcome::Bytes(keys)) => {
                    self.bytes(number, levada_pool_kind::LEVADA_POOL_KEYS, keys)
                }
                Ok(Outcome::Pool(_) | Outcome::Done) => {
                    new(number, levada_pool_kind::LEVADA_POOL_DONE)
                }
                Err(error) => self.failed(number, error),
            },
        }
    }

    fn failed(&mut self, number: u64, error: PoolError) -> levada_pool_event {
        let told = levada_pool_event {
            error: levada_pool_error::of(&error),
            refusal: match &error {
                PoolError::Refused(_) => error.code().map_or(-1, |code| code.offset().into()),
                _ => -1,
            },
            message: self.text(Some(&error.to_string())),
            ..levada_pool_event::new(number, levada_pool_kind::LEVADA_POOL_FAILED)
        };
        let facts = match error {
            PoolError::Handshake { ending, tls } => {
                let tls = tls.map(|tls| *tls);
                self.facts(&Report { tls, ending: Some(*ending), ..Report::default() })
            }
            _ => levada_pool_facts::NONE,
        };
        levada_pool_event { facts, ..told }
    }

    fn bytes(&mut self, number: u64, kind: levada_pool_kind, bytes: Vec<u8>) -> levada_pool_event {
        self.bytes = bytes;
        levada_pool_event {
            bytes: self.bytes.as_ptr(),
            size: self.bytes.len(),
            ..levada_pool_event::new(number, kind)
        }
    }

    fn facts(&mut self, report: &Report) -> levada_pool_facts {
        let Report { tls, peer_goodbye, ending, peer_chain_sha256 } = report;
        let none = TlsFacts::default();
        let tls = tls.as_ref().unwrap_or(&none);
        levada_pool_facts {
            version: self.text(tls.version),
            suite: self.text(tls.suite.as_deref()),
            group: self.text(tls.group.as_deref()),
            alpn: self.text(tls.alpn.as_deref()),
            verified_name: self.text(tls.verified_name.as_deref()),
            staple: tls.staple.as_ref().map_or(std::ptr::null(), |staple| {
                match staple.status {
                    StapleStatus::Good => c"good",
                    StapleStatus::Revoked => c"revoked",
                    StapleStatus::Unknown => c"unknown",
                    StapleStatus::NoAnswer => c"no_answer",
                    StapleStatus::Unreadable => c"unreadable",
                }
                .as_ptr()
            }),
            ending: self.text(ending.as_ref().map(Ending::code)),
            ended: self.text(ending.as_ref().map(ToString::to_string).as_deref()),
            peer_certificates: tls.peer_certificates,
            peer_chain_sha256: peer_chain_sha256.unwrap_or_default(),
            resumed: tls.resumed == Some(true),
            peer_goodbye: *peer_goodbye,
            clean: ending.as_ref().is_some_and(Ending::is_clean),
        }
    }

    /// A text that lives until the next event, or NULL.
    fn text(&mut self, text: Option<&str>) -> *const c_char {
        let Some(text) = text else { return std::ptr::null() };
        // What it points to stays where it is, though the list may move.
        let text = text_of(text);
        let pointer = text.as_ptr();
        self.texts.push(text);
        pointer
    }
}
