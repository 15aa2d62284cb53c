//! PING.

use crate::codec::{DecodeError, Reader, Writer};
use crate::flags::Facilities;
use crate::layout::ping as at;
use crate::text::Text;

/// Who one is, and which facilities there are.
///
/// Source: TLS Pool protocol V2, PING.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ping {
    /// Who speaks: a date of eight digits, directly followed by a domain or `user@domain`. At
    /// most 135 bytes.
    pub producer: Text<136>,
    /// Asked for by the client; in the reply those of them that the pool offers.
    pub facilities: Facilities,
}

impl Ping {
    /// The identity of protocol V2 itself.
    pub const V2: &str = "20151111api@tlspool.arpa2.net";

    /// The eight digits of the producer's date (year, month, day) and the name that follows, or
    /// `None` when it does not begin with a date.
    pub fn dated_producer(&self) -> Option<(&[u8], &[u8])> {
        let (date, name) = self.producer.as_bytes().split_at_checked(8)?;
        date.iter().all(u8::is_ascii_digit).then_some((date, name))
    }

    pub(crate) fn read(reader: &Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            producer: reader.text(&at::PRODUCER)?,
            facilities: Facilities::from_bits(reader.u32(&at::FACILITIES)),
        })
    }

    pub(crate) fn write(&self, writer: &mut Writer) {
        writer.text(&at::PRODUCER, &self.producer);
        writer.u32(&at::FACILITIES, self.facilities.bits());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a7_a_producer_is_a_date_and_a_name() {
        let ping = |producer: &str| Ping {
            producer: Text::new(producer).unwrap(),
            facilities: Facilities::NONE,
        };
        assert_eq!(
            ping(Ping::V2).dated_producer(),
            Some((&b"20151111"[..], &b"api@tlspool.arpa2.net"[..]))
        );
        assert_eq!(ping("2015111").dated_producer(), None);
        assert_eq!(ping("tlspool.arpa2.net").dated_producer(), None);
    }
}
