//! The callback ids of one control connection.

use core::num::NonZeroU16;

use crate::packet::CallbackId;

/// The ids 1 to 1024, handed out highest first.
///
/// An id stays taken until a packet bears it, even when its question has lapsed: an answer that
/// was on its way must not pass for the answer to a later question.
///
/// Source: TLS Pool protocol V2, ids.
#[derive(Debug, Default)]
pub(crate) struct CallbackIds {
    /// Bit `n` of word `w` stands for the id `64 * w + n + 1`.
    taken: [u64; 16],
}

impl CallbackIds {
    /// The highest id that is free, or `None` when 1024 questions wait for a packet.
    pub(crate) fn take(&mut self) -> Option<CallbackId> {
        let (word, bits) =
            self.taken.iter_mut().enumerate().rev().find(|(_, bits)| **bits != u64::MAX)?;
        let bit = (!*bits).ilog2();
        *bits |= 1 << bit;
        NonZeroU16::new((64 * word) as u16 + bit as u16 + 1).map(CallbackId)
    }

    /// Frees an id, because a packet bears it. An id that is not taken is left alone.
    pub(crate) fn release(&mut self, id: CallbackId) {
        let index = usize::from(id.0.get()) - 1;
        if let Some(bits) = self.taken.get_mut(index / 64) {
            *bits &= !(1 << (index % 64));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u16) -> CallbackId {
        CallbackId(NonZeroU16::new(number).unwrap())
    }

    #[test]
    fn a5_ids_go_from_1024_down_to_1() {
        let mut ids = CallbackIds::default();
        for number in (1..=1024).rev() {
            assert_eq!(ids.take(), Some(id(number)));
        }
        assert_eq!(ids.take(), None);
    }

    #[test]
    fn a5_the_highest_free_id_is_next() {
        let mut ids = CallbackIds::default();
        for _ in 0..100 {
            ids.take();
        }
        ids.release(id(930));
        ids.release(id(1000));
        assert_eq!(ids.take(), Some(id(1000)));
        assert_eq!(ids.take(), Some(id(930)));
        assert_eq!(ids.take(), Some(id(924)));
    }

    #[test]
    fn any_id_can_be_released() {
        let mut ids = CallbackIds::default();
        for number in [1, 64, 65, 1024, 1025, u16::MAX] {
            ids.release(id(number));
        }
        assert_eq!(ids.take(), Some(id(1024)));
    }
}
