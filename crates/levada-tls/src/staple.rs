//! What a stapled OCSP response says (RFC 6960 section 4.2.1, RFC 6066 section 8).
//!
//! It is read and not judged: its signature is not verified, and nothing is decided by it.

use levada_core::{Staple, StapleStatus};
use pkcs8::der::asn1::AnyRef;
use pkcs8::der::{self, Decode, Reader, Tag, Tagged};

use crate::certificate::{context_tag, seconds, sequence, serial_number};

/// What a stapled OCSP response says of the first certificate in it, given as its DER.
///
/// It is read, not verified: nothing of it needs to be true.
pub fn read_staple(der: &[u8]) -> Staple {
    read(der).unwrap_or(Staple {
        bytes: der.len(),
        status: StapleStatus::Unreadable,
        serial: None,
        this_update: None,
        next_update: None,
    })
}

fn read(der: &[u8]) -> der::Result<Staple> {
    let mut staple = Staple {
        bytes: der.len(),
        status: StapleStatus::NoAnswer,
        serial: None,
        this_update: None,
        next_update: None,
    };
    let mut response = sequence(AnyRef::from_der(der)?)?;
    let status = AnyRef::decode(&mut response)?;
    status.tag().assert_eq(Tag::Enumerated)?;
    if status.value() != [0] {
        // The responder has only said why it says nothing.
        return Ok(staple);
    }
    let mut bytes = sequence(AnyRef::from_der(AnyRef::decode(&mut response)?.value())?)?;
    let _kind = bytes.tlv_bytes()?;
    let basic = AnyRef::decode(&mut bytes)?;
    basic.tag().assert_eq(Tag::OctetString)?;
    let mut basic = sequence(AnyRef::from_der(basic.value())?)?;
    let mut data = sequence(AnyRef::decode(&mut basic)?)?;
    if context_tag(&AnyRef::decode(&mut data)?) == Some(0) {
        // That was the version; this is the responder's name.
        data.tlv_bytes()?;
    }
    let _produced_at = data.tlv_bytes()?;
    let mut responses = sequence(AnyRef::decode(&mut data)?)?;
    let mut single = sequence(AnyRef::decode(&mut responses)?)?;
    let mut certificate = sequence(AnyRef::decode(&mut single)?)?;
    for _algorithm_issuer_key in 0..3 {
        certificate.tlv_bytes()?;
    }
    let serial = AnyRef::decode(&mut certificate)?;
    serial.tag().assert_eq(Tag::Integer)?;
    staple.serial = Some(serial_number(serial.value()));
    staple.status = match context_tag(&AnyRef::decode(&mut single)?) {
        Some(0) => StapleStatus::Good,
        Some(1) => StapleStatus::Revoked,
        Some(2) => StapleStatus::Unknown,
        _ => StapleStatus::Unreadable,
    };
    staple.this_update = Some(seconds(AnyRef::decode(&mut single)?)?);
    if !single.is_finished() {
        let field = AnyRef::decode(&mut single)?;
        if context_tag(&field) == Some(0) {
            staple.next_update = Some(seconds(AnyRef::from_der(field.value())?)?);
        }
    }
    Ok(staple)
}
