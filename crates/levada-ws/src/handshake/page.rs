//! A page for those who come to a WebSocket server and ask for no WebSocket.

use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;

use super::{Field, FieldError};

/// What a server shows at one path to a GET that asks for no WebSocket. Cheap to clone.
#[derive(Clone, PartialEq, Eq)]
pub struct Page {
    path: String,
    response: Arc<[u8]>,
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
        let mut response = Vec::from(b"HTTP/1.1 200 OK\r\n");
        Field::new("Content-Type", media_type)?.render(&mut response);
        for field in fields {
            field.render(&mut response);
        }
        let end = format!("Content-Length: {}\r\nConnection: close\r\n\r\n", body.len());
        response.extend_from_slice(end.as_bytes());
        response.extend_from_slice(body);
        Ok(Self { path: path.to_owned(), response: response.into() })
    }

    /// Where it is.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The whole response.
    pub(super) fn response(&self) -> &[u8] {
        &self.response
    }
}

impl fmt::Debug for Page {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({} bytes)", self.path, self.response.len())
    }
}
