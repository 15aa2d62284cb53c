//! INFO: facts about a session.

use core::error::Error;
use core::fmt;

use crate::codec::{DecodeError, Fault, Reader, Writer};
use crate::command::Unassigned;
use crate::layout::info as at;
use crate::secret::ControlKey;

/// A question about a session, and the answer.
///
/// Source: TLS Pool protocol V2, INFO.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Info {
    /// Which session.
    pub control_key: ControlKey,
    /// Which fact.
    pub kind: InfoKind,
    /// `None` asks for the fact. Otherwise a request holds what to compare it with, and a reply
    /// the fact itself.
    pub fact: Option<Fact>,
}

/// The length that asks for a fact instead of comparing it.
const QUERY: u16 = 0xffff;

impl Info {
    pub(crate) fn read(reader: &Reader<'_>) -> Result<Self, DecodeError> {
        let fact = match reader.u16(&at::LEN) {
            QUERY => None,
            stated if usize::from(stated) <= Fact::MAX_LEN => {
                let mut bytes = reader.bytes(&at::BUFFER);
                bytes[usize::from(stated)..].fill(0);
                Some(Fact { len: stated, bytes })
            }
            stated => {
                let limit = Fact::MAX_LEN as u16;
                return Err(reader.fault(&at::LEN, Fault::Length { stated, limit }));
            }
        };
        Ok(Self {
            control_key: reader.control_key(&at::CONTROL_KEY),
            kind: InfoKind::from_wire(reader.u32(&at::KIND)),
            fact,
        })
    }

    pub(crate) fn write(&self, writer: &mut Writer) {
        writer.bytes(&at::CONTROL_KEY, self.control_key.expose());
        writer.u32(&at::KIND, self.kind.to_wire());
        writer.u16(&at::LEN, self.fact.as_ref().map_or(QUERY, |fact| fact.len));
        if let Some(fact) = &self.fact {
            writer.bytes(&at::BUFFER, &fact.bytes);
        }
    }
}

/// Which fact about a session.
///
/// Source: TLS Pool protocol V2, INFO kinds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum InfoKind {
    /// The subject of the peer's certificate: a DER Name.
    PeerSubject,
    /// The issuer of the peer's certificate: a DER Name.
    PeerIssuer,
    /// One subjectAltName of the peer's certificate: a DER `GeneralName`, to compare only.
    PeerSubjectAltName,
    /// The subject of our certificate.
    OwnSubject,
    /// The issuer of our certificate.
    OwnIssuer,
    /// One subjectAltName of our certificate, to compare only.
    OwnSubjectAltName,
    /// The channel binding `tls-unique` (RFC 5929); not in TLS 1.3.
    TlsUnique,
    /// The channel binding `tls-server-end-point` (RFC 5929).
    TlsServerEndPoint,
    /// A number to which V2 gives no meaning.
    Unknown(Unassigned),
}

impl InfoKind {
    /// Every kind that V2 names.
    pub const NAMED: [Self; 8] = [
        Self::PeerSubject,
        Self::PeerIssuer,
        Self::PeerSubjectAltName,
        Self::OwnSubject,
        Self::OwnIssuer,
        Self::OwnSubjectAltName,
        Self::TlsUnique,
        Self::TlsServerEndPoint,
    ];

    /// The kind that has this number.
    pub const fn from_wire(number: u32) -> Self {
        match number {
            0x5280_0000 => Self::PeerSubject,
            0x5280_0001 => Self::PeerIssuer,
            0x5280_0002 => Self::PeerSubjectAltName,
            0x5280_0100 => Self::OwnSubject,
            0x5280_0101 => Self::OwnIssuer,
            0x5280_0102 => Self::OwnSubjectAltName,
            0x5929_0000 => Self::TlsUnique,
            0x5929_0001 => Self::TlsServerEndPoint,
            _ => Self::Unknown(Unassigned(number)),
        }
    }

    /// This kind's number.
    pub const fn to_wire(self) -> u32 {
        match self {
            Self::PeerSubject => 0x5280_0000,
            Self::PeerIssuer => 0x5280_0001,
            Self::PeerSubjectAltName => 0x5280_0002,
            Self::OwnSubject => 0x5280_0100,
            Self::OwnIssuer => 0x5280_0101,
            Self::OwnSubjectAltName => 0x5280_0102,
            Self::TlsUnique => 0x5929_0000,
            Self::TlsServerEndPoint => 0x5929_0001,
            Self::Unknown(number) => number.to_wire(),
        }
    }
}

/// Up to 334 bytes about a session.
#[derive(Clone, PartialEq, Eq)]
pub struct Fact {
    len: u16,
    /// The fact, then zeros.
    bytes: [u8; Self::MAX_LEN],
}

impl Fact {
    /// The most bytes that a fact can have.
    pub const MAX_LEN: usize = 334;

    /// A fact from its bytes.
    ///
    /// # Errors
    ///
    /// [`FactTooLong`] for more than 334 bytes.
    pub fn new(fact: &[u8]) -> Result<Self, FactTooLong> {
        let mut bytes = [0; Self::MAX_LEN];
        let room = bytes.get_mut(..fact.len()).ok_or(FactTooLong { len: fact.len() })?;
        room.copy_from_slice(fact);
        Ok(Self { len: fact.len() as u16, bytes })
    }

    /// The bytes of the fact.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }
}

impl fmt::Debug for Fact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fact(\"{}\")", self.as_bytes().escape_ascii())
    }
}

/// A fact of more than 334 bytes, which no packet can carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FactTooLong {
    /// How many bytes it has.
    pub len: usize,
}

impl fmt::Display for FactTooLong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a fact of {} bytes where at most {} fit", self.len, Fact::MAX_LEN)
    }
}

impl Error for FactTooLong {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a4_own_kinds_are_the_peers_plus_0x100() {
        use InfoKind::{
            OwnIssuer, OwnSubject, OwnSubjectAltName, PeerIssuer, PeerSubject, PeerSubjectAltName,
        };
        for (peer, own) in [
            (PeerSubject, OwnSubject),
            (PeerIssuer, OwnIssuer),
            (PeerSubjectAltName, OwnSubjectAltName),
        ] {
            assert_eq!(own.to_wire(), peer.to_wire() + 0x100);
        }
        for kind in InfoKind::NAMED {
            assert_eq!(InfoKind::from_wire(kind.to_wire()), kind);
        }
        assert!(matches!(InfoKind::from_wire(0x5280_0003), InfoKind::Unknown(_)));
    }

    #[test]
    fn a2_a_fact_has_up_to_334_bytes() {
        assert_eq!(Fact::new(&[1; 334]).unwrap().as_bytes(), [1; 334]);
        assert_eq!(Fact::new(&[1; 335]), Err(FactTooLong { len: 335 }));
        assert!(Fact::new(b"").unwrap().as_bytes().is_empty());
    }
}
