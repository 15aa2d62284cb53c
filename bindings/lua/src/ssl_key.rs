//! `net.SslKey`: one key, read from PEM or DER.

use levada::{KeyAlgorithm, Passphrase, check_private_key};
use mlua::{Lua, LuaString, MetaMethod, UserData, UserDataFields, UserDataMethods};
use zeroize::Zeroizing;

use crate::object;
use crate::ssl_certificate::check_format;
use crate::values;

/// A key, or why there is none. Wiped when dropped, and never shown.
#[derive(Clone)]
pub(crate) struct SslKey {
    pub(crate) read: Result<Zeroizing<Vec<u8>>, String>,
    pub(crate) passphrase: Option<Passphrase>,
    pub(crate) kind: i64,
    algorithm: i64,
}

impl UserData for SslKey {
    fn add_fields<F: UserDataFields<Self>>(fields: &mut F) {
        fields.add_meta_field("__name", "SslKey");
        for (name, value) in values::KEYS {
            fields.add_field(*name, *value);
        }
        fields.add_field_method_get("null", |_, this| Ok(this.read.is_err()));
        fields.add_field_method_get("type", |_, this| Ok(this.kind));
        fields.add_field_method_get("algorithm", |_, this| Ok(this.algorithm));
        fields.add_field_method_get("error_string", |_, this| {
            Ok(this.read.as_ref().err().cloned().unwrap_or_default())
        });
    }

    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        methods.add_meta_method(MetaMethod::ToString, |_, this, ()| {
            let kind = if this.kind == values::PRIVATE { "private" } else { "public" };
            let null = if this.read.is_err() { ", null" } else { "" };
            Ok(format!("net.SslKey ({kind}{null})"))
        });
    }
}

/// What a script gives to `SslKey.new`.
type Arguments = (LuaString, i64, Option<i64>, Option<i64>, Option<LuaString>);

/// `SslKey.new(encoded, algorithm, format, type, passphrase)`.
pub(crate) fn new(
    _: &Lua,
    (text, algorithm, format, kind, passphrase): Arguments,
) -> mlua::Result<SslKey> {
    let format = check_format(format)?;
    object::one_of(values::KEYS, &["RSA", "DSA", "EC"], algorithm)?;
    let kind = kind.unwrap_or(values::PRIVATE);
    object::one_of(values::KEYS, &["PUBLIC", "PRIVATE"], kind)?;
    let passphrase = passphrase.map(|passphrase| Passphrase::new(passphrase.as_bytes().to_vec()));
    let text = Zeroizing::new(text.as_bytes().to_vec());
    let found = if kind == values::PUBLIC {
        public(&text, format)
    } else {
        private(&text, format, passphrase.as_ref())
    };
    let read = found.and_then(|found| {
        if found == algorithm {
            Ok(text)
        } else {
            Err("the key is of another algorithm".to_owned())
        }
    });
    Ok(SslKey { read, passphrase, kind, algorithm })
}

fn private(text: &[u8], format: i64, passphrase: Option<&Passphrase>) -> Result<i64, String> {
    const BEGIN: &[u8] = b"-----BEGIN ";
    let is_pem = text.windows(BEGIN.len()).any(|window| window == BEGIN);
    if is_pem != (format == values::PEM) {
        return Err("the key is not in the encoding that was told".to_owned());
    }
    match check_private_key(text, passphrase).map_err(|error| error.to_string())? {
        KeyAlgorithm::Rsa => Ok(values::RSA),
        _ => Ok(values::EC),
    }
}

/// Which algorithm a public key (SubjectPublicKeyInfo, RFC 5280 section 4.1.2.7) is for.
fn public(text: &[u8], format: i64) -> Result<i64, String> {
    const RSA: &[u8] = b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01";
    const EC: &[u8] = b"\x06\x07\x2a\x86\x48\xce\x3d\x02\x01";
    const ED25519: &[u8] = b"\x06\x03\x2b\x65\x70";
    let der = if format == values::PEM {
        let block = pem::parse(text).map_err(|error| format!("it is no PEM: {error}"))?;
        if block.tag() != "PUBLIC KEY" {
            return Err(format!(
                "it is a \"{}\", not a \"PUBLIC KEY\"",
                block.tag().escape_debug()
            ));
        }
        block.into_contents()
    } else {
        text.to_vec()
    };
    // A SEQUENCE of two: the algorithm, a SEQUENCE that begins with its identifier, and the key.
    let algorithm = sequence(&der).and_then(sequence);
    let is =
        |identifier: &[u8]| algorithm.is_some_and(|algorithm| algorithm.starts_with(identifier));
    if is(RSA) {
        Ok(values::RSA)
    } else if is(EC) || is(ED25519) {
        Ok(values::EC)
    } else {
        Err("it is neither an RSA, an EC nor an Ed25519 key".to_owned())
    }
}

/// The contents of the SEQUENCE in DER that `der` begins with, if it is there in full.
fn sequence(der: &[u8]) -> Option<&[u8]> {
    let (length, rest) = match *der {
        [0x30, length @ 0..=0x7F, ref rest @ ..] => (usize::from(length), rest),
        [0x30, 0x81, length, ref rest @ ..] => (usize::from(length), rest),
        [0x30, 0x82, high, low, ref rest @ ..] => (usize::from(high) << 8 | usize::from(low), rest),
        _ => return None,
    };
    rest.get(..length)
}
