//! What a handshake has agreed on, in the words of the registries, and who met in it.

use std::sync::Arc;

use levada_core::{Outcome, Role, ShownCertificate, TlsFacts, Verification};
use rustls::pki_types::CertificateDer;
use rustls::sign::CertifiedKey;
use rustls::{CipherSuite, CommonState, HandshakeKind, NamedGroup};

use crate::certificate::read_certificate;
use crate::name::SessionName;
use crate::staple::read_staple;
use crate::version::TlsVersion;
use crate::witness::Notes;

/// What a session itself knows of its handshake, beside what rustls does.
pub(crate) struct Known {
    pub(crate) role: Role,
    /// The name asked for.
    pub(crate) sni: Option<String>,
    /// The name to verify, where it is not the one asked for.
    other_name: Option<Box<str>>,
    /// By what the peer is known.
    pub(crate) trust: Trust,
    /// Who we are, if anybody: a server once it has chosen, a client for the case that it is asked.
    pub(crate) identity: Option<Arc<ShownCertificate>>,
    /// A server's certificates, once it has chosen.
    pub(crate) own_chain: Option<Arc<CertifiedKey>>,
}

/// By what a peer is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trust {
    /// By nothing, or by less than all: by a setting named `danger`.
    Danger,
    /// By a pin alone.
    Pin,
    /// By an authority.
    Anchors,
}

impl Known {
    pub(crate) fn client(
        name: &SessionName,
        trust: Trust,
        identity: Option<Arc<ShownCertificate>>,
    ) -> Self {
        let wanted = name.verified();
        let sni = name.sni().map(ToOwned::to_owned);
        Self {
            role: Role::Client,
            other_name: (sni.as_ref() != Some(&wanted)).then(|| wanted.into_boxed_str()),
            sni,
            trust,
            identity,
            own_chain: None,
        }
    }

    pub(crate) const fn server() -> Self {
        Self {
            role: Role::Server,
            sni: None,
            other_name: None,
            trust: Trust::Anchors,
            identity: None,
            own_chain: None,
        }
    }

    /// The facts before there is a connection.
    pub(crate) fn facts(&self) -> TlsFacts {
        TlsFacts { sni: self.sni.clone(), ..TlsFacts::default() }
    }

    /// The facts of a connection, as far as it is.
    pub(crate) fn facts_of(&self, connection: &CommonState, notes: &Notes) -> TlsFacts {
        let resumed = connection.handshake_kind().map(|kind| kind == HandshakeKind::Resumed);
        let handshaking = connection.is_handshaking();
        let chain = if notes.refused.is_empty() {
            // Who resumes a session has proved nothing before the handshake is complete.
            let proved = !handshaking || resumed != Some(true);
            connection.peer_certificates().filter(|_| proved).unwrap_or_default()
        } else {
            &notes.refused
        };
        let verification = match chain {
            [] => (!handshaking).then_some(Verification::Anonymous),
            _ if !notes.refused.is_empty() => Some(Verification::Refused),
            _ => Some(self.verified(notes)),
        };
        let is_shown = self.role == Role::Server || notes.identity_is_shown;
        TlsFacts {
            version: connection.protocol_version().and_then(TlsVersion::of).map(TlsVersion::number),
            suite: connection.negotiated_cipher_suite().map(|suite| suite_name(suite.suite())),
            group: connection.negotiated_key_exchange_group().map(|group| group_name(group.name())),
            alpn: connection.alpn_protocol().map(|name| name.escape_ascii().to_string()),
            sni: self.sni.clone(),
            verified_name: self.verified_name(verification),
            resumed,
            identity: self.identity.clone().filter(|_| is_shown),
            identity_asked: notes.identity_is_asked,
            verification,
            checks: notes.checks.clone(),
            peer_certificates: chain.len(),
            peer_chain: read_chain(chain),
            staple: notes.staple.as_deref().map(read_staple),
        }
    }

    /// How far certificates were verified that were not refused.
    fn verified(&self, notes: &Notes) -> Verification {
        match (self.trust, &notes.checks) {
            // What may be passed over was not there. A resumed session does not tell.
            (Trust::Danger, Some(checks)) if !checks.has_ignored() => match checks.trust {
                Outcome::NotAsked => Verification::Pinned,
                _ => Verification::Verified,
            },
            (Trust::Danger, _) => Verification::Danger,
            // Somebody who was asked has let it in.
            (_, Some(checks)) if checks.has_ignored() => Verification::Danger,
            (Trust::Pin, _) => Verification::Pinned,
            (Trust::Anchors, _) => Verification::Verified,
        }
    }

    fn verified_name(&self, verification: Option<Verification>) -> Option<String> {
        if self.role == Role::Server || verification != Some(Verification::Verified) {
            return None;
        }
        self.other_name.as_deref().or(self.sni.as_deref()).map(ToOwned::to_owned)
    }
}

fn read_chain(chain: &[CertificateDer<'_>]) -> Arc<[ShownCertificate]> {
    chain.iter().take(TlsFacts::MOST_CERTIFICATES).map(|der| read_certificate(der)).collect()
}

/// The suite's name in the IANA registry: rustls marks those of TLS 1.3 with a prefix of its own.
fn suite_name(suite: CipherSuite) -> String {
    let name = format!("{suite:?}");
    match name.strip_prefix("TLS13_") {
        Some(rest) => format!("TLS_{rest}"),
        None => name,
    }
}

/// The group's name in the IANA registry, which writes the single ones in lower case.
fn group_name(group: NamedGroup) -> String {
    let name = format!("{group:?}");
    match group {
        NamedGroup::X25519
        | NamedGroup::X448
        | NamedGroup::FFDHE2048
        | NamedGroup::FFDHE3072
        | NamedGroup::FFDHE4096
        | NamedGroup::FFDHE6144
        | NamedGroup::FFDHE8192 => name.to_ascii_lowercase(),
        NamedGroup::secp256r1MLKEM768 => "SecP256r1MLKEM768".to_owned(),
        _ => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_registry() {
        assert_eq!(suite_name(CipherSuite::TLS13_AES_128_GCM_SHA256), "TLS_AES_128_GCM_SHA256");
        assert_eq!(
            suite_name(CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384),
            "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"
        );
        assert_eq!(group_name(NamedGroup::X25519), "x25519");
        assert_eq!(group_name(NamedGroup::secp256r1), "secp256r1");
        assert_eq!(group_name(NamedGroup::X25519MLKEM768), "X25519MLKEM768");
    }
}
