//! OFFER, a private command: what goes with a STARTTLS that V2 has no field for.

use alloc::vec::Vec;
use core::error::Error;
use core::fmt;

use crate::command::LocalCommand;
use crate::layout::BODY_SIZE;
use crate::packet::Message;
use crate::secret::{ControlKey, Secret};

/// What goes with the STARTTLS to come that bears this control key, on the same control connection.
/// The answer is SUCCESS. A pool keeps as many offers of a connection as it takes requests there, the
/// latest, and one of a control key.
///
/// Layout of the body: control key 0..16, length u16 16..18, then the protocols as TLS writes them,
/// each a length byte and the name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    /// The control key of that STARTTLS.
    pub control_key: ControlKey,
    /// Application protocols (ALPN, RFC 7301), the preferred one first.
    pub alpn: Vec<Vec<u8>>,
}

impl Offer {
    /// The number of the command.
    pub const COMMAND: LocalCommand = LocalCommand::new(0x4c56_0002);

    /// The most bytes of all protocols, each with its length byte.
    pub const MAX_LEN: usize = BODY_SIZE - 18;

    /// The packet's message.
    ///
    /// # Errors
    ///
    /// [`NoOffer`] for an empty protocol, one of more than 255 bytes, or more than fit.
    pub fn to_message(&self) -> Result<Message, NoOffer> {
        let mut body = Secret::default();
        let bytes = body.expose_mut();
        bytes[..16].copy_from_slice(self.control_key.expose());
        let mut end = 18;
        for protocol in &self.alpn {
            let len = u8::try_from(protocol.len()).map_err(|_| NoOffer)?;
            let room = bytes.get_mut(end..end + 1 + protocol.len()).ok_or(NoOffer)?;
            let (first, name) = room.split_first_mut().filter(|_| len > 0).ok_or(NoOffer)?;
            *first = len;
            name.copy_from_slice(protocol);
            end += 1 + protocol.len();
        }
        bytes[16..18].copy_from_slice(&((end - 18) as u16).to_le_bytes());
        Ok(Message::Local(Self::COMMAND, body))
    }

    /// The offer in a body.
    ///
    /// # Errors
    ///
    /// [`NoOffer`] when the lengths do not add up, or a protocol is empty.
    pub fn from_body(body: &Secret<BODY_SIZE>) -> Result<Self, NoOffer> {
        let bytes = body.expose();
        let mut key = [0; 16];
        key.copy_from_slice(&bytes[..16]);
        let len = usize::from(u16::from_le_bytes([bytes[16], bytes[17]]));
        let mut rest = bytes.get(18..18 + len).ok_or(NoOffer)?;
        let mut alpn = Vec::new();
        while let Some((&len, behind)) = rest.split_first() {
            let (name, behind) = behind.split_at_checked(usize::from(len)).ok_or(NoOffer)?;
            if name.is_empty() {
                return Err(NoOffer);
            }
            alpn.push(name.to_vec());
            rest = behind;
        }
        Ok(Self { control_key: ControlKey::new(key), alpn })
    }
}

/// Protocols that no offer can hold, or lengths in one that do not add up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoOffer;

impl fmt::Display for NoOffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let max = Offer::MAX_LEN;
        write!(f, "application protocols are 1 to 255 bytes each and up to {max} together")
    }
}

impl Error for NoOffer {}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;

    #[test]
    fn an_offer_survives() {
        let alpn = vec![b"h2".to_vec(), b"x".to_vec()];
        let offer = Offer { control_key: ControlKey::new([1; 16]), alpn };
        let Message::Local(Offer::COMMAND, body) = offer.to_message().unwrap() else {
            panic!("another message")
        };
        assert_eq!(Offer::from_body(&body), Ok(offer));
    }

    #[test]
    fn protocols_that_do_not_fit_are_refused() {
        for alpn in [vec![Vec::new()], vec![vec![b'x'; 256]], vec![vec![b'x'; 200]; 2]] {
            let offer = Offer { control_key: ControlKey::default(), alpn };
            assert_eq!(offer.to_message(), Err(NoOffer));
        }
    }

    #[test]
    fn lengths_that_do_not_add_up_are_refused() {
        let mut bytes = [0xff; BODY_SIZE];
        assert_eq!(Offer::from_body(&Secret::new(bytes)), Err(NoOffer));
        bytes[16..18].copy_from_slice(&2_u16.to_le_bytes());
        assert_eq!(Offer::from_body(&Secret::new(bytes)), Err(NoOffer));
        bytes[18..20].copy_from_slice(&[0, 0]);
        assert_eq!(Offer::from_body(&Secret::new(bytes)), Err(NoOffer));
    }
}
