//! What a peer's certificate must satisfy beyond leading to an anchor.

use std::time::{Duration, SystemTime};

use levada_core::{Lapse, Pin, SanRule};
use rustls::pki_types::UnixTime;

use crate::decision::{Candidate, Decider, Decision};
use crate::revocation::Crls;

/// What a peer's certificate must satisfy beyond leading to an [anchor](crate::Anchors) and, as a
/// server's, being for the name. Cheap enough to clone for each configuration.
///
/// Whatever is wrong is told at once ([`Checks`](levada_core::Checks)); a rule that fails ends the
/// stream as [`Refused`](levada_core::Ending::Refused), anything else as
/// [`FatalError`](levada_core::Ending::FatalError), and the peer gets the fitting alert.
///
/// A session is resumed only by the rules that let its peer in, and only as long as the certificates
/// and revocation lists are valid that did; otherwise a full handshake follows, and judges anew.
///
/// ```
/// # use levada_tls::{Anchors, PeerRules, TlsClient};
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// // Only this key, whoever vouches for it:
/// let rules = PeerRules::new().pin("spki:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=".parse()?);
/// let client = TlsClient::builder().anchors(Anchors::none()).rules(rules).build()?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default)]
pub struct PeerRules {
    pub(crate) pins: Vec<Pin>,
    pub(crate) san: Vec<SanRule>,
    pub(crate) crls: Crls,
    pub(crate) crl_scope: CrlScope,
    pub(crate) time: Option<UnixTime>,
    pub(crate) ignored: Vec<Lapse>,
    pub(crate) decider: Option<Decider>,
}

/// Whose revocation has to be told by a list, where there are lists.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum CrlScope {
    /// The peer's and that of every issuer below the anchor: each of them must have a list.
    #[default]
    Chain,
    /// The peer's alone.
    Leaf,
}

impl PeerRules {
    /// Asks somebody about each peer, once the rules have judged it: it may still be refused then. It is
    /// let in against the rules by [`DangerLetIn`](crate::Decision::DangerLetIn) alone. Before the
    /// answer is there no certificate of a client leaves.
    ///
    /// `ask` runs on a thread of its own, with the runtime at hand: it may await and it may block, up
    /// to the deadline of the handshake. Sessions are not resumed then, so that it is asked about each.
    #[must_use]
    pub fn ask<F, A>(mut self, ask: F) -> Self
    where
        F: Fn(Candidate) -> A + Send + Sync + 'static,
        A: Future<Output = Decision> + Send + 'static,
    {
        self.decider = Some(Decider::new(ask));
        self
    }

    /// Whether somebody is asked.
    pub(crate) const fn asks(&self) -> bool {
        self.decider.is_some()
    }

    /// No rules.
    pub fn new() -> Self {
        Self::default()
    }

    /// Lets in who shows `pin`, or another one that is given. With anchors, it may also be that of an
    /// issuer on the path; with [`Anchors::none`](crate::Anchors::none) it is the peer's own.
    #[must_use]
    pub fn pin(mut self, pin: Pin) -> Self {
        self.pins.push(pin);
        self
    }

    /// Lets in who has a name that `rule` allows, or another one that is given.
    #[must_use]
    pub fn san(mut self, rule: SanRule) -> Self {
        self.san.push(rule);
        self
    }

    /// Refuses whom `crls` revoke, and whom no current list tells of. More lists may be added.
    #[must_use]
    pub fn crls(mut self, crls: Crls) -> Self {
        self.crls.add(crls);
        self
    }

    /// Whose revocation has to be told by a list.
    #[must_use]
    pub const fn crl_scope(mut self, scope: CrlScope) -> Self {
        self.crl_scope = scope;
        self
    }

    /// Verifies as if it were `time`, for a machine whose clock is not to be trusted.
    #[must_use]
    pub fn verify_at(mut self, time: SystemTime) -> Self {
        let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO);
        self.time = Some(UnixTime::since_unix_epoch(since));
        self
    }

    /// Lets in although `lapse` is there: who has made the certificate, or since when it is worthless,
    /// may then be anybody's guess. What was passed over stands in the facts.
    #[must_use]
    pub fn danger_ignore(mut self, lapse: Lapse) -> Self {
        self.ignored.push(lapse);
        self
    }

    pub(crate) fn ignores(&self, lapse: Lapse) -> bool {
        self.ignored.contains(&lapse)
    }
}
