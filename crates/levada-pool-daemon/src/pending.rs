//! What waits until it is asked for by its key.

use std::collections::VecDeque;

/// What waits, the oldest first. A key has one thing at a time.
pub(crate) struct Pending<K, T>(VecDeque<(K, T)>);

impl<K: PartialEq, T> Pending<K, T> {
    /// Keeps one thing, in place of another one for its key; beyond `most` the oldest go.
    pub(crate) fn keep(&mut self, key: K, one: T, most: usize) {
        self.take(&key);
        while self.0.len() >= most.max(1) {
            self.0.pop_front();
        }
        self.0.push_back((key, one));
    }

    /// What waits for this key. It waits no longer.
    pub(crate) fn take(&mut self, key: &K) -> Option<T> {
        let at = self.0.iter().position(|(kept, _)| kept == key)?;
        self.0.remove(at).map(|(_, one)| one)
    }
}

impl<K, T> Default for Pending<K, T> {
    fn default() -> Self {
        Self(VecDeque::new())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waits_is_bounded_and_a_key_has_one() {
        let mut pending = Pending::default();
        for key in 0..4 {
            pending.keep(key, "h2", 3);
        }
        pending.keep(2, "http/1.1", 3);
        assert_eq!(pending.take(&0), None, "the oldest");
        assert_eq!(pending.take(&2), Some("http/1.1"));
        assert_eq!(pending.take(&2), None);
        assert_eq!(pending.take(&3), Some("h2"));
        assert_eq!(pending.take(&1), Some("h2"));
    }
}
