//! How many of something each user has.

use std::collections::HashMap;

/// A count for each user who has any.
#[derive(Debug, Default)]
pub(crate) struct PerUser(HashMap<u32, usize>);

impl PerUser {
    /// One more for `uid`; `false`, and no more, where the user has `most` already.
    #[must_use]
    pub(crate) fn take(&mut self, uid: u32, most: Option<usize>) -> bool {
        let has = self.0.get(&uid).copied().unwrap_or(0);
        let may = most.is_none_or(|most| has < most);
        if may {
            self.0.insert(uid, has + 1);
        }
        may
    }

    /// One less for `uid`.
    pub(crate) fn give_back(&mut self, uid: u32) {
        match self.0.get_mut(&uid) {
            Some(has) if *has > 1 => *has -= 1,
            _ => drop(self.0.remove(&uid)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_user_has_as_many() {
        let mut counts = PerUser::default();
        for uid in [1, 2] {
            assert_eq!([(); 3].map(|()| counts.take(uid, Some(2))), [true, true, false]);
        }
        assert!(counts.take(1, None), "without a limit there is none");
        counts.give_back(2);
        assert_eq!([(); 2].map(|()| counts.take(2, Some(2))), [true, false]);
        (0..2).for_each(|_| counts.give_back(2));
        assert!(!counts.0.contains_key(&2), "who has none takes no room");
    }
}
