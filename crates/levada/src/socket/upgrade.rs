//! Putting TLS on a stream that runs (STARTTLS), taking it off again, and falling back to plaintext.

use std::fmt;

use levada_core::{Deadline, Mode, Ours, Role, State, Step, WhyPlain};
use levada_tls::{Engine, Session, SessionName, TlsClient, TlsConfigError, TlsServer};
use tokio::time::Instant;

use super::Socket;
use crate::pool::PoolSession;

/// Why TLS was not put on a running stream. The stream is as it was.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum UpgradeError {
    /// Bytes from before the upgrade wait to be read: whoever sits on the way may have put them there,
    /// to be taken for the peer's own words under TLS (CVE-2011-0411). Read them first, and refuse
    /// them if the protocol in use allows none here.
    Injection {
        /// How many bytes wait.
        bytes: usize,
    },
    /// The session could not be begun.
    Tls(TlsConfigError),
}

impl fmt::Display for UpgradeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Injection { bytes } => write!(
                f,
                "{bytes} bytes in plaintext wait where TLS is to begin: this may be an injection; \
                 read them before the upgrade, or give the stream up"
            ),
            Self::Tls(error) => write!(f, "{error}"),
        }
    }
}

impl std::error::Error for UpgradeError {}

impl From<TlsConfigError> for UpgradeError {
    fn from(error: TlsConfigError) -> Self {
        Self::Tls(error)
    }
}

impl Socket {
    /// Puts TLS on the stream, with us as the client (a delayed handshake, STARTTLS). What was written
    /// before goes out in plaintext before the first record, what is written from now on under TLS.
    ///
    /// `Ok(false)`, and no effect, unless the stream is plain, established and open both ways.
    ///
    /// # Errors
    ///
    /// [`UpgradeError`]; the stream stays plain.
    pub fn start_client_encryption(
        &mut self,
        tls: &TlsClient,
        name: &SessionName,
    ) -> Result<bool, UpgradeError> {
        if !self.may_upgrade()? {
            return Ok(false);
        }
        self.wrap(tls.session(name)?);
        Ok(true)
    }

    /// Puts TLS on the stream, with us as the server: see
    /// [`start_client_encryption`](Socket::start_client_encryption).
    ///
    /// # Errors
    ///
    /// [`UpgradeError`]; the stream stays plain.
    pub fn start_server_encryption(&mut self, tls: &TlsServer) -> Result<bool, UpgradeError> {
        if !self.may_upgrade()? {
            return Ok(false);
        }
        self.wrap(tls.session());
        Ok(true)
    }

    /// Has a pool put TLS on the stream: see
    /// [`start_client_encryption`](Socket::start_client_encryption). What was written before has to
    /// have left: flush it first.
    ///
    /// `Ok(false)`, and no effect, also while something written before waits.
    ///
    /// # Errors
    ///
    /// [`UpgradeError`]; the stream stays plain.
    pub fn start_pool_encryption(&mut self, session: PoolSession) -> Result<bool, UpgradeError> {
        if !self.may_upgrade()? || !self.below.is_empty() {
            return Ok(false);
        }
        self.watch.facts.plain = None;
        self.watch.end_of_phase(Instant::now());
        self.entrust(session);
        Ok(true)
    }

    /// Takes TLS off the stream: sends close_notify without ending the transport, and goes on in
    /// plaintext once the peer's close_notify has come. What was written before goes out under TLS;
    /// what is written from now on waits, and goes out in plaintext. Bytes behind the peer's
    /// close_notify are the new plaintext.
    ///
    /// `false`, and no effect, unless the stream is under TLS, established and open both ways.
    pub fn end_tls(&mut self) -> bool {
        let open = self.goodbyes.ours() == Ours::Open && !self.goodbyes.theirs();
        let may = self.watch.state() == State::Established && open && !self.ending_tls;
        let Some(session) = self.session.as_mut().filter(|_| may) else { return false };
        session.close();
        self.ending_tls = true;
        self.set_alarm(Deadline::Close);
        true
    }

    fn may_upgrade(&self) -> Result<bool, UpgradeError> {
        let open = self.goodbyes.ours() == Ours::Open && !self.goodbyes.theirs();
        if self.watch.state() != State::Established || !self.is_bare() || !open {
            return Ok(false);
        }
        match self.ahead.len() {
            0 => Ok(true),
            bytes => Err(UpgradeError::Injection { bytes }),
        }
    }

    /// Puts `session` around the transport.
    fn wrap(&mut self, mut session: Session) {
        if self.options.kernel_tls {
            session.for_kernel();
        }
        self.watch.facts.plain = None;
        self.session = Some(session);
        self.watch.end_of_phase(Instant::now());
        self.begin_handshake();
    }

    /// The opening handshake of the session at hand begins.
    pub(super) fn begin_handshake(&mut self) {
        let mode = match self.session.as_ref().map(Session::role) {
            Some(Role::Client) => Mode::TlsClient,
            Some(Role::Server) => Mode::TlsServer,
            None => Mode::Plain,
        };
        self.begin_handshake_as(mode);
    }

    pub(super) fn begin_handshake_as(&mut self, mode: Mode) {
        self.watch.wrap(mode);
        self.watch.step(Step::Handshake);
        self.set_alarm(Deadline::Handshake);
    }

    /// TLS is off: both close_notify are exchanged.
    pub(super) fn finish_ending_tls(&mut self) {
        self.ending_tls = false;
        // Who met under TLS stays known.
        self.watch.facts.tls = self.tls_facts();
        self.unwrap(WhyPlain::EndTls);
        self.below = std::mem::take(&mut self.queue);
        if self.goodbyes.ours() == Ours::Open {
            self.set_alarm(Deadline::Idle);
        }
    }

    /// The client's first byte is no TLS record, and the owner allows plaintext then.
    pub(super) fn fall_back(&mut self) {
        self.dying = None;
        self.unwrap(WhyPlain::Fallback);
        self.establish();
    }

    /// Goes on in plaintext where a hook has decided to hand the client on. `false` where not.
    pub(super) fn pass_through(&mut self) -> bool {
        let Some(mut bytes) = self.session.as_mut().and_then(Session::take_passed_on) else {
            return false;
        };
        bytes.append(&mut self.wire);
        self.wire = bytes;
        self.watch.facts.tls = self.tls_facts();
        self.unwrap(WhyPlain::PassThrough);
        self.establish();
        true
    }

    /// Goes on without a session. What came behind it is the caller's to read.
    fn unwrap(&mut self, why: WhyPlain) {
        self.session = None;
        self.ahead = std::mem::take(&mut self.wire);
        self.watch.facts.plain = Some(why);
        self.watch.wrap(Mode::Plain);
    }
}
