//! `CONTROL_DETACH` and `CONTROL_REATTACH`.

use crate::codec::{Reader, Writer};
use crate::layout::control as at;
use crate::secret::ControlKey;

/// Which session to detach or to attach.
///
/// The body has a name field as well, which nobody uses: it is neither read nor set.
///
/// Source: TLS Pool protocol V2, detach and reattach.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Control {
    /// No flag has a meaning yet.
    pub flags: u32,
    /// The key that STARTTLS returned for the session.
    pub control_key: ControlKey,
}

impl Control {
    pub(crate) fn read(reader: &Reader<'_>) -> Self {
        Self { flags: reader.u32(&at::FLAGS), control_key: reader.control_key(&at::CONTROL_KEY) }
    }

    pub(crate) fn write(&self, writer: &mut Writer) {
        writer.u32(&at::FLAGS, self.flags);
        writer.bytes(&at::CONTROL_KEY, self.control_key.expose());
    }
}
