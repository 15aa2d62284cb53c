//! A state machine declared as data: one table that the code obeys and the docs show.

use alloc::string::String;
use core::fmt::{Debug, Write as _};

/// One row of a [`Machine`]: on `step`, each state of `from` becomes `to`.
#[derive(Clone, Copy, Debug)]
pub struct Transition<S: 'static, T: 'static> {
    /// What happens.
    pub step: T,
    /// The states in which it may happen.
    pub from: &'static [S],
    /// The state that follows.
    pub to: S,
    /// What it means, as half a sentence.
    pub meaning: &'static str,
}

/// A declared state machine: the rows are the whole truth, what no row allows is a bug.
///
/// A state and a step decide at most one row; [`Machine::conflict`] finds where that does not hold.
#[derive(Clone, Copy, Debug)]
pub struct Machine<S: 'static, T: 'static> {
    /// Every state, in the order in which the docs show them. The first one is where a life begins.
    pub states: &'static [S],
    /// Every allowed transition.
    pub rows: &'static [Transition<S, T>],
}

impl<S: Copy + Eq + Debug, T: Copy + Eq + Debug> Machine<S, T> {
    /// The state that follows `state` on `step`, or `None` when no row allows it.
    pub fn next(&self, state: S, step: T) -> Option<S> {
        self.rows.iter().find(|row| row.step == step && row.from.contains(&state)).map(|row| row.to)
    }

    /// A state and step for which two rows disagree, or `None` for a sound table.
    pub fn conflict(&self) -> Option<(S, T)> {
        let claims = |row: &Transition<S, T>, state: S, step: T| {
            row.step == step && row.from.contains(&state) && self.next(state, step) != Some(row.to)
        };
        self.rows.iter().find_map(|row| {
            row.from.iter().find(|&&state| claims(row, state, row.step)).map(|&s| (s, row.step))
        })
    }

    /// The row that every state but its `to` shares, if there is one.
    fn shared(&self) -> Option<&Transition<S, T>> {
        self.rows.iter().find(|row| {
            let is_from = |state| row.from.contains(state) != (*state == row.to);
            row.from.len() > 1 && self.states.iter().all(is_from)
        })
    }

    /// The table in Markdown: one line a row.
    pub fn to_markdown(&self) -> String {
        let mut text = String::from("| step | from | to | meaning |\n|---|---|---|---|\n");
        for row in self.rows {
            let mut from = String::new();
            if self.shared().is_some_and(|shared| shared.step == row.step && shared.to == row.to) {
                from.push_str("every other state");
            } else {
                for state in row.from {
                    let comma = if from.is_empty() { "" } else { ", " };
                    let _ = write!(from, "{comma}{state:?}");
                }
            }
            let _ = writeln!(text, "| {:?} | {from} | {:?} | {} |", row.step, row.to, row.meaning);
        }
        text
    }

    /// The diagram in Mermaid's `stateDiagram-v2`. A row that every other state shares is drawn as
    /// one arrow out of a box `Alive` around them, or no other arrow could be seen.
    pub fn to_mermaid(&self) -> String {
        let mut text = String::from("stateDiagram-v2\n");
        let shared = self.shared();
        let indent = if shared.is_some() { "        " } else { "    " };
        if shared.is_some() {
            text.push_str("    state Alive {\n");
        }
        if let Some(first) = self.states.first() {
            let _ = writeln!(text, "{indent}[*] --> {first:?}");
        }
        let single = |row: &&Transition<S, T>| {
            shared.is_none_or(|shared| shared.step != row.step || shared.to != row.to)
        };
        for row in self.rows.iter().filter(single) {
            for from in row.from {
                let _ = writeln!(text, "{indent}{from:?} --> {:?} : {:?}", row.to, row.step);
            }
        }
        if let Some(row) = shared {
            let _ = writeln!(text, "    }}\n    Alive --> {:?} : {:?}", row.to, row.step);
        }
        for state in self.states {
            if !self.rows.iter().any(|row| row.from.contains(state)) {
                let _ = writeln!(text, "    {state:?} --> [*]");
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    enum Door {
        Open,
        Shut,
        Gone,
    }

    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    enum Hand {
        Push,
        Burn,
    }

    const PUSH: Transition<Door, Hand> =
        Transition { step: Hand::Push, from: &[Door::Open], to: Door::Shut, meaning: "it closes" };
    const BURN: Transition<Door, Hand> = Transition {
        step: Hand::Burn,
        from: &[Door::Open, Door::Shut],
        to: Door::Gone,
        meaning: "nothing is left",
    };
    const STATES: &[Door] = &[Door::Open, Door::Shut, Door::Gone];

    #[test]
    fn only_declared_transitions_exist() {
        let door = Machine { states: STATES, rows: &[PUSH, BURN] };
        assert_eq!(door.next(Door::Open, Hand::Push), Some(Door::Shut));
        assert_eq!(door.next(Door::Shut, Hand::Push), None);
        assert_eq!(door.next(Door::Gone, Hand::Burn), None);
        assert_eq!(door.conflict(), None);
    }

    #[test]
    fn two_rows_that_disagree_are_found() {
        const OTHER: Transition<Door, Hand> = Transition { to: Door::Gone, ..PUSH };
        let machine = Machine { states: STATES, rows: &[PUSH, OTHER] };
        assert_eq!(machine.conflict(), Some((Door::Open, Hand::Push)));
    }

    #[test]
    fn the_renderings_name_every_row() {
        let door = Machine { states: STATES, rows: &[PUSH, BURN] };
        assert!(door.to_markdown().contains("| Push | Open | Shut | it closes |"));
        assert!(door.to_markdown().contains("| Burn | every other state | Gone |"));
        assert_eq!(
            door.to_mermaid(),
            "stateDiagram-v2\n    state Alive {\n        [*] --> Open\n        Open --> Shut : Push\n    \
             }\n    Alive --> Gone : Burn\n    Gone --> [*]\n"
        );
    }

    #[test]
    fn without_a_shared_row_there_is_no_box() {
        let door = Machine { states: &[Door::Open, Door::Shut], rows: &[PUSH] };
        assert_eq!(
            door.to_mermaid(),
            "stateDiagram-v2\n    [*] --> Open\n    Open --> Shut : Push\n    Shut --> [*]\n"
        );
    }
}
