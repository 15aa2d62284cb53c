//! Subject alternative names (RFC 5280 section 4.2.1.6).

use std::net::IpAddr;

use levada_core::SubjectName;
use pkcs8::der::asn1::AnyRef;
use pkcs8::der::{self, Decode, Tagged};

use super::{context_tag, distinguished_name, dotted, push_hex};

/// What a GeneralName names.
pub(super) fn name(name: AnyRef<'_>) -> der::Result<SubjectName> {
    let value = name.value();
    let other = |kind| SubjectName::Other { kind, value: hexadecimal(value) };
    Ok(match context_tag(&name) {
        Some(0) => other("otherName"),
        Some(1) => SubjectName::Email(printable(value)),
        Some(2) => SubjectName::Dns(printable(value)),
        Some(3) => other("x400Address"),
        Some(4) => SubjectName::Other {
            kind: "directoryName",
            value: distinguished_name::text(AnyRef::from_der(value)?)?,
        },
        Some(5) => other("ediPartyName"),
        Some(6) => SubjectName::Uri(printable(value)),
        Some(7) => address(value).map_or_else(|| other("iPAddress"), SubjectName::Ip),
        Some(8) => SubjectName::Other { kind: "registeredID", value: dotted(value)? },
        _ => return Err(name.tag().value_error().into()),
    })
}

fn address(octets: &[u8]) -> Option<IpAddr> {
    if let Ok(octets) = <[u8; 4]>::try_from(octets) {
        return Some(octets.into());
    }
    <[u8; 16]>::try_from(octets).ok().map(IpAddr::from)
}

fn hexadecimal(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(1 + bytes.len() * 2);
    text.push('#');
    push_hex(&mut text, bytes);
    text
}

/// ASCII that a log can show; what else stands there, where nothing else may, is escaped.
fn printable(text: &[u8]) -> String {
    let is_plain = |byte| matches!(byte, b' '..=b'~') && byte != b'\\';
    if let (true, Ok(text)) = (text.iter().copied().all(is_plain), str::from_utf8(text)) {
        // Nearly always: a copy in one piece.
        return text.to_owned();
    }
    let mut plain = String::with_capacity(text.len());
    for &byte in text {
        match byte {
            b'\\' => plain.push_str("\\\\"),
            b' '..=b'~' => plain.push(char::from(byte)),
            _ => plain.extend(byte.escape_ascii().map(char::from)),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_name_is_told() {
        let other = |kind, value: &str| SubjectName::Other { kind, value: value.to_owned() };
        let table: &[(u8, &[u8], SubjectName)] = &[
            (0xa0, b"\x06\x01\x2a\xa0\x02\x05\x00", other("otherName", "#06012AA0020500")),
            (0x81, b"a@b.example", SubjectName::Email("a@b.example".to_owned())),
            (0x82, b"*.host.example", SubjectName::Dns("*.host.example".to_owned())),
            (0x82, b"a\r\n\xff\\'", SubjectName::Dns("a\\r\\n\\xff\\\\'".to_owned())),
            (0xa3, b"\x30\x00", other("x400Address", "#3000")),
            (0xa4, b"\x30\x00", other("directoryName", "")),
            (0xa5, b"", other("ediPartyName", "#")),
            (0x86, b"spiffe://a.example/b", SubjectName::Uri("spiffe://a.example/b".to_owned())),
            (0x87, &[192, 0, 2, 7], SubjectName::Ip([192, 0, 2, 7].into())),
            (0x87, &[0; 16], SubjectName::Ip([0_u16; 8].into())),
            (0x87, &[192, 0, 2], other("iPAddress", "#C00002")),
            (0x88, &[0x55, 4, 3], other("registeredID", "2.5.4.3")),
        ];
        for (tag, value, wanted) in table {
            let der = [&[*tag, u8::try_from(value.len()).unwrap()][..], value].concat();
            assert_eq!(&name(AnyRef::from_der(&der).unwrap()).unwrap(), wanted);
        }
        let unknown = [0x89, 0];
        name(AnyRef::from_der(&unknown).unwrap()).unwrap_err();
    }
}
