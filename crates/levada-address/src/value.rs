//! The values of options: their kinds, how they are read and how they are written.

use std::borrow::Cow;
use std::ffi::OsStr;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;

use levada_core::{Lapse, Pin, PinError, SanRule, SanRuleError};
use levada_ws::handshake::{OriginPattern, is_token};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::error::Wrong;
use crate::key_place::KeyPlace;
use crate::{Fault, Host, HostFault, ProxyAddress, TimeLimit, ValueFault, endpoint};

/// What the value of a word is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ValueKind {
    /// A path: any bytes but zero.
    Path,
    /// A [`KeyPlace`].
    Key,
    /// A host name or an IP address.
    PeerName,
    /// A host name.
    DnsName,
    /// Names of application protocols (RFC 7301) with commas between them, each of 1 to 255 bytes.
    Alpn,
    /// Whether clients are asked for a certificate.
    ClientAuth,
    /// A version of IP.
    Family,
    /// An IP address (IPv6 in brackets), and `:port` if wanted.
    Bind,
    /// A [`TimeLimit`].
    Deadline,
    /// The name of an environment variable.
    Variable,
    /// A [`Pin`].
    Pin,
    /// A [`SanRule`].
    SanRule,
    /// Whose revocation has to be told by a list.
    CrlCheck,
    /// A moment, as in RFC 3339.
    Moment,
    /// Something wrong with a certificate that is passed over.
    Lapse,
    /// `on` or `off`.
    Switch,
    /// Plain bytes of a TLS record, from 64 to 16384.
    RecordSize,
    /// The target of a request: a path, and a query if wanted.
    Target,
    /// An Origin, a pattern of some (`https://*.example.org`), or `any`.
    Origin,
    /// Names of WebSocket subprotocols with commas between them.
    Subprotocols,
    /// A [`ProxyAddress`].
    Proxy,
    /// Whether and how messages are compressed.
    Deflate,
    /// A version of HTTP.
    Http,
}

/// The value of a word.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Value {
    /// Of [`ValueKind::Path`].
    Path(PathBuf),
    /// Of [`ValueKind::Key`].
    Key(KeyPlace),
    /// Of [`ValueKind::PeerName`].
    PeerName(Host),
    /// Of [`ValueKind::DnsName`], in lower case and without a dot at its end.
    DnsName(String),
    /// Of [`ValueKind::Alpn`], not empty.
    Alpn(Vec<Vec<u8>>),
    /// Of [`ValueKind::ClientAuth`].
    ClientAuth(ClientAuth),
    /// Of [`ValueKind::Family`].
    Family(Family),
    /// Of [`ValueKind::Bind`]; port 0 is any free one.
    Bind(SocketAddr),
    /// Of [`ValueKind::Deadline`].
    Deadline(TimeLimit),
    /// Of [`ValueKind::Variable`].
    Variable(String),
    /// Of [`ValueKind::Pin`].
    Pin(Pin),
    /// Of [`ValueKind::SanRule`].
    SanRule(SanRule),
    /// Of [`ValueKind::CrlCheck`].
    CrlCheck(CrlCheck),
    /// Of [`ValueKind::Moment`]: seconds since 1970-01-01 UTC.
    Moment(u64),
    /// Of [`ValueKind::Lapse`].
    Lapse(Lapse),
    /// Of [`ValueKind::Switch`].
    Switch(bool),
    /// Of [`ValueKind::RecordSize`].
    RecordSize(u16),
    /// Of [`ValueKind::Target`].
    Target(String),
    /// Of [`ValueKind::Origin`].
    Origin(String),
    /// Of [`ValueKind::Subprotocols`], not empty.
    Subprotocols(Vec<String>),
    /// Of [`ValueKind::Proxy`].
    Proxy(ProxyAddress),
    /// Of [`ValueKind::Deflate`].
    Deflate(Deflate),
    /// Of [`ValueKind::Http`].
    Http(Http),
}

/// Whether a listener asks its clients for a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ClientAuth {
    /// No.
    None,
    /// Yes, but they need not have one.
    Requested,
    /// Yes, and without one they are refused.
    Required,
}

/// Whose revocation has to be told by a list, where there are lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CrlCheck {
    /// The peer's and that of every issuer below the authority.
    Chain,
    /// The peer's alone.
    Leaf,
}

/// Whether and how the messages of a WebSocket are compressed, where the peer does it too (RFC 7692).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Deflate {
    /// Not at all.
    Off,
    /// Each with the help of those before it.
    On,
    /// Each by itself, in either direction (RFC 7692 section 7.1.1).
    NoContextTakeover,
}

/// A version of IP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
    /// Either of them.
    Any,
}

/// The version of HTTP that carries WebSockets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Http {
    /// HTTP/1.1: each WebSocket is a connection of its own (RFC 6455).
    #[default]
    V1,
    /// HTTP/2: each WebSocket is a stream of a connection (RFC 8441).
    V2,
    /// HTTP/2 where both ends speak it, else HTTP/1.1.
    Auto,
}

const HTTP: &[(&str, Http)] = &[("1.1", Http::V1), ("2", Http::V2), ("auto", Http::Auto)];
const CLIENT_AUTH: &[(&str, ClientAuth)] = &[
    ("none", ClientAuth::None),
    ("requested", ClientAuth::Requested),
    ("required", ClientAuth::Required),
];
const CRL_CHECK: &[(&str, CrlCheck)] = &[("chain", CrlCheck::Chain), ("leaf", CrlCheck::Leaf)];
const LAPSE: [(&str, Lapse); Lapse::ALL.len()] = {
    let mut choices = [("", Lapse::Trust); Lapse::ALL.len()];
    let mut index = 0;
    while index < choices.len() {
        choices[index] = (Lapse::ALL[index].word(), Lapse::ALL[index]);
        index += 1;
    }
    choices
};
const SWITCH: &[(&str, bool)] = &[("on", true), ("off", false)];
const DEFLATE: &[(&str, Deflate)] = &[
    ("off", Deflate::Off),
    ("on", Deflate::On),
    ("no-context-takeover", Deflate::NoContextTakeover),
];
const FAMILY: &[(&str, Family)] = &[("4", Family::V4), ("6", Family::V6), ("any", Family::Any)];

impl Family {
    /// Whether `ip` is of this version.
    pub const fn contains(self, ip: IpAddr) -> bool {
        match self {
            Self::V4 => ip.is_ipv4(),
            Self::V6 => ip.is_ipv6(),
            Self::Any => true,
        }
    }
}

impl ValueKind {
    /// What stands for the value in help: `FILE`, `4|6|any`.
    pub const fn placeholder(self) -> &'static str {
        match self {
            Self::Path => "FILE",
            Self::Key => "FILE|pkcs11:URI",
            Self::PeerName => "NAME|IP",
            Self::DnsName => "NAME",
            Self::Alpn => "LIST",
            Self::ClientAuth => "none|requested|required",
            Self::Family => "4|6|any",
            Self::Bind => "IP[:PORT]",
            Self::Deadline => "TIME|off",
            Self::Variable => "VARIABLE",
            Self::Pin => "spki:BASE64|cert:HEX",
            Self::SanRule => "RULE",
            Self::CrlCheck => "chain|leaf",
            Self::Moment => "YYYY-MM-DDTHH:MM:SSZ",
            Self::Lapse => "trust|validity|usage|unknown-revocation|name",
            Self::Switch => "on|off",
            Self::RecordSize => "BYTES",
            Self::Target => "/PATH",
            Self::Origin => "ORIGIN",
            Self::Subprotocols => "LIST",
            Self::Proxy => "http[s]://[USER@]HOST:PORT",
            Self::Deflate => "off|on|no-context-takeover",
            Self::Http => "1.1|2|auto",
        }
    }

    /// The values to choose from; none where there are too many to list.
    pub fn choices(self) -> impl Iterator<Item = &'static str> {
        let chosen = match self {
            Self::ClientAuth
            | Self::Family
            | Self::Switch
            | Self::CrlCheck
            | Self::Lapse
            | Self::Deflate
            | Self::Http => self.placeholder(),
            _ => "",
        };
        chosen.split('|').filter(|choice| !choice.is_empty())
    }

    /// Reads a value of this kind. The range of a fault counts in `bytes`.
    pub(crate) fn parse(self, bytes: &[u8]) -> Result<Value, Wrong> {
        if bytes.is_empty() {
            return Err(Wrong::new(0..0, ValueFault::Empty)
                .hint(format!("give it a value: {}", self.placeholder())));
        }
        let text = || {
            let not_utf8 = |_| Wrong::new(0..bytes.len(), ValueFault::NotUtf8);
            str::from_utf8(bytes).map_err(not_utf8)
        };
        match self {
            Self::Path => path(bytes).map(Value::Path),
            Self::Key if KeyPlace::is_uri(bytes) => {
                Ok(Value::Key(KeyPlace::Pkcs11(text()?.to_owned())))
            }
            Self::Key => path(bytes).map(|path| Value::Key(KeyPlace::File(path))),
            Self::Alpn => alpn(bytes),
            Self::PeerName => Host::parse(text()?).map(Value::PeerName),
            Self::DnsName => match Host::parse(text()?)?.dns_name() {
                Some(name) => Ok(Value::DnsName(name.to_owned())),
                None => Err(Wrong::new(0..bytes.len(), ValueFault::NotName)),
            },
            Self::ClientAuth => choice(text()?, self, CLIENT_AUTH).map(Value::ClientAuth),
            Self::Family => choice(text()?, self, FAMILY).map(Value::Family),
            Self::Bind => bind(text()?).map(Value::Bind),
            Self::Deadline => TimeLimit::parse(text()?).map(Value::Deadline),
            Self::Variable => variable(text()?),
            Self::Pin => pin(text()?),
            Self::SanRule => san_rule(text()?),
            Self::CrlCheck => choice(text()?, self, CRL_CHECK).map(Value::CrlCheck),
            Self::Moment => moment(text()?),
            Self::Lapse => choice(text()?, self, &LAPSE).map(Value::Lapse),
            Self::Switch => choice(text()?, self, SWITCH).map(Value::Switch),
            Self::RecordSize => record_size(text()?),
            Self::Target => target(text()?),
            Self::Origin => origin(text()?),
            Self::Subprotocols => subprotocols(text()?),
            Self::Proxy => ProxyAddress::parse(text()?).map(Value::Proxy),
            Self::Deflate => choice(text()?, self, DEFLATE).map(Value::Deflate),
            Self::Http => choice(text()?, self, HTTP).map(Value::Http),
        }
    }
}

fn variable(text: &str) -> Result<Value, Wrong> {
    match text.find(['=', '\0']) {
        Some(at) => Err(Wrong::new(at..at + 1, ValueFault::Variable)
            .hint("the name alone: what it holds is read when it is needed")),
        None => Ok(Value::Variable(text.to_owned())),
    }
}

fn pin(text: &str) -> Result<Value, Wrong> {
    text.parse().map(Value::Pin).map_err(|error| {
        let hint = match error {
            PinError::Hexadecimal => "`openssl x509 -in FILE -noout -fingerprint -sha256` shows it",
            _ => "`levada check` and the log of a refused peer show it: `spki:` and base64",
        };
        Wrong::new(0..text.len(), ValueFault::Pin(error)).hint(hint)
    })
}

fn san_rule(text: &str) -> Result<Value, Wrong> {
    text.parse().map(Value::SanRule).map_err(|error| {
        let hint = match error {
            SanRuleError::Kind => {
                "like `dns:*.example.org`, `ip:10.0.0.0/8`, `spiffe://example.org`"
            }
            SanRuleError::HostBits => "write the network's first address, or leave the prefix away",
            SanRuleError::SpiffeAsUri => "leave `uri:` away: `spiffe://DOMAIN/PATH`",
            SanRuleError::SpiffePath => "`spiffe://DOMAIN` alone allows every path",
            _ => "",
        };
        let wrong = Wrong::new(0..text.len(), ValueFault::San(error));
        wrong.hint_if_some((!hint.is_empty()).then(|| hint.to_owned()))
    })
}

fn moment(text: &str) -> Result<Value, Wrong> {
    let parsed = OffsetDateTime::parse(text, &Rfc3339).ok();
    match parsed.and_then(|time| u64::try_from(time.unix_timestamp()).ok()) {
        Some(seconds) => Ok(Value::Moment(seconds)),
        None => Err(Wrong::new(0..text.len(), ValueFault::Moment)
            .hint("like `2030-01-31T12:00:00Z`, from 1970 on")),
    }
}

fn written_moment(seconds: u64) -> String {
    let moment = i64::try_from(seconds).ok().map(OffsetDateTime::from_unix_timestamp);
    // What was read can be written.
    moment.and_then(|moment| moment.ok()?.format(&Rfc3339).ok()).unwrap_or_default()
}

/// The target of a request, as it stands in the request line (RFC 9112 section 3.2.1).
fn target(text: &str) -> Result<Value, Wrong> {
    if !text.starts_with('/') {
        return Err(Wrong::new(0..0, ValueFault::TargetSlash));
    }
    let is_good = |c: char| c.is_ascii_graphic() && c != '#';
    match text.char_indices().find(|&(_, c)| !is_good(c)) {
        Some((at, c)) => Err(Wrong::new(at..at + c.len_utf8(), ValueFault::TargetCharacter)
            .hint("percent-encode it, and the `%` of that as `%25` in an address")),
        None => Ok(Value::Target(text.to_owned())),
    }
}

fn origin(text: &str) -> Result<Value, Wrong> {
    if text == "any" || OriginPattern::new(text).is_ok() {
        return Ok(Value::Origin(text.to_owned()));
    }
    Err(Wrong::new(0..text.len(), ValueFault::NotOrigin)
        .hint("write `https://example.org`, with `:port` unless that is the common one"))
}

fn subprotocols(text: &str) -> Result<Value, Wrong> {
    let mut at = 0;
    let mut names: Vec<String> = Vec::new();
    for name in text.split(',') {
        let range = at..at + name.len();
        at = range.end + 1;
        if !is_token(name) || names.iter().any(|earlier| earlier == name) {
            return Err(Wrong::new(range, ValueFault::Subprotocol));
        }
        names.push(name.to_owned());
    }
    Ok(Value::Subprotocols(names))
}

fn record_size(text: &str) -> Result<Value, Wrong> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit()) && !text.starts_with('0');
    match text.parse() {
        Ok(bytes @ 64..=16384) if is_plain => Ok(Value::RecordSize(bytes)),
        _ => Err(Wrong::new(0..text.len(), ValueFault::RecordSize)),
    }
}

fn path(bytes: &[u8]) -> Result<PathBuf, Wrong> {
    match bytes.iter().position(|&byte| byte == 0) {
        Some(zero) => Err(Wrong::new(zero..zero + 1, Fault::ZeroByte)),
        None => Ok(OsStr::from_bytes(bytes).into()),
    }
}

fn alpn(bytes: &[u8]) -> Result<Value, Wrong> {
    let mut at = 0;
    let mut protocols = Vec::new();
    for protocol in bytes.split(|&byte| byte == b',') {
        let range = at..at + protocol.len();
        at = range.end + 1;
        match protocol.len() {
            0 => return Err(Wrong::new(range, ValueFault::AlpnEmpty)),
            1..=255 => protocols.push(protocol.to_vec()),
            _ => return Err(Wrong::new(range, ValueFault::AlpnLong)),
        }
    }
    Ok(Value::Alpn(protocols))
}

fn choice<T: Copy>(text: &str, kind: ValueKind, choices: &[(&str, T)]) -> Result<T, Wrong> {
    let found = choices.iter().find(|(name, _)| *name == text).map(|&(_, value)| value);
    found.ok_or_else(|| {
        let listed: Vec<_> = kind.choices().map(|choice| format!("`{choice}`")).collect();
        Wrong::new(0..text.len(), ValueFault::NotAChoice)
            .hint(format!("choose from {}", listed.join(", ")))
    })
}

fn bind(text: &str) -> Result<SocketAddr, Wrong> {
    let (host, port) = match text.rfind(':') {
        Some(colon) if !text.ends_with(']') && text.parse::<IpAddr>().is_err() => {
            let port = endpoint::parse_port(&text[colon + 1..]);
            (&text[..colon], port.map_err(|wrong| wrong.shifted(colon + 1))?)
        }
        _ => (text, 0),
    };
    let not_ip = || {
        Wrong::new(0..host.len(), ValueFault::NotIp)
            .hint("a local address is never looked up: write it as `10.0.0.1` or `[::1]`")
    };
    match Host::parse(host) {
        Ok(Host::Ip(ip)) => Ok(SocketAddr::new(ip, port)),
        Err(wrong) if host.starts_with('[') || wrong.fault == HostFault::Brackets.into() => {
            Err(wrong)
        }
        Ok(Host::Name(_)) | Err(_) => Err(not_ip()),
    }
}

impl Value {
    /// The kind of the value.
    pub const fn kind(&self) -> ValueKind {
        match self {
            Self::Path(_) => ValueKind::Path,
            Self::Key(_) => ValueKind::Key,
            Self::PeerName(_) => ValueKind::PeerName,
            Self::DnsName(_) => ValueKind::DnsName,
            Self::Alpn(_) => ValueKind::Alpn,
            Self::ClientAuth(_) => ValueKind::ClientAuth,
            Self::Family(_) => ValueKind::Family,
            Self::Bind(_) => ValueKind::Bind,
            Self::Deadline(_) => ValueKind::Deadline,
            Self::Variable(_) => ValueKind::Variable,
            Self::Pin(_) => ValueKind::Pin,
            Self::SanRule(_) => ValueKind::SanRule,
            Self::CrlCheck(_) => ValueKind::CrlCheck,
            Self::Moment(_) => ValueKind::Moment,
            Self::Lapse(_) => ValueKind::Lapse,
            Self::Switch(_) => ValueKind::Switch,
            Self::RecordSize(_) => ValueKind::RecordSize,
            Self::Target(_) => ValueKind::Target,
            Self::Origin(_) => ValueKind::Origin,
            Self::Subprotocols(_) => ValueKind::Subprotocols,
            Self::Proxy(_) => ValueKind::Proxy,
            Self::Deflate(_) => ValueKind::Deflate,
            Self::Http(_) => ValueKind::Http,
        }
    }

    /// The value as it is written, before percent-encoding.
    pub fn to_bytes(&self) -> Cow<'_, [u8]> {
        match self {
            Self::Path(path) | Self::Key(KeyPlace::File(path)) => {
                path.as_os_str().as_bytes().into()
            }
            Self::Key(KeyPlace::Pkcs11(uri)) => uri.as_bytes().into(),
            Self::DnsName(name) => name.as_bytes().into(),
            Self::Alpn(protocols) => protocols.join(&b',').into(),
            Self::PeerName(host) => host.to_string().into_bytes().into(),
            Self::ClientAuth(auth) => written(*auth, CLIENT_AUTH).into(),
            Self::Family(family) => written(*family, FAMILY).into(),
            Self::Bind(local) => {
                let host = Host::Ip(local.ip());
                match local.port() {
                    0 => host.to_string(),
                    port => format!("{host}:{port}"),
                }
                .into_bytes()
                .into()
            }
            Self::Deadline(deadline) => deadline.to_string().into_bytes().into(),
            Self::Variable(name) => name.as_bytes().into(),
            Self::Pin(pin) => pin.to_string().into_bytes().into(),
            Self::SanRule(rule) => rule.to_string().into_bytes().into(),
            Self::CrlCheck(check) => written(*check, CRL_CHECK).into(),
            Self::Deflate(deflate) => written(*deflate, DEFLATE).into(),
            Self::Moment(seconds) => written_moment(*seconds).into_bytes().into(),
            Self::Lapse(lapse) => lapse.word().as_bytes().into(),
            Self::Switch(on) => written(*on, SWITCH).into(),
            Self::RecordSize(bytes) => bytes.to_string().into_bytes().into(),
            Self::Target(text) | Self::Origin(text) => text.as_bytes().into(),
            Self::Subprotocols(names) => names.join(",").into_bytes().into(),
            Self::Proxy(proxy) => proxy.to_string().into_bytes().into(),
            Self::Http(http) => written(*http, HTTP).into(),
        }
    }
}

fn written<T: Copy + PartialEq>(value: T, choices: &'static [(&str, T)]) -> &'static [u8] {
    choices.iter().find(|(_, choice)| *choice == value).map_or(b"", |(name, _)| name.as_bytes())
}

impl fmt::Display for Value {
    /// The value in clear, as a flag of the command takes it; bytes that are no UTF-8 are replaced.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.to_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_written_as_they_are_read() {
        for (kind, texts) in [
            (ValueKind::Path, &["/a b", "c", "%41"][..]),
            (ValueKind::Key, &["/a b", "./pkcs11:c", "pkcs11:token=a%20b?module-path=/m.so"]),
            (ValueKind::PeerName, &["example.org", "10.0.0.1", "[::1]"]),
            (ValueKind::DnsName, &["example.org"]),
            (ValueKind::Alpn, &["h2", "h2,http/1.1"]),
            (ValueKind::Http, &["1.1", "2", "auto"]),
            (ValueKind::ClientAuth, &["none", "requested", "required"]),
            (ValueKind::Family, &["4", "6", "any"]),
            (ValueKind::Bind, &["10.0.0.1", "10.0.0.1:65535", "[::1]", "[::1]:1"]),
            (ValueKind::Deadline, &["off", "1s"]),
            (ValueKind::Variable, &["KEY_PASS"]),
            (ValueKind::Pin, &["spki:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="]),
            (ValueKind::SanRule, &["dns:*.example.org", "spiffe://example.org"]),
            (ValueKind::CrlCheck, &["chain", "leaf"]),
            (ValueKind::Deflate, &["off", "on", "no-context-takeover"]),
            (ValueKind::Moment, &["2030-01-31T12:00:00Z", "1970-01-01T00:00:00Z"]),
            (ValueKind::Lapse, &["trust", "validity", "usage", "unknown-revocation", "name"]),
            (ValueKind::Switch, &["on", "off"]),
            (ValueKind::RecordSize, &["64", "16384"]),
            (ValueKind::Target, &["/", "/vnc?token=1", "/%20"]),
            (ValueKind::Origin, &["https://example.org", "https://*.example.org:8443", "any"]),
            (ValueKind::Subprotocols, &["binary", "binary,base64"]),
            (
                ValueKind::Proxy,
                &[
                    "http://10.0.0.1:3128",
                    "https://me@proxy.example:443",
                    "http://a%40b%25@[::1]:1",
                ],
            ),
        ] {
            for text in texts {
                let value = kind.parse(text.as_bytes()).unwrap_or_else(|w| panic!("{text}: {w:?}"));
                assert_eq!((value.kind(), value.to_string().as_str()), (kind, *text));
            }
            for choice in kind.choices() {
                assert!(texts.contains(&choice), "{choice}");
            }
        }
    }

    #[test]
    fn what_is_no_value_is_told_where() {
        let fault = |kind: ValueKind, bytes: &[u8]| {
            let wrong = kind.parse(bytes).unwrap_err();
            (wrong.fault, wrong.range)
        };
        assert_eq!(fault(ValueKind::Path, b""), (ValueFault::Empty.into(), 0..0));
        assert_eq!(fault(ValueKind::Path, b"a\0b"), (Fault::ZeroByte, 1..2));
        assert_eq!(fault(ValueKind::Key, b"a\0b"), (Fault::ZeroByte, 1..2));
        assert_eq!(fault(ValueKind::Key, b"pkcs11:\xff"), (ValueFault::NotUtf8.into(), 0..8));
        assert_eq!(fault(ValueKind::Alpn, b"h2,,x"), (ValueFault::AlpnEmpty.into(), 3..3));
        assert_eq!(fault(ValueKind::Alpn, &[b'a'; 256]), (ValueFault::AlpnLong.into(), 0..256));
        assert_eq!(fault(ValueKind::Family, b"\xff"), (ValueFault::NotUtf8.into(), 0..1));
        assert_eq!(fault(ValueKind::Family, b"v4"), (ValueFault::NotAChoice.into(), 0..2));
        assert_eq!(fault(ValueKind::DnsName, b"[::1]"), (ValueFault::NotName.into(), 0..5));
        assert_eq!(fault(ValueKind::Bind, b"eth0:1"), (ValueFault::NotIp.into(), 0..4));
        assert_eq!(fault(ValueKind::Bind, b"1.1.1.1:x"), (Fault::Port, 8..9));
        assert_eq!(fault(ValueKind::Variable, b"A=b"), (ValueFault::Variable.into(), 1..2));
        for time in [&b"2030-01-31"[..], b"now", b"1969-12-31T23:59:59Z"] {
            let range = 0..time.len();
            assert_eq!(fault(ValueKind::Moment, time), (ValueFault::Moment.into(), range));
        }
        let pin = ValueFault::Pin(PinError::Kind);
        assert_eq!(fault(ValueKind::Pin, b"sha256//x"), (pin.into(), 0..9));
        let rule = ValueFault::San(SanRuleError::HostBits);
        assert_eq!(fault(ValueKind::SanRule, b"ip:10.1.1.1/8"), (rule.into(), 0..13));
        for bytes in [&b"63"[..], b"16385", b"99999", b"0100", b"+100", b"1k"] {
            let range = 0..bytes.len();
            assert_eq!(fault(ValueKind::RecordSize, bytes), (ValueFault::RecordSize.into(), range));
        }
        assert_eq!(fault(ValueKind::Target, b"vnc"), (ValueFault::TargetSlash.into(), 0..0));
        assert_eq!(fault(ValueKind::Target, b"/a b"), (ValueFault::TargetCharacter.into(), 2..3));
        assert_eq!(fault(ValueKind::Origin, b"a.org"), (ValueFault::NotOrigin.into(), 0..5));
        assert_eq!(fault(ValueKind::Subprotocols, b"a,a"), (ValueFault::Subprotocol.into(), 2..3));
        assert_eq!(fault(ValueKind::Subprotocols, b"a,"), (ValueFault::Subprotocol.into(), 2..2));
        for (text, wrong, range) in [
            (&b"socks5://a:1"[..], ValueFault::ProxyScheme.into(), 0..0),
            (b"http://me:pw@a:1", ValueFault::ProxyPassword.into(), 9..12),
            (b"http://@a:1", ValueFault::ProxyUser.into(), 7..7),
            (b"http://a%3Ab@a:1", ValueFault::ProxyUser.into(), 7..12),
            (b"http://a", Fault::PortMissing, 8..8),
            (b"http://a:0", Fault::PortZero, 9..10),
            (b"http://a:1/x", Fault::Port, 9..12),
            (b"https://a..b:1", HostFault::EmptyLabel.into(), 10..10),
        ] {
            assert_eq!(fault(ValueKind::Proxy, text), (wrong, range));
        }
        assert_eq!(fault(ValueKind::Bind, b"::1"), (HostFault::Brackets.into(), 0..3));
    }
}
