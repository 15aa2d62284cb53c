//! The record layer's outside: headers, and the records that go out unencrypted (RFC 8446 section
//! 5.1, RFC 5246 section 6.2.1).

use levada_core::AlertDescription;

use crate::config_error::TlsConfigError;

/// Content type, legacy version and length.
const HEADER: usize = 5;
/// One more than the longest legal payload of a record, by the limit that rustls sets.
const TOO_LONG: usize = 16 * 1024 + 2048;

pub(crate) const CHANGE_CIPHER_SPEC: u8 = 20;
pub(crate) const ALERT: u8 = 21;
pub(crate) const HANDSHAKE: u8 = 22;
pub(crate) const APPLICATION_DATA: u8 = 23;
const HEARTBEAT: u8 = 24;

/// The most plain bytes in one record that we send (RFC 8446 section 5.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RecordSize(pub(crate) usize);

impl Default for RecordSize {
    fn default() -> Self {
        Self(16 * 1024)
    }
}

impl RecordSize {
    /// As rustls takes it, which counts the header, too.
    pub(crate) fn for_rustls(self) -> Result<Option<usize>, TlsConfigError> {
        match self.0 {
            // No less than RFC 8449 section 4 allows to ask for.
            64..=16384 => Ok(Some(HEADER + self.0)),
            bytes => Err(TlsConfigError::RecordSize(bytes)),
        }
    }
}

/// What stands at the front of bytes from the wire.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Front<'a> {
    /// Less than a record.
    Partial,
    /// A record, header included.
    Record(&'a [u8]),
    /// A header that no record can have: what follows it does not matter.
    IllegalHeader(&'a [u8]),
}

/// Finds the record at the front of `wire`.
pub(crate) fn front(wire: &[u8]) -> Front<'_> {
    let Some((header, _)) = wire.split_first_chunk::<HEADER>() else { return Front::Partial };
    let length = usize::from(u16::from_be_bytes([header[3], header[4]]));
    let content = header[0];
    if !(CHANGE_CIPHER_SPEC..=HEARTBEAT).contains(&content)
        || length >= TOO_LONG
        || (length == 0 && content != APPLICATION_DATA)
    {
        return Front::IllegalHeader(header);
    }
    wire.get(..HEADER + length).map_or(Front::Partial, Front::Record)
}

/// How many bytes the record at the front of `wire` lacks: at first those of its header alone. 0 where it
/// is whole.
pub(crate) fn lacks(wire: &[u8]) -> usize {
    let Some((header, body)) = wire.split_first_chunk::<HEADER>() else {
        return HEADER - wire.len();
    };
    usize::from(u16::from_be_bytes([header[3], header[4]])).saturating_sub(body.len())
}

/// Whether a peer that speaks TLS can begin with this byte: a handshake, or an alert about not
/// wanting one.
pub(crate) const fn can_be_first(byte: u8) -> bool {
    matches!(byte, HANDSHAKE | ALERT)
}

/// What a record of the handshake carries, unencrypted.
pub(crate) fn handshake(record: &[u8]) -> Option<&[u8]> {
    match record {
        [HANDSHAKE, _, _, _, _, content @ ..] => Some(content),
        _ => None,
    }
}

/// An alert as it stands in an unencrypted record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PlainAlert {
    pub(crate) is_warning: bool,
    pub(crate) description: AlertDescription,
}

/// Reads `record` as an unencrypted alert. An encrypted one is longer, by its authentication tag.
pub(crate) fn plain_alert(record: &[u8]) -> Option<PlainAlert> {
    match record {
        [ALERT, _, _, 0, 2, level, description] => Some(PlainAlert {
            is_warning: *level == 1,
            description: AlertDescription(*description),
        }),
        _ => None,
    }
}

/// A whole unencrypted record with the alert `description`: fatal, but for close_notify.
pub(crate) const fn alert_record(description: AlertDescription) -> [u8; 7] {
    let level = if description.0 == AlertDescription::CLOSE_NOTIFY.0 { 1 } else { 2 };
    [ALERT, 3, 3, 0, 2, level, description.0]
}

/// Whether `record`, made by rustls, is an alert: that of TLS 1.3 is known by its length, since nothing
/// else that a handshake sends is as short.
pub(crate) const fn is_alert(record: &[u8]) -> bool {
    const SEALED: usize = HEADER + 2 + 1 + 16;
    match record {
        [ALERT, ..] => true,
        [APPLICATION_DATA, ..] => record.len() == SEALED,
        _ => false,
    }
}

/// Whether `record` is unencrypted and says that those behind it are not.
pub(crate) fn is_change_cipher_spec(record: &[u8]) -> bool {
    record.first() == Some(&CHANGE_CIPHER_SPEC)
}

/// The whole records at the front of `wire`.
pub(crate) fn whole(mut wire: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let Front::Record(record) = front(wire) else { return None };
        wire = &wire[record.len()..];
        Some(record)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_records_are_found() {
        let record = [23, 3, 3, 0, 2, 7, 8];
        for end in 0..record.len() {
            assert_eq!(front(&record[..end]), Front::Partial);
        }
        assert_eq!(front(&[23, 3, 3, 0, 2, 7, 8, 9]), Front::Record(&record));
        assert_eq!(front(&[23, 3, 3, 0, 0]), Front::Record(&[23, 3, 3, 0, 0]));
    }

    #[test]
    fn a_record_lacks_its_header_and_then_its_body() {
        let record = [23, 3, 3, 0, 2, 7, 8];
        let lacked: Vec<_> = (0..=record.len()).map(|end| lacks(&record[..end])).collect();
        assert_eq!(lacked, [5, 4, 3, 2, 1, 2, 1, 0]);
        assert_eq!(lacks(&[23, 3, 3, 0, 0]), 0);
    }

    #[test]
    fn an_illegal_header_is_found_without_waiting_for_more() {
        for header in [[19, 3, 3, 0, 2], [25, 3, 3, 0, 2], [22, 3, 3, 0, 0], [23, 3, 3, 0x48, 0]] {
            assert_eq!(front(&header), Front::IllegalHeader(&header));
        }
        assert_eq!(front(&[23, 3, 3, 0x47, 0xff]), Front::Partial);
    }

    #[test]
    fn alerts_are_read_as_they_are_written() {
        let record = alert_record(AlertDescription::UNRECOGNIZED_NAME);
        assert_eq!(
            plain_alert(&record),
            Some(PlainAlert { is_warning: false, description: AlertDescription(112) })
        );
        let goodbye = alert_record(AlertDescription::CLOSE_NOTIFY);
        assert!(plain_alert(&goodbye).is_some_and(|alert| alert.is_warning));
        assert_eq!(plain_alert(&[23, 3, 3, 0, 2, 2, 40]), None);
    }

    #[test]
    fn records_are_told_apart_and_less_than_one_is_none() {
        let alert = alert_record(AlertDescription::DECODE_ERROR);
        let wire = [&[20, 3, 3, 0, 1, 1], &alert[..], &[23, 3, 3, 0, 1]].concat();
        let found: Vec<_> = whole(&wire).collect();
        assert_eq!(found, [&[20, 3, 3, 0, 1, 1], &alert[..]]);
        assert!(is_change_cipher_spec(found[0]) && !is_change_cipher_spec(found[1]));
        assert_eq!(whole(&[]).next(), None);
    }
}
