//! A bounded table whose keys are never reused, although its slots are.

use alloc::vec::Vec;

/// A place in an [`Arena`], valid as long as its value is there and never again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Key {
    slot: u32,
    /// One more for every value that the arena ever held. At a billion a second it would take
    /// over 500 years to wrap.
    generation: u64,
}

/// At most `limit` values, each under a key of its own.
#[derive(Debug)]
pub(crate) struct Arena<T> {
    slots: Vec<Option<(u64, T)>>,
    free: Vec<u32>,
    generation: u64,
    limit: usize,
}

impl<T> Arena<T> {
    pub(crate) const fn new(limit: usize) -> Self {
        Self { slots: Vec::new(), free: Vec::new(), generation: 0, limit }
    }

    /// Holds `value`, or gives it back when the arena is full.
    pub(crate) fn insert(&mut self, value: T) -> Result<Key, T> {
        let slot = match self.free.pop() {
            Some(slot) => slot,
            None if self.slots.len() < self.limit => {
                let Ok(slot) = u32::try_from(self.slots.len()) else { return Err(value) };
                self.slots.push(None);
                slot
            }
            None => return Err(value),
        };
        self.generation += 1;
        self.slots[slot as usize] = Some((self.generation, value));
        Ok(Key { slot, generation: self.generation })
    }

    pub(crate) fn get(&self, key: Key) -> Option<&T> {
        match self.slots.get(key.slot as usize)? {
            Some((generation, value)) if *generation == key.generation => Some(value),
            _ => None,
        }
    }

    pub(crate) fn get_mut(&mut self, key: Key) -> Option<&mut T> {
        match self.slots.get_mut(key.slot as usize)? {
            Some((generation, value)) if *generation == key.generation => Some(value),
            _ => None,
        }
    }

    pub(crate) fn remove(&mut self, key: Key) -> Option<T> {
        self.get(key)?;
        let (_, value) = self.slots.get_mut(key.slot as usize)?.take()?;
        self.free.push(key.slot);
        Some(value)
    }

    pub(crate) fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_outlives_its_value_but_never_opens_another() {
        let mut arena = Arena::new(1);
        let first = arena.insert("first").unwrap();
        assert_eq!(arena.insert("too many"), Err("too many"));
        assert_eq!(arena.remove(first), Some("first"));
        let second = arena.insert("second").unwrap();
        assert_eq!(first.slot, second.slot);
        assert_eq!(arena.get(first), None);
        assert_eq!(arena.remove(first), None);
        assert_eq!(arena.get_mut(second), Some(&mut "second"));
        assert_eq!(arena.len(), 1);
    }
}
