//! Who the peer is, and whether it is who it has to be.

use std::fmt;

use levada::{CertificateFacts, SubjectName, TlsFacts, Verification};
use levada_pool_wire::{Identity, StartTlsFlags};

/// The peer is somebody else than it has to be.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct WrongPeer {
    wanted: String,
}

impl fmt::Display for WrongPeer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the peer's certificate is valid, but it is not that of {:?}", self.wanted)
    }
}

/// The verified identity of the peer: `wanted` where it is given and proved, else the first name of
/// its certificate, and none where nothing was verified.
///
/// A `user@domain` is proved by a mailbox in the certificate, or with
/// [`DOMAIN_REPRESENTS_USER`](StartTlsFlags::DOMAIN_REPRESENTS_USER) by its domain.
pub(crate) fn verified(
    tls: &TlsFacts,
    wanted: &Identity,
    flags: StartTlsFlags,
) -> Result<Identity, WrongPeer> {
    let certificate = match tls.verification {
        Some(Verification::Verified) => tls.peer_certificate(),
        _ => None,
    };
    if !wanted.is_empty() {
        let text = String::from_utf8_lossy(wanted.as_bytes()).into_owned();
        // Who did not ask for a certificate gets no name that was not proved.
        if tls.verification == Some(Verification::Anonymous) {
            return Ok(Identity::EMPTY);
        }
        // The TLS client has verified the host, among however many names there are.
        let host = tls.verified_name.is_some();
        let proved = certificate.is_some_and(|certificate| proves(certificate, host, &text, flags));
        return if proved { Ok(*wanted) } else { Err(WrongPeer { wanted: text }) };
    }
    let name = certificate.and_then(|certificate| {
        let mut names = certificate.names.iter();
        names.find_map(|name| match name {
            SubjectName::Dns(name) | SubjectName::Email(name) => Identity::new(name).ok(),
            _ => None,
        })
    });
    Ok(name.unwrap_or_default())
}

fn proves(
    certificate: &CertificateFacts,
    host_is_verified: bool,
    wanted: &str,
    flags: StartTlsFlags,
) -> bool {
    let names = || certificate.names.iter();
    let is_host = |host: &str| {
        if host_is_verified {
            return true;
        }
        let host = host.trim_end_matches('.');
        let parent = host.split_once('.').map(|(_, parent)| format!("*.{parent}"));
        names().any(|name| match name {
            SubjectName::Dns(name) => {
                let matches = |host: &str| name.eq_ignore_ascii_case(host);
                matches(host) || parent.as_deref().is_some_and(matches)
            }
            SubjectName::Ip(address) => host.parse() == Ok(*address),
            _ => false,
        })
    };
    let Some((user, domain)) = wanted.rsplit_once('@') else { return is_host(wanted) };
    let is_mailbox = names().any(|name| match name {
        SubjectName::Email(mailbox) => mailbox
            .rsplit_once('@')
            .is_some_and(|(local, host)| local == user && host.eq_ignore_ascii_case(domain)),
        _ => false,
    });
    is_mailbox || (flags.contains(StartTlsFlags::DOMAIN_REPRESENTS_USER) && is_host(domain))
}

#[cfg(test)]
mod tests {
    use super::*;
    use levada::ShownCertificate;

    fn facts(verification: Verification, names: Vec<SubjectName>) -> TlsFacts {
        let certificate = CertificateFacts {
            subject: String::new(),
            issuer: String::new(),
            names,
            more_names: 0,
            not_before: 0,
            not_after: 0,
            serial: String::new(),
            spki_pin: String::new(),
            is_ca: false,
        };
        TlsFacts {
            verification: Some(verification),
            peer_certificates: 1,
            peer_chain: [ShownCertificate::Read(certificate)].into(),
            ..TlsFacts::default()
        }
    }

    fn id(text: &str) -> Identity {
        Identity::new(text).unwrap()
    }

    #[test]
    fn a7_the_first_verified_name_is_who_the_peer_is() {
        let names = vec![SubjectName::Uri("x:y".into()), SubjectName::Email("u@a.example".into())];
        let told = facts(Verification::Verified, names.clone());
        let none = StartTlsFlags::NONE;
        assert_eq!(verified(&told, &Identity::EMPTY, none), Ok(id("u@a.example")));
        let unproved = facts(Verification::Danger, names);
        assert_eq!(verified(&unproved, &Identity::EMPTY, none), Ok(Identity::EMPTY));
    }

    #[test]
    fn a4_a_domain_speaks_for_its_users_only_where_that_is_asked_for() {
        let told = facts(Verification::Verified, vec![SubjectName::Dns("*.a.example".into())]);
        let wanted = id("u@h.a.example");
        assert!(verified(&told, &wanted, StartTlsFlags::NONE).is_err());
        let flags = StartTlsFlags::DOMAIN_REPRESENTS_USER;
        assert_eq!(verified(&told, &wanted, flags), Ok(wanted));
        assert!(verified(&told, &id("u@x.h.a.example"), flags).is_err(), "one label more");
    }

    #[test]
    fn a_mailbox_proves_its_user_and_nobody_else() {
        let told = facts(Verification::Verified, vec![SubjectName::Email("u@A.example".into())]);
        let none = StartTlsFlags::NONE;
        assert!(verified(&told, &id("u@a.example"), none).is_ok());
        assert!(verified(&told, &id("v@a.example"), none).is_err());
        assert!(verified(&told, &id("a.example"), none).is_err());
    }
}
