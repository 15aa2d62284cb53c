//! HANDBACK, a private command: has the kernel seal and open a session's records on the application's own
//! socket, so that the pool leaves the way of the data.

use alloc::string::String;
use alloc::vec::Vec;
use core::error::Error;
use core::fmt;

use levada_core::{NoKernelTls, OsError};

use crate::command::LocalCommand;
use crate::layout::BODY_SIZE;
use crate::packet::Message;
use crate::report::codec::{Input, Value};
use crate::secret::{ControlKey, Secret};

/// A wish to get a connection back under kernel TLS, and what came of it.
///
/// The application asks before the STARTTLS to come that bears this control key, on the same control
/// connection, and is answered SUCCESS; it keeps its own copy of the network socket. Where the pool then
/// hands back, it asks for no plaintext socket: the copy is the plaintext side, and its records are the
/// application's to care for. Behind the reply to STARTTLS the application asks once more with the same
/// key, and is answered with what came of it, once.
///
/// Layout of the body: control key 0..16, then 0 for a question; 1, a length u16 and the state; or 2 and the
/// reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HandBack {
    /// The control key of that STARTTLS.
    pub control_key: ControlKey,
    /// What came of it; `None` asks.
    pub outcome: Option<HandBackOutcome>,
}

/// The state to go on with, or why the pool relays.
pub type HandBackOutcome = Result<KernelState, NoKernelTls>;

impl HandBack {
    /// The number of the command.
    pub const COMMAND: LocalCommand = LocalCommand::new(0x4c56_0004);

    /// Where what is asked or told begins.
    const OUTCOME: usize = 16;

    /// The wish, or the question what came of it.
    pub const fn question(control_key: ControlKey) -> Self {
        Self { control_key, outcome: None }
    }

    /// The command in a body.
    ///
    /// # Errors
    ///
    /// [`NoHandBack`] when what it tells is none of what there is, or does not fit.
    pub fn from_body(body: &Secret<BODY_SIZE>) -> Result<Self, NoHandBack> {
        let (key, rest) = body.expose().split_at(Self::OUTCOME);
        let mut control_key = [0; 16];
        control_key.copy_from_slice(key);
        let mut input = Input(rest);
        let outcome = match input.tag().map_err(|_| NoHandBack)? {
            0 => None,
            1 => {
                let len = u16::take(&mut input).map_err(|_| NoHandBack)?;
                let state = input.take(usize::from(len)).map_err(|_| NoHandBack)?;
                Some(Ok(KernelState::new(state).ok_or(NoHandBack)?))
            }
            2 => Some(Err(NoKernelTls::take(&mut input).map_err(|_| NoHandBack)?)),
            _ => return Err(NoHandBack),
        };
        Ok(Self { control_key: ControlKey::new(control_key), outcome })
    }
}

impl From<HandBack> for Message {
    fn from(hand_back: HandBack) -> Self {
        let mut body = Secret::default();
        let (key, room) = body.expose_mut().split_at_mut(HandBack::OUTCOME);
        key.copy_from_slice(hand_back.control_key.expose());
        match hand_back.outcome {
            None => {}
            Some(Ok(state)) => {
                room[0] = 1;
                room[1..3].copy_from_slice(&state.len.to_le_bytes());
                room[3..][..state.bytes().len()].copy_from_slice(state.bytes());
            }
            Some(Err(why)) => {
                room[0] = 2;
                let mut told = encoded(&why);
                if told.len() >= room.len()
                    && let NoKernelTls::System(error) = why
                {
                    // Without the words; its number tells as much.
                    told = encoded(&NoKernelTls::System(OsError { text: String::new(), ..error }));
                }
                room[1..][..told.len()].copy_from_slice(&told);
            }
        }
        Self::Local(HandBack::COMMAND, body)
    }
}

fn encoded(why: &NoKernelTls) -> Vec<u8> {
    let mut out = Vec::new();
    why.put(&mut out);
    out
}

/// What an application needs to care for records that the kernel seals and opens: the state of Levada's
/// `KernelSession`. It is as secret as what was said on the connection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KernelState {
    len: u16,
    /// The state, then zeros.
    bytes: Secret<{ Self::MAX_LEN }>,
}

impl KernelState {
    /// The most bytes of a state.
    pub const MAX_LEN: usize = 256;

    /// A state from its bytes; `None` for more than [`Self::MAX_LEN`].
    pub fn new(state: &[u8]) -> Option<Self> {
        let mut bytes = Secret::default();
        bytes.expose_mut().get_mut(..state.len())?.copy_from_slice(state);
        Some(Self { len: state.len() as u16, bytes })
    }

    /// The bytes, for whoever has a right to them.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes.expose()[..usize::from(self.len)]
    }
}

/// A body that tells nothing that a hand-back can come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoHandBack;

impl fmt::Display for NoHandBack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "a hand-back is asked for, has a state of up to 256 bytes, or a known reason not to be",
        )
    }
}

impl Error for NoHandBack {}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use levada_core::OsErrorKind;
    use proptest::prelude::*;

    use super::*;

    fn survives(hand_back: HandBack) -> HandBack {
        let Message::Local(HandBack::COMMAND, body) = hand_back.into() else {
            panic!("another message")
        };
        HandBack::from_body(&body).unwrap()
    }

    fn declined(why: NoKernelTls) -> HandBack {
        HandBack { control_key: ControlKey::new([3; 16]), outcome: Some(Err(why)) }
    }

    #[test]
    fn a_reason_survives_and_loses_words_that_do_not_fit() {
        for why in [NoKernelTls::Unsupported, NoKernelTls::Forbidden] {
            assert_eq!(survives(declined(why.clone())), declined(why));
        }
        let system = |len| {
            let text = "x".repeat(len);
            NoKernelTls::System(OsError { code: Some(2), kind: OsErrorKind::NotFound, text })
        };
        assert_eq!(survives(declined(system(300))), declined(system(300)));
        assert_eq!(survives(declined(system(4000))), declined(system(0)));
    }

    #[test]
    fn a_state_is_bounded_and_not_printed() {
        assert_eq!(KernelState::new(&[1; 257]), None);
        let state = KernelState::new(&[0x41; 256]).unwrap();
        assert!(!alloc::format!("{state:?}").contains("41"));
        let mut body = Secret::default();
        body.expose_mut()[16..19].copy_from_slice(&[1, 1, 1]);
        assert_eq!(HandBack::from_body(&body), Err(NoHandBack), "257 bytes");
    }

    proptest! {
        #[test]
        fn every_hand_back_comes_back_as_it_went(
            key: [u8; 16], state in prop::option::of(prop::collection::vec(any::<u8>(), 0..=256)),
        ) {
            let outcome = state.map(|state| Ok(KernelState::new(&state).unwrap()));
            let sent = HandBack { control_key: ControlKey::new(key), outcome };
            prop_assert_eq!(survives(sent.clone()), sent);
        }
    }

    #[test]
    fn other_tags_are_refused() {
        for tag in [vec![3], vec![0xff], vec![2, 0xff]] {
            let mut body = Secret::default();
            body.expose_mut()[16..][..tag.len()].copy_from_slice(&tag);
            assert_eq!(HandBack::from_body(&body), Err(NoHandBack));
        }
    }
}
