//! Why a certificate was refused, in our words.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use levada_core::CertificateFault;
use rustls::{CertificateError, OtherError};
use webpki::KeyUsage;

use crate::fault::in_words;

/// What an error of webpki tells.
#[expect(deprecated, reason = "the variants without details are still there")]
pub(crate) fn certificate_fault(error: &webpki::Error) -> CertificateFault {
    use webpki::Error;
    let unknown = |why: &str| CertificateFault::RevocationUnknown(why.to_owned());
    match error {
        Error::BadDer
        | Error::BadDerTime
        | Error::TrailingData(_)
        | Error::MalformedExtensions
        | Error::ExtensionValueInvalid => CertificateFault::BadEncoding,
        Error::CertExpired { time, not_after } => CertificateFault::Expired {
            not_after: Some(not_after.as_secs()),
            now: Some(time.as_secs()),
        },
        // It ends before it begins.
        Error::InvalidCertValidity => CertificateFault::Expired { not_after: None, now: None },
        Error::CertNotValidYet { time, not_before } => CertificateFault::NotYetValid {
            not_before: Some(not_before.as_secs()),
            now: Some(time.as_secs()),
        },
        Error::UnknownIssuer => CertificateFault::UnknownIssuer,
        Error::CertRevoked => CertificateFault::Revoked,
        Error::UnknownRevocationStatus => unknown("there is no revocation list of its issuer"),
        Error::CrlExpired { .. } => unknown("the revocation list of its issuer has expired"),
        Error::IssuerNotCrlSigner => unknown("its issuer may not sign revocation lists"),
        Error::InvalidCrlSignatureForPublicKey => {
            unknown("the signature of its issuer's revocation list does not verify")
        }
        Error::UnsupportedCrlSignatureAlgorithm
        | Error::UnsupportedCrlSignatureAlgorithmContext(_)
        | Error::UnsupportedCrlSignatureAlgorithmForPublicKey
        | Error::UnsupportedCrlSignatureAlgorithmForPublicKeyContext(_) => {
            unknown("its issuer's revocation list is signed by an algorithm that we do not allow")
        }
        Error::InvalidSignatureForPublicKey => CertificateFault::BadSignature,
        Error::UnsupportedSignatureAlgorithm | Error::UnsupportedSignatureAlgorithmContext(_) => {
            CertificateFault::Other("it is signed by an algorithm that we do not allow".to_owned())
        }
        Error::UnsupportedSignatureAlgorithmForPublicKey
        | Error::UnsupportedSignatureAlgorithmForPublicKeyContext(_) => CertificateFault::Other(
            "it is signed by an algorithm that does not fit the issuer's key".to_owned(),
        ),
        Error::UnsupportedCriticalExtension => {
            CertificateFault::Other("it has a critical extension that we do not know".to_owned())
        }
        Error::CertNotValidForName(context) => CertificateFault::WrongName {
            wanted: context.expected.to_str().into_owned(),
            presented: context.presented.iter().map(|name| plain_name(name)).collect(),
        },
        Error::CaUsedAsEndEntity => CertificateFault::CaAsEndEntity,
        Error::RequiredEkuNotFoundContext(context) => CertificateFault::WrongUsage {
            wanted: purpose(&context.required.oid_values().collect::<Vec<_>>()),
            presented: context.present.iter().map(|arcs| purpose(arcs)).collect(),
        },
        Error::RequiredEkuNotFound | Error::EmptyEkuExtension => {
            CertificateFault::WrongUsage { wanted: String::new(), presented: Vec::new() }
        }
        error => CertificateFault::Other(in_words(&format!("{error:?}"))),
    }
}

/// What rustls itself has against a certificate: its verifier is ours, so that is its signature over
/// the handshake, or a form that only rustls reads.
pub(crate) fn fault_of_rustls(error: &CertificateError) -> CertificateFault {
    match error {
        CertificateError::BadEncoding => CertificateFault::BadEncoding,
        CertificateError::BadSignature => CertificateFault::BadSignature,
        CertificateError::Other(error) => match error.0.downcast_ref() {
            Some(error) => certificate_fault(error),
            None => CertificateFault::Other(printable(&error.to_string())),
        },
        other => CertificateFault::Other(printable(&other.to_string())),
    }
}

/// The error by which rustls tells the peer of `fault`: it chooses the alert.
pub(crate) fn error_for(fault: &CertificateFault) -> CertificateError {
    match fault {
        CertificateFault::UnknownIssuer => CertificateError::UnknownIssuer,
        CertificateFault::WrongName { .. } => CertificateError::NotValidForName,
        CertificateFault::Expired { .. } => CertificateError::Expired,
        CertificateFault::NotYetValid { .. } => CertificateError::NotValidYet,
        CertificateFault::Revoked => CertificateError::Revoked,
        CertificateFault::RevocationUnknown(_) => CertificateError::UnknownRevocationStatus,
        CertificateFault::WrongUsage { .. } => CertificateError::InvalidPurpose,
        CertificateFault::BadSignature => CertificateError::BadSignature,
        CertificateFault::BadEncoding => CertificateError::BadEncoding,
        CertificateFault::NotPinned { .. } | CertificateFault::NotAllowed { .. } => {
            CertificateError::ApplicationVerificationFailure
        }
        CertificateFault::CaAsEndEntity | CertificateFault::Other(_) => {
            CertificateError::Other(OtherError(Arc::new(Told(fault.to_string()))))
        }
    }
}

/// A fault as rustls carries it along.
#[derive(Debug)]
struct Told(String);

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Told {}

/// A name as webpki gives it (`DnsName("x")`, `IpAddress(192.0.2.1)`) without its wrapping. Addresses of
/// IPv6 are written as RFC 5952 has them, and webpki has not.
fn plain_name(name: &str) -> String {
    let inner = name
        .split_once('(')
        .and_then(|(_, rest)| rest.strip_suffix(')'))
        .map_or(name, |inner| inner.trim_matches('"'));
    inner.parse().map_or_else(|_| printable(inner), |address: IpAddr| address.to_string())
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

/// A usage as the standards call it, or the numbers of its object identifier.
fn purpose(arcs: &[usize]) -> String {
    match arcs {
        KeyUsage::SERVER_AUTH_REPR => "serverAuth".to_owned(),
        KeyUsage::CLIENT_AUTH_REPR => "clientAuth".to_owned(),
        arcs => arcs.iter().map(ToString::to_string).collect::<Vec<_>>().join("."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lose_the_wrapping_and_what_a_log_cannot_show() {
        assert_eq!(plain_name("DnsName(\"*.host.example\")"), "*.host.example");
        assert_eq!(plain_name("IpAddress(192.0.2.1)"), "192.0.2.1");
        assert_eq!(plain_name("IpAddress(0::1)"), "::1");
        assert_eq!(plain_name("DirectoryName"), "DirectoryName");
        assert_eq!(plain_name("DnsName(\"a\nb\")"), "a\\nb");
    }

    #[test]
    fn purposes_are_written_as_the_standards_do() {
        assert_eq!(purpose(KeyUsage::SERVER_AUTH_REPR), "serverAuth");
        assert_eq!(purpose(&[1, 3, 6]), "1.3.6");
    }
}
