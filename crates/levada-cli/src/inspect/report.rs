//! What was found, in the form that `--json` prints. Its keys are a promise: they are told in the book,
//! and a test holds the two together.

use levada::{CertificateFacts, ShownCertificate, Staple, Verification};
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
    pub(crate) proxy: Option<String>,
    pub(crate) addresses: Vec<Place>,
    pub(crate) tls: Option<Tls>,
    pub(crate) accepts: Option<Accepted>,
    pub(crate) websocket: Option<WebSocket>,
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
    pub(crate) outcome: Outcome,
    /// Why it is not good.
    pub(crate) why: Option<String>,
    pub(crate) connect_ms: Option<f64>,
    pub(crate) handshake_ms: Option<f64>,
    pub(crate) websocket_ms: Option<f64>,
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
    pub(crate) staple: Option<Staple>,
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

/// The opening of a WebSocket, at the first address that was asked for one.
#[derive(Debug, Serialize)]
pub(crate) struct WebSocket {
    pub(crate) address: String,
    pub(crate) opened: bool,
    pub(crate) path: String,
    pub(crate) origin: Option<String>,
    pub(crate) offered: Vec<String>,
    pub(crate) http: &'static str,
    pub(crate) status: Option<u16>,
    pub(crate) subprotocol: Option<String>,
    pub(crate) extension: Option<String>,
    /// `None` where it is not known.
    pub(crate) any_origin: Option<bool>,
}

impl Report {
    pub(crate) fn new(
        target: &Target,
        found: &Found,
        visits: &[Visit],
        survey: Option<Survey>,
        strangers: Option<bool>,
        warn_days: u16,
        now: OffsetDateTime,
    ) -> Self {
        let tls = visits.iter().find_map(|visit| Tls::of(visit, now));
        let (verdict, findings) =
            verdict::judge(found, visits, tls.as_ref(), survey.as_ref(), strangers, warn_days, now);
        Self {
            address: target.address.clone(),
            verdict,
            exit_code: verdict.exit(),
            findings,
            lookup: found
                .lookup
                .map(|time| Lookup { ms: millis(time), more_addresses: found.more }),
            proxy: target.dialer.proxy().map(|proxy| proxy.address().without_user().to_string()),
            addresses: visits.iter().map(Place::of).collect(),
            tls,
            accepts: survey.map(|survey| Accepted::of(&survey)),
            websocket: visits.iter().find_map(|visit| WebSocket::of(target, visit, strangers)),
        }
    }
}

impl Place {
    fn of(visit: &Visit) -> Self {
        Self {
            address: visit.at.clone(),
            outcome: visit.outcome(),
            why: visit.ended.as_ref().map(|ended| ended.ending.to_string()),
            connect_ms: visit.facts.times.connect.map(millis),
            handshake_ms: visit.facts.times.handshake.map(millis),
            websocket_ms: visit.opening.as_ref().map(|opening| millis(opening.time)),
        }
    }
}

impl WebSocket {
    fn of(target: &Target, visit: &Visit, any_origin: Option<bool>) -> Option<Self> {
        let (asked, opening) = (target.web_socket.as_ref()?, visit.opening.as_ref()?);
        Some(Self {
            address: visit.at.clone(),
            opened: opening.is_open(),
            path: asked.path.clone(),
            origin: asked.origin.clone(),
            offered: asked.subprotocols.clone(),
            http: opening.http,
            status: opening.status,
            subprotocol: opening.subprotocol.clone(),
            extension: opening.extension.clone(),
            any_origin,
        })
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
            staple: tls.staple.clone(),
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

/// Every key with its meaning, in the order in which they are printed; the lists' items have `[]`.
#[cfg(test)]
const KEYS: &[(&str, &str)] = &[
    ("address", "what was inspected, without its options"),
    ("verdict", "`good`, `warnings`, `ws_failed`, `not_verified`, `tls_failed` or `unreachable`"),
    ("exit_code", "the exit code for it"),
    ("findings", "what is wrong, or worth to know, the gravest first"),
    (
        "findings[].severity",
        "`error`: clients do not get through; `warning`: not all, or not for long, or not safely; `note`",
    ),
    (
        "findings[].code",
        "of an error that of the [ending](lifecycle.md)'s cause; else one of the table below",
    ),
    ("findings[].address", "the one address that it is about, or null"),
    ("findings[].message", "in words"),
    ("findings[].hint", "what mends it"),
    ("lookup", "the lookup of the name; null for an address, and where a proxy does it"),
    ("lookup.ms", "how long it took"),
    ("lookup.more_addresses", "addresses that were not visited, beside the first 16"),
    ("proxy", "the proxy that it was visited through, or null"),
    ("addresses", "each address that was visited"),
    ("addresses[].address", "IP address and port, or the path; through a proxy what was inspected"),
    ("addresses[].outcome", "`good`, `unreachable`, `tls_failed`, `not_verified` or `ws_failed`"),
    ("addresses[].why", "in words, where it is not good"),
    ("addresses[].connect_ms", "how long the transport took to connect"),
    ("addresses[].handshake_ms", "how long the TLS handshake took"),
    ("addresses[].websocket_ms", "how long the opening handshake of the WebSocket took"),
    ("tls", "what a client agrees on with the first address that got so far; or null"),
    ("tls.address", "that address"),
    ("tls.version", "`1.2` or `1.3`"),
    ("tls.suite", "the suite's name in the IANA registry"),
    ("tls.group", "the group's name in the IANA registry"),
    ("tls.post_quantum", "whether that group withstands quantum computers"),
    ("tls.alpn", "the application protocol, where one is agreed on"),
    ("tls.server_name", "the name that was asked for"),
    ("tls.verified_name", "the name that the certificate was found to be for"),
    ("tls.verification", "`verified`, `pinned`, `refused`, `danger` or `anonymous`"),
    ("tls.client_certificate_asked", "whether the server asked for a certificate"),
    ("tls.client_certificate_shown", "whether it got one"),
    ("tls.certificates", "the chain as the server sent it, its own first"),
    ("tls.certificates[].place", "the place in the chain, from 0"),
    ("tls.certificates[].days_left", "whole days until it expires; negative when it has"),
    ("tls.certificates[].expires", "when it expires (RFC 3339)"),
    ("tls.certificates[].facts", "what it says; null where it cannot be read"),
    ("tls.certificates[].facts.subject", "whose it is (RFC 4514)"),
    ("tls.certificates[].facts.issuer", "who issued it"),
    (
        "tls.certificates[].facts.names",
        "for whom it is: objects with one key, `dns`, `ip`, `uri`, `email` or `other`",
    ),
    ("tls.certificates[].facts.more_names", "how many more names it has"),
    ("tls.certificates[].facts.not_before", "seconds since 1970-01-01 UTC"),
    ("tls.certificates[].facts.not_after", "seconds since 1970-01-01 UTC"),
    ("tls.certificates[].facts.serial", "in hexadecimal"),
    ("tls.certificates[].facts.spki_pin", "the SHA-256 of its public key, in base64"),
    ("tls.certificates[].facts.is_ca", "whether it may issue others"),
    ("tls.staple", "the OCSP response that came with it; null for none"),
    ("tls.staple.bytes", "its length"),
    ("tls.staple.status", "`good`, `revoked`, `unknown`, `no_answer` or `unreadable`"),
    ("tls.staple.serial", "the certificate that it is about"),
    ("tls.staple.this_update", "seconds since 1970-01-01 UTC"),
    ("tls.staple.next_update", "seconds since 1970-01-01 UTC"),
    ("accepts", "what else the server accepts; null with `--brief`, and where there is no TLS"),
    ("accepts.versions", "every version that there is, the newest first"),
    ("accepts.versions[].version", "`TLS 1.3` to `SSL 3`"),
    ("accepts.versions[].accepted", "whether it is; null where the server gave no answer"),
    ("accepts.suites", "those of TLS 1.3, then those of the newest version before it"),
    ("accepts.suites[].version", "the version that they were asked with"),
    ("accepts.suites[].suite", "the name in the IANA registry"),
    ("accepts.suites[].weakness", "what is wrong with it, or null"),
    ("accepts.groups", "groups for the key exchange"),
    ("accepts.groups[].group", "the name in the IANA registry"),
    ("accepts.groups[].post_quantum", "whether it withstands quantum computers"),
    ("accepts.alpn", "application protocols, of those that were asked for"),
    ("accepts.complete", "whether every question was answered"),
    (
        "websocket",
        "the opening of a WebSocket at the first address that was asked for one; null where none was",
    ),
    ("websocket.address", "that address"),
    ("websocket.opened", "whether a WebSocket was opened"),
    ("websocket.path", "the path of the request, with its query"),
    ("websocket.origin", "the Origin that was named, or null"),
    ("websocket.offered", "the subprotocols that were offered"),
    ("websocket.http", "the version of HTTP that carries it, `1.1` or `2`"),
    ("websocket.status", "the HTTP status of the answer; null where none came"),
    ("websocket.subprotocol", "the subprotocol that the server chose, or null"),
    (
        "websocket.extension",
        "the extension that it chose, or null; one that was not offered (`deflate`) opens nothing",
    ),
    (
        "websocket.any_origin",
        "whether web pages of every site may connect; null with `--brief`, and where it is not known",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;
    use std::fmt::Write as _;

    use levada::{StapleStatus, SubjectName};
    use levada_testkit::docs::assert_rendered;
    use serde_json::Value;

    /// A report with everything in it.
    fn full() -> Report {
        let facts = CertificateFacts {
            subject: String::new(),
            issuer: String::new(),
            names: vec![SubjectName::Dns("host.example".into())],
            more_names: 0,
            not_before: 0,
            not_after: 0,
            serial: String::new(),
            spki_pin: String::new(),
            is_ca: false,
        };
        let expires = Some(OffsetDateTime::UNIX_EPOCH);
        let certificate = Certificate { place: 0, days_left: Some(1), expires, facts: Some(facts) };
        Report {
            address: String::new(),
            verdict: Verdict::Good,
            exit_code: Exit::Clean,
            findings: vec![Finding {
                severity: verdict::Severity::Note,
                code: "",
                address: None,
                message: String::new(),
                hint: String::new(),
            }],
            lookup: Some(Lookup { ms: 0.0, more_addresses: 0 }),
            proxy: None,
            addresses: vec![Place {
                address: String::new(),
                outcome: Outcome::Good,
                why: None,
                connect_ms: None,
                handshake_ms: None,
                websocket_ms: None,
            }],
            tls: Some(Tls {
                address: String::new(),
                version: None,
                suite: None,
                group: None,
                post_quantum: None,
                alpn: None,
                server_name: None,
                verified_name: None,
                verification: None,
                client_certificate_asked: false,
                client_certificate_shown: false,
                certificates: vec![certificate],
                staple: Some(Staple {
                    bytes: 1,
                    status: StapleStatus::Good,
                    serial: None,
                    this_update: None,
                    next_update: None,
                }),
            }),
            accepts: Some(Accepted {
                versions: vec![VersionAccepted { version: "", accepted: None }],
                suites: vec![SuiteAccepted { version: "", suite: String::new(), weakness: None }],
                groups: vec![GroupAccepted { group: String::new(), post_quantum: false }],
                alpn: vec![String::new()],
                complete: true,
            }),
            websocket: Some(WebSocket {
                address: String::new(),
                opened: true,
                path: String::new(),
                origin: None,
                offered: Vec::new(),
                http: "1.1",
                status: None,
                subprotocol: None,
                extension: None,
                any_origin: None,
            }),
        }
    }

    /// The paths of all keys in `value`, names of certificates aside, which are told as they are.
    fn keys(value: &Value, path: &str, found: &mut Vec<String>) {
        match value {
            Value::Object(fields) => {
                for (key, value) in fields {
                    let path = format!("{path}{}{key}", if path.is_empty() { "" } else { "." });
                    found.push(path.clone());
                    if key != "names" {
                        keys(value, &path, found);
                    }
                }
            }
            Value::Array(items) => {
                for item in items {
                    keys(item, &format!("{path}[]"), found);
                }
            }
            _ => {}
        }
    }

    #[test]
    fn the_book_tells_every_key() {
        let mut found = Vec::new();
        keys(&serde_json::to_value(full()).unwrap(), "", &mut found);
        let mut told: Vec<_> = KEYS.iter().map(|(key, _)| (*key).to_owned()).collect();
        let mut table = String::from("| key | what it is |\n|---|---|\n");
        for (key, meaning) in KEYS {
            let _ = writeln!(table, "| `{key}` | {meaning} |");
        }
        found.sort();
        told.sort();
        assert_eq!(found, told);
        assert_rendered("docs/inspect.md", "keys", &table);
    }
}
