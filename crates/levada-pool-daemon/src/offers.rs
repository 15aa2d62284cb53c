//! What goes with the STARTTLS requests to come of one control connection.

use std::collections::VecDeque;

use levada_pool_wire::{ControlKey, Offer};

/// Offers that wait for their STARTTLS, the oldest first. A client may send several before the first of
/// their requests: its tasks share the connection.
#[derive(Default)]
pub(crate) struct Offers(VecDeque<Offer>);

impl Offers {
    /// Keeps an offer, in place of another one for its key; beyond `most` the oldest go.
    pub(crate) fn keep(&mut self, offer: Offer, most: usize) {
        self.take(&offer.control_key);
        while self.0.len() >= most.max(1) {
            self.0.pop_front();
        }
        self.0.push_back(offer);
    }

    /// The offer that goes with the request of this key.
    pub(crate) fn take(&mut self, key: &ControlKey) -> Option<Offer> {
        let at = self.0.iter().position(|offer| offer.control_key == *key)?;
        self.0.remove(at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offer(key: u8, protocol: &str) -> Offer {
        let alpn = vec![protocol.as_bytes().to_vec()];
        Offer { control_key: ControlKey::new([key; 16]), alpn }
    }

    #[test]
    fn offers_are_bounded_and_a_key_has_one() {
        let mut offers = Offers::default();
        let key = |number| ControlKey::new([number; 16]);
        for number in 0..4 {
            offers.keep(offer(number, "h2"), 3);
        }
        offers.keep(offer(2, "http/1.1"), 3);
        assert_eq!(offers.take(&key(0)), None);
        assert_eq!(offers.take(&key(2)), Some(offer(2, "http/1.1")));
        assert_eq!(offers.take(&key(2)), None);
        assert_eq!(offers.take(&key(3)), Some(offer(3, "h2")));
        assert_eq!(offers.take(&key(1)), Some(offer(1, "h2")));
    }
}
