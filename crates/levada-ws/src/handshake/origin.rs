//! Which web pages may connect (RFC 6455 §10.2, RFC 6454 §6).

use alloc::borrow::ToOwned;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

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
    fn what_is_no_origin_is_no_pattern() {
        for text in ["", "example.org", "https://", "https://*", "https://*.", "https://a/b", "*"] {
            assert_eq!(OriginPattern::new(text), Err(OriginPatternError), "{text}");
        }
    }
}
