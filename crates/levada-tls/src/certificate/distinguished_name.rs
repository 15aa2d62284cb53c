//! Distinguished names as RFC 4514 writes them.

use std::borrow::Cow;

use pkcs8::der::asn1::AnyRef;
use pkcs8::der::{self, Decode, Reader, SliceReader, Tag, Tagged};

use super::{dotted, push_hex, sequence};

/// `name`, a Name of X.501, as text: the last part first (RFC 4514 section 2.1).
pub(super) fn text(name: AnyRef<'_>) -> der::Result<String> {
    let mut parts = sequence(name)?;
    let mut relative_names = Vec::new();
    while !parts.is_finished() {
        relative_names.push(AnyRef::decode(&mut parts)?);
    }
    let mut text = String::new();
    for relative_name in relative_names.into_iter().rev() {
        relative_name.tag().assert_eq(Tag::Set)?;
        let mut attributes = SliceReader::new(relative_name.value())?;
        let mut separator = ",";
        while !attributes.is_finished() {
            if !text.is_empty() {
                text.push_str(separator);
            }
            attribute(AnyRef::decode(&mut attributes)?, &mut text)?;
            separator = "+";
        }
    }
    Ok(text)
}

fn attribute(attribute: AnyRef<'_>, text: &mut String) -> der::Result<()> {
    let mut parts = sequence(attribute)?;
    let kind = AnyRef::decode(&mut parts)?;
    kind.tag().assert_eq(Tag::ObjectIdentifier)?;
    let encoded = parts.tlv_bytes()?;
    let short = short_name(kind.value());
    match short {
        Some(name) => text.push_str(name),
        None => text.push_str(&dotted(kind.value())?),
    }
    text.push('=');
    if let Some(value) = short.and_then(|_| string(AnyRef::from_der(encoded).ok()?)) {
        push_escaped(text, &value);
    } else {
        // RFC 4514 section 2.4: the value of a type without a name, and what is no text.
        text.push('#');
        push_hex(text, encoded);
    }
    Ok(())
}

/// The names of RFC 4514 section 3 and RFC 4519, and two more that OpenSSL writes: without
/// `emailAddress` and `organizationIdentifier`, names in use would be unreadable.
fn short_name(kind: &[u8]) -> Option<&'static str> {
    Some(match kind {
        // 2.5.4, the attributes of X.520.
        [0x55, 4, attribute] => match attribute {
            3 => "CN",
            4 => "sn",
            5 => "serialNumber",
            6 => "C",
            7 => "L",
            8 => "ST",
            9 => "STREET",
            10 => "O",
            11 => "OU",
            12 => "title",
            15 => "businessCategory",
            17 => "postalCode",
            41 => "name",
            42 => "givenName",
            43 => "initials",
            44 => "generationQualifier",
            46 => "dnQualifier",
            97 => "organizationIdentifier",
            _ => return None,
        },
        // 0.9.2342.19200300.100.1, those of RFC 4524.
        [0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 1, attribute] => match attribute {
            1 => "UID",
            25 => "DC",
            _ => return None,
        },
        // 1.2.840.113549.1.9.1
        [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 1] => "emailAddress",
        _ => return None,
    })
}

/// The text of a string type; `None` for other types, and for what is no text by its type.
fn string(value: AnyRef<'_>) -> Option<Cow<'_, str>> {
    let bytes = value.value();
    match value.tag() {
        Tag::Utf8String
        | Tag::PrintableString
        | Tag::Ia5String
        | Tag::NumericString
        | Tag::VisibleString => str::from_utf8(bytes).ok().map(Cow::Borrowed),
        // T.61 in name, Latin-1 in practice.
        Tag::TeletexString => Some(bytes.iter().copied().map(char::from).collect()),
        Tag::BmpString => {
            let (units, rest) = bytes.as_chunks();
            let units = units.iter().copied().map(u16::from_be_bytes);
            let text: Result<String, _> = char::decode_utf16(units).collect();
            text.ok().filter(|_| rest.is_empty()).map(Cow::Owned)
        }
        _ => None,
    }
}

/// Escapes what RFC 4514 section 2.4 demands, and what a log cannot show, which it allows.
fn push_escaped(text: &mut String, value: &str) {
    let last = value.chars().count().saturating_sub(1);
    for (index, letter) in value.chars().enumerate() {
        match letter {
            '"' | '+' | ',' | ';' | '<' | '>' | '\\' => text.extend(['\\', letter]),
            ' ' if index == 0 || index == last => text.push_str("\\ "),
            '#' if index == 0 => text.push_str("\\#"),
            ' '..='~' => text.push(letter),
            _ if !letter.is_ascii() && letter.escape_debug().len() == 1 => text.push(letter),
            _ => {
                for byte in letter.encode_utf8(&mut [0; 4]).bytes() {
                    text.push('\\');
                    push_hex(text, &[byte]);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tlv(tag: u8, value: &[u8]) -> Vec<u8> {
        [&[tag, u8::try_from(value.len()).unwrap()][..], value].concat()
    }

    fn attribute(kind: &[u8], tag: u8, value: &[u8]) -> Vec<u8> {
        tlv(0x30, &[tlv(6, kind), tlv(tag, value)].concat())
    }

    /// A name whose parts have the attributes that are given.
    fn name(parts: &[&[Vec<u8>]]) -> String {
        let parts: Vec<_> =
            parts.iter().map(|attributes| tlv(0x31, &attributes.concat())).collect();
        let der = tlv(0x30, &parts.concat());
        text(AnyRef::from_der(&der).unwrap()).unwrap()
    }

    const CN: &[u8] = &[0x55, 4, 3];
    const OU: &[u8] = &[0x55, 4, 11];
    const DC: &[u8] = &[0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 1, 25];
    const UTF8: u8 = 0x0c;

    /// The examples of RFC 4514 section 4.
    #[test]
    fn the_examples_of_the_rfc_are_written_as_there() {
        let [net, example] = [&b"net"[..], b"example"].map(|label| attribute(DC, 0x16, label));
        assert_eq!(
            name(&[
                std::slice::from_ref(&net),
                std::slice::from_ref(&example),
                &[attribute(OU, UTF8, b"Sales"), attribute(CN, UTF8, b"J.  Smith")],
            ]),
            "OU=Sales+CN=J.  Smith,DC=example,DC=net"
        );
        assert_eq!(
            name(&[&[net], &[example], &[attribute(CN, UTF8, b"James \"Jim\" Smith, III")]]),
            "CN=James \\\"Jim\\\" Smith\\, III,DC=example,DC=net"
        );
        assert_eq!(name(&[&[attribute(CN, UTF8, b"Before\rAfter")]]), "CN=Before\\0DAfter");
        let odd = [0x2b, 6, 1, 4, 1, 0x8b, 0x3a, 0];
        assert_eq!(name(&[&[attribute(&odd, 4, b"Hi")]]), "1.3.6.1.4.1.1466.0=#04024869");
        assert_eq!(name(&[&[attribute(CN, UTF8, "Lučić".as_bytes())]]), "CN=Lučić");
    }

    #[test]
    fn whatever_stands_in_a_name_the_text_is_one_printable_line() {
        for (tag, value, wanted) in [
            (UTF8, &b" #a "[..], "\\ #a\\ "),
            (UTF8, b"#", "\\#"),
            (UTF8, b" ", "\\ "),
            (UTF8, b"", ""),
            (UTF8, b"a\0b\n\x1b[2J\x7f", "a\\00b\\0A\\1B[2J\\7F"),
            (UTF8, "\u{202e}moc\u{85}".as_bytes(), "\\E2\\80\\AEmoc\\C2\\85"),
            (UTF8, b"it's <a;b>\\", "it's \\<a\\;b\\>\\\\"),
            (UTF8, b"\xff", "#0C01FF"),
            (0x14, b"Gr\xfcn", "Grün"),
            (0x1e, b"\0G\0r\0\xfc\0n", "Grün"),
            (0x1e, b"\xd8\x00", "#1E02D800"),
            (0x1e, b"\0G\0", "#1E03004700"),
            (2, b"\x05", "#020105"),
        ] {
            assert_eq!(name(&[&[attribute(CN, tag, value)]]), format!("CN={wanted}"));
        }
        assert_eq!(name(&[]), "");
    }
}
