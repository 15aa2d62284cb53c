//! What a handshake has agreed on, in the words of the registries.

use levada_core::TlsFacts;
use rustls::{CipherSuite, Connection, HandshakeKind, NamedGroup};

use crate::version::TlsVersion;

/// What `connection` has agreed on so far, but for the name asked for.
pub(crate) fn facts_of(connection: &Connection) -> TlsFacts {
    TlsFacts {
        version: connection.protocol_version().and_then(TlsVersion::of).map(TlsVersion::number),
        suite: connection.negotiated_cipher_suite().map(|suite| suite_name(suite.suite())),
        group: connection.negotiated_key_exchange_group().map(|group| group_name(group.name())),
        alpn: connection.alpn_protocol().map(|name| name.escape_ascii().to_string()),
        resumed: connection.handshake_kind().map(|kind| kind == HandshakeKind::Resumed),
        peer_certificates: connection.peer_certificates().map_or(0, <[_]>::len),
        ..TlsFacts::default()
    }
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
