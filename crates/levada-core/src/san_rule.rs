//! Rules about names: which subject alternative names a peer may have.

use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::String;
use core::fmt;
use core::net::IpAddr;
use core::str::FromStr;

use crate::certificate::SubjectName;

/// A name that lets a peer in: one line of an allow-list.
///
/// A certificate is allowed by a rule when it has a name all of whose meanings the rule allows: a
/// wildcard certificate stands for any host below its parent, so `dns:a.example.org` does not allow
/// one for `*.example.org`, and `dns:*.example.org` does.
///
/// | written | allows a certificate that has |
/// |---|---|
/// | `dns:host.example.org` | this DNS name, in upper or lower case |
/// | `dns:*.example.org` | a DNS name with one label before the parent, or that wildcard |
/// | `ip:192.0.2.7`, `ip:2001:db8::/32` | this address, or one of this network |
/// | `uri:https://example.org/a` | this URI, letter by letter |
/// | `spiffe://example.org` | a SPIFFE ID of this trust domain |
/// | `spiffe://example.org/a/b` | this SPIFFE ID |
/// | `spiffe://example.org/a/*` | a SPIFFE ID below this path |
///
/// A SPIFFE ID counts only where it is the certificate's one URI (X.509-SVID section 2).
///
/// ```
/// # use levada_core::{SanRule, SubjectName};
/// let rule: SanRule = "spiffe://example.org/ns/prod/*".parse()?;
/// let uri = |text: &str| SubjectName::Uri(text.into());
/// assert!(rule.allows(&[uri("spiffe://example.org/ns/prod/sa/web")]));
/// assert!(!rule.allows(&[uri("spiffe://example.org/ns/production")]));
/// # Ok::<(), levada_core::SanRuleError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SanRule(Kind);

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Kind {
    /// In lower case; a wildcard without its `*`, with the dot.
    Dns(String),
    Wildcard(String),
    Ip {
        network: IpAddr,
        prefix: u8,
    },
    Uri(String),
    /// A trust domain as a whole.
    TrustDomain(String),
    SpiffeId(String),
    /// With the slash at its end.
    SpiffeBelow(String),
}

/// Why a text is no [`SanRule`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SanRuleError {
    /// It begins with no kind of name.
    Kind,
    /// What follows `dns:` is no DNS name, and no wildcard for one.
    Dns,
    /// What follows `ip:` is no IP address.
    Ip,
    /// The prefix of a network is no number of its bits.
    Prefix,
    /// An address has bits behind the prefix of its network.
    HostBits,
    /// What follows `uri:` is no URI: it has no scheme, or characters that none has.
    Uri,
    /// A SPIFFE ID is written without `uri:`.
    SpiffeAsUri,
    /// A trust domain is written in lower-case letters, digits, `.`, `-` and `_`.
    TrustDomain,
    /// A path of a SPIFFE ID is written in segments of letters, digits, `.`, `-` and `_`; the last
    /// one may be `*`.
    SpiffePath,
}

impl SanRule {
    /// Whether the rule allows a certificate with `names`, which must be all that it has.
    pub fn allows(&self, names: &[SubjectName]) -> bool {
        match &self.0 {
            Kind::Dns(wanted) => dns(names).any(|name| name.eq_ignore_ascii_case(wanted)),
            Kind::Wildcard(parent) => dns(names).any(|name| is_child(name, parent)),
            Kind::Ip { network, prefix } => names.iter().any(|name| match name {
                SubjectName::Ip(address) => masked(*address, *prefix) == Some(*network),
                _ => false,
            }),
            Kind::Uri(wanted) => uris(names).any(|uri| uri == wanted),
            Kind::TrustDomain(domain) => {
                spiffe_id(names).is_some_and(|id| id.split('/').nth(2) == Some(domain))
            }
            Kind::SpiffeId(wanted) => spiffe_id(names) == Some(wanted),
            Kind::SpiffeBelow(parent) => {
                spiffe_id(names).and_then(|id| id.strip_prefix(&**parent)).is_some()
            }
        }
    }
}

fn dns(names: &[SubjectName]) -> impl Iterator<Item = &str> {
    names.iter().filter_map(|name| match name {
        SubjectName::Dns(name) => Some(name.as_str()),
        _ => None,
    })
}

fn uris(names: &[SubjectName]) -> impl Iterator<Item = &str> {
    names.iter().filter_map(|name| match name {
        SubjectName::Uri(uri) => Some(uri.as_str()),
        _ => None,
    })
}

/// Whether `name` is one label and `parent`, which begins with a dot.
fn is_child(name: &str, parent: &str) -> bool {
    name.split_at_checked(name.len().saturating_sub(parent.len())).is_some_and(|(label, rest)| {
        rest.eq_ignore_ascii_case(parent) && !label.is_empty() && !label.contains('.')
    })
}

/// The SPIFFE ID of a certificate: its one URI, if that is one.
fn spiffe_id(names: &[SubjectName]) -> Option<&str> {
    let mut uris = uris(names);
    let id = uris.next().filter(|_| uris.next().is_none())?;
    let (domain, path) = id.strip_prefix("spiffe://")?.split_once('/')?;
    (is_trust_domain(domain) && path.split('/').all(is_segment)).then_some(id)
}

/// SPIFFE ID section 2.1.
fn is_trust_domain(text: &str) -> bool {
    let allowed = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'-' | b'_');
    (1..=255).contains(&text.len()) && text.bytes().all(allowed)
}

/// SPIFFE ID section 2.2.
fn is_segment(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    !matches!(text, "" | "." | "..") && text.bytes().all(allowed)
}

/// The network of `prefix` bits that `address` is in; `None` where it has fewer bits.
fn masked(address: IpAddr, prefix: u8) -> Option<IpAddr> {
    let prefix = u32::from(prefix);
    Some(match address {
        IpAddr::V4(four) => {
            let rest = 32_u32.checked_sub(prefix)?;
            let mask = u32::MAX.checked_shl(rest).unwrap_or(0);
            IpAddr::V4((u32::from(four) & mask).into())
        }
        IpAddr::V6(six) => {
            let rest = 128_u32.checked_sub(prefix)?;
            let mask = u128::MAX.checked_shl(rest).unwrap_or(0);
            IpAddr::V6((u128::from(six) & mask).into())
        }
    })
}

impl FromStr for SanRule {
    type Err = SanRuleError;

    fn from_str(text: &str) -> Result<Self, SanRuleError> {
        if let Some(id) = text.strip_prefix("spiffe://") {
            return spiffe(text, id).map(Self);
        }
        let (kind, value) = text.split_once(':').ok_or(SanRuleError::Kind)?;
        // As certificates are shown: `DNS:host.example.org`.
        match kind.to_ascii_lowercase().as_str() {
            "dns" => dns_rule(value),
            "ip" => ip_rule(value),
            "uri" => uri_rule(value),
            _ => Err(SanRuleError::Kind),
        }
        .map(Self)
    }
}

fn dns_rule(text: &str) -> Result<Kind, SanRuleError> {
    let text = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
    let (name, is_wildcard) = match text.strip_prefix("*.") {
        Some(parent) => (parent, true),
        None => (text.as_str(), false),
    };
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(allowed)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let is_address = name.parse::<IpAddr>().is_ok();
    if text.len() > 253 || is_address || !name.split('.').all(is_label) {
        return Err(SanRuleError::Dns);
    }
    Ok(if is_wildcard { Kind::Wildcard(format!(".{name}")) } else { Kind::Dns(text) })
}

fn ip_rule(text: &str) -> Result<Kind, SanRuleError> {
    let (address, prefix) = text.split_once('/').map_or((text, None), |(a, p)| (a, Some(p)));
    let address: IpAddr = address.parse().map_err(|_| SanRuleError::Ip)?;
    let bits = if address.is_ipv4() { 32 } else { 128 };
    let prefix = match prefix {
        None => bits,
        // `parse` would take a sign, too.
        Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
            digits.parse().map_err(|_| SanRuleError::Prefix)?
        }
        Some(_) => return Err(SanRuleError::Prefix),
    };
    let network = masked(address, prefix).ok_or(SanRuleError::Prefix)?;
    if network != address {
        return Err(SanRuleError::HostBits);
    }
    Ok(Kind::Ip { network, prefix })
}

fn uri_rule(text: &str) -> Result<Kind, SanRuleError> {
    // RFC 3986 section 2, without looking at the parts: it is compared as a whole.
    let allowed =
        |byte: u8| byte.is_ascii_alphanumeric() || b"-._~:/?#[]@!$&'()*+,;=%".contains(&byte);
    let (scheme, _) = text.split_once(':').ok_or(SanRuleError::Uri)?;
    if scheme.eq_ignore_ascii_case("spiffe") {
        return Err(SanRuleError::SpiffeAsUri);
    }
    let is_scheme = scheme.starts_with(|letter: char| letter.is_ascii_alphabetic());
    if !is_scheme || !text.bytes().all(allowed) {
        return Err(SanRuleError::Uri);
    }
    Ok(Kind::Uri(text.to_owned()))
}

/// The rule `text`, which is `id` behind its scheme.
fn spiffe(text: &str, id: &str) -> Result<Kind, SanRuleError> {
    let (domain, path) = id.split_once('/').map_or((id, None), |(d, p)| (d, Some(p)));
    if !is_trust_domain(domain) {
        return Err(SanRuleError::TrustDomain);
    }
    let Some(path) = path else { return Ok(Kind::TrustDomain(domain.to_owned())) };
    let (segments, is_below) = match path.strip_suffix("/*") {
        Some(parent) => (parent, true),
        None => (path, false),
    };
    if !segments.split('/').all(is_segment) {
        return Err(SanRuleError::SpiffePath);
    }
    Ok(match text.strip_suffix('*').filter(|_| is_below) {
        Some(parent) => Kind::SpiffeBelow(parent.to_owned()),
        None => Kind::SpiffeId(text.to_owned()),
    })
}

impl fmt::Display for SanRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Dns(name) => write!(f, "dns:{name}"),
            Kind::Wildcard(parent) => write!(f, "dns:*{parent}"),
            Kind::Ip { network, prefix: 32 } if network.is_ipv4() => write!(f, "ip:{network}"),
            Kind::Ip { network, prefix: 128 } => write!(f, "ip:{network}"),
            Kind::Ip { network, prefix } => write!(f, "ip:{network}/{prefix}"),
            Kind::Uri(uri) => write!(f, "uri:{uri}"),
            Kind::TrustDomain(domain) => write!(f, "spiffe://{domain}"),
            Kind::SpiffeId(id) => f.write_str(id),
            Kind::SpiffeBelow(parent) => write!(f, "{parent}*"),
        }
    }
}

impl fmt::Display for SanRuleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Kind => "a rule begins with `dns:`, `ip:`, `uri:` or `spiffe://`",
            Self::Dns => "`dns:` is followed by a DNS name, or by `*.` and one",
            Self::Ip => "`ip:` is followed by an IP address",
            Self::Prefix => "the prefix of a network is a number of its bits",
            Self::HostBits => "the address has bits behind the prefix of its network",
            Self::Uri => "`uri:` is followed by a URI",
            Self::SpiffeAsUri => "a SPIFFE ID is written without `uri:`",
            Self::TrustDomain => {
                "a trust domain is written in lower-case letters, digits, `.`, `-` and `_`"
            }
            Self::SpiffePath => {
                "a SPIFFE path is written in segments of letters, digits, `.`, `-` and `_`; the \
                 last one may be `*`"
            }
        })
    }
}

impl core::error::Error for SanRuleError {}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;
    use alloc::vec::Vec;

    fn rule(text: &str) -> SanRule {
        text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    fn names(list: &str) -> Vec<SubjectName> {
        let name = |text: &str| {
            let (kind, value) = text.split_once('=').unwrap();
            match kind {
                "dns" => SubjectName::Dns(value.into()),
                "ip" => SubjectName::Ip(value.parse().unwrap()),
                "uri" => SubjectName::Uri(value.into()),
                _ => SubjectName::Email(value.into()),
            }
        };
        list.split_whitespace().map(name).collect()
    }

    #[test]
    fn rules_allow_what_their_table_says() {
        for (text, allowed, others) in [
            (
                "dns:host.example",
                &["dns=host.example", "dns=HOST.Example", "dns=a.example dns=host.example"][..],
                &[
                    "",
                    "dns=a.host.example",
                    "dns=*.example",
                    "email=host.example",
                    "uri=host.example",
                ][..],
            ),
            (
                "dns:*.host.example",
                &["dns=a.host.example", "dns=*.host.example", "dns=A.HOST.EXAMPLE"],
                &[
                    "dns=host.example",
                    "dns=.host.example",
                    "dns=a.b.host.example",
                    "dns=*.example",
                    "dns=ahost.example",
                    "dns=a\u{20ac}",
                ],
            ),
            (
                "ip:192.0.2.7",
                &["ip=192.0.2.7"],
                &["ip=192.0.2.8", "ip=::ffff:192.0.2.7", "dns=192.0.2.7"],
            ),
            ("ip:10.0.0.0/8", &["ip=10.0.0.0", "ip=10.255.1.2"], &["ip=11.0.0.0", "ip=a00::"]),
            ("ip:0.0.0.0/0", &["ip=1.2.3.4"], &["ip=::1"]),
            ("ip:2001:db8::/32", &["ip=2001:db8::1"], &["ip=2001:db9::1", "ip=1.2.3.4"]),
            ("ip:::/0", &["ip=::1"], &["ip=1.2.3.4"]),
            (
                "uri:https://a.example/b",
                &["uri=https://a.example/b", "uri=x:y uri=https://a.example/b"],
                &["uri=https://a.example/B", "uri=https://a.example/b/", "dns=a.example"],
            ),
            (
                "spiffe://a.example",
                &["uri=spiffe://a.example/x", "dns=h uri=spiffe://a.example/x/y"],
                &[
                    "uri=spiffe://a.example",
                    "uri=spiffe://a.example.org/x",
                    "uri=spiffe://A.example/x",
                    "uri=spiffe://a.example/x uri=x:y",
                    "uri=spiffe://a.example/x/../y",
                    "uri=spiffe://a.example/x/",
                    "uri=spiffe://a.example//x",
                    "uri=https://a.example/x",
                ],
            ),
            (
                "spiffe://a.example/x/y",
                &["uri=spiffe://a.example/x/y"],
                &[
                    "uri=spiffe://a.example/x",
                    "uri=spiffe://a.example/x/y/z",
                    "uri=spiffe://a.example/x/Y",
                ],
            ),
            (
                "spiffe://a.example/x/*",
                &["uri=spiffe://a.example/x/y", "uri=spiffe://a.example/x/y/z"],
                &[
                    "uri=spiffe://a.example/x",
                    "uri=spiffe://a.example/xy/z",
                    "uri=spiffe://b.example/x/y",
                ],
            ),
        ] {
            let rule = rule(text);
            for one in allowed {
                assert!(rule.allows(&names(one)), "{text} and {one}");
            }
            for one in others {
                assert!(!rule.allows(&names(one)), "{text} and {one}");
            }
        }
    }

    #[test]
    fn rules_are_written_as_they_are_read() {
        for text in [
            "dns:host.example",
            "dns:*.host.example",
            "dns:_x.y",
            "ip:192.0.2.7",
            "ip:10.0.0.0/8",
            "ip:::1",
            "ip:2001:db8::/32",
            "ip:::/32",
            "uri:https://a.example/?q=1#f",
            "uri:urn:x",
            "spiffe://a.example",
            "spiffe://a.example/x",
            "spiffe://a.example/x/*",
        ] {
            assert_eq!(rule(text).to_string(), text);
        }
        assert_eq!(rule("DNS:Host.Example.").to_string(), "dns:host.example");
        assert_eq!(rule("IP:10.0.0.1/32"), rule("ip:10.0.0.1"));
    }

    #[test]
    fn what_is_no_rule_is_told() {
        use SanRuleError as Error;
        let long = "a".repeat(64);
        for (text, error) in [
            ("", Error::Kind),
            ("host.example", Error::Kind),
            ("email:a@b", Error::Kind),
            ("dns:", Error::Dns),
            ("dns:a..b", Error::Dns),
            ("dns:*", Error::Dns),
            ("dns:a.*.b", Error::Dns),
            ("dns:*.*.b", Error::Dns),
            ("dns:-a", Error::Dns),
            ("dns:a b", Error::Dns),
            ("dns:192.0.2.1", Error::Dns),
            ("dns:ü", Error::Dns),
            (&format!("dns:{long}"), Error::Dns),
            ("ip:", Error::Ip),
            ("ip:host", Error::Ip),
            ("ip:[::1]", Error::Ip),
            ("ip:1.2.3", Error::Ip),
            ("ip:1.2.3.4/", Error::Prefix),
            ("ip:1.2.3.4/33", Error::Prefix),
            ("ip:::/129", Error::Prefix),
            ("ip:1.2.3.4/+8", Error::Prefix),
            ("ip:1.2.3.4/256", Error::Prefix),
            ("ip:10.0.0.1/8", Error::HostBits),
            ("uri:", Error::Uri),
            ("uri:x", Error::Uri),
            ("uri::x", Error::Uri),
            ("uri:a:b c", Error::Uri),
            ("uri:spiffe://a.example/x", Error::SpiffeAsUri),
            ("uri:SPIFFE://a/x", Error::SpiffeAsUri),
            ("spiffe://", Error::TrustDomain),
            ("spiffe://A.example", Error::TrustDomain),
            ("spiffe://a:1/x", Error::TrustDomain),
            ("spiffe://*/x", Error::TrustDomain),
            ("spiffe://a/", Error::SpiffePath),
            ("spiffe://a/x/", Error::SpiffePath),
            ("spiffe://a/*", Error::SpiffePath),
            ("spiffe://a/x*", Error::SpiffePath),
            ("spiffe://a/*/x", Error::SpiffePath),
            ("spiffe://a/../x", Error::SpiffePath),
        ] {
            assert_eq!(text.parse::<SanRule>(), Err(error), "{text}");
        }
    }
}
