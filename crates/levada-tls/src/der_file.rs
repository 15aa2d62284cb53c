//! What a DER file holds: it does not say it, as PEM does, but its shape shows it.

use pkcs8::der::asn1::AnyRef;
use pkcs8::der::{Decode, Reader, SliceReader, Tag, TagNumber, Tagged};
use zeroize::Zeroizing;

use crate::pem::Block;

/// Whether it is one SEQUENCE at all.
pub(crate) fn is_der(file: &[u8]) -> bool {
    matches!(AnyRef::from_der(file), Ok(any) if any.tag() == Tag::Sequence)
}

/// Whether it is PKCS#12: that begins with the version 3 (RFC 7292 section 4). Also in BER, whose
/// length may be left open.
pub(crate) fn is_pkcs12(file: &[u8]) -> bool {
    matches!(
        file,
        [0x30, 0x80, 2, 1, 3, ..]
            | [0x30, 0x81, _, 2, 1, 3, ..]
            | [0x30, 0x82, _, _, 2, 1, 3, ..]
            | [0x30, 0x83, _, _, _, 2, 1, 3, ..]
    )
}

/// The certificate or private key in `file`, as the block that it would be in PEM.
pub(crate) fn block(file: &[u8]) -> Option<Block> {
    let label = label(AnyRef::from_der(file).ok()?)?;
    Some(Block {
        label: label.to_owned(),
        line: 1,
        is_legacy_encrypted: false,
        der: Zeroizing::new(file.to_vec()),
    })
}

fn label(file: AnyRef<'_>) -> Option<&'static str> {
    let mut fields = parts(file)?;
    let first = AnyRef::decode(&mut fields).ok()?;
    let second = AnyRef::decode(&mut fields).ok()?;
    let third = if fields.is_finished() { None } else { AnyRef::decode(&mut fields).ok() };
    let third = third.map(|third| third.tag());
    Some(match (first.tag(), second.tag(), third) {
        // Versions: 0 or 1 with an algorithm, 0 with a modulus, 1 with a secret.
        (Tag::Integer, Tag::Sequence, Some(Tag::OctetString)) => "PRIVATE KEY",
        (Tag::Integer, Tag::Integer, Some(Tag::Integer)) => "RSA PRIVATE KEY",
        (Tag::Integer, Tag::OctetString, _) => "EC PRIVATE KEY",
        (Tag::Sequence, Tag::OctetString, None) => "ENCRYPTED PRIVATE KEY",
        (Tag::Sequence, Tag::Sequence, Some(Tag::BitString)) if is_certificate(first) => {
            "CERTIFICATE"
        }
        _ => return None,
    })
}

/// Whether it is what is signed of a certificate, and not of a request or a revocation list: those have
/// no validity, or no serial number.
fn is_certificate(signed: AnyRef<'_>) -> bool {
    const VERSION: TagNumber = TagNumber(0);
    let begins = || {
        let mut fields = parts(signed)?;
        let mut serial = AnyRef::decode(&mut fields).ok()?;
        if matches!(serial.tag(), Tag::ContextSpecific { number: VERSION, .. }) {
            serial = AnyRef::decode(&mut fields).ok()?;
        }
        let rest = [(); 3].map(|()| AnyRef::decode(&mut fields).ok().map(|field| field.tag()));
        Some((serial.tag(), rest))
    };
    begins() == Some((Tag::Integer, [Some(Tag::Sequence); 3]))
}

fn parts(any: AnyRef<'_>) -> Option<SliceReader<'_>> {
    any.tag().assert_eq(Tag::Sequence).ok()?;
    SliceReader::new(any.value()).ok()
}
