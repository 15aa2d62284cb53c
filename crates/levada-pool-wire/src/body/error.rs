//! ERROR.

use crate::codec::{Reader, Writer};
use crate::error_code::{ErrorCode, ErrorNumber};
use crate::layout::error as at;
use crate::text::Text;

/// Why something was not done.
///
/// Source: TLS Pool protocol V2, error codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What clients go by.
    pub number: ErrorNumber,
    /// For people. Only informs: a client that declines a callback may leave here what its
    /// buffer held before, so text without a NUL is cut and not refused.
    pub message: Text<128>,
}

impl Failure {
    /// A client's own reason for declining a callback.
    pub const fn from_errno(errno: u8) -> Self {
        Self { number: ErrorNumber::from_errno(errno), message: Text::EMPTY }
    }

    pub(crate) fn read(reader: &Reader<'_>) -> Self {
        Self {
            number: ErrorNumber::from_wire(reader.i32(&at::CODE)),
            message: reader.note(&at::MESSAGE),
        }
    }

    pub(crate) fn write(&self, writer: &mut Writer) {
        writer.i32(&at::CODE, self.number.to_wire());
        writer.text(&at::MESSAGE, &self.message);
    }
}

impl From<ErrorCode> for Failure {
    fn from(code: ErrorCode) -> Self {
        Self { number: code.number(), message: Text::cut(code.message().as_bytes()) }
    }
}
