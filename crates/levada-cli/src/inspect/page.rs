//! The report on one page, for people.

use std::fmt::Write as _;

use levada::{Staple, StapleStatus, Verification};
use time::OffsetDateTime;

use super::layout::{Ink, Paper, Row};
use super::report::{
    Accepted, Certificate, GroupAccepted, Place, Report, SuiteAccepted, Tls, WebSocket,
};
use super::verdict::{Finding, Severity, Verdict};
use super::visit::Outcome;
use crate::validity;

/// The most names of a certificate that are shown.
const MOST_NAMES: usize = 8;

/// The most suites that are shown of those with one weakness; `--json` has them all.
const MOST_WEAK_SUITES: usize = 3;

/// The page.
pub(crate) fn of(report: &Report, paper: &Paper) -> String {
    let mut rows = vec![verdict(report)];
    rows.extend(addresses(report));
    if let Some(tls) = &report.tls {
        rows.push(agreed(tls));
        rows.push(identity(tls));
        rows.extend(tls.certificates.iter().map(certificate));
        rows.extend(tls.staple.as_ref().map(staple));
    }
    if let Some(accepts) = &report.accepts {
        rows.extend(accepted(accepts));
    }
    rows.extend(report.websocket.as_ref().map(websocket));
    rows.extend(report.findings.iter().map(finding));
    rows.retain(|row| !row.lines.is_empty());
    paper.print(&rows)
}

fn plain(text: impl Into<String>) -> (Ink, String) {
    (Ink::Plain, text.into())
}

fn verdict(report: &Report) -> Row {
    let ink = match report.verdict {
        Verdict::Good => Ink::Good,
        Verdict::Warnings => Ink::Warning,
        _ => Ink::Bad,
    };
    let lines = vec![plain(&report.address), (ink, report.verdict.words().to_owned())];
    Row { label: "inspected", lines }
}

fn addresses(report: &Report) -> Vec<Row> {
    let mut rows = Vec::new();
    if let Some(lookup) = &report.lookup {
        let count = match report.addresses.len() + lookup.more_addresses {
            0 => "no address".to_owned(),
            1 => "1 address".to_owned(),
            count => format!("{count} addresses"),
        };
        let rest = match lookup.more_addresses {
            0 => String::new(),
            more => format!(", {more} of them not visited"),
        };
        let line = format!("{count} in {}{rest}", millis(lookup.ms));
        rows.push(Row { label: "lookup", lines: vec![plain(line)] });
    }
    if let Some(proxy) = &report.proxy {
        rows.push(Row { label: "through", lines: vec![plain(proxy)] });
    }
    let lines = report.addresses.iter().map(visited).collect();
    rows.push(Row { label: "addresses", lines });
    rows
}

fn visited(place: &Place) -> (Ink, String) {
    let steps = [
        ("connected", place.connect_ms),
        ("TLS", place.handshake_ms),
        ("WebSocket", place.websocket_ms),
    ];
    let steps = steps.into_iter().filter_map(|(step, time)| Some((step, time?)));
    let mut steps: Vec<_> =
        steps.map(|(step, time)| format!("{step} in {}", millis(time))).collect();
    if place.connect_ms.is_none() {
        steps = vec!["not connected".to_owned()];
    }
    let steps = steps.join(", ");
    let (ink, outcome) = match place.outcome {
        Outcome::Good => (Ink::Plain, ""),
        Outcome::Unreachable => (Ink::Warning, ": unreachable"),
        Outcome::NotVerified => (Ink::Bad, ": not trusted"),
        Outcome::TlsFailed => (Ink::Bad, ": TLS failed"),
        Outcome::WsFailed => (Ink::Bad, ": no WebSocket"),
    };
    (ink, format!("{}  {steps}{outcome}", place.address))
}

fn agreed(tls: &Tls) -> Row {
    let mut line = vec![format!("TLS {}", tls.version.unwrap_or_default())];
    line.extend(tls.suite.clone());
    line.extend(tls.group.as_ref().map(|group| match tls.post_quantum {
        Some(true) => format!("{group} (post-quantum)"),
        _ => group.clone(),
    }));
    line.extend(tls.alpn.as_ref().map(|name| format!("ALPN {name}")));
    Row { label: "agreed on", lines: vec![plain(line.join(", "))] }
}

fn identity(tls: &Tls) -> Row {
    let verified = match (tls.verification, &tls.verified_name) {
        (Some(Verification::Verified), Some(name)) => (Ink::Good, format!("verified to be {name}")),
        (Some(Verification::Verified), None) => (Ink::Good, "verified".to_owned()),
        (Some(Verification::Pinned), _) => (Ink::Good, "pinned: no name was asked for".to_owned()),
        (Some(Verification::Refused), _) => (Ink::Bad, "not trusted, see below".to_owned()),
        (Some(Verification::Danger), _) => (Ink::Warning, "not verified: that is off".to_owned()),
        (Some(Verification::Anonymous) | None, _) => {
            (Ink::Plain, "shows no certificate".to_owned())
        }
    };
    let asks = match (tls.client_certificate_asked, tls.client_certificate_shown) {
        (false, _) => "asks for no client certificate",
        (true, true) => "asks for a client certificate, and got ours",
        (true, false) => "asks for a client certificate, and got none",
    };
    Row { label: "server", lines: vec![verified, plain(asks)] }
}

fn staple(staple: &Staple) -> Row {
    let line = match staple.status {
        StapleStatus::Good => (Ink::Plain, "says that the certificate is not revoked"),
        StapleStatus::Revoked => (Ink::Bad, "says that the certificate is REVOKED"),
        StapleStatus::Unknown => (Ink::Warning, "the responder does not know the certificate"),
        StapleStatus::NoAnswer => (Ink::Warning, "the responder gave no answer"),
        StapleStatus::Unreadable => (Ink::Warning, "cannot be read"),
    };
    let mut lines = vec![(line.0, line.1.to_owned())];
    let until = staple.next_update.map(OffsetDateTime::from_unix_timestamp).and_then(Result::ok);
    lines.extend(until.map(|until| plain(format!("good until {}", day(until)))));
    Row { label: "OCSP staple", lines }
}

fn certificate(certificate: &Certificate) -> Row {
    let label = if certificate.place == 0 { "certificate" } else { "  sent with" };
    let mut lines = vec![plain(certificate.subject())];
    if let Some(facts) = &certificate.facts {
        let mut names: Vec<_> =
            facts.names.iter().take(MOST_NAMES).map(ToString::to_string).collect();
        let more = facts.names.len() + facts.more_names - names.len();
        if more > 0 {
            names.push(format!("and {more} more"));
        }
        if !names.is_empty() {
            lines.push(plain(names.join(", ")));
        }
        let issuer = if facts.issuer == facts.subject { "itself" } else { facts.issuer.as_str() };
        lines.push(plain(format!("issued by {issuer}")));
    }
    if let (0, Some(facts)) = (certificate.place, &certificate.facts) {
        lines.push(plain(format!("pin spki:{}", facts.spki_pin)));
    }
    if let (Some(days), Some(end)) = (certificate.days_left, certificate.expires) {
        let ink = if days < 0 { Ink::Bad } else { Ink::Plain };
        lines.push((ink, format!("{}, until {}", validity::in_words(days), day(end))));
    }
    Row { label, lines }
}

fn accepted(accepts: &Accepted) -> Vec<Row> {
    let named = |wanted: Option<bool>| {
        let versions = accepts.versions.iter().filter(move |one| one.accepted == wanted);
        versions.map(|one| one.version).collect::<Vec<_>>().join(", ")
    };
    let mut versions = vec![plain(named(Some(true)))];
    for (wanted, words) in [(Some(false), "not"), (None, "no answer for")] {
        let list = named(wanted);
        if !list.is_empty() {
            versions.push(plain(format!("{words} {list}")));
        }
    }
    let groups: Vec<_> = accepts
        .groups
        .iter()
        .map(
            |GroupAccepted { group, post_quantum }| {
                if *post_quantum { format!("{group} (post-quantum)") } else { group.clone() }
            },
        )
        .collect();
    let list = |items: &[String]| match items {
        [] => Vec::new(),
        items => vec![plain(items.join(", "))],
    };
    vec![
        Row { label: "versions", lines: versions },
        Row { label: "suites", lines: suites(&accepts.suites) },
        Row { label: "groups", lines: list(&groups) },
        Row { label: "ALPN", lines: list(&accepts.alpn) },
    ]
}

/// The suites by version and by what is wrong with them: of the good ones each, of the others some, for a
/// server that is not looked after accepts fifty.
fn suites(all: &[SuiteAccepted]) -> Vec<(Ink, String)> {
    let mut kinds = Vec::new();
    for one in all {
        if !kinds.contains(&(one.version, one.weakness)) {
            kinds.push((one.version, one.weakness));
        }
    }
    kinds
        .into_iter()
        .map(|(version, weakness)| {
            let alike = all.iter().filter(|one| (one.version, one.weakness) == (version, weakness));
            let alike: Vec<_> = alike.collect();
            let shown = if weakness.is_some() { MOST_WEAK_SUITES } else { alike.len() };
            let names: Vec<_> = alike.iter().take(shown).map(|one| one.suite.as_str()).collect();
            let mut line = match weakness {
                None => format!("{version}: {}", names.join(", ")),
                Some(weakness) => format!("{version}, {weakness}: {}", names.join(", ")),
            };
            if alike.len() > shown {
                // Writing to a String cannot fail.
                let _ = write!(line, ", and {} more", alike.len() - shown);
            }
            (if weakness.is_some() { Ink::Warning } else { Ink::Plain }, line)
        })
        .collect()
}

fn websocket(websocket: &WebSocket) -> Row {
    let WebSocket {
        path, origin, offered, http, status, subprotocol, extension, any_origin, ..
    } = websocket;
    let answer = match status {
        Some(101) => format!("101 at {path}: Switching Protocols"),
        Some(200) if websocket.opened => format!("200 at {path}: a stream of HTTP/2"),
        Some(status) => format!("{status} at {path}, by HTTP/{http}"),
        None => format!("no answer at {path}"),
    };
    let mut lines = vec![(if websocket.opened { Ink::Good } else { Ink::Bad }, answer)];
    lines.push(plain(match origin {
        Some(origin) => format!("as a web page of {origin}"),
        None => "no Origin named: as a program that is no browser".to_owned(),
    }));
    let offered =
        if offered.is_empty() { String::new() } else { format!(" of {}", offered.join(", ")) };
    lines.push(plain(match subprotocol {
        Some(subprotocol) => format!("subprotocol {subprotocol}{offered}"),
        None => format!("no subprotocol{offered}"),
    }));
    lines.push(match (extension, websocket.opened) {
        (Some(extension), true) => plain(format!("extension {extension}")),
        (Some(extension), false) => {
            (Ink::Bad, format!("extension {extension}, which was not offered"))
        }
        (None, _) => plain("no extension"),
    });
    lines.extend(any_origin.map(|any| {
        plain(if any {
            "lets web pages of every site in"
        } else {
            "does not let web pages of a strange site in"
        })
    }));
    Row { label: "WebSocket", lines }
}

fn finding(finding: &Finding) -> Row {
    let (label, ink) = match finding.severity {
        Severity::Error => ("ERROR", Ink::Bad),
        Severity::Warning => ("WARNING", Ink::Warning),
        Severity::Note => ("note", Ink::Plain),
    };
    let at = finding.address.as_ref().map_or_else(String::new, |at| format!("{at}: "));
    let mut lines = vec![(ink, format!("{at}{}", finding.message))];
    if !finding.hint.is_empty() {
        lines.push(plain(format!("-> {}", finding.hint)));
    }
    Row { label, lines }
}

fn millis(time: f64) -> String {
    format!("{time:.1} ms")
}

fn day(time: OffsetDateTime) -> String {
    format!("{:04}-{:02}-{:02}", time.year(), u8::from(time.month()), time.day())
}
