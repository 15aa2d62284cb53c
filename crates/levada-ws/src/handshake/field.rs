//! Header fields: what may stand in one, and how a list of them is read (RFC 9110 §5).

use alloc::borrow::ToOwned;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

/// A header field. One made by [`Field::new`] is safe to send.
#[derive(Clone, PartialEq, Eq)]
pub struct Field {
    name: String,
    value: Vec<u8>,
}

/// Why a header field cannot be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldError {
    /// The name is empty or has a character that no token may have.
    Name,
    /// The name belongs to the handshake itself.
    Reserved,
    /// The value has a line break or another control character, or blank space at an end.
    Value,
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Name => "a header field's name is no token",
            Self::Reserved => "a header field's name belongs to the handshake",
            Self::Value => "a header field's value has a forbidden character",
        })
    }
}

impl core::error::Error for FieldError {}

impl Field {
    /// A field to send.
    ///
    /// # Errors
    ///
    /// When the name is no token or is one that the handshake writes itself (Host, Upgrade,
    /// Connection, Content-Length, Transfer-Encoding, Origin, Sec-WebSocket-*), and when the value
    /// could break the head or be changed on its way.
    pub fn new(name: &str, value: &str) -> Result<Self, FieldError> {
        if !is_token(name) {
            return Err(FieldError::Name);
        }
        let reserved =
            ["host", "upgrade", "connection", "content-length", "transfer-encoding", "origin"];
        let lower = name.to_ascii_lowercase();
        if reserved.contains(&&*lower) || lower.starts_with("sec-websocket-") {
            return Err(FieldError::Reserved);
        }
        if !is_value(value) {
            return Err(FieldError::Value);
        }
        Ok(Self { name: name.to_owned(), value: value.as_bytes().to_owned() })
    }

    /// A field of the handshake's own, or one that was received.
    pub(super) fn raw(name: &str, value: impl Into<Vec<u8>>) -> Self {
        Self { name: name.to_owned(), value: value.into() }
    }

    /// The name as written; compare it without regard to case.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The value: nearly always ASCII, but no promise.
    pub fn value(&self) -> &[u8] {
        &self.value
    }

    /// The value, if it is UTF-8.
    pub fn text(&self) -> Option<&str> {
        str::from_utf8(&self.value).ok()
    }

    /// Appends the field's line to a head.
    pub(super) fn render(&self, head: &mut Vec<u8>) {
        for part in [self.name.as_bytes(), b": ", &self.value, b"\r\n"] {
            head.extend_from_slice(part);
        }
    }
}

impl fmt::Debug for Field {
    /// Shows the name alone: values may be credentials.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ({} bytes)", self.name, self.value.len())
    }
}

/// The fields of a received head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fields(pub(super) Vec<Field>);

/// A field that may stand only once stands twice, or is no text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unclear;

impl Fields {
    pub(super) fn new(headers: &[httparse::Header<'_>]) -> Self {
        Self(headers.iter().map(|header| Field::raw(header.name, header.value)).collect())
    }

    /// The fields of a head that somebody else has read.
    pub(super) fn read<'a>(fields: impl IntoIterator<Item = (&'a str, &'a [u8])>) -> Self {
        Self(fields.into_iter().map(|(name, value)| Field::raw(name, value)).collect())
    }

    /// All fields of this name.
    pub(super) fn named(&self, name: &str) -> impl Iterator<Item = &Field> {
        self.0.iter().filter(move |field| field.name.eq_ignore_ascii_case(name))
    }

    /// The value of a field that may stand only once.
    pub(super) fn single(&self, name: &str) -> Result<Option<&str>, Unclear> {
        let mut all = self.named(name);
        match (all.next(), all.next()) {
            (None, _) => Ok(None),
            (Some(field), None) => field.text().map(|text| Some(text.trim())).ok_or(Unclear),
            (Some(_), Some(_)) => Err(Unclear),
        }
    }

    /// The members of a comma-separated list, over all fields of this name (RFC 9110 §5.6.1).
    pub(super) fn list(&self, name: &str) -> impl Iterator<Item = &str> {
        self.named(name)
            .filter_map(Field::text)
            .flat_map(|value| value.split(','))
            .map(|member| member.trim_matches([' ', '\t']))
            .filter(|member| !member.is_empty())
    }

    /// Whether a list has this member, without regard to case.
    pub(super) fn lists(&self, name: &str, member: &str) -> bool {
        self.list(name).any(|listed| listed.eq_ignore_ascii_case(member))
    }
}

/// Whether `text` is a token (RFC 9110 §5.6.2).
pub fn is_token(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

/// Whether `text` can be a field's value and arrives as it is.
pub(super) fn is_value(text: &str) -> bool {
    text.trim_matches([' ', '\t']).len() == text.len()
        && text.bytes().all(|byte| matches!(byte, b'\t' | b' '..=b'~' | 0x80..))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_of_the_users_cannot_break_the_head() {
        let cases = [
            ("X-A", "b\r\nX-Evil: 1", FieldError::Value),
            ("X-A", "b\n", FieldError::Value),
            ("X-A", "b\0", FieldError::Value),
            ("X-A", " b", FieldError::Value),
            ("X A", "b", FieldError::Name),
            ("X-A:", "b", FieldError::Name),
            ("X-A\r\n", "b", FieldError::Name),
            ("", "b", FieldError::Name),
            ("hOST", "b", FieldError::Reserved),
            ("Sec-WebSocket-Extensions", "b", FieldError::Reserved),
            ("Content-Length", "5", FieldError::Reserved),
        ];
        for (name, value, error) in cases {
            assert_eq!(Field::new(name, value), Err(error), "{name:?}: {value:?}");
        }
        assert!(Field::new("Authorization", "Basic YTpi").is_ok());
        assert!(Field::new("X-Empty", "").is_ok());
    }
}
