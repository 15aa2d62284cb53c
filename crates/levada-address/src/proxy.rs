//! The address of an HTTP proxy: `http://user@host:port`, or `https://` for TLS on the way to it.

use std::fmt;
use std::num::NonZeroU16;
use std::path::PathBuf;
use std::str::FromStr;

use crate::error::Wrong;
use crate::{AddressError, Fault, Host, PassphraseSource, ValueFault, endpoint, percent};

/// Where a proxy is, and as whom it is asked. It holds no secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProxyAddress {
    /// Whether the way to it is under TLS.
    pub tls: bool,
    /// The user, if the proxy asks for one: UTF-8 without control characters and colons (RFC 7617).
    pub user: Option<String>,
    /// Its host.
    pub host: Host,
    /// Its port.
    pub port: NonZeroU16,
}

/// How to connect through a proxy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectProxy {
    /// Where it is.
    pub address: ProxyAddress,
    /// Where the user's password is, if it has one.
    pub password: Option<PassphraseSource>,
    /// PEM: the authorities that may vouch for the proxy; `None` for those of the system.
    pub ca: Option<PathBuf>,
}

impl ProxyAddress {
    pub(crate) fn parse(text: &str) -> Result<Self, Wrong> {
        let (tls, rest) = if let Some(rest) = text.strip_prefix("http://") {
            (false, rest)
        } else if let Some(rest) = text.strip_prefix("https://") {
            (true, rest)
        } else {
            return Err(Wrong::new(0..0, ValueFault::ProxyScheme)
                .hint("like `http://10.0.0.1:3128`, or `https://` for TLS on the way to it"));
        };
        let mut at = text.len() - rest.len();
        let (user, authority) = match rest.rsplit_once('@') {
            Some((user, authority)) => {
                let user_at = at;
                at += user.len() + 1;
                (Some(parse_user(user).map_err(|wrong| wrong.shifted(user_at))?), authority)
            }
            None => (None, rest),
        };
        // A slash at the end is how browsers write it.
        let authority = authority.strip_suffix('/').unwrap_or(authority);
        let colon = authority.rfind(':').filter(|&colon| !authority[colon..].contains(']'));
        let Some(colon) = colon else {
            let end = at + authority.len();
            return Err(
                Wrong::new(end..end, Fault::PortMissing).hint("proxies often have 3128 or 8080")
            );
        };
        let host = Host::parse(&authority[..colon]).map_err(|wrong| wrong.shifted(at))?;
        let port_at = at + colon + 1;
        let port = endpoint::parse_port(&authority[colon + 1..])
            .map_err(|wrong| wrong.shifted(port_at))?;
        let port = NonZeroU16::new(port)
            .ok_or_else(|| Wrong::new(port_at..at + authority.len(), Fault::PortZero))?;
        Ok(Self { tls, user, host, port })
    }

    /// Without its user, for logs and facts.
    pub fn without_user(&self) -> impl fmt::Display {
        let scheme = if self.tls { "https" } else { "http" };
        format!("{scheme}://{}:{}", self.host, self.port)
    }
}

fn parse_user(text: &str) -> Result<String, Wrong> {
    let whole = 0..text.len();
    if let Some(colon) = text.find(':') {
        return Err(Wrong::new(colon..text.len(), ValueFault::ProxyPassword)
            .hint("write it into a file, and name that with `proxy-password-file`"));
    }
    match String::from_utf8(percent::decode(text)?.into_owned()) {
        Ok(user) if !user.is_empty() && !user.contains(|c: char| c.is_control() || c == ':') => {
            Ok(user)
        }
        _ => Err(Wrong::new(whole, ValueFault::ProxyUser)),
    }
}

impl FromStr for ProxyAddress {
    type Err = AddressError;

    /// # Errors
    ///
    /// When `text` is no `http://[user@]host:port` or `https://[user@]host:port`.
    fn from_str(text: &str) -> Result<Self, AddressError> {
        Self::parse(text).map_err(|wrong| wrong.in_input(text))
    }
}

impl fmt::Display for ProxyAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.tls { "https://" } else { "http://" })?;
        if let Some(user) = &self.user {
            let mut encoded = String::new();
            percent::encode(user.as_bytes(), b"%@/", &mut encoded);
            write!(f, "{encoded}@")?;
        }
        write!(f, "{}:{}", self.host, self.port)
    }
}
