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

    /// The table in Markdown: one line a row.
    pub fn to_markdown(&self) -> String {
        let mut text = String::from("| step | from | to | meaning |\n|---|---|---|---|\n");
        for row in self.rows {
            let mut from = String::new();
            for state in row.from {
                let comma = if from.is_empty() { "" } else { ", " };
                let _ = write!(from, "{comma}{state:?}");
            }
            let _ = writeln!(text, "| {:?} | {from} | {:?} | {} |", row.step, row.to, row.meaning);
        }
        text
    }

    /// The diagram in Mermaid's `stateDiagram-v2`. A row that every other state shares (its `from`
    /// is all states but its `to`) is drawn once, from a note, or no other arrow could be seen.
    pub fn to_mermaid(&self) -> String {
        let mut text = String::from("stateDiagram-v2\n");
        if let Some(first) = self.states.first() {
            let _ = writeln!(text, "    [*] --> {first:?}");
        }
        for row in self.rows {
            if row.from.len() + 1 == self.states.len() && !row.from.contains(&row.to) {
                let _ = writeln!(
                    text,
                    "    note left of {:?} : {:?} leads here from every other state",
                    row.to, row.step
                );
                continue;
            }
            for from in row.from {
                let _ = writeln!(text, "    {from:?} --> {:?} : {:?}", row.to, row.step);
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
        let diagram = door.to_mermaid();
        assert!(diagram.contains("[*] --> Open"));
        assert!(diagram.contains("Open --> Shut : Push"));
        assert!(diagram.contains("note left of Gone : Burn leads here"));
    }
}
