//! What must hold of whatever is shown as a certificate. Shared by the tests and the fuzz target.

use levada_core::{CertificateFacts, ShownCertificate, SubjectName};
use levada_tls::read_certificate;

/// Reads `der`.
///
/// # Panics
///
/// When what is told of it could not stand in a log, or has no bounds.
pub(crate) fn check(der: &[u8]) {
    let facts = match read_certificate(der) {
        ShownCertificate::Read(facts) => facts,
        ShownCertificate::Unreadable { bytes } => return assert_eq!(bytes, der.len()),
    };
    for text in [&facts.subject, &facts.issuer, &facts.serial, &facts.spki_pin] {
        assert_printable(text);
    }
    for name in &facts.names {
        match name {
            SubjectName::Dns(text) | SubjectName::Uri(text) | SubjectName::Email(text) => {
                assert!(text.bytes().all(|byte| matches!(byte, b' '..=b'~')), "{text:?}");
            }
            SubjectName::Ip(_) => {}
            SubjectName::Other { value, .. } => assert_printable(value),
        }
    }
    assert_eq!(facts.spki_pin.len(), 44);
    assert!(facts.names.len() <= CertificateFacts::MOST_NAMES);
    assert!(facts.more_names == 0 || facts.names.len() == CertificateFacts::MOST_NAMES);
}

fn assert_printable(text: &str) {
    let is_printable =
        |letter: char| letter.escape_debug().len() == 1 || matches!(letter, '\\' | '\'' | '"');
    assert!(text.chars().all(is_printable), "{text:?}");
}
