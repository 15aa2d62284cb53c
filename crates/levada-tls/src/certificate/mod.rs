//! What a certificate says of its holder (RFC 5280 section 4.1).
//!
//! This reports and judges nothing: rustls' webpki has verified the certificate, or has refused it,
//! or was told not to. So it reads old versions and odd fields too, and needs no more to be in order
//! than what it tells.

mod alternative_name;
mod distinguished_name;
mod names;

pub use names::{EncodedNames, encoded_names};

use base64ct::{Base64, Encoding};
use levada_core::{CertificateFacts, ShownCertificate};
use pkcs8::der::asn1::AnyRef;
use pkcs8::der::{self, Decode, ErrorKind, Reader, SliceReader, Tag, TagNumber, Tagged};
use sha2::{Digest, Sha256};

/// What a certificate says, given as its DER (the bytes of a PEM block), as a session's facts tell it.
///
/// It is read, not verified: nothing of it needs to be true.
pub fn read_certificate(der: &[u8]) -> ShownCertificate {
    read(der, CertificateFacts::MOST_NAMES)
        .map_or(ShownCertificate::Unreadable { bytes: der.len() }, ShownCertificate::Read)
}

/// What it says, with up to `most_names` of its names; `Err` where it cannot be read.
pub(crate) fn read(der: &[u8], most_names: usize) -> der::Result<CertificateFacts> {
    let mut certificate = sequence(AnyRef::from_der(der)?)?;
    let mut fields = sequence(AnyRef::decode(&mut certificate)?)?;
    let mut serial = AnyRef::decode(&mut fields)?;
    if context_tag(&serial) == Some(0) {
        // That was the version, which version 1 leaves out.
        serial = AnyRef::decode(&mut fields)?;
    }
    serial.tag().assert_eq(Tag::Integer)?;
    let _signature_algorithm = AnyRef::decode(&mut fields)?;
    let issuer = distinguished_name::text(AnyRef::decode(&mut fields)?)?;
    let mut validity = sequence(AnyRef::decode(&mut fields)?)?;
    let not_before = seconds(AnyRef::decode(&mut validity)?)?;
    let not_after = seconds(AnyRef::decode(&mut validity)?)?;
    let subject = distinguished_name::text(AnyRef::decode(&mut fields)?)?;
    let public_key = fields.tlv_bytes()?;
    let mut facts = CertificateFacts {
        subject,
        issuer,
        names: Vec::new(),
        more_names: 0,
        not_before,
        not_after,
        serial: serial_number(serial.value()),
        spki_pin: Base64::encode_string(&Sha256::digest(public_key)),
        is_ca: false,
    };
    while !fields.is_finished() {
        let field = AnyRef::decode(&mut fields)?;
        if context_tag(&field) == Some(3) {
            let mut extensions = sequence(AnyRef::from_der(field.value())?)?;
            while !extensions.is_finished() {
                extension(AnyRef::decode(&mut extensions)?, &mut facts, most_names)?;
            }
        }
    }
    Ok(facts)
}

/// What a revocation list says of itself (RFC 5280 section 5.1.2).
pub(crate) struct RevocationListFacts {
    pub(crate) is_version_1: bool,
    /// When it was made, in seconds since 1970-01-01 UTC.
    pub(crate) made: i64,
    /// When the next one is due, if it says so.
    pub(crate) next_due: Option<i64>,
}

pub(crate) fn read_revocation_list(der: &[u8]) -> der::Result<RevocationListFacts> {
    let mut list = sequence(AnyRef::from_der(der)?)?;
    let mut fields = sequence(AnyRef::decode(&mut list)?)?;
    let first = AnyRef::decode(&mut fields)?;
    let is_version_1 = first.tag() != Tag::Integer;
    if !is_version_1 {
        // That was the version; the algorithm follows.
        AnyRef::decode(&mut fields)?;
    }
    let _issuer = AnyRef::decode(&mut fields)?;
    let made = seconds(AnyRef::decode(&mut fields)?)?;
    let is_time = |any: &AnyRef<'_>| matches!(any.tag(), Tag::UtcTime | Tag::GeneralizedTime);
    let next = if fields.is_finished() { None } else { Some(AnyRef::decode(&mut fields)?) };
    let next_due = next.filter(is_time).map(seconds).transpose()?;
    Ok(RevocationListFacts { is_version_1, made, next_due })
}

/// Object identifiers of extensions (RFC 5280 section 4.2.1), as they are encoded.
const SUBJECT_ALTERNATIVE_NAME: &[u8] = &[0x55, 0x1d, 0x11];
const BASIC_CONSTRAINTS: &[u8] = &[0x55, 0x1d, 0x13];

fn extension(
    extension: AnyRef<'_>,
    facts: &mut CertificateFacts,
    most_names: usize,
) -> der::Result<()> {
    let mut parts = sequence(extension)?;
    let kind = AnyRef::decode(&mut parts)?.value();
    if kind != SUBJECT_ALTERNATIVE_NAME && kind != BASIC_CONSTRAINTS {
        return Ok(());
    }
    let mut octets = AnyRef::decode(&mut parts)?;
    if octets.tag() == Tag::Boolean {
        // That was whether it is critical.
        octets = AnyRef::decode(&mut parts)?;
    }
    let mut inner = sequence(AnyRef::from_der(octets.value())?)?;
    if kind == SUBJECT_ALTERNATIVE_NAME {
        while !inner.is_finished() {
            let name = AnyRef::decode(&mut inner)?;
            if facts.names.len() < most_names {
                facts.names.push(alternative_name::name(name)?);
            } else {
                facts.more_names += 1;
            }
        }
    } else if !inner.is_finished() {
        let first = AnyRef::decode(&mut inner)?;
        facts.is_ca = first.tag() == Tag::Boolean && first.value() != [0];
    }
    Ok(())
}

/// The parts of a SEQUENCE.
pub(crate) fn sequence(any: AnyRef<'_>) -> der::Result<SliceReader<'_>> {
    any.tag().assert_eq(Tag::Sequence)?;
    SliceReader::new(any.value())
}

/// The number of a tag that has its meaning from where it stands.
pub(crate) fn context_tag(any: &AnyRef<'_>) -> Option<u32> {
    match any.tag() {
        Tag::ContextSpecific { number: TagNumber(number), .. } => Some(number),
        _ => None,
    }
}

/// The octets of a positive INTEGER in hexadecimal, without the one that only says that it is.
pub(crate) fn serial_number(octets: &[u8]) -> String {
    let mut text = String::with_capacity(octets.len() * 2);
    push_hex(
        &mut text,
        octets.strip_prefix(&[0]).filter(|rest| !rest.is_empty()).unwrap_or(octets),
    );
    text
}

/// Appends `bytes` in upper-case hexadecimal.
fn push_hex(text: &mut String, bytes: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    for byte in bytes {
        text.push(char::from(DIGITS[usize::from(byte >> 4)]));
        text.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
}

/// An object identifier in dotted decimals (X.690 section 8.19).
pub(crate) fn dotted(oid: &[u8]) -> der::Result<String> {
    use std::fmt::Write as _;

    let mut text = String::new();
    let mut arc = 0_u128;
    for &byte in oid {
        if arc >> (u128::BITS - 7) != 0 {
            return Err(ErrorKind::OidMalformed.into());
        }
        arc = arc << 7 | u128::from(byte & 0x7f);
        if byte & 0x80 != 0 {
            continue;
        }
        // Writing into a string cannot fail.
        let _ = if text.is_empty() {
            // The first number holds two arcs.
            let first = (arc / 40).min(2);
            write!(text, "{first}.{}", arc - first * 40)
        } else {
            write!(text, ".{arc}")
        };
        arc = 0;
    }
    let is_whole = oid.last().is_some_and(|byte| byte & 0x80 == 0);
    if is_whole { Ok(text) } else { Err(ErrorKind::OidMalformed.into()) }
}

/// A UTCTime or GeneralizedTime (RFC 5280 section 4.1.2.5) in seconds since 1970-01-01 UTC. Not by
/// the `der` crate, which knows no time before 1970.
pub(crate) fn seconds(time: AnyRef<'_>) -> der::Result<i64> {
    let malformed = || der::Error::from(ErrorKind::DateTime);
    let text = time.value().strip_suffix(b"Z").ok_or_else(malformed)?;
    let (year_digits, length) = match time.tag() {
        Tag::UtcTime => (2, 12),
        Tag::GeneralizedTime => (4, 14),
        _ => return Err(malformed()),
    };
    if text.len() != length || !text.iter().all(u8::is_ascii_digit) {
        return Err(malformed());
    }
    let number =
        |digits: &[u8]| digits.iter().fold(0, |sum, digit| sum * 10 + i64::from(digit - b'0'));
    let (year, rest) = text.split_at(year_digits);
    let year = match number(year) {
        year if year_digits == 4 => year,
        year if year >= 50 => 1900 + year,
        year => 2000 + year,
    };
    let part = |index: usize| number(&rest[index * 2..index * 2 + 2]);
    let (month, day, hour, minute, second) = (part(0), part(1), part(2), part(3), part(4));
    if !(1..=12).contains(&month)
        || !(1..=31).contains(&day)
        || hour > 23
        || minute > 59
        || second > 60
    {
        return Err(malformed());
    }
    Ok(((days(year, month, day) * 24 + hour) * 60 + minute) * 60 + second)
}

/// The days from 1970-01-01 to a day of the Gregorian calendar. The year begins in March here, so
/// that the odd day stands at its end.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    year * 365 + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400) + day_of_year
        - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(tag: Tag, text: &str) -> Option<i64> {
        seconds(AnyRef::new(tag, text.as_bytes()).unwrap()).ok()
    }

    #[test]
    fn times_are_seconds_since_1970() {
        // By `date -u -d @SECONDS`.
        for (text, wanted) in [
            ("700101000000Z", 0),
            ("240229235959Z", 1_709_251_199),
            ("491231235959Z", 2_524_607_999),
            ("500101000000Z", -631_152_000),
        ] {
            assert_eq!(time(Tag::UtcTime, text), Some(wanted), "{text}");
        }
        for (text, wanted) in [
            ("20010909014640Z", 1_000_000_000),
            ("99991231235959Z", 253_402_300_799),
            ("00000101000000Z", -62_167_219_200),
        ] {
            assert_eq!(time(Tag::GeneralizedTime, text), Some(wanted), "{text}");
        }
        for bad in ["", "Z", "700101000000", "701301000000Z", "7001010000Z", "70010100000xZ"] {
            assert_eq!(time(Tag::UtcTime, bad), None, "{bad}");
        }
        assert_eq!(time(Tag::Integer, "700101000000Z"), None);
    }

    #[test]
    fn object_identifiers_are_dotted() {
        assert_eq!(dotted(&[0x55, 4, 3]).unwrap(), "2.5.4.3");
        assert_eq!(dotted(&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d]).unwrap(), "1.2.840.113549");
        assert_eq!(dotted(&[0x88, 0x37, 3]).unwrap(), "2.999.3");
        for bad in [&[][..], &[0x55, 0x84], &[0xff; 30]] {
            dotted(bad).unwrap_err();
        }
    }

    #[test]
    fn serial_numbers_lose_the_sign_octet_alone() {
        for (octets, text) in
            [(&[0][..], "00"), (&[0, 0xff], "FF"), (&[0x0a, 0], "0A00"), (&[], "")]
        {
            assert_eq!(serial_number(octets), text);
        }
    }
}
