//! PINs: what opens a key is asked of a person, by way of the client that is registered for PIN entry.

use std::fmt;
use std::sync::{Arc, OnceLock};

use levada_pool_wire::body::{Pin, PinEntry};
use levada_pool_wire::{Message, Text};

use crate::service::{NoAnswer, Service};

/// Where PINs are asked for. Clones are one desk.
///
/// A policy has one from the moment that it is read, for all that is locked in it; it leads to a person
/// once the pool puts the policy in force.
#[derive(Clone, Default)]
pub(crate) struct PinDesk(Arc<OnceLock<Service>>);

impl fmt::Debug for PinDesk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PinDesk")
    }
}

impl PinDesk {
    /// Has the client asked from now on that is registered for `service`.
    pub(crate) fn connect(&self, service: &Service) {
        // A policy is put in force in one pool.
        let _ = self.0.set(service.clone());
    }

    /// Asks for a PIN. `attempt` counts from 0; later ones follow a PIN that was wrong.
    ///
    /// One question is out at a time, and others wait in order; no thread is held meanwhile.
    ///
    /// Source: TLS Pool protocol V2, PINENTRY.
    ///
    /// # Errors
    ///
    /// [`NoAnswer`]; an empty PIN declines.
    ///
    /// # Cancel safety
    ///
    /// When it is dropped its question stays out, and the answer to that is wiped.
    pub(crate) async fn ask(&self, prompt: &PinPrompt, attempt: u32) -> Result<Pin, NoAnswer> {
        let turn = self.0.get().ok_or(NoAnswer::Nobody)?.turn().await?;
        let timeout_us = u32::try_from(turn.terms().time.as_micros()).unwrap_or(u32::MAX);
        let question = PinEntry {
            attempt,
            timeout_us,
            prompt: prompt.prompt,
            manufacturer: prompt.manufacturer,
            model: prompt.model,
            serial: prompt.serial,
            label: prompt.label,
            ..PinEntry::default()
        };
        match turn.ask(Message::PinEntry(question)).await?.0 {
            Message::PinEntry(PinEntry { pin, .. }) if !pin.is_empty() => Ok(pin),
            _ => Err(NoAnswer::Declined),
        }
    }
}

/// What a PIN is for, as the person is told. What is too long for its packet is cut.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct PinPrompt {
    prompt: Text<128>,
    manufacturer: Text<36>,
    model: Text<20>,
    serial: Text<20>,
    label: Text<36>,
}

impl PinPrompt {
    /// The question.
    pub(crate) fn new(prompt: &str) -> Self {
        Self { prompt: fit(prompt), ..Self::default() }
    }

    /// With the token that it is about. Its fields are as PKCS#11 has them: spaces fill them up, which
    /// are taken off.
    #[cfg_attr(not(test), allow(dead_code, reason = "keys in files have no token"))]
    pub(crate) fn token(self, manufacturer: &str, model: &str, serial: &str, label: &str) -> Self {
        Self {
            manufacturer: fit(manufacturer),
            model: fit(model),
            serial: fit(serial),
            label: fit(label),
            ..self
        }
    }
}

/// The text before the first NUL, without spaces at its end, as much as fits.
fn fit<const N: usize>(text: &str) -> Text<N> {
    let text = text.split('\0').next().unwrap_or_default();
    let text = &text[..text.floor_char_boundary(Text::<N>::MAX_LEN)];
    Text::new(text.trim_end_matches(' ')).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a7_the_fields_of_a_token_are_trimmed_and_end() {
        let prompt = PinPrompt::new("PIN, please").token(
            "SoftHSM project                 ",
            "SoftHSM v2      ",
            "b4ecdb1e33a2d6bf",
            "mail\0left",
        );
        assert_eq!(prompt.manufacturer.as_str(), Some("SoftHSM project"));
        assert_eq!(prompt.model.as_str(), Some("SoftHSM v2"));
        assert_eq!(prompt.serial.as_str(), Some("b4ecdb1e33a2d6bf"));
        assert_eq!(prompt.label.as_str(), Some("mail"));
        let long = PinPrompt::new(&"ü".repeat(100));
        assert_eq!(long.prompt.as_str(), Some("ü".repeat(63).as_str()), "cut between characters");
    }
}
