//! The host of an address: a name or an IP address.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use crate::error::Wrong;
use crate::{AddressError, HostFault};

/// A host.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Host {
    /// A host name in ASCII and lower case (names compare without case): at most 253 bytes, labels
    /// of 1 to 63 letters, digits, hyphens and underscores, no hyphen at either end of one. It may
    /// end in a dot. Names in other scripts are their user's to turn into punycode.
    Name(String),
    /// An IP address. IPv6 is written in brackets.
    Ip(IpAddr),
}

/// The longest host name in bytes, without a dot at its end (RFC 1035, section 2.3.4).
const LONGEST_NAME: usize = 253;
/// The longest label of a name in bytes.
const LONGEST_LABEL: usize = 63;

impl Host {
    /// The name without the dot at its end, or `None` for an IP address.
    pub fn dns_name(&self) -> Option<&str> {
        match self {
            Self::Name(name) => Some(name.strip_suffix('.').unwrap_or(name)),
            Self::Ip(_) => None,
        }
    }

    pub(crate) fn parse(text: &str) -> Result<Self, Wrong> {
        if let Some(inner) = text.strip_prefix('[') {
            let Some(end) = inner.find(']') else {
                return Err(Wrong::new(0..1, HostFault::BracketOpen)
                    .hint("an IPv6 address stands between brackets: `[::1]`"));
            };
            if end + 2 != text.len() {
                return Err(Wrong::new(end + 2..text.len(), HostFault::AfterBracket));
            }
            return ipv6(&inner[..end]).map(Self::Ip).map_err(|wrong| wrong.shifted(1));
        }
        if text.parse::<Ipv6Addr>().is_ok() {
            return Err(Wrong::new(0..text.len(), HostFault::Brackets)
                .hint(format!("did you mean `[{text}]`?")));
        }
        match text.parse::<Ipv4Addr>() {
            Ok(ip) => Ok(Self::Ip(ip.into())),
            Err(_) => name(text),
        }
    }
}

fn ipv6(text: &str) -> Result<IpAddr, Wrong> {
    if let Some(zone) = text.find('%') {
        return Err(Wrong::new(zone..text.len(), HostFault::Zone));
    }
    let not_ipv6 = || {
        let hint = if text.parse::<Ipv4Addr>().is_ok() {
            "IPv4 addresses stand without brackets"
        } else {
            "between brackets stands an IPv6 address, such as `[::1]`"
        };
        Wrong::new(0..text.len(), HostFault::NotIpv6).hint(hint)
    };
    text.parse::<Ipv6Addr>().map(IpAddr::from).map_err(|_| not_ipv6())
}

fn name(text: &str) -> Result<Host, Wrong> {
    let relative = text.strip_suffix('.').unwrap_or(text);
    let mut at = 0;
    for label in relative.split('.') {
        let range = at..at + label.len();
        at = range.end + 1;
        if !label.is_ascii() {
            return Err(Wrong::new(range, HostFault::NotAscii)
                .hint("write the name in punycode, as `xn--…`"));
        }
        let allowed = |char: char| char.is_ascii_alphanumeric() || char == '-' || char == '_';
        if let Some((offset, char)) = label.char_indices().find(|&(_, char)| !allowed(char)) {
            let start = range.start + offset;
            return Err(Wrong::new(start..start + 1, HostFault::Character(char)));
        }
        if label.is_empty() {
            return Err(Wrong::new(range, HostFault::EmptyLabel));
        }
        if label.len() > LONGEST_LABEL {
            return Err(Wrong::new(range, HostFault::LongLabel));
        }
        if label.starts_with('-') || label.ends_with('-') {
            return Err(Wrong::new(range, HostFault::Hyphen));
        }
    }
    if relative.len() > LONGEST_NAME {
        return Err(Wrong::new(0..text.len(), HostFault::LongName));
    }
    // Resolvers take `127.1` or `0x7f000001` for an address: what ends in a number has to be one.
    let last = relative.rsplit('.').next().unwrap_or(relative);
    let number = last.strip_prefix("0x").or(last.strip_prefix("0X")).map_or_else(
        || last.bytes().all(|byte| byte.is_ascii_digit()),
        |digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()),
    );
    if number {
        return Err(Wrong::new(0..text.len(), HostFault::NotIpv4)
            .hint("an IPv4 address has four numbers from 0 to 255: `127.0.0.1`"));
    }
    Ok(Host::Name(text.to_ascii_lowercase()))
}

impl FromStr for Host {
    type Err = AddressError;

    /// # Errors
    ///
    /// When `text` is neither a host name nor an IP address (IPv6 in brackets).
    fn from_str(text: &str) -> Result<Self, AddressError> {
        Self::parse(text).map_err(|wrong| wrong.in_input(text))
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Ip(IpAddr::V4(ip)) => ip.fmt(f),
            Self::Ip(IpAddr::V6(ip)) => write!(f, "[{ip}]"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(text: &str) -> (HostFault, std::ops::Range<usize>) {
        let wrong = Host::parse(text).unwrap_err();
        match wrong.fault {
            crate::Fault::Host(fault) => (fault, wrong.range),
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn names_and_addresses() {
        for (text, shown) in [
            ("localhost", "localhost"),
            ("Example.ORG", "example.org"),
            ("example.org.", "example.org."),
            ("my_service", "my_service"),
            ("xn--lba-goa.example", "xn--lba-goa.example"),
            ("3com.example", "3com.example"),
            ("1.2.3.4a", "1.2.3.4a"),
            ("127.0.0.1", "127.0.0.1"),
            ("[0:0::1]", "[::1]"),
            ("[::ffff:10.0.0.1]", "[::ffff:10.0.0.1]"),
        ] {
            assert_eq!(text.parse::<Host>().unwrap().to_string(), shown);
        }
        assert_eq!(Host::Name("a.b.".into()).dns_name(), Some("a.b"));
        let longest = format!("{0}.{0}.{0}.{1}", "a".repeat(63), "b".repeat(61));
        assert_eq!(longest.len(), LONGEST_NAME);
        assert!(longest.parse::<Host>().is_ok());
        assert!(format!("{longest}.").parse::<Host>().is_ok());
        assert_eq!(fault(&format!("{longest}b")).0, HostFault::LongName);
    }

    #[test]
    fn what_is_no_host_is_told_where() {
        assert_eq!(fault(""), (HostFault::EmptyLabel, 0..0));
        assert_eq!(fault("."), (HostFault::EmptyLabel, 0..0));
        assert_eq!(fault("a..b"), (HostFault::EmptyLabel, 2..2));
        assert_eq!(fault("a.-b"), (HostFault::Hyphen, 2..4));
        assert_eq!(fault("a b"), (HostFault::Character(' '), 1..2));
        assert_eq!(fault("www.žleb.cz"), (HostFault::NotAscii, 4..9));
        assert_eq!(fault("127.1"), (HostFault::NotIpv4, 0..5));
        assert_eq!(fault("1.2.3.256"), (HostFault::NotIpv4, 0..9));
        assert_eq!(fault("0x7f000001"), (HostFault::NotIpv4, 0..10));
        assert_eq!(fault("::1"), (HostFault::Brackets, 0..3));
        assert_eq!(fault("[::1"), (HostFault::BracketOpen, 0..1));
        assert_eq!(fault("[::1]x"), (HostFault::AfterBracket, 5..6));
        assert_eq!(fault("[fe80::1%eth0]"), (HostFault::Zone, 8..13));
        assert_eq!(fault("[10.0.0.1]"), (HostFault::NotIpv6, 1..9));
        assert_eq!(fault(&"a".repeat(64)), (HostFault::LongLabel, 0..64));
    }
}
