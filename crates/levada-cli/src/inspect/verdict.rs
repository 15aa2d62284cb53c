//! What the findings come to.

use levada::Ended;
use levada_probe::{Strength, Suite};
use serde::Serialize;

use super::survey::Accepts;
use super::visit::{Outcome, Visit};
use super::{report::Certificate, survey::Survey, target::Found};
use crate::exit::Exit;
use crate::validity;

/// What all comes to. The gravest counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Verdict {
    /// A client gets through, and nothing needs to be mended.
    Good,
    /// A client gets through, and something needs to be mended.
    Warnings,
    /// We do not trust the server's certificate.
    NotVerified,
    /// TLS failed for another reason.
    TlsFailed,
    /// No address could be reached.
    Unreachable,
}

impl Verdict {
    /// The exit code for it.
    pub(crate) const fn exit(self) -> Exit {
        match self {
            Self::Good => Exit::Clean,
            Self::Warnings => Exit::Warnings,
            Self::NotVerified => Exit::NotVerified,
            Self::TlsFailed => Exit::TlsFailed,
            Self::Unreachable => Exit::NeverEstablished,
        }
    }

    /// For people.
    pub(crate) const fn words(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Warnings => "works, with warnings",
            Self::NotVerified => "not to be trusted",
            Self::TlsFailed => "TLS fails",
            Self::Unreachable => "unreachable",
        }
    }
}

/// How much a finding counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Severity {
    /// Clients do not get through.
    Error,
    /// They do, but not all, or not for long, or not safely.
    Warning,
    /// Good to know; it changes nothing about the verdict.
    Note,
}

/// Something that is wrong, or worth to know.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Finding {
    pub(crate) severity: Severity,
    /// A stable code, for programs.
    pub(crate) code: &'static str,
    /// Where it was found: one of the addresses; `None` for all.
    pub(crate) address: Option<String>,
    pub(crate) message: String,
    /// How to mend it.
    pub(crate) hint: String,
}

/// Judges what was found; the gravest findings first.
pub(crate) fn judge(
    found: &Found,
    visits: &[Visit],
    chain: &[Certificate],
    survey: Option<&Survey>,
    warn_days: u16,
) -> (Verdict, Vec<Finding>) {
    let mut findings = Vec::new();
    let mut verdict = match visits.iter().map(Visit::outcome).max_by_key(|outcome| worst(*outcome))
    {
        Some(Outcome::Good) => Verdict::Good,
        Some(Outcome::NotVerified) => Verdict::NotVerified,
        Some(Outcome::TlsFailed) => Verdict::TlsFailed,
        Some(Outcome::Unreachable) | None => Verdict::Unreachable,
    };
    if let Some(ended) = &found.failed {
        findings.push(failure(ended, None, Severity::Error));
    }
    for visit in visits {
        let Some(ended) = &visit.ended else { continue };
        // One address that is dead is a defect that clients pay for with waiting, but they get through.
        let dead = visit.outcome() == Outcome::Unreachable && verdict != Verdict::Unreachable;
        let severity = if dead { Severity::Warning } else { Severity::Error };
        findings.push(failure(ended, Some(visit.at.clone()), severity));
    }
    findings.extend(expiring(chain, verdict, warn_days));
    findings.extend(differing(visits));
    if let Some(survey) = survey {
        findings.extend(accepted(survey));
    }
    findings.sort_by_key(|finding| finding.severity);
    let warns = findings.iter().any(|finding| finding.severity == Severity::Warning);
    if verdict == Verdict::Good && warns {
        verdict = Verdict::Warnings;
    }
    (verdict, findings)
}

/// Of several addresses that which fails counts, but for one that cannot be reached beside others.
const fn worst(outcome: Outcome) -> u8 {
    match outcome {
        Outcome::Unreachable => 0,
        Outcome::Good => 1,
        Outcome::NotVerified => 2,
        Outcome::TlsFailed => 3,
    }
}

fn failure(ended: &Ended, address: Option<String>, severity: Severity) -> Finding {
    Finding {
        severity,
        code: ended.ending.cause_code(),
        address,
        message: ended.ending.to_string(),
        hint: ended.hint().into_owned(),
    }
}

fn expiring(chain: &[Certificate], verdict: Verdict, warn_days: u16) -> Option<Finding> {
    let next =
        chain.iter().filter(|one| one.days_left.is_some()).min_by_key(|one| one.days_left)?;
    let days = next.days_left?;
    // One that has expired already is why it is not trusted, where it matters.
    if verdict != Verdict::Good || days < 0 || days >= i64::from(warn_days) {
        return None;
    }
    let whose = if next.place == 0 { "the certificate" } else { "a certificate of the chain" };
    Some(Finding {
        severity: Severity::Warning,
        code: "expires_soon",
        address: None,
        message: format!("{whose} has {}: {}", validity::in_words(days), next.subject()),
        hint: "renew it, and have it renewed by a machine".to_owned(),
    })
}

/// Addresses of one name that show different certificates.
fn differing(visits: &[Visit]) -> Option<Finding> {
    let shown = |visit: &Visit| {
        let tls = visit.facts.tls.as_ref()?;
        Some(tls.peer_certificate()?.serial.clone())
    };
    let first = visits.iter().find_map(shown)?;
    let other = visits.iter().find(|visit| shown(visit).is_some_and(|serial| serial != first))?;
    Some(Finding {
        severity: Severity::Note,
        code: "certificates_differ",
        address: Some(other.at.clone()),
        message: "this address shows another certificate than the first one".to_owned(),
        hint: "that is fine where both are meant to be in use; renew all of them".to_owned(),
    })
}

fn suites_counted(count: usize) -> String {
    if count == 1 { "a suite".to_owned() } else { format!("{count} suites") }
}

/// The first of these, and how many more there are.
fn some(names: &[&str]) -> String {
    const SHOWN: usize = 3;
    match names.len().saturating_sub(SHOWN) {
        0 => names.join(", "),
        more => format!("{}, and {more} more", names[..SHOWN].join(", ")),
    }
}

fn accepted(survey: &Survey) -> Vec<Finding> {
    let finding = |severity, code, message: String, hint: &str| Finding {
        severity,
        code,
        address: None,
        message,
        hint: hint.to_owned(),
    };
    let mut findings = Vec::new();
    let yes = |(version, accepts): &&(levada_probe::Version, Accepts)| {
        *accepts == Accepts::Yes && version.is_old()
    };
    let old: Vec<_> =
        survey.versions.iter().filter(yes).map(|(version, _)| version.name()).collect();
    if !old.is_empty() {
        findings.push(finding(
            Severity::Warning,
            "old_version",
            format!("the server still accepts {}", old.join(" and ")),
            "let it speak TLS 1.2 and 1.3 alone (RFC 8996)",
        ));
    }
    let suites = survey.suites.iter().flat_map(|(_, suites)| suites);
    let suites: Vec<_> = suites.filter_map(|code| Suite::find(*code)).collect();
    let broken: Vec<_> = suites
        .iter()
        .filter(|suite| suite.strength() == Strength::Broken)
        .map(|suite| suite.name)
        .collect();
    if !broken.is_empty() {
        findings.push(finding(
            Severity::Warning,
            "broken_suite",
            format!(
                "the server accepts {} that protect nobody: {}",
                suites_counted(broken.len()),
                some(&broken)
            ),
            "take them out of its list of suites",
        ));
    }
    let speaks = |wanted| {
        let mut versions = survey.versions.iter();
        versions.any(|(version, accepts)| *version == wanted && *accepts == Accepts::Yes)
    };
    if !speaks(levada_probe::Version::Tls13) {
        findings.push(finding(
            Severity::Note,
            "no_tls_1_3",
            "the server does not speak TLS 1.3".to_owned(),
            "switch it on, or bring the server up to date",
        ));
    } else if !survey.has_post_quantum() {
        findings.push(finding(
            Severity::Note,
            "no_post_quantum",
            "what is recorded today can be read by a quantum computer of tomorrow".to_owned(),
            "let the server offer the group X25519MLKEM768",
        ));
    }
    if survey.incomplete {
        findings.push(finding(
            Severity::Note,
            "incomplete",
            "the server has left questions without an answer: it may accept more than is shown"
                .to_owned(),
            "try again later, or raise deadline-handshake",
        ));
    }
    findings
}
