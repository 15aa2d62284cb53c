//! `levada check`: what `levada serve --config` would do, told without doing it.

mod web_socket;

use std::io::{self, Write as _};

use std::path::Path;

use levada::{Deadline, Deadlines, Identity, Pin, SanRule};
use levada_address::{CertificateRules, ConnectTls, CrlCheck, IdentityFiles, ListenTls};
use levada_config::When;
use serde::Serialize;
use serde::ser::{SerializeMap as _, Serializer};
use time::OffsetDateTime;

use crate::danger::Danger;
use crate::door::shown;
use crate::exit::{Exit, Stop, fail};
use crate::limits;
use crate::log::{Format, rfc3339};
use crate::plan::{CheckPlan, ServePlan, Service};
use crate::prepared::Prepared;
use crate::validity;
use web_socket::WebSocket;

/// The whole plan.
#[derive(Debug, Serialize)]
pub(crate) struct Checked {
    routes: Vec<Route>,
    #[serde(rename = "drain_ms")]
    drain: Option<u64>,
    max_handshakes: usize,
    max_connections: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_connections_per_address: Option<usize>,
    log: &'static str,
}

#[derive(Debug, Serialize)]
struct Route {
    /// Which clients it is for; `None`: every one that no route before it is for.
    #[serde(skip_serializing_if = "Option::is_none")]
    when: Option<Condition>,
    listen: End,
    to: End,
}

#[derive(Debug, Serialize)]
struct End {
    address: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    identities: Vec<ShownIdentity>,
    /// Who vouches for the other end, in words; `None` where nobody has to.
    #[serde(skip_serializing_if = "Option::is_none")]
    trusts: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    alpn: Vec<String>,
    /// How a WebSocket is opened, where one is.
    #[serde(skip_serializing_if = "Option::is_none")]
    websocket: Option<WebSocket>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    dangers: Vec<Danger>,
    #[serde(rename = "deadlines_ms", serialize_with = "deadlines_ms")]
    deadlines: Deadlines,
}

#[derive(Debug, Serialize)]
struct ShownIdentity {
    cert: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    /// Who signs where there is no key.
    #[serde(skip_serializing_if = "Option::is_none")]
    signer: Option<String>,
    names: Vec<String>,
    /// The pin of its key, for its peers.
    pin: Option<String>,
    /// The end of the validity (RFC 3339); `None` where the certificate tells none that can be read.
    not_after: Option<String>,
    /// Whole days until then; negative once it is over.
    days_left: Option<i64>,
}

/// Reads all that the configuration names, and prints the plan.
///
/// # Errors
///
/// When `levada serve` would not begin to listen.
pub(crate) fn run(plan: &CheckPlan) -> Result<Exit, Stop> {
    let checked = check(&plan.serve, OffsetDateTime::now_utc())?;
    let text = if plan.json {
        // Every part is a struct, a list, a string or a number.
        serde_json::to_string_pretty(&checked).unwrap_or_default()
    } else {
        checked.text()
    };
    let written = io::stdout().write_all(format!("{}\n", text.trim_end()).as_bytes());
    written.map_err(|error| fail(format!("standard output: {error}")))?;
    Ok(Exit::Clean)
}

fn check(plan: &ServePlan, now: OffsetDateTime) -> Result<Checked, Stop> {
    let routes = match &plan.service {
        Service::Config(file) => file.prepare()?,
        // Only a file is checked.
        Service::Bridges(_) => Vec::new(),
    };
    let connections = || limits::default_connections(limits::raise_open_files());
    Ok(Checked {
        routes: routes.iter().map(|route| Route::of(route, now)).collect::<Result<_, _>>()?,
        drain: plan.drain.duration().map(|time| time.as_millis() as u64),
        max_handshakes: plan.max_handshakes,
        max_connections: plan.max_connections.unwrap_or_else(connections),
        max_connections_per_address: plan.max_connections_per_address,
        log: match plan.format {
            Format::Text => "text",
            Format::Json => "json",
        },
    })
}

impl Route {
    fn of(route: &Prepared, now: OffsetDateTime) -> Result<Self, Stop> {
        let wrong = |error: levada::AddressError| fail(error.to_string());
        let listen = route.listen.for_listening().map_err(wrong)?;
        let to = route.to.for_connecting().map_err(wrong)?;
        let ours = |files: &[IdentityFiles], identities: &[Identity]| {
            let both = files.iter().zip(identities);
            both.map(|(files, identity)| ShownIdentity::of(files, identity, now)).collect()
        };
        Ok(Self {
            when: route.when.as_ref().map(Condition::of),
            listen: End {
                address: shown(&route.listen, None),
                identities: match &listen.tls {
                    Some(tls) => ours(&tls.identities, route.binder.identities()),
                    None => Vec::new(),
                },
                trusts: listen.tls.as_ref().and_then(trusts_clients),
                alpn: listen.tls.as_ref().map_or_else(Vec::new, |tls| texts(&tls.alpn)),
                websocket: listen.web_socket.map(WebSocket::accepted),
                dangers: Danger::all_of(&route.listen),
                deadlines: listen.deadlines,
            },
            to: End {
                address: shown(&route.to, None),
                identities: match to.tls.as_ref().and_then(|tls| tls.identity.as_ref()) {
                    Some(files) => {
                        let identity =
                            route.dialer.identity().map_or(&[][..], std::slice::from_ref);
                        ours(std::slice::from_ref(files), identity)
                    }
                    None => Vec::new(),
                },
                trusts: to.tls.as_ref().map(trusts_target),
                alpn: to.tls.as_ref().map_or_else(Vec::new, |tls| texts(&tls.alpn)),
                websocket: to.web_socket.map(WebSocket::asked_for),
                dangers: Danger::all_of(&route.to),
                deadlines: to.deadlines,
            },
        })
    }
}

fn trusts_clients(tls: &ListenTls) -> Option<String> {
    let client = tls.client.as_ref()?;
    let whom = if client.required { "every client needs" } else { "a client may show" };
    let from = authorities(client.ca.as_deref(), &client.rules, "");
    Some(format!("{whom} a certificate{from}{}", rules(&client.rules)))
}

/// Who vouches, where somebody has to.
fn authorities(ca: Option<&Path>, rules: &CertificateRules, default: &str) -> String {
    match ca {
        Some(ca) => format!(" from {}", ca.display()),
        None if rules.pins.is_empty() => default.to_owned(),
        None => String::new(),
    }
}

/// What else a certificate must satisfy.
fn rules(rules: &CertificateRules) -> String {
    let mut all = Vec::new();
    let list = |items: Vec<String>| items.join(" or ");
    if !rules.pins.is_empty() {
        all.push(format!("pinned as {}", list(rules.pins.iter().map(Pin::to_string).collect())));
    }
    if !rules.names.is_empty() {
        let names = rules.names.iter().map(SanRule::to_string).collect();
        all.push(format!("with the name {}", list(names)));
    }
    if !rules.crls.is_empty() {
        let lists = rules.crls.iter().map(|path| path.display().to_string()).collect::<Vec<_>>();
        let whose = if rules.crl_check == Some(CrlCheck::Leaf) { "" } else { " with its issuers" };
        all.push(format!("told of{whose} as not revoked by {}", lists.join(", ")));
    }
    if let Some(time) = rules.verify_time {
        let time = i64::try_from(time).ok().map(OffsetDateTime::from_unix_timestamp);
        all.extend(time.and_then(Result::ok).map(|time| format!("valid at {}", rfc3339(time))));
    }
    all.iter().fold(String::new(), |text, rule| text + ", " + rule)
}

fn trusts_target(tls: &ConnectTls) -> String {
    let system = " from the authorities of the system";
    let from = authorities(tls.ca.as_deref(), &tls.rules, system);
    format!("{} needs a certificate{from}{}", tls.name, rules(&tls.rules))
}

fn texts(names: &[Vec<u8>]) -> Vec<String> {
    names.iter().map(|name| name.escape_ascii().to_string()).collect()
}

impl ShownIdentity {
    fn of(files: &IdentityFiles, identity: &Identity, now: OffsetDateTime) -> Self {
        let facts = identity.certificate().read();
        let end = facts.and_then(|facts| OffsetDateTime::from_unix_timestamp(facts.not_after).ok());
        let mut names: Vec<_> = facts
            .map_or_else(Vec::new, |facts| facts.names.iter().map(ToString::to_string).collect());
        if let Some(facts) = facts
            && facts.more_names > 0
        {
            names.push(format!("and {} more", facts.more_names));
        }
        Self {
            cert: files.cert.display().to_string(),
            key: files.signer.is_none().then(|| files.key.to_string()),
            signer: files.signer.as_ref().map(|socket| socket.display().to_string()),
            names,
            pin: facts.map(|facts| format!("spki:{}", facts.spki_pin)),
            not_after: end.map(rfc3339),
            days_left: end.map(|end| validity::days_left(end, now)),
        }
    }

    fn text(&self) -> String {
        let key = match (&self.key, &self.signer) {
            (Some(key), _) if *key != self.cert => format!(" with {key}"),
            (_, Some(signer)) => format!(" with the signer {signer}"),
            _ => String::new(),
        };
        let left = match self.days_left {
            Some(days) => validity::in_words(days),
            None => "no validity that can be read".to_owned(),
        };
        format!("{}{key}: {}; {left}", self.cert, self.names.join(", "))
    }
}

/// Which clients a route is for.
#[derive(Debug, Serialize)]
struct Condition {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    sni: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    alpn: Vec<String>,
}

impl Condition {
    fn of(when: &When) -> Self {
        Self { sni: when.sni.clone(), alpn: texts(&when.alpn) }
    }

    fn text(&self) -> String {
        let conditions = [("ask for", &self.sni), ("offer", &self.alpn)];
        let there = conditions.into_iter().filter(|(_, names)| !names.is_empty());
        let words: Vec<_> =
            there.map(|(verb, names)| format!("{verb} {}", names.join(" or "))).collect();
        format!("  for clients that {}", words.join(" and "))
    }
}

impl Checked {
    fn text(&self) -> String {
        let mut lines = Vec::new();
        for route in &self.routes {
            lines.push(format!("listen at {}", route.listen.address));
            lines.extend(route.when.as_ref().map(Condition::text));
            route.listen.text(&mut lines);
            lines.push(format!("  to {}", route.to.address));
            route.to.text(&mut lines);
            lines.push(String::new());
        }
        let drain = self.drain.map_or("off".to_owned(), millis);
        lines.push(format!("drain {drain}"));
        lines.push(format!("max-handshakes {} for each listener", self.max_handshakes));
        lines.push(format!("max-connections {}", self.max_connections));
        if let Some(count) = self.max_connections_per_address {
            lines.push(format!("max-connections-per-address {count} for each listener"));
        }
        lines.push(format!("log {}", self.log));
        lines.join("\n")
    }
}

impl End {
    fn text(&self, lines: &mut Vec<String>) {
        lines.extend(self.identities.iter().map(|identity| format!("    as {}", identity.text())));
        lines.extend(self.trusts.iter().map(|whom| format!("    {whom}")));
        if !self.alpn.is_empty() {
            lines.push(format!("    alpn {}", self.alpn.join(",")));
        }
        if let Some(websocket) = &self.websocket {
            websocket.text(lines);
        }
        lines.extend(self.dangers.iter().map(|danger| format!("    {danger}")));
        let limits = each(&self.deadlines).map(|(deadline, time)| {
            let time = time.map_or("off".to_owned(), millis);
            format!("{} {time}", deadline.word().trim_start_matches("deadline-"))
        });
        lines.push(format!("    deadlines: {}", limits.collect::<Vec<_>>().join(", ")));
    }
}

/// Each deadline with its milliseconds.
fn each(deadlines: &Deadlines) -> impl Iterator<Item = (Deadline, Option<u64>)> {
    let all = [
        (Deadline::Lookup, deadlines.lookup),
        (Deadline::Connect, deadlines.connect),
        (Deadline::Handshake, deadlines.handshake),
        (Deadline::Close, deadlines.close),
        (Deadline::Idle, deadlines.idle),
    ];
    all.into_iter().map(|(deadline, time)| (deadline, time.map(|time| time.as_millis() as u64)))
}

fn deadlines_ms<S: Serializer>(deadlines: &Deadlines, to: S) -> Result<S::Ok, S::Error> {
    let mut map = to.serialize_map(None)?;
    for (deadline, time) in each(deadlines) {
        map.serialize_entry(deadline.word().trim_start_matches("deadline-"), &time)?;
    }
    map.end()
}

fn millis(time: u64) -> String {
    if time.is_multiple_of(1000) { format!("{}s", time / 1000) } else { format!("{time}ms") }
}
