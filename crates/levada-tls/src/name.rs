//! Names of peers: which one is verified, and which one is asked for.

use std::fmt;

use rustls::pki_types::{DnsName, ServerName};

/// Whom a client wants to reach: the name that the peer's certificate must have, and the name that
/// is asked for in the ClientHello (SNI, RFC 6066 section 3). They are the same unless said
/// otherwise; an address is verified, too, but never asked for.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct SessionName {
    verified: ServerName<'static>,
    sni: Option<DnsName<'static>>,
}

impl SessionName {
    /// The DNS name or IP address `name`, as name to verify and to ask for. A dot at the end of a
    /// name and the brackets of an IPv6 address are taken off.
    ///
    /// # Errors
    ///
    /// [`NameError`] when it is neither.
    pub fn new(name: &str) -> Result<Self, NameError> {
        let bare = name
            .strip_prefix('[')
            .and_then(|name| name.strip_suffix(']'))
            .or_else(|| name.strip_suffix('.'))
            .unwrap_or(name);
        let verified =
            ServerName::try_from(bare).map_err(|_| NameError { name: name.to_owned() })?.to_owned();
        let sni = match &verified {
            ServerName::DnsName(name) => Some(name.clone()),
            _ => None,
        };
        Ok(Self { verified, sni })
    }

    /// Asks for the DNS name `name`, and still verifies the other one.
    ///
    /// # Errors
    ///
    /// [`NameError`] when it is no DNS name: addresses cannot be asked for.
    pub fn with_sni(mut self, name: &str) -> Result<Self, NameError> {
        let bare = name.strip_suffix('.').unwrap_or(name);
        match ServerName::try_from(bare) {
            Ok(ServerName::DnsName(bare)) => self.sni = Some(bare.to_owned()),
            _ => return Err(NameError { name: name.to_owned() }),
        }
        Ok(self)
    }

    /// Asks for no name.
    #[must_use]
    pub fn without_sni(mut self) -> Self {
        self.sni = None;
        self
    }

    /// The name that the peer's certificate must have.
    pub fn verified(&self) -> String {
        self.verified.to_str().into_owned()
    }

    /// The name that is asked for, if one is.
    pub fn sni(&self) -> Option<&str> {
        self.sni.as_ref().map(AsRef::as_ref)
    }

    pub(crate) const fn verified_name(&self) -> &ServerName<'static> {
        &self.verified
    }

    pub(crate) const fn sni_name(&self) -> Option<&DnsName<'static>> {
        self.sni.as_ref()
    }
}

impl fmt::Debug for SessionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionName")
            .field("verified", &self.verified())
            .field("sni", &self.sni())
            .finish()
    }
}

/// A text that is no DNS name and no IP address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NameError {
    name: String,
}

impl fmt::Display for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\" cannot name a TLS peer", self.name.escape_debug())?;
        if !self.name.is_ascii() {
            f.write_str(": write an international name in its xn-- form")?;
        }
        Ok(())
    }
}

impl std::error::Error for NameError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_verified_and_asked_for_an_address_only_verified() {
        let name = SessionName::new("host.example.").unwrap();
        assert_eq!((name.verified().as_str(), name.sni()), ("host.example", Some("host.example")));
        let address = SessionName::new("[::1]").unwrap();
        assert_eq!((address.verified().as_str(), address.sni()), ("::1", None));
    }

    #[test]
    fn the_two_names_can_differ() {
        let name = SessionName::new("192.0.2.1").unwrap().with_sni("front.example").unwrap();
        assert_eq!((name.verified().as_str(), name.sni()), ("192.0.2.1", Some("front.example")));
        assert_eq!(name.without_sni().sni(), None);
        assert!(SessionName::new("a.example").unwrap().with_sni("192.0.2.1").is_err());
    }

    #[test]
    fn what_names_nobody_is_refused_in_words() {
        let error = SessionName::new("two words").unwrap_err();
        assert_eq!(error.to_string(), "\"two words\" cannot name a TLS peer");
        assert!(SessionName::new("bücher.example").unwrap_err().to_string().contains("xn--"));
    }
}
