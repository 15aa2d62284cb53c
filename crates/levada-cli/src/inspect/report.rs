//! What was found, in the form that `--json` prints. Its keys are a promise: they are told in the book,
//! and a test holds the two together.

use levada::{CertificateFacts, ShownCertificate, Verification};
use levada_probe::{Group, Suite};
use serde::Serialize;
use time::OffsetDateTime;

use super::survey::{Accepts, Survey};
use super::target::{Found, Target};
use super::verdict::{self, Finding, Verdict};
use super::visit::{Outcome, Visit};
use crate::exit::Exit;
use crate::log::rfc3339;
use crate::validity;

/// All of it.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    pub(crate) address: String,
    pub(crate) verdict: Verdict,
    pub(crate) exit_code: Exit,
    pub(crate) findings: Vec<Finding>,
    pub(crate) lookup: Option<Lookup>,
    pub(crate) addresses: Vec<Place>,
    pub(crate) tls: Option<Tls>,
    pub(crate) accepts: Option<Accepted>,
}

/// The lookup of the name.
#[derive(Debug, Serialize)]
pub(crate) struct Lookup {
    pub(crate) ms: f64,
    /// Addresses of the name that were not visited.
    pub(crate) more_addresses: usize,
}

/// One address, and how the visit there went.
#[derive(Debug, Serialize)]
pub(crate) struct Place {
    pub(crate) address: String,
    pub(crate) outcome: &'static str,
    /// Why it is not good.
    pub(crate) why: Option<String>,
    pub(crate) connect_ms: Option<f64>,
    pub(crate) handshake_ms: Option<f64>,
}

/// What a client and the server agree on, from the first address that got so far.
#[derive(Debug, Serialize)]
pub(crate) struct Tls {
    pub(crate) address: String,
    pub(crate) version: Option<&'static str>,
    pub(crate) suite: Option<String>,
    pub(crate) group: Option<String>,
    pub(crate) post_quantum: Option<bool>,
    pub(crate) alpn: Option<String>,
    pub(crate) server_name: Option<String>,
    pub(crate) verified_name: Option<String>,
    pub(crate) verification: Option<Verification>,
    pub(crate) client_certificate_asked: bool,
    pub(crate) client_certificate_shown: bool,
    /// As the server sent them, its own first.
    pub(crate) certificates: Vec<Certificate>,
}

/// A certificate of the server's chain.
#[derive(Debug, Serialize)]
pub(crate) struct Certificate {
    /// Its place in the chain, from 0, the server's own.
    pub(crate) place: usize,
    pub(crate) days_left: Option<i64>,
    #[serde(serialize_with = "date")]
    pub(crate) expires: Option<OffsetDateTime>,
    /// `None` where it cannot be read.
    pub(crate) facts: Option<CertificateFacts>,
}

/// What else the server accepts. Lists are in the order in which it chose.
#[derive(Debug, Serialize)]
pub(crate) struct Accepted {
    pub(crate) versions: Vec<VersionAccepted>,
    pub(crate) suites: Vec<SuiteAccepted>,
    pub(crate) groups: Vec<GroupAccepted>,
    pub(crate) alpn: Vec<String>,
    pub(crate) complete: bool,
}

#[derive(Debug, Serialize)]
pub(crate) struct VersionAccepted {
    pub(crate) version: &'static str,
    /// `None` where the server gave no answer.
    pub(crate) accepted: Option<bool>,
}

#[derive(Debug, Serialize)]
pub(crate) struct SuiteAccepted {
    pub(crate) version: &'static str,
    pub(crate) suite: String,
    pub(crate) weakness: Option<&'static str>,
}

#[derive(Debug, Serialize)]
pub(crate) struct GroupAccepted {
    pub(crate) group: String,
    pub(crate) post_quantum: bool,
}

impl Report {
    pub(crate) fn new(
        target: &Target,
        found: &Found,
        visits: &[Visit],
        survey: Option<Survey>,
        warn_days: u16,
        now: OffsetDateTime,
    ) -> Self {
        let tls = visits.iter().find_map(|visit| Tls::of(visit, now));
        let chain = tls.as_ref().map_or(&[][..], |tls| &tls.certificates);
        let (verdict, findings) = verdict::judge(found, visits, chain, survey.as_ref(), warn_days);
        Self {
            address: target.address.clone(),
            verdict,
            exit_code: verdict.exit(),
            findings,
            lookup: found
                .lookup
                .map(|time| Lookup { ms: millis(time), more_addresses: found.more }),
            addresses: visits.iter().map(Place::of).collect(),
            tls,
            accepts: survey.map(|survey| Accepted::of(&survey)),
        }
    }
}

impl Place {
    fn of(visit: &Visit) -> Self {
        Self {
            address: visit.at.clone(),
            outcome: match visit.outcome() {
                Outcome::Good => "good",
                Outcome::Unreachable => "unreachable",
                Outcome::TlsFailed => "tls_failed",
                Outcome::NotVerified => "not_verified",
            },
            why: visit.ended.as_ref().map(|ended| ended.ending.to_string()),
            connect_ms: visit.facts.times.connect.map(millis),
            handshake_ms: visit.facts.times.handshake.map(millis),
        }
    }
}

impl Tls {
    fn of(visit: &Visit, now: OffsetDateTime) -> Option<Self> {
        let tls = visit.facts.tls.as_ref().filter(|tls| tls.version.is_some())?;
        let group = tls.group.as_deref().and_then(Group::named);
        let chain = tls.peer_chain.iter().enumerate();
        Some(Self {
            address: visit.at.clone(),
            version: tls.version,
            suite: tls.suite.clone(),
            group: tls.group.clone(),
            post_quantum: group.map(|group| group.post_quantum),
            alpn: tls.alpn.clone(),
            server_name: tls.sni.clone(),
            verified_name: tls.verified_name.clone(),
            verification: tls.verification,
            client_certificate_asked: tls.identity_asked,
            client_certificate_shown: tls.identity.is_some(),
            certificates: chain.map(|(place, shown)| Certificate::of(place, shown, now)).collect(),
        })
    }
}

impl Certificate {
    fn of(place: usize, shown: &ShownCertificate, now: OffsetDateTime) -> Self {
        let facts = shown.read().cloned();
        let end = facts.as_ref().map(|facts| OffsetDateTime::from_unix_timestamp(facts.not_after));
        let expires = end.and_then(Result::ok);
        let days_left = expires.map(|end| validity::days_left(end, now));
        Self { place, days_left, expires, facts }
    }

    /// Whose it is, in words.
    pub(crate) fn subject(&self) -> String {
        match &self.facts {
            None => "(cannot be read)".to_owned(),
            Some(facts) if !facts.subject.is_empty() => facts.subject.clone(),
            Some(facts) => {
                facts.names.first().map_or_else(|| "(no name)".to_owned(), ToString::to_string)
            }
        }
    }
}

impl Accepted {
    fn of(survey: &Survey) -> Self {
        let number = |code: u16| format!("0x{code:04X}");
        let versions = survey.versions.iter().map(|(version, accepts)| VersionAccepted {
            version: version.name(),
            accepted: match accepts {
                Accepts::Yes => Some(true),
                Accepts::No => Some(false),
                Accepts::Unknown => None,
            },
        });
        let suites = survey.suites.iter().flat_map(|(version, suites)| {
            suites.iter().map(|code| {
                let suite = Suite::find(*code);
                SuiteAccepted {
                    version: version.name(),
                    suite: suite.map_or_else(|| number(*code), |suite| suite.name.to_owned()),
                    weakness: suite.and_then(|suite| suite.strength().weakness()),
                }
            })
        });
        let groups = survey.groups.iter().map(|code| {
            let group = Group::find(*code);
            GroupAccepted {
                group: group.map_or_else(|| number(*code), |group| group.name.to_owned()),
                post_quantum: group.is_some_and(|group| group.post_quantum),
            }
        });
        Self {
            versions: versions.collect(),
            suites: suites.collect(),
            groups: groups.collect(),
            alpn: survey.alpn.clone(),
            complete: !survey.incomplete,
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "exact for the first 285 years")]
fn millis(time: std::time::Duration) -> f64 {
    time.as_micros() as f64 / 1000.0
}

#[expect(clippy::ref_option, reason = "serde calls it with a reference to the field")]
fn date<S: serde::Serializer>(time: &Option<OffsetDateTime>, to: S) -> Result<S::Ok, S::Error> {
    time.map(rfc3339).serialize(to)
}
