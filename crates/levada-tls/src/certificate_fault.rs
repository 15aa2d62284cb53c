//! Why a certificate was refused, in our words.

use levada_core::CertificateFault;
use rustls::{CertificateError, ExtendedKeyPurpose, OtherError};

use crate::fault::in_words;

/// What `error` tells.
#[expect(deprecated, reason = "a verifier may still give the variants without details")]
pub(crate) fn certificate_fault(error: &CertificateError) -> CertificateFault {
    use CertificateError as Error;
    let other = |words: &str| CertificateFault::Other(words.to_owned());
    match error {
        Error::BadEncoding => CertificateFault::BadEncoding,
        Error::Expired => CertificateFault::Expired { not_after: None, now: None },
        Error::ExpiredContext { time, not_after } => CertificateFault::Expired {
            not_after: Some(not_after.as_secs()),
            now: Some(time.as_secs()),
        },
        Error::NotValidYet => CertificateFault::NotYetValid { not_before: None, now: None },
        Error::NotValidYetContext { time, not_before } => CertificateFault::NotYetValid {
            not_before: Some(not_before.as_secs()),
            now: Some(time.as_secs()),
        },
        Error::Revoked => CertificateFault::Revoked,
        Error::UnhandledCriticalExtension => {
            other("it has a critical extension that we do not know")
        }
        Error::UnknownIssuer => CertificateFault::UnknownIssuer,
        Error::UnknownRevocationStatus => other("whether it is revoked cannot be told"),
        Error::ExpiredRevocationList | Error::ExpiredRevocationListContext { .. } => {
            other("whether it is revoked cannot be told: the revocation list has expired")
        }
        Error::BadSignature => CertificateFault::BadSignature,
        Error::UnsupportedSignatureAlgorithm
        | Error::UnsupportedSignatureAlgorithmContext { .. } => {
            other("it is signed by an algorithm that we do not allow")
        }
        Error::UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => {
            other("it is signed by an algorithm that does not fit the issuer's key")
        }
        Error::NotValidForName => {
            CertificateFault::WrongName { wanted: String::new(), presented: Vec::new() }
        }
        Error::NotValidForNameContext { expected, presented } => CertificateFault::WrongName {
            wanted: expected.to_str().into_owned(),
            presented: presented.iter().map(|name| plain_name(name)).collect(),
        },
        Error::InvalidPurpose => {
            CertificateFault::WrongUsage { wanted: String::new(), presented: Vec::new() }
        }
        Error::InvalidPurposeContext { required, presented } => CertificateFault::WrongUsage {
            wanted: purpose(required),
            presented: presented.iter().map(purpose).collect(),
        },
        Error::InvalidOcspResponse => other("the revocation status that came with it is faulty"),
        Error::ApplicationVerificationFailure => other("it is valid, but a rule refuses it"),
        Error::Other(error) => fault_of_verifier(error),
        unknown => CertificateFault::Other(unknown.to_string()),
    }
}

/// The errors of webpki that rustls has no variant for.
fn fault_of_verifier(error: &OtherError) -> CertificateFault {
    match error.0.downcast_ref::<webpki::Error>() {
        Some(webpki::Error::CaUsedAsEndEntity) => CertificateFault::CaAsEndEntity,
        Some(webpki::Error::MalformedExtensions | webpki::Error::ExtensionValueInvalid) => {
            CertificateFault::BadEncoding
        }
        Some(error) => CertificateFault::Other(in_words(&format!("{error:?}"))),
        None => CertificateFault::Other(printable(&error.to_string())),
    }
}

/// A name as webpki gives it (`DnsName("x")`, `IpAddress(192.0.2.1)`) without its wrapping.
fn plain_name(name: &str) -> String {
    let inner = name
        .split_once('(')
        .and_then(|(_, rest)| rest.strip_suffix(')'))
        .map_or(name, |inner| inner.trim_matches('"'));
    printable(inner)
}

/// Text that somebody else wrote, fit for a line of a log.
fn printable(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for letter in text.chars() {
        if letter.is_control() {
            plain.extend(letter.escape_default());
        } else {
            plain.push(letter);
        }
    }
    plain
}

fn purpose(purpose: &ExtendedKeyPurpose) -> String {
    match purpose {
        ExtendedKeyPurpose::ServerAuth => "serverAuth".to_owned(),
        ExtendedKeyPurpose::ClientAuth => "clientAuth".to_owned(),
        ExtendedKeyPurpose::Other(arcs) => {
            let arcs: Vec<_> = arcs.iter().map(ToString::to_string).collect();
            arcs.join(".")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lose_the_wrapping_and_what_a_log_cannot_show() {
        assert_eq!(plain_name("DnsName(\"*.host.example\")"), "*.host.example");
        assert_eq!(plain_name("IpAddress(192.0.2.1)"), "192.0.2.1");
        assert_eq!(plain_name("DirectoryName"), "DirectoryName");
        assert_eq!(plain_name("DnsName(\"a\nb\")"), "a\\nb");
    }

    #[test]
    fn purposes_are_written_as_the_standards_do() {
        assert_eq!(purpose(&ExtendedKeyPurpose::ServerAuth), "serverAuth");
        assert_eq!(purpose(&ExtendedKeyPurpose::Other(vec![1, 3, 6])), "1.3.6");
    }
}
