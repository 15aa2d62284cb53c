//! What the findings come to.

use levada::{Ended, Ending, Fault, Staple, StapleStatus};
use levada_probe::{Strength, Suite};
use serde::Serialize;
use time::OffsetDateTime;

use super::opening::Refusal;
use super::survey::Accepts;
use super::visit::{Outcome, Visit};
use super::{
    report::{Certificate, Tls},
    survey::Survey,
    target::Found,
};
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
    /// The server has opened no WebSocket, though all below it is up.
    WsFailed,
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
            Self::WsFailed => Exit::WsFailed,
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
            Self::WsFailed => "no WebSocket is opened",
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
    tls: Option<&Tls>,
    survey: Option<&Survey>,
    strangers: Option<bool>,
    warn_days: u16,
    now: OffsetDateTime,
) -> (Verdict, Vec<Finding>) {
    let mut findings = Vec::new();
    let mut verdict = match visits.iter().map(Visit::outcome).max_by_key(|outcome| worst(*outcome))
    {
        Some(Outcome::Good) => Verdict::Good,
        Some(Outcome::WsFailed) => Verdict::WsFailed,
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
        let refusal = visit.opening.as_ref().and_then(|opening| opening.refusal.as_ref());
        findings.push(match refusal {
            Some(Refusal { message, hint }) => Finding {
                severity,
                code: "ws_refused",
                address: Some(visit.at.clone()),
                message: message.clone(),
                hint: hint.clone(),
            },
            None => failure(ended, Some(visit.at.clone()), severity),
        });
        findings.extend(ended.other_faults().map(|fault| {
            let cause = Fault::Certificate(fault.clone());
            let ending = Ending::FatalError { alert: None, cause };
            Finding {
                severity,
                code: ending.code(),
                address: Some(visit.at.clone()),
                message: ending.to_string(),
                hint: ending.hint().into_owned(),
            }
        }));
    }
    if let Some(tls) = tls {
        findings.extend(expiring(&tls.certificates, verdict, warn_days));
        findings.extend(tls.staple.as_ref().and_then(|staple| stapled(staple, now)));
    }
    findings.extend(differing(visits));
    if strangers == Some(true) {
        findings.push(Finding {
            severity: Severity::Note,
            code: "any_origin",
            address: None,
            message: "web pages of every site may connect, on behalf of whoever looks at them".to_owned(),
            hint: "let the server check the Origin, unless nothing that a browser has opens doors there: \
                   cookies, its place in the network"
                .to_owned(),
        });
    }
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
        Outcome::WsFailed => 2,
        Outcome::NotVerified => 3,
        Outcome::TlsFailed => 4,
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

fn stapled(staple: &Staple, now: OffsetDateTime) -> Option<Finding> {
    let is_over = staple.next_update.is_some_and(|until| until < now.unix_timestamp());
    let (code, message) = match staple.status {
        StapleStatus::Revoked => ("revoked", "the stapled OCSP response says that it is revoked"),
        StapleStatus::Good if !is_over => return None,
        StapleStatus::Good => ("staple_stale", "the stapled OCSP response is out of date"),
        _ => ("staple_useless", "the stapled OCSP response does not tell whether it is revoked"),
    };
    Some(Finding {
        severity: Severity::Warning,
        code,
        address: None,
        message: message.to_owned(),
        hint: match staple.status {
            StapleStatus::Revoked => "get a new certificate",
            _ => "renew the response, or take it away: strict clients refuse it",
        }
        .to_owned(),
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, TcpListener};

    use super::super::{target::Target, visit};

    const HERE: [IpAddr; 2] = [IpAddr::V6(Ipv6Addr::LOCALHOST), IpAddr::V4(Ipv4Addr::LOCALHOST)];

    /// What comes of visiting both addresses of this machine, at a port where only IPv4 listens.
    async fn judged(scheme: &str, listener: &TcpListener) -> (Vec<Visit>, Verdict, Vec<Finding>) {
        let port = listener.local_addr().unwrap().port();
        let address = format!("{scheme}://localhost:{port}?deadline-handshake=100ms");
        let target = Target::of(&address.parse().unwrap()).unwrap();
        let found = Found { places: HERE.map(Some).to_vec(), ..Found::default() };
        let visits = visit::each(&target, &found).await;
        let now = OffsetDateTime::UNIX_EPOCH;
        let (verdict, findings) = judge(&found, &visits, None, None, None, 14, now);
        (visits, verdict, findings)
    }

    #[tokio::test]
    async fn a_family_that_is_dead_is_a_warning_and_hides_behind_no_other() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let (visits, verdict, findings) = judged("tcp", &listener).await;
        let outcomes: Vec<_> = visits.iter().map(Visit::outcome).collect();
        assert_eq!(outcomes, [Outcome::Unreachable, Outcome::Good]);
        assert_eq!((verdict, verdict.exit()), (Verdict::Warnings, Exit::Warnings));
        assert_eq!(findings.len(), 1);
        assert_eq!(findings[0].severity, Severity::Warning);
        assert!(findings[0].address.as_deref().is_some_and(|at| at.starts_with("[::1]:")));
    }

    #[tokio::test]
    async fn the_gravest_that_a_client_can_meet_counts() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let (_, verdict, findings) = judged("tls", &listener).await;
        assert_eq!(verdict, Verdict::TlsFailed);
        let told: Vec<_> =
            findings.iter().map(|finding| (finding.severity, finding.code)).collect();
        assert_eq!(told[0], (Severity::Error, "timeout_handshake"));
        assert_eq!(told[1].0, Severity::Warning);
        drop(listener);
    }

    #[test]
    fn few_days_are_a_warning_and_none_are_told_by_the_ending() {
        let certificate = |days_left| Certificate {
            place: 1,
            days_left: Some(days_left),
            expires: None,
            facts: None,
        };
        let chain = [certificate(40), certificate(3)];
        let finding = expiring(&chain, Verdict::Good, 14).unwrap();
        assert!(finding.message.contains("of the chain has 3 days left"), "{}", finding.message);
        assert_eq!(expiring(&chain, Verdict::Good, 3), None);
        assert_eq!(expiring(&chain, Verdict::NotVerified, 14), None);
        assert_eq!(expiring(&[certificate(-1)], Verdict::Good, 14), None);
    }
}
