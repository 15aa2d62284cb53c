//! The payload of a control frame, in a buffer of fixed size.

use core::fmt;
use core::ops::Deref;

const MAX: usize = 125;

/// The payload of a control frame: at most 125 bytes, held in place (RFC 6455 §5.5).
#[derive(Clone)]
pub struct ControlPayload {
    bytes: [u8; MAX],
    len: u8,
}

impl ControlPayload {
    /// The most bytes that fit.
    pub const MAX: usize = MAX;

    /// No bytes.
    pub const EMPTY: Self = Self { bytes: [0; MAX], len: 0 };

    /// A copy of `payload`.
    ///
    /// # Errors
    ///
    /// When it is longer than 125 bytes.
    pub fn new(payload: &[u8]) -> Result<Self, PayloadTooLong> {
        let mut control = Self::EMPTY;
        if control.push(payload) < payload.len() {
            return Err(PayloadTooLong { len: payload.len() });
        }
        Ok(control)
    }

    /// A close frame's body; `reason` is known to fit.
    pub(crate) fn joined(code: [u8; 2], reason: &[u8]) -> Self {
        let mut control = Self::EMPTY;
        control.push(&code);
        control.push(reason);
        control
    }

    /// Appends as much of `more` as fits and says how much that is.
    pub(crate) fn push(&mut self, more: &[u8]) -> usize {
        let start = usize::from(self.len);
        let taken = more.len().min(MAX - start);
        self.bytes[start..start + taken].copy_from_slice(&more[..taken]);
        self.len += taken as u8;
        taken
    }

    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.bytes[..usize::from(self.len)]
    }
}

impl Deref for ControlPayload {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }
}

impl fmt::Debug for ControlPayload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.escape_ascii())
    }
}

impl PartialEq for ControlPayload {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for ControlPayload {}

/// A ping payload of more than 125 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PayloadTooLong {
    /// The length in bytes that was asked for.
    pub len: usize,
}

impl fmt::Display for PayloadTooLong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a control payload of {} bytes exceeds the {MAX} that fit", self.len)
    }
}

impl core::error::Error for PayloadTooLong {}
