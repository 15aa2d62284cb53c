//! `net.SslCertificate`: one certificate, read from PEM or DER.

use levada::{ShownCertificate, read_certificate};
use mlua::{
    Lua, LuaSerdeExt, LuaString, MetaMethod, UserData, UserDataFields, UserDataMethods, Value,
};

use crate::tables::OPTIONS;
use crate::values;

/// A certificate, or why there is none.
#[derive(Clone)]
pub(crate) struct SslCertificate(pub(crate) Result<Vec<u8>, String>);

impl SslCertificate {
    /// Reads `text` in `format`; PEM unless told otherwise.
    pub(crate) fn new(text: &[u8], format: Option<i64>) -> mlua::Result<Self> {
        let der = match check_format(format)? {
            values::PEM => from_pem(text),
            _ => Ok(text.to_vec()),
        };
        Ok(Self(der.and_then(|der| match read_certificate(&der) {
            ShownCertificate::Read(_) => Ok(der),
            ShownCertificate::Unreadable { bytes } => {
                Err(format!("these {bytes} bytes are no certificate of RFC 5280"))
            }
        })))
    }
}

/// The format that a script gives.
///
/// # Errors
///
/// For a number that stands for none.
pub(crate) fn check_format(format: Option<i64>) -> mlua::Result<i64> {
    match format.unwrap_or(values::PEM) {
        format @ (values::PEM | values::DER) => Ok(format),
        other => Err(mlua::Error::runtime(format!(
            "{other} is no encoding: give SslEncoding.PEM or SslEncoding.DER"
        ))),
    }
}

fn from_pem(text: &[u8]) -> Result<Vec<u8>, String> {
    let blocks = pem::parse_many(text).map_err(|error| format!("it is no PEM: {error}"))?;
    let certificate = blocks.into_iter().find(|block| block.tag() == "CERTIFICATE");
    let certificate = certificate.map(pem::Pem::into_contents);
    certificate.ok_or_else(|| "there is no certificate (\"BEGIN CERTIFICATE\") in it".to_owned())
}

impl UserData for SslCertificate {
    fn add_fields<F: UserDataFields<Self>>(fields: &mut F) {
        fields.add_meta_field("__name", "SslCertificate");
        fields.add_field_method_get("null", |_, this| Ok(this.0.is_err()));
        fields.add_field_method_get("error_string", |_, this| {
            Ok(this.0.as_ref().err().cloned().unwrap_or_default())
        });
        fields.add_field_method_get("facts", |lua, this| match &this.0 {
            Ok(der) => lua.to_value_with(&read_certificate(der), OPTIONS),
            Err(_) => Ok(Value::Nil),
        });
    }

    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        methods.add_meta_method(MetaMethod::ToString, |_, this, ()| {
            let what = match &this.0 {
                Ok(der) => read_certificate(der)
                    .read()
                    .map_or_else(String::new, |read| read.subject.clone()),
                Err(why) => format!("null: {why}"),
            };
            Ok(format!("net.SslCertificate ({what})"))
        });
    }
}

/// `SslCertificate.new(encoded, format)`.
pub(crate) fn new(
    _: &Lua,
    (text, format): (LuaString, Option<i64>),
) -> mlua::Result<SslCertificate> {
    SslCertificate::new(&text.as_bytes(), format)
}
