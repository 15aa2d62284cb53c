//! The names of a certificate as they are encoded, for who compares them byte for byte.

use pkcs8::der::asn1::AnyRef;
use pkcs8::der::{self, Decode, Reader, Tag, Tagged};

use super::{SUBJECT_ALTERNATIVE_NAME, context_tag, sequence};

/// The names in one certificate, each in DER as the certificate has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EncodedNames<'a> {
    /// Whose it is: a Name (RFC 5280 section 4.1.2.6).
    pub subject: &'a [u8],
    /// Who issued it: a Name (RFC 5280 section 4.1.2.4).
    pub issuer: &'a [u8],
    /// For whom it is: a GeneralName each (RFC 5280 section 4.2.1.6).
    pub alternative: Vec<&'a [u8]>,
}

/// The names in a certificate that is given as its DER; `None` where it cannot be read.
///
/// It is read, not verified: nothing of it needs to be true.
pub fn encoded_names(certificate: &[u8]) -> Option<EncodedNames<'_>> {
    read(certificate).ok()
}

fn read(der: &[u8]) -> der::Result<EncodedNames<'_>> {
    let mut certificate = sequence(AnyRef::from_der(der)?)?;
    let mut fields = sequence(AnyRef::decode(&mut certificate)?)?;
    if context_tag(&AnyRef::decode(&mut fields)?) == Some(0) {
        // That was the version, which version 1 leaves out.
        let _serial = AnyRef::decode(&mut fields)?;
    }
    let _signature_algorithm = AnyRef::decode(&mut fields)?;
    let issuer = fields.tlv_bytes()?;
    let _validity = AnyRef::decode(&mut fields)?;
    let subject = fields.tlv_bytes()?;
    let mut alternative = Vec::new();
    while !fields.is_finished() {
        let field = AnyRef::decode(&mut fields)?;
        if context_tag(&field) != Some(3) {
            continue;
        }
        let mut extensions = sequence(AnyRef::from_der(field.value())?)?;
        while !extensions.is_finished() {
            let mut parts = sequence(AnyRef::decode(&mut extensions)?)?;
            if AnyRef::decode(&mut parts)?.value() != SUBJECT_ALTERNATIVE_NAME {
                continue;
            }
            let mut octets = AnyRef::decode(&mut parts)?;
            if octets.tag() == Tag::Boolean {
                // That was whether it is critical.
                octets = AnyRef::decode(&mut parts)?;
            }
            let mut names = sequence(AnyRef::from_der(octets.value())?)?;
            while !names.is_finished() {
                alternative.push(names.tlv_bytes()?);
            }
        }
    }
    Ok(EncodedNames { subject, issuer, alternative })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_told_as_they_are_encoded() {
        let der = include_bytes!("../../tests/data/ec-cert.der");
        let names = encoded_names(der).unwrap();
        assert!(names.subject.starts_with(&[0x30]) && names.issuer.starts_with(&[0x30]));
        // [2] IA5String of a dNSName.
        assert!(names.alternative.contains(&&b"\x82\x0chost.example"[..]), "{names:x?}");
        for end in 0..der.len() {
            assert_eq!(encoded_names(&der[..end]), None);
        }
    }
}
