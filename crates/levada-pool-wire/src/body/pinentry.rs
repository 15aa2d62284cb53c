//! PINENTRY.

use crate::codec::{DecodeError, Fault, Reader, Writer};
use crate::layout::pinentry as at;
use crate::secret::Secret;
use crate::text::{Text, TextError};

/// A registration for PIN entry, the question for a PIN, and the answer, which registers anew.
///
/// In a registration only the timeout counts, so the texts only inform: one without a NUL is cut
/// and not refused. The PIN has to be in order.
///
/// Source: TLS Pool protocol V2, PINENTRY.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PinEntry {
    /// No flag has a meaning yet.
    pub flags: u32,
    /// How often the token was tried before, from 0.
    pub attempt: u32,
    /// How long an answer may take, in microseconds.
    pub timeout_us: u32,
    /// The PIN: empty in registrations and questions, and in an answer that refuses.
    pub pin: Pin,
    /// What to ask the person.
    pub prompt: Text<128>,
    /// Who made the token.
    pub manufacturer: Text<36>,
    /// The token's model.
    pub model: Text<20>,
    /// The token's serial number.
    pub serial: Text<20>,
    /// The token's label.
    pub label: Text<36>,
}

impl PinEntry {
    pub(crate) fn read(reader: &Reader<'_>) -> Result<Self, DecodeError> {
        let pin = Pin(reader.secret(&at::PIN));
        if !pin.0.expose().contains(&0) {
            return Err(reader.fault(&at::PIN, Fault::NotTerminated));
        }
        Ok(Self {
            flags: reader.u32(&at::FLAGS),
            attempt: reader.u32(&at::ATTEMPT),
            timeout_us: reader.u32(&at::TIMEOUT),
            pin: pin.without_tail(),
            prompt: reader.note(&at::PROMPT),
            manufacturer: reader.note(&at::MANUFACTURER),
            model: reader.note(&at::MODEL),
            serial: reader.note(&at::SERIAL),
            label: reader.note(&at::LABEL),
        })
    }

    pub(crate) fn write(&self, writer: &mut Writer) {
        writer.u32(&at::FLAGS, self.flags);
        writer.u32(&at::ATTEMPT, self.attempt);
        writer.u32(&at::TIMEOUT, self.timeout_us);
        writer.bytes(&at::PIN, self.pin.0.expose());
        writer.text(&at::PROMPT, &self.prompt);
        writer.text(&at::MANUFACTURER, &self.manufacturer);
        writer.text(&at::MODEL, &self.model);
        writer.text(&at::SERIAL, &self.serial);
        writer.text(&at::LABEL, &self.label);
    }
}

/// A PIN of up to 127 bytes without a NUL, wiped on drop and never printed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pin(Secret<128>);

impl Pin {
    /// A PIN from its bytes.
    ///
    /// # Errors
    ///
    /// [`TextError`] for more than 127 bytes, or a NUL among them.
    pub fn new(pin: &[u8]) -> Result<Self, TextError> {
        if pin.len() > Text::<128>::MAX_LEN {
            return Err(TextError::TooLong { len: pin.len(), limit: Text::<128>::MAX_LEN });
        }
        if let Some(at) = pin.iter().position(|&byte| byte == 0) {
            return Err(TextError::Nul { at });
        }
        let mut secret = Secret::default();
        secret.expose_mut()[..pin.len()].copy_from_slice(pin);
        Ok(Self(secret))
    }

    /// The PIN without its NUL, for whoever has a right to it.
    pub fn expose(&self) -> &[u8] {
        self.0.expose().split(|&byte| byte == 0).next().unwrap_or_default()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.expose().is_empty()
    }

    /// The same PIN with zeros behind its NUL.
    fn without_tail(mut self) -> Self {
        let len = self.expose().len();
        self.0.expose_mut()[len..].fill(0);
        self
    }
}

#[cfg(test)]
mod tests {
    use alloc::format;

    use super::*;

    #[test]
    fn a2_a_pin_has_up_to_127_bytes_and_no_nul() {
        assert_eq!(Pin::new(&[b'1'; 127]).unwrap().expose().len(), 127);
        assert_eq!(Pin::new(&[b'1'; 128]), Err(TextError::TooLong { len: 128, limit: 127 }));
        assert_eq!(Pin::new(b"12\x0034"), Err(TextError::Nul { at: 2 }));
        assert!(Pin::default().is_empty());
    }

    #[test]
    fn a_pin_is_not_printed() {
        let entry = PinEntry { pin: Pin::new(b"123456").unwrap(), ..PinEntry::default() };
        assert!(!format!("{entry:?}").contains("123456"));
    }
}
