//! The verdict about a peer's certificate: every check that can be made, not only the first to fail.
//!
//! webpki makes the checks, and stops at the first that fails. So it is asked for all of them at once,
//! and where that fails, once for each alone: what is not to be judged is given in a form that passes.

use std::sync::Arc;

use levada_core::{CertificateFacts, CertificateFault, Check, Checks, Lapse, Outcome, Pin, Rule};
use rustls::RootCertStore;
use rustls::crypto::WebPkiSupportedAlgorithms;
use rustls::pki_types::{CertificateDer, ServerName, TrustAnchor, UnixTime};
use sha2::{Digest, Sha256};
use webpki::{
    Cert, EndEntityCert, Error, ExpirationPolicy, ExtendedKeyUsageValidator, KeyPurposeIdIter,
    KeyUsage, RevocationCheckDepth, RevocationOptions, RevocationOptionsBuilder, VerifiedPath,
};

use crate::anchors::Anchors;
use crate::certificate;
use crate::certificate_fault::certificate_fault;
use crate::config_error::TlsConfigError;
use crate::decision::Decider;
use crate::facts::Trust;
use crate::rules::{CrlScope, PeerRules};

/// Whom we trust, and by which rules.
#[derive(Debug)]
pub(crate) struct Judge {
    anchors: Arc<RootCertStore>,
    /// No anchors: a pin is all that there is.
    is_pinned: bool,
    rules: PeerRules,
    usage: KeyUsage,
    algorithms: WebPkiSupportedAlgorithms,
}

/// What a [`Judge`] says.
#[derive(Debug)]
pub(crate) struct Verdict {
    pub(crate) checks: Checks,
    /// Until when it holds, in seconds since 1970-01-01 UTC.
    pub(crate) until: u64,
}

/// Which rule of ours a check stands for; `None` where a failure is one of the certificate.
pub(crate) const fn rule_of(check: Check) -> Option<Rule> {
    match check {
        Check::Pin => Some(Rule::Pin),
        Check::San => Some(Rule::San),
        _ => None,
    }
}

impl Judge {
    pub(crate) fn new(
        anchors: Anchors,
        rules: PeerRules,
        usage: KeyUsage,
        algorithms: WebPkiSupportedAlgorithms,
    ) -> Result<Self, TlsConfigError> {
        let is_pinned = anchors.is_none();
        if is_pinned && rules.pins.is_empty() {
            return Err(TlsConfigError::NobodyTrusted);
        }
        if is_pinned && !rules.crls.is_empty() {
            return Err(TlsConfigError::CrlsWithoutAnchors);
        }
        Ok(Self { anchors: anchors.load()?, is_pinned, rules, usage, algorithms })
    }

    /// Who is asked, too.
    pub(crate) const fn decider(&self) -> Option<&Decider> {
        self.rules.decider.as_ref()
    }

    /// By what a peer is known whom it lets in.
    pub(crate) fn trust(&self) -> Trust {
        match (self.rules.ignored.is_empty(), self.is_pinned) {
            (false, _) => Trust::Danger,
            (true, true) => Trust::Pin,
            (true, false) => Trust::Anchors,
        }
    }

    /// Whom a client is asked to have its certificate from.
    pub(crate) fn anchors(&self) -> &RootCertStore {
        &self.anchors
    }

    /// All that the judge goes by, as a hash: of two judges with the same, each lets in whom the other
    /// does.
    pub(crate) fn fingerprint(&self) -> [u8; 32] {
        let Self { anchors, is_pinned: _, rules, usage: _, algorithms: _ } = self;
        let mut hash = Sha256::new();
        let mut add = |part: &[u8]| {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        };
        // In whatever order they were read.
        let mut parts: Vec<_> = anchors.roots.iter().map(fingerprint_of_anchor).collect();
        parts.extend(rules.crls.encodings().map(sha256));
        parts.sort_unstable();
        for part in parts {
            add(&part);
        }
        // Where somebody is asked there are no tickets.
        let PeerRules { pins, san, crls: _, crl_scope, time, ignored, decider: _ } = rules;
        add(format!("{pins:?} {san:?} {crl_scope:?} {time:?} {ignored:?}").as_bytes());
        hash.finalize().into()
    }

    /// Judges a chain, the peer's own certificate first, at the time `now`. `name` is the one that the
    /// peer must have, if it must have one.
    pub(crate) fn judge<'c>(
        &'c self,
        leaf: &'c CertificateDer<'c>,
        issuers: &'c [CertificateDer<'c>],
        name: Option<&ServerName<'_>>,
        now: UnixTime,
    ) -> Verdict {
        let mut case = Case {
            judge: self,
            leaf,
            issuers,
            now: self.rules.time.unwrap_or(now),
            checks: Checks::default(),
            until: u64::MAX,
        };
        match EndEntityCert::try_from(leaf) {
            Ok(parsed) => case.hear(&parsed, name),
            Err(error) => case.checks.trust = Outcome::Failed(certificate_fault(&error)),
        }
        let mut checks = case.checks;
        for lapse in &self.rules.ignored {
            checks.ignore(*lapse);
        }
        self.settle(&mut checks);
        Verdict { until: case.until, checks }
    }

    /// What could not be told is not good enough, once nothing that failed refuses the peer anyway.
    fn settle(&self, checks: &mut Checks) {
        if checks.failed().next().is_some() {
            return;
        }
        let unknown = |outcome: &mut Outcome, fault, is_ignored: bool| {
            if *outcome == Outcome::Untold {
                *outcome =
                    if is_ignored { Outcome::Ignored(fault) } else { Outcome::Failed(fault) };
            }
        };
        let (trust, revocation) =
            (self.rules.ignores(Lapse::Trust), self.rules.ignores(Lapse::UnknownRevocation));
        unknown(&mut checks.trust, CertificateFault::UnknownIssuer, trust);
        let why = "no path leads to an anchor, so that no list can be believed".to_owned();
        unknown(&mut checks.revocation, CertificateFault::RevocationUnknown(why), revocation);
        unknown(&mut checks.usage, CertificateFault::BadEncoding, false);
    }
}

fn fingerprint_of_anchor(anchor: &TrustAnchor<'_>) -> [u8; 32] {
    let constraints = anchor.name_constraints.as_deref().unwrap_or_default();
    let parts = [&*anchor.subject, &*anchor.subject_public_key_info, constraints];
    let lengths = parts.map(|part| (part.len() as u64).to_be_bytes());
    let hash = lengths
        .iter()
        .zip(parts)
        .fold(Sha256::new(), |hash, (length, part)| hash.chain_update(length).chain_update(part));
    hash.finalize().into()
}

/// One chain before the judge.
struct Case<'j> {
    judge: &'j Judge,
    leaf: &'j CertificateDer<'j>,
    issuers: &'j [CertificateDer<'j>],
    now: UnixTime,
    checks: Checks,
    until: u64,
}

impl<'j> Case<'j> {
    fn hear<'p>(&mut self, leaf: &'p EndEntityCert<'p>, name: Option<&ServerName<'_>>)
    where
        'j: 'p,
    {
        let facts = certificate::read(self.leaf, usize::MAX).ok();
        let rules = &self.judge.rules;
        let path = if self.judge.is_pinned {
            self.alone(leaf, facts.as_ref());
            None
        } else {
            self.led_to_an_anchor(leaf, facts.as_ref())
        };
        if let Some(name) = name.filter(|_| !self.judge.is_pinned) {
            self.checks.name = outcome(leaf.verify_is_valid_for_subject_name(name));
        }
        let issuers: Vec<_> = path.as_ref().map_or_else(Vec::new, |path| {
            path.intermediate_certificates().map(Cert::der).collect()
        });
        if !rules.pins.is_empty() {
            self.checks.pin = self.pinned(leaf, &issuers);
        }
        if !rules.san.is_empty() {
            let names = facts.as_ref().map_or(&[][..], |facts| &facts.names);
            self.checks.san = if rules.san.iter().any(|rule| rule.allows(names)) {
                Outcome::Passed
            } else {
                let told = names.iter().take(CertificateFacts::MOST_NAMES);
                let presented = told.map(ToString::to_string).collect();
                Outcome::Failed(CertificateFault::NotAllowed { presented })
            };
        }
        if rules.time.is_none() && !rules.ignores(Lapse::Validity) {
            let ends = issuers.iter().filter_map(|der| certificate::read(der, 0).ok());
            let ends =
                facts.iter().map(|facts| facts.not_after).chain(ends.map(|end| end.not_after));
            // An end before 1970 was found above.
            self.until = ends.map(|end| u64::try_from(end).unwrap_or(0)).min().unwrap_or(0);
        }
        if rules.time.is_none()
            && !rules.ignores(Lapse::UnknownRevocation)
            && let Some(due) = rules.crls.next_due()
        {
            self.until = self.until.min(u64::try_from(due).unwrap_or(0));
        }
    }

    /// A certificate that needs no issuer: a pin says whose it is.
    fn alone(&mut self, leaf: &EndEntityCert<'_>, facts: Option<&CertificateFacts>) {
        self.checks.validity = self.validity(leaf);
        self.checks.usage = match self.usage(leaf, facts) {
            // Who signs itself calls itself an authority, and has nothing to say about others.
            Outcome::Failed(CertificateFault::CaAsEndEntity) => Outcome::Passed,
            usage => usage,
        };
    }

    /// Makes the checks of a path, and gives it, if there is one.
    fn led_to_an_anchor<'p>(
        &mut self,
        leaf: &'p EndEntityCert<'p>,
        facts: Option<&CertificateFacts>,
    ) -> Option<VerifiedPath<'p>>
    where
        'j: 'p,
    {
        let asks_for_revocation = !self.judge.rules.crls.is_empty();
        let passed_if = |asked| if asked { Outcome::Passed } else { Outcome::NotAsked };
        let all = self.path(leaf, self.now, self.judge.usage, Some(ExpirationPolicy::Enforce));
        let fault = match all {
            Ok(path) => {
                self.checks.trust = Outcome::Passed;
                self.checks.validity = Outcome::Passed;
                self.checks.usage = Outcome::Passed;
                self.checks.revocation = passed_if(asks_for_revocation);
                return Some(path);
            }
            Err(error) => certificate_fault(&error),
        };
        let path = self.each_alone(leaf, facts, asks_for_revocation);
        if self.checks.failed().next().is_none() && self.checks.trust == Outcome::Passed {
            // Each is good on a path of its own, and none on the same one.
            self.checks.trust = Outcome::Failed(fault);
        }
        path
    }

    /// Makes the checks of a path one by one, where not all of them are good.
    fn each_alone<'p>(
        &mut self,
        leaf: &'p EndEntityCert<'p>,
        facts: Option<&CertificateFacts>,
        asks_for_revocation: bool,
    ) -> Option<VerifiedPath<'p>>
    where
        'j: 'p,
    {
        self.checks.validity = self.validity(leaf);
        self.checks.usage = self.usage(leaf, facts);
        self.checks.revocation =
            if asks_for_revocation { Outcome::Untold } else { Outcome::NotAsked };
        let mut found = None;
        for time in self.times(facts) {
            match self.path(leaf, time, AnyUsage, None) {
                Ok(path) => {
                    found = Some((time, path));
                    break;
                }
                // Of an issuer, where the peer's own is valid.
                Err(error @ (Error::CertExpired { .. } | Error::CertNotValidYet { .. })) => {
                    if time == self.now && self.checks.validity == Outcome::Passed {
                        self.checks.validity = Outcome::Failed(certificate_fault(&error));
                    }
                    self.checks.trust = Outcome::Untold;
                }
                Err(Error::CaUsedAsEndEntity) => self.checks.trust = Outcome::Untold,
                Err(error) => {
                    self.checks.trust = Outcome::Failed(certificate_fault(&error));
                }
            }
        }
        let (time, mut path) = found?;
        self.checks.trust = Outcome::Passed;
        if time != self.now && self.checks.validity == Outcome::Passed {
            // The peer's own is valid; something on every path is not.
            let fault =
                CertificateFault::Expired { not_after: None, now: Some(self.now.as_secs()) };
            self.checks.validity = Outcome::Failed(fault);
        }
        if self.checks.usage == Outcome::Passed {
            // The peer's own is good; that of an issuer may not be.
            match self.path(leaf, time, self.judge.usage, None) {
                Ok(used) => path = used,
                Err(error) => self.checks.usage = Outcome::Failed(certificate_fault(&error)),
            }
        }
        if asks_for_revocation {
            // At another time than now, whether a list has expired says nothing.
            let expiration =
                if time == self.now { ExpirationPolicy::Enforce } else { ExpirationPolicy::Ignore };
            // On a path that is good for all else, where there is one.
            let judged = if self.checks.usage == Outcome::Passed {
                self.path(leaf, time, self.judge.usage, Some(expiration))
            } else {
                self.path(leaf, time, AnyUsage, Some(expiration))
            };
            match judged {
                Ok(used) => {
                    self.checks.revocation = Outcome::Passed;
                    path = used;
                }
                Err(error) => self.checks.revocation = Outcome::Failed(certificate_fault(&error)),
            }
        }
        Some(path)
    }

    /// The path from the peer's certificate to an anchor.
    fn path<'p>(
        &self,
        leaf: &'p EndEntityCert<'p>,
        time: UnixTime,
        usage: impl ExtendedKeyUsageValidator,
        revocation: Option<ExpirationPolicy>,
    ) -> Result<VerifiedPath<'p>, Error>
    where
        'j: 'p,
    {
        let rules = &self.judge.rules;
        let lists = rules.crls.lists();
        let options: Option<RevocationOptions<'_>> = revocation
            // It fails without lists alone: there is nothing to check then.
            .and_then(|expiration| Some((RevocationOptionsBuilder::new(&lists).ok()?, expiration)))
            .map(|(options, expiration)| {
                let depth = match rules.crl_scope {
                    CrlScope::Chain => RevocationCheckDepth::Chain,
                    CrlScope::Leaf => RevocationCheckDepth::EndEntity,
                };
                options.with_depth(depth).with_expiration_policy(expiration).build()
            });
        let algorithms = self.judge.algorithms.all;
        let anchors = &self.judge.anchors.roots;
        leaf.verify_for_usage(algorithms, anchors, self.issuers, time, usage, options, None)
    }

    /// What webpki has against the certificate itself, whoever issued it.
    fn own_fault(
        &self,
        leaf: &EndEntityCert<'_>,
        time: UnixTime,
        usage: impl ExtendedKeyUsageValidator,
    ) -> Option<Error> {
        let judged =
            leaf.verify_for_usage(self.judge.algorithms.all, &[], &[], time, usage, None, None);
        judged.err().filter(|error| !matches!(error, Error::UnknownIssuer))
    }

    fn validity(&self, leaf: &EndEntityCert<'_>) -> Outcome {
        // It is looked at first.
        match self.own_fault(leaf, self.now, AnyUsage) {
            Some(
                error @ (Error::CertExpired { .. }
                | Error::CertNotValidYet { .. }
                | Error::InvalidCertValidity),
            ) => Outcome::Failed(certificate_fault(&error)),
            _ => Outcome::Passed,
        }
    }

    fn usage(&self, leaf: &EndEntityCert<'_>, facts: Option<&CertificateFacts>) -> Outcome {
        // At its last moment it is valid, unless it never is.
        let time = facts.and_then(|facts| unix_time(facts.not_after)).unwrap_or(self.now);
        match self.own_fault(leaf, time, self.judge.usage) {
            None => Outcome::Passed,
            Some(
                Error::CertExpired { .. }
                | Error::CertNotValidYet { .. }
                | Error::InvalidCertValidity,
            ) => Outcome::Untold,
            Some(error) => Outcome::Failed(certificate_fault(&error)),
        }
    }

    /// The times at which a path may be valid: now, else when all that was sent is, else when the
    /// peer's own is.
    fn times(&self, facts: Option<&CertificateFacts>) -> Vec<UnixTime> {
        let issuers = self.issuers.iter().filter_map(|der| certificate::read(der, 0).ok());
        let all_end =
            issuers.map(|facts| facts.not_after).chain(facts.map(|facts| facts.not_after));
        let mut times = vec![self.now];
        times.extend(all_end.min().and_then(unix_time));
        times.extend(facts.and_then(|facts| unix_time(facts.not_after)));
        times.dedup();
        times
    }

    fn pinned(&self, leaf: &EndEntityCert<'_>, issuers: &[CertificateDer<'_>]) -> Outcome {
        let key = Pin::Spki(sha256(&leaf.subject_public_key_info()));
        let mut shown = vec![key, Pin::Certificate(sha256(self.leaf))];
        for der in issuers {
            shown.push(Pin::Certificate(sha256(der)));
            if let Ok(issuer) = EndEntityCert::try_from(der) {
                shown.push(Pin::Spki(sha256(&issuer.subject_public_key_info())));
            }
        }
        if self.judge.rules.pins.iter().any(|pin| shown.contains(pin)) {
            Outcome::Passed
        } else {
            Outcome::Failed(CertificateFault::NotPinned { presented: key.to_string() })
        }
    }
}

fn outcome(judged: Result<(), Error>) -> Outcome {
    match judged {
        Ok(()) => Outcome::Passed,
        Err(error) => Outcome::Failed(certificate_fault(&error)),
    }
}

fn unix_time(seconds: i64) -> Option<UnixTime> {
    let seconds = u64::try_from(seconds).ok()?;
    Some(UnixTime::since_unix_epoch(std::time::Duration::from_secs(seconds)))
}

fn sha256(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

/// Every usage is right.
struct AnyUsage;

impl ExtendedKeyUsageValidator for AnyUsage {
    fn validate(&self, _purposes: KeyPurposeIdIter<'_, '_>) -> Result<(), Error> {
        Ok(())
    }
}
