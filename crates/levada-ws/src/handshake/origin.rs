//! Which web pages may connect (RFC 6455 §10.2, RFC 6454 §6).

use alloc::borrow::ToOwned;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::net::{Ipv4Addr, Ipv6Addr};

/// Which Origin a request may have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Origins {
    /// Any, and none: right when nothing of the browser's (cookies, its network) opens doors.
    #[default]
    Any,
    /// One that a pattern allows.
    Listed {
        /// The patterns.
        patterns: Vec<OriginPattern>,
        /// Whether a request without an Origin may pass: browsers always send one, other programs
        /// seldom do.
        allow_absent: bool,
    },
}

impl Origins {
    /// Whether a request with this Origin may pass.
    pub fn allow(&self, origin: Option<&str>) -> bool {
        match (self, origin) {
            (Self::Any, _) => true,
            (Self::Listed { allow_absent, .. }, None) => *allow_absent,
            (Self::Listed { patterns, .. }, Some(origin)) => {
                patterns.iter().any(|pattern| pattern.allows(origin))
            }
        }
    }
}

/// Whether pages of the very server that is asked may connect.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OwnOrigin {
    /// Not by that alone.
    #[default]
    Unknown,
    /// Those of `http://` and the Host of the request, where that is `localhost` or an IP address: under
    /// a name of its own any site can be brought to our address (DNS rebinding), and be its own Host.
    Plain,
    /// Those of `https://` and the Host of the request: TLS has verified that name.
    Tls,
}

impl OwnOrigin {
    /// Whether a request to `host` with this Origin may pass.
    pub(super) fn allows(self, origin: Option<&str>, host: &str) -> bool {
        let scheme = match self {
            Self::Unknown => return false,
            Self::Plain => "http://",
            Self::Tls => "https://",
        };
        let Some((of, authority)) = origin.and_then(split) else { return false };
        // Split as an origin, it loses the default port as that does.
        let own = split(&[scheme, host].concat()).is_some_and(|own| own == (of, authority));
        own && (self == Self::Tls || is_address_or_localhost(host))
    }
}

fn is_address_or_localhost(host: &str) -> bool {
    if let Some((address, _)) = host.strip_prefix('[').and_then(|host| host.split_once(']')) {
        return address.parse::<Ipv6Addr>().is_ok();
    }
    let name = host.split(':').next().unwrap_or_default();
    name.eq_ignore_ascii_case("localhost") || name.parse::<Ipv4Addr>().is_ok()
}

/// An origin such as `https://example.org` or `http://localhost:8080`, or all hosts below one, such
/// as `https://*.example.org`. `null` is the opaque origin of a local file or a sandbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OriginPattern {
    /// Up to and including `://`.
    scheme: String,
    below: bool,
    /// Host and port; behind a star it begins with a dot.
    authority: String,
}

impl OriginPattern {
    /// Reads a pattern. Case does not matter, nor does a default port of http, https, ws or wss.
    ///
    /// # Errors
    ///
    /// When it is not of the form `scheme://host[:port]` or `null`.
    pub fn new(pattern: &str) -> Result<Self, OriginPatternError> {
        if pattern == "null" {
            return Ok(Self { scheme: String::new(), below: false, authority: "null".to_owned() });
        }
        let (scheme, authority) = split(pattern).ok_or(OriginPatternError)?;
        let (below, host) = match authority.strip_prefix('*') {
            Some(rest) => (true, rest),
            None => (false, &*authority),
        };
        let is_host = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:[]".contains(&byte);
        let is_whole =
            if below { host.len() > 1 && host.starts_with('.') } else { !host.is_empty() };
        if !is_whole || !host.bytes().all(is_host) {
            return Err(OriginPatternError);
        }
        Ok(Self { scheme, below, authority: host.to_owned() })
    }

    fn allows(&self, origin: &str) -> bool {
        if self.scheme.is_empty() {
            return origin == self.authority;
        }
        let Some((scheme, authority)) = split(origin) else { return false };
        scheme == self.scheme
            && if self.below {
                authority.strip_suffix(&*self.authority).is_some_and(|host| {
                    !host.is_empty() && !host.contains(|c: char| !is_label_or_dot(c))
                })
            } else {
                authority == self.authority
            }
    }
}

fn is_label_or_dot(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_')
}

/// Scheme with `://` and authority without its default port, in lower case.
fn split(origin: &str) -> Option<(String, String)> {
    let lower = origin.to_ascii_lowercase();
    let (scheme, authority) = lower.split_once("://")?;
    let port = match scheme {
        "http" | "ws" => ":80",
        "https" | "wss" => ":443",
        _ => "",
    };
    let authority = authority.strip_suffix(port).unwrap_or(authority);
    let scheme_ends = scheme.len() + "://".len();
    (!scheme.is_empty()).then(|| (lower[..scheme_ends].to_owned(), authority.to_owned()))
}

/// A pattern that is no origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OriginPatternError;

impl fmt::Display for OriginPatternError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an origin is scheme://host[:port], scheme://*.host[:port] or null")
    }
}

impl core::error::Error for OriginPatternError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn allows(pattern: &str, origin: &str) -> bool {
        OriginPattern::new(pattern).unwrap().allows(origin)
    }

    #[test]
    fn an_exact_origin_is_compared_whole() {
        assert!(allows("https://example.org", "https://example.org"));
        assert!(allows("https://Example.ORG:443", "HTTPS://example.org"));
        assert!(!allows("https://example.org", "http://example.org"));
        assert!(!allows("https://example.org", "https://example.org:8443"));
        assert!(!allows("https://example.org", "https://example.org.evil.net"));
        assert!(!allows("https://example.org", "https://notexample.org"));
        assert!(!allows("https://example.org", "null"));
        assert!(allows("null", "null"));
        assert!(!allows("null", "https://null"));
    }

    #[test]
    fn a_star_stands_for_whole_labels() {
        assert!(allows("https://*.example.org", "https://a.example.org"));
        assert!(allows("https://*.example.org", "https://a.b.example.org"));
        assert!(!allows("https://*.example.org", "https://example.org"));
        assert!(!allows("https://*.example.org", "https://evilexample.org"));
        assert!(!allows("https://*.example.org", "https://evil.net/.example.org"));
        assert!(!allows("https://*.example.org", "https://user@.example.org"));
        assert!(!allows("https://*.example.org", "https://a.example.org:8443"));
        assert!(allows("https://*.example.org:8443", "https://a.example.org:8443"));
    }

    #[test]
    fn an_own_page_is_known_by_a_host_that_nobody_can_feign() {
        let plain = |origin, host| OwnOrigin::Plain.allows(Some(origin), host);
        assert!(plain("http://127.0.0.1:8080", "127.0.0.1:8080"));
        assert!(plain("http://localhost:8080", "Localhost:8080"));
        assert!(plain("http://192.168.1.5", "192.168.1.5:80"));
        assert!(plain("http://[fe80::1]:8080", "[fe80::1]:8080"));
        assert!(!plain("http://127.0.0.1:8080", "127.0.0.1:8081"));
        assert!(!plain("https://127.0.0.1:8080", "127.0.0.1:8080"));
        assert!(!plain("http://evil.example:8080", "evil.example:8080"), "it may be rebound");
        assert!(!plain("http://127.0.0.1.evil.example", "127.0.0.1.evil.example"));
        assert!(!plain("null", "null"));
        assert!(!OwnOrigin::Plain.allows(None, "127.0.0.1"));
        let tls = |origin, host| OwnOrigin::Tls.allows(Some(origin), host);
        assert!(tls("https://vnc.example", "vnc.example:443"));
        assert!(!tls("https://evil.example", "vnc.example"));
        assert!(!tls("http://vnc.example", "vnc.example"));
        assert!(!OwnOrigin::Unknown.allows(Some("http://localhost"), "localhost"));
    }

    #[test]
    fn what_is_no_origin_is_no_pattern() {
        for text in ["", "example.org", "https://", "https://*", "https://*.", "https://a/b", "*"] {
            assert_eq!(OriginPattern::new(text), Err(OriginPatternError), "{text}");
        }
    }
}
