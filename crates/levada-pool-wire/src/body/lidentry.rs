//! `LIDENTRY_REGISTER` and `LIDENTRY_CALLBACK`.

use crate::codec::{DecodeError, Reader, Writer};
use crate::flags::LidentryFlags;
use crate::layout::lidentry as at;
use crate::text::Identity;

/// A registration to choose local identities, the question for one, and the answer, which
/// registers anew.
///
/// Source: TLS Pool protocol V2, LIDENTRY.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lidentry {
    /// What to ask for and what to remember; the flags of the registration stay in every answer.
    pub flags: LidentryFlags,
    /// How many steps the remote identity may be generalised.
    pub max_levels: u16,
    /// In a registration, seconds for an answer; in a question, the second since 1970 by which
    /// it is due.
    pub timeout_s: u32,
    /// Who we could be, or are to be.
    pub local_id: Identity,
    /// For whom.
    pub remote_id: Identity,
}

impl Lidentry {
    pub(crate) fn read(reader: &Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            flags: LidentryFlags::from_bits(reader.u32(&at::FLAGS)),
            max_levels: reader.u16(&at::MAX_LEVELS),
            timeout_s: reader.u32(&at::TIMEOUT),
            local_id: reader.identity(&at::LOCAL_ID)?,
            remote_id: reader.identity(&at::REMOTE_ID)?,
        })
    }

    pub(crate) fn write(&self, writer: &mut Writer) {
        writer.u32(&at::FLAGS, self.flags.bits());
        writer.u16(&at::MAX_LEVELS, self.max_levels);
        writer.u32(&at::TIMEOUT, self.timeout_s);
        writer.text(&at::LOCAL_ID, &self.local_id.0);
        writer.text(&at::REMOTE_ID, &self.remote_id.0);
    }
}
