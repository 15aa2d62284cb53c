//! The errors of rustls in our words: what was found, without a detail lost.

use levada_core::{AlertDescription, Fault};
use rustls::{ContentType, Error, InvalidMessage, PeerIncompatible, PeerMisbehaved};

use crate::certificate_fault;
use crate::version::{TlsVersion, Versions};

/// What `error` tells, on a session that allows the versions `ours` and is still `handshaking` or
/// not. Not for [`Error::AlertReceived`], which is no fault found by us.
pub(crate) fn fault_of(error: &Error, ours: Versions, handshaking: bool) -> Fault {
    match error {
        Error::InappropriateMessage { expect_types, got_type } => Fault::Protocol(format!(
            "it sent {} where only {} may come",
            content(*got_type),
            either(expect_types.iter().map(|content_type| content(*content_type))),
        )),
        Error::InappropriateHandshakeMessage { expect_types, got_type } => {
            Fault::Protocol(format!(
                "it sent the handshake message {got_type:?} where only {} may come",
                either(expect_types.iter().map(|handshake_type| format!("{handshake_type:?}"))),
            ))
        }
        Error::InvalidMessage(invalid) => Fault::Protocol(invalid_message(invalid)),
        Error::PeerMisbehaved(misbehaved) => Fault::Protocol(in_words(&format!("{misbehaved:?}"))),
        Error::PeerSentOversizedRecord => {
            Fault::Protocol("it sent a record of more than 16384 plain bytes".to_owned())
        }
        Error::DecryptError => Fault::BadRecord,
        Error::PeerIncompatible(incompatible) => incompatible_fault(incompatible, ours),
        Error::NoApplicationProtocol => Fault::NoAlpn,
        Error::NoCertificatesPresented => Fault::NoCertificate,
        Error::InvalidCertificate(error) => {
            Fault::Certificate(certificate_fault::fault_of_rustls(error))
        }
        Error::InvalidCertRevocationList(error) => {
            Fault::Internal(format!("a revocation list of ours is faulty: {error:?}"))
        }
        // In a handshake only the key that signs fails with words of its own.
        Error::General(why) if handshaking => Fault::Signer(why.clone()),
        Error::General(why) => Fault::Internal(why.clone()),
        Error::Other(other) if handshaking => Fault::Signer(other.to_string()),
        Error::FailedToGetRandomBytes => {
            Fault::Internal("the system gave no random bytes".to_owned())
        }
        Error::FailedToGetCurrentTime => Fault::Internal("the system gave no time".to_owned()),
        Error::InvalidEncryptedClientHello(_)
        | Error::UnsupportedNameType
        | Error::EncryptError
        | Error::HandshakeNotComplete
        | Error::BadMaxFragmentSize
        | Error::InconsistentKeys(_)
        | Error::Other(_) => Fault::Internal(error.to_string()),
        // Not marked exhaustive: a newer rustls may know more, and says it in its own words.
        unknown => Fault::Internal(unknown.to_string()),
    }
}

/// The alert that tells the peer about `error`: the one that rustls sends, by its places that do
/// (`send_fatal_alert` and `send_cert_verify_error_alert`), and the standards' for those errors
/// that rustls keeps to itself.
pub(crate) fn alert_for(error: &Error) -> AlertDescription {
    use AlertDescription as Alert;
    match error {
        Error::InappropriateMessage { .. } | Error::InappropriateHandshakeMessage { .. } => {
            Alert::UNEXPECTED_MESSAGE
        }
        Error::InvalidMessage(invalid) => {
            AlertDescription(rustls::AlertDescription::from(*invalid).into())
        }
        Error::InvalidCertificate(error) => {
            AlertDescription(rustls::AlertDescription::from(error.clone()).into())
        }
        // A Finished message with wrong contents gives the same error with alert 51; only a faulty
        // peer whose records are all right can send one.
        Error::DecryptError => Alert::BAD_RECORD_MAC,
        Error::PeerSentOversizedRecord => Alert::RECORD_OVERFLOW,
        // In TLS 1.2, too, whose standard would have handshake_failure here.
        Error::NoCertificatesPresented => Alert::CERTIFICATE_REQUIRED,
        Error::NoApplicationProtocol => Alert::NO_APPLICATION_PROTOCOL,
        Error::PeerIncompatible(
            PeerIncompatible::ServerDoesNotSupportTls12Or13
            | PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig
            | PeerIncompatible::SupportedVersionsExtensionRequired
            | PeerIncompatible::Tls12NotOffered
            | PeerIncompatible::Tls12NotOfferedOrEnabled,
        ) => Alert::PROTOCOL_VERSION,
        Error::PeerIncompatible(_) => Alert::HANDSHAKE_FAILURE,
        Error::PeerMisbehaved(misbehaved) => alert_for_misbehaviour(misbehaved),
        _ => Alert::INTERNAL_ERROR,
    }
}

fn alert_for_misbehaviour(misbehaved: &PeerMisbehaved) -> AlertDescription {
    use AlertDescription as Alert;
    use PeerMisbehaved as Misbehaved;
    match misbehaved {
        Misbehaved::DisallowedEncryptedExtension
        | Misbehaved::UnexpectedCleartextExtension
        | Misbehaved::UnsolicitedCertExtension
        | Misbehaved::UnsolicitedEchExtension
        | Misbehaved::UnsolicitedEncryptedExtension
        | Misbehaved::UnsolicitedServerHelloExtension => Alert::UNSUPPORTED_EXTENSION,
        Misbehaved::IllegalMiddleboxChangeCipherSpec
        | Misbehaved::IllegalTlsInnerPlaintext
        | Misbehaved::KeyEpochWithPendingFragment
        | Misbehaved::MessageInterleavedWithHandshakeMessage
        | Misbehaved::TooManyEmptyFragments
        | Misbehaved::TooManyKeyUpdateRequests
        | Misbehaved::TooManyRenegotiationRequests
        | Misbehaved::TooManyWarningAlertsReceived => Alert::UNEXPECTED_MESSAGE,
        Misbehaved::IncorrectBinder => Alert::DECRYPT_ERROR,
        Misbehaved::InvalidCertCompression | Misbehaved::SelectedUnofferedCertCompression => {
            Alert::BAD_CERTIFICATE
        }
        Misbehaved::MissingKeyShare | Misbehaved::MissingPskModesExtension => {
            Alert::MISSING_EXTENSION
        }
        _ => Alert::ILLEGAL_PARAMETER,
    }
}

fn incompatible_fault(incompatible: &PeerIncompatible, ours: Versions) -> Fault {
    use PeerIncompatible as Incompatible;
    let nothing = |what: &str| Fault::NothingInCommon(what.to_owned());
    match incompatible {
        Incompatible::ServerDoesNotSupportTls12Or13 | Incompatible::Tls12NotOffered => {
            Fault::OldVersion
        }
        // Nothing that we speak is offered: old, unless we were told to speak less.
        Incompatible::Tls12NotOfferedOrEnabled
            if ours.min == TlsVersion::V1_2 && ours.max == TlsVersion::V1_3 =>
        {
            Fault::OldVersion
        }
        Incompatible::ServerTlsVersionIsDisabledByOurConfig
        | Incompatible::SupportedVersionsExtensionRequired
        | Incompatible::Tls12NotOfferedOrEnabled => {
            Fault::NothingInCommon(format!("version (we allow {ours})"))
        }
        Incompatible::NoCipherSuitesInCommon => nothing("cipher suite"),
        Incompatible::NoKxGroupsInCommon
        | Incompatible::NamedGroupsExtensionRequired
        | Incompatible::KeyShareExtensionRequired => nothing("key exchange group"),
        Incompatible::NoSignatureSchemesInCommon
        | Incompatible::NoCertificateRequestSignatureSchemesInCommon
        | Incompatible::SignatureAlgorithmsExtensionRequired => nothing("signature scheme"),
        Incompatible::NoEcPointFormatsInCommon
        | Incompatible::EcPointsExtensionRequired
        | Incompatible::UncompressedEcPointsRequired => nothing("format of curve points"),
        Incompatible::NullCompressionRequired => nothing("compression method"),
        Incompatible::ExtendedMasterSecretExtensionRequired => {
            nothing("extended master secret (RFC 7627)")
        }
        Incompatible::IncorrectCertificateTypeExtension
        | Incompatible::UnsolicitedCertificateTypeExtension => nothing("certificate type"),
        Incompatible::ServerRejectedEncryptedClientHello(_) => {
            nothing("encrypted ClientHello configuration")
        }
        other => nothing(&in_words(&format!("{other:?}"))),
    }
}

fn invalid_message(invalid: &InvalidMessage) -> String {
    match invalid {
        InvalidMessage::MissingData(what) => format!("data is missing in its {what}"),
        InvalidMessage::TrailingData(what) => format!("its {what} has data behind its end"),
        InvalidMessage::UnexpectedMessage(what) => format!("unexpected message: {what}"),
        InvalidMessage::IllegalEmptyList(what) => format!("its list of {what} is empty"),
        InvalidMessage::DuplicateExtension(number) => {
            format!("it sent the extension {number} twice")
        }
        other => in_words(&format!("{other:?}")),
    }
}

fn content(content_type: ContentType) -> String {
    match content_type {
        ContentType::ApplicationData => "application data".to_owned(),
        ContentType::ChangeCipherSpec => "change_cipher_spec".to_owned(),
        ContentType::Handshake => "a handshake message".to_owned(),
        ContentType::Alert => "an alert".to_owned(),
        other => in_words(&format!("{other:?}")),
    }
}

fn either(items: impl Iterator<Item = String>) -> String {
    let items: Vec<_> = items.collect();
    if items.is_empty() { "nothing".to_owned() } else { items.join(" or ") }
}

/// A variant's name as a phrase: `IllegalTlsInnerPlaintext` as `illegal TLS inner plaintext`.
pub(crate) fn in_words(variant: &str) -> String {
    const SHORT: &[&str] =
        &["TLS", "ECH", "PSK", "CCS", "EMS", "QUIC", "OCSP", "CRL", "DER", "EKU", "DNS", "SCT"];
    let mut words: Vec<String> = Vec::new();
    let mut previous_is_lower = false;
    for letter in variant.chars() {
        let starts = letter.is_ascii_uppercase() && previous_is_lower;
        match words.last_mut() {
            Some(word) if !starts => word.push(letter.to_ascii_lowercase()),
            _ => words.push(letter.to_ascii_lowercase().to_string()),
        }
        previous_is_lower = letter.is_ascii_lowercase() || letter.is_ascii_digit();
    }
    for word in &mut words {
        if SHORT.iter().any(|short| word.eq_ignore_ascii_case(short)) {
            word.make_ascii_uppercase();
        }
    }
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustls::HandshakeType;

    #[test]
    fn variants_read_as_phrases() {
        assert_eq!(in_words("IllegalTlsInnerPlaintext"), "illegal TLS inner plaintext");
        assert_eq!(in_words("MessageTooLarge"), "message too large");
    }

    #[test]
    fn what_came_and_what_was_due_are_both_told() {
        let error = Error::InappropriateHandshakeMessage {
            expect_types: vec![HandshakeType::ClientHello, HandshakeType::Finished],
            got_type: HandshakeType::ServerHello,
        };
        let Fault::Protocol(words) = fault_of(&error, Versions::default(), true) else {
            panic!("a protocol fault")
        };
        assert_eq!(
            words,
            "it sent the handshake message ServerHello where only ClientHello or Finished may come"
        );
    }

    #[test]
    fn old_is_only_what_speaks_less_than_tls_1_2() {
        let none_of_ours = Error::PeerIncompatible(PeerIncompatible::Tls12NotOfferedOrEnabled);
        assert_eq!(fault_of(&none_of_ours, Versions::default(), true), Fault::OldVersion);
        let strict = Versions { min: TlsVersion::V1_3, max: TlsVersion::V1_3 };
        assert_eq!(
            fault_of(&none_of_ours, strict, true),
            Fault::NothingInCommon("version (we allow only TLS 1.3)".to_owned())
        );
    }

    #[test]
    fn a_signer_is_blamed_only_while_it_can_be_at_work() {
        let error = Error::General("token removed".to_owned());
        assert_eq!(
            fault_of(&error, Versions::default(), true),
            Fault::Signer("token removed".to_owned())
        );
        assert!(matches!(fault_of(&error, Versions::default(), false), Fault::Internal(_)));
        assert_eq!(alert_for(&error), AlertDescription::INTERNAL_ERROR);
    }
}
