//! The settings that the builders of both roles have.

use crate::key_log::DangerKeyLog;
use crate::record::RecordSize;
use crate::version::Versions;

#[derive(Clone, Debug, Default)]
pub(crate) struct Common {
    pub(crate) alpn: Vec<Vec<u8>>,
    pub(crate) versions: Versions,
    pub(crate) record_size: RecordSize,
    pub(crate) key_log: Option<DangerKeyLog>,
}

/// The methods of a builder that set its `common`. What application protocols mean, each role says.
macro_rules! common_settings {
    (alpn: $alpn:literal) => {
        #[doc = $alpn]
        #[must_use]
        pub fn alpn<N: Into<Vec<u8>>>(mut self, names: impl IntoIterator<Item = N>) -> Self {
            self.common.alpn = names.into_iter().map(Into::into).collect();
            self
        }

        /// The lowest version to speak; 1.2 unless said otherwise.
        #[must_use]
        pub const fn min_version(mut self, version: TlsVersion) -> Self {
            self.common.versions.min = version;
            self
        }

        /// The highest version to speak; 1.3 unless said otherwise.
        #[must_use]
        pub const fn max_version(mut self, version: TlsVersion) -> Self {
            self.common.versions.max = version;
            self
        }

        /// Sends no record with more than so many plain bytes, from 64 to 16384, which is the default.
        /// This limits what we send, for a peer that has little room or shall read early; nothing is
        /// negotiated (RFC 8449), and what the peer sends is not limited by it.
        #[must_use]
        pub const fn max_record(mut self, bytes: usize) -> Self {
            self.common.record_size = RecordSize(bytes);
            self
        }

        /// Writes the secrets of every session: whoever reads them reads all that it carries.
        #[must_use]
        pub fn danger_key_log(mut self, key_log: DangerKeyLog) -> Self {
            self.common.key_log = Some(key_log);
            self
        }
    };
}

pub(crate) use common_settings;
