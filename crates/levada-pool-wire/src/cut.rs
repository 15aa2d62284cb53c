//! CUT, a private command: ends a session without a goodbye.

use crate::command::LocalCommand;
use crate::layout::BODY_SIZE;
use crate::packet::Message;
use crate::secret::{ControlKey, Secret};

/// Ends a session of the asking connection without a goodbye to the peer, who cannot take it for a
/// clean end: closing the plaintext side is one. The answer is SUCCESS.
///
/// Layout of the body: control key 0..16.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cut {
    /// The session, as its STARTTLS request had it.
    pub control_key: ControlKey,
}

impl Cut {
    /// The number of the command.
    pub const COMMAND: LocalCommand = LocalCommand::new(0x4c56_0003);

    /// The command in a body.
    pub fn from_body(body: &Secret<BODY_SIZE>) -> Self {
        let mut key = [0; 16];
        key.copy_from_slice(&body.expose()[..16]);
        Self { control_key: ControlKey::new(key) }
    }
}

impl From<Cut> for Message {
    fn from(cut: Cut) -> Self {
        let mut body = Secret::default();
        body.expose_mut()[..16].copy_from_slice(cut.control_key.expose());
        Self::Local(Cut::COMMAND, body)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_names_its_session() {
        let cut = Cut { control_key: ControlKey::new([5; 16]) };
        let Message::Local(Cut::COMMAND, body) = cut.clone().into() else {
            panic!("another message")
        };
        assert_eq!(Cut::from_body(&body), cut);
    }
}
