//! A page for those who come to a WebSocket server and ask for no WebSocket.

use alloc::borrow::ToOwned;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;

use super::{Field, FieldError};

/// What a server shows at one path to a GET that asks for no WebSocket. Cheap to clone.
#[derive(Clone, PartialEq, Eq)]
pub struct Page(Arc<Shown>);

#[derive(PartialEq, Eq)]
struct Shown {
    path: String,
    fields: Vec<Field>,
    body: Vec<u8>,
}

impl Page {
    /// A page at `path`, which is compared byte by byte and without the query; `media_type` is such as
    /// `text/html; charset=utf-8`, and `fields` are more header fields.
    ///
    /// # Errors
    ///
    /// When `media_type` cannot stand in a header field.
    pub fn new(
        path: &str,
        media_type: &str,
        fields: &[Field],
        body: &[u8],
    ) -> Result<Self, FieldError> {
        let mut all = Vec::from([Field::new("Content-Type", media_type)?]);
        all.extend_from_slice(fields);
        Ok(Self(Arc::new(Shown { path: path.to_owned(), fields: all, body: body.to_owned() })))
    }

    /// Where it is.
    pub fn path(&self) -> &str {
        &self.0.path
    }

    /// The header fields of the response, but for the length of the body.
    pub(super) fn fields(&self) -> &[Field] {
        &self.0.fields
    }

    /// The body.
    pub(super) fn body(&self) -> &[u8] {
        &self.0.body
    }
}

impl fmt::Debug for Page {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({} bytes)", self.path(), self.body().len())
    }
}
