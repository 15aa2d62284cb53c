//! Fields to and from the bytes of a packet.

use core::error::Error;
use core::fmt;

use crate::error_code::ErrorCode;
use crate::layout::{Field, FieldInfo, PACKET_SIZE};
use crate::packet::Header;
use crate::secret::{ControlKey, Secret};
use crate::text::{Identity, Text};

/// The bytes of one packet. Secret, since a packet may carry a PIN or derived keys.
pub type PacketBytes = Secret<PACKET_SIZE>;

/// Why 388 bytes are no packet of V2: a field holds what it cannot hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecodeError {
    /// The ids and the command, which can always be read: an answer needs them.
    pub header: Header,
    /// The field, with its offset from the start of the packet.
    pub field: FieldInfo,
    /// What is wrong with it.
    pub fault: Fault,
}

/// What is wrong with a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// No NUL ends the text.
    NotTerminated,
    /// A length beyond what the packet can hold.
    Length {
        /// The length that the packet states, in bytes.
        stated: u16,
        /// The most that fits, in bytes.
        limit: u16,
    },
}

impl DecodeError {
    /// The code that answers such a packet, if it is a request.
    ///
    /// Source: TLS Pool protocol V2, INFO; taken for the other bodies as well.
    pub const fn code(&self) -> ErrorCode {
        ErrorCode::NotImplemented
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let FieldInfo { part, name, offset, size, .. } = self.field;
        write!(f, "{}: {part}.{name} at byte {offset}: ", self.header.command)?;
        match self.fault {
            Fault::NotTerminated => write!(f, "no NUL within its {size} bytes"),
            Fault::Length { stated, limit } => {
                write!(f, "length {stated} where at most {limit} bytes fit")
            }
        }
    }
}

impl Error for DecodeError {}

/// Reads the fields of one packet.
pub(crate) struct Reader<'a> {
    bytes: &'a [u8; PACKET_SIZE],
}

impl<'a> Reader<'a> {
    pub(crate) const fn new(bytes: &'a [u8; PACKET_SIZE]) -> Self {
        Self { bytes }
    }

    pub(crate) fn bytes<const N: usize>(&self, field: &Field<N>) -> [u8; N] {
        let mut bytes = [0; N];
        // A `Field` cannot be declared outside the packet, so the slice is there and fits.
        bytes.copy_from_slice(&self.bytes[field.offset..field.offset + N]);
        bytes
    }

    pub(crate) fn u8(&self, field: &Field<1>) -> u8 {
        u8::from_le_bytes(self.bytes(field))
    }

    pub(crate) fn u16(&self, field: &Field<2>) -> u16 {
        u16::from_le_bytes(self.bytes(field))
    }

    pub(crate) fn i16(&self, field: &Field<2>) -> i16 {
        i16::from_le_bytes(self.bytes(field))
    }

    pub(crate) fn u32(&self, field: &Field<4>) -> u32 {
        u32::from_le_bytes(self.bytes(field))
    }

    pub(crate) fn i32(&self, field: &Field<4>) -> i32 {
        i32::from_le_bytes(self.bytes(field))
    }

    pub(crate) fn control_key(&self, field: &Field<16>) -> ControlKey {
        ControlKey::new(self.bytes(field))
    }

    pub(crate) fn secret<const N: usize>(&self, field: &Field<N>) -> Secret<N> {
        Secret::new(self.bytes(field))
    }

    /// Text that decides something: without a NUL the packet is refused.
    pub(crate) fn text<const N: usize>(&self, field: &Field<N>) -> Result<Text<N>, DecodeError> {
        Text::terminated(&self.bytes(field)).ok_or_else(|| self.fault(field, Fault::NotTerminated))
    }

    pub(crate) fn identity(&self, field: &Field<128>) -> Result<Identity, DecodeError> {
        self.text(field).map(Identity)
    }

    /// Text that only informs, and that clients leave unset: what has no NUL is cut.
    pub(crate) fn note<const N: usize>(&self, field: &Field<N>) -> Text<N> {
        Text::cut(&self.bytes(field))
    }

    pub(crate) fn fault<const N: usize>(&self, field: &Field<N>, fault: Fault) -> DecodeError {
        DecodeError { header: Header::read(self), field: field.info(), fault }
    }
}

/// Writes the fields of one packet; what is not written is zero.
pub(crate) struct Writer {
    bytes: PacketBytes,
}

impl Writer {
    pub(crate) fn new() -> Self {
        Self { bytes: Secret::default() }
    }

    pub(crate) fn bytes<const N: usize>(&mut self, field: &Field<N>, value: &[u8; N]) {
        // A `Field` cannot be declared outside the packet, so the slice is there and fits.
        self.bytes.expose_mut()[field.offset..field.offset + N].copy_from_slice(value);
    }

    pub(crate) fn u8(&mut self, field: &Field<1>, value: u8) {
        self.bytes(field, &value.to_le_bytes());
    }

    pub(crate) fn u16(&mut self, field: &Field<2>, value: u16) {
        self.bytes(field, &value.to_le_bytes());
    }

    pub(crate) fn i16(&mut self, field: &Field<2>, value: i16) {
        self.bytes(field, &value.to_le_bytes());
    }

    pub(crate) fn u32(&mut self, field: &Field<4>, value: u32) {
        self.bytes(field, &value.to_le_bytes());
    }

    pub(crate) fn i32(&mut self, field: &Field<4>, value: i32) {
        self.bytes(field, &value.to_le_bytes());
    }

    pub(crate) fn text<const N: usize>(&mut self, field: &Field<N>, value: &Text<N>) {
        self.bytes(field, value.field());
    }

    pub(crate) fn finish(self) -> PacketBytes {
        self.bytes
    }
}
