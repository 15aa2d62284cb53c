//! The lifecycle: its table is sound, and a life keeps to it, whatever a driver does.

mod model;

use std::collections::BTreeSet;

use levada_core::{LIFECYCLE, Mode, State, Step};
use model::{Act, ENDINGS, MODES, live_through};
use proptest::prelude::*;
use proptest::sample::select;

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        12 => select(Step::ALL).prop_map(Act::Step),
        3 => select(&MODES[..]).prop_map(Act::Wrap),
        1 => (0..ENDINGS).prop_map(Act::End),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn a_life_keeps_to_the_rules(acts in prop::collection::vec(act(), 0..64)) {
        live_through(acts);
    }
}

/// Random acts seldom get far. A whole life takes six steps: here is every way to take six, and then
/// each ending after each part of a life with an upgrade.
#[test]
fn every_short_life_keeps_to_the_rules() {
    fn every(acts: &mut Vec<Act>, more: usize) {
        live_through(acts.iter().copied());
        if more > 0 {
            for &step in Step::ALL {
                acts.push(Act::Step(step));
                every(acts, more - 1);
                acts.pop();
            }
        }
    }
    every(&mut vec![Act::Wrap(Mode::TlsClient)], 6);
    for ending in 0..ENDINGS {
        let steps = [Step::Connect, Step::Carry, Step::Handshake, Step::Establish, Step::Handshake];
        for length in 0..=steps.len() {
            let end = Act::End(ending);
            let acts = steps[..length].iter().map(|&step| Act::Step(step)).chain([end, end]);
            live_through(acts);
        }
    }
}

#[test]
fn the_committed_corpus_keeps_to_the_rules() {
    for bytes in levada_testkit::fuzz::corpus("lifecycle") {
        live_through(bytes.into_iter().map(Act::from_byte));
    }
}

#[test]
fn a_state_and_a_step_decide_at_most_one_row() {
    assert_eq!(LIFECYCLE.conflict(), None);
    for row in LIFECYCLE.rows {
        let from: BTreeSet<_> = row.from.iter().map(|state| format!("{state:?}")).collect();
        assert_eq!(from.len(), row.from.len(), "{:?} names a state twice", row.step);
        assert!(!row.from.contains(&row.to), "{:?} leads nowhere", row.step);
    }
    for step in Step::ALL {
        let rows = LIFECYCLE.rows.iter().filter(|row| row.step == *step).count();
        assert_eq!(rows, 1, "{step:?} has one meaning");
    }
}

#[test]
fn every_state_is_reached_and_leads_to_the_end() {
    let mut reached = vec![State::ALL[0]];
    for index in 0.. {
        let Some(&state) = reached.get(index) else { break };
        for &step in Step::ALL {
            if let Some(next) = LIFECYCLE.next(state, step)
                && !reached.contains(&next)
            {
                reached.push(next);
            }
        }
    }
    assert_eq!(State::ALL[0], State::Unconnected);
    for &state in State::ALL {
        assert!(reached.contains(&state), "{state:?} is never reached");
        let end = (state != State::Disconnected).then_some(State::Disconnected);
        assert_eq!(LIFECYCLE.next(state, Step::End), end, "the end of {state:?}");
        if state == State::Disconnected {
            assert!(Step::ALL.iter().all(|&step| LIFECYCLE.next(state, step).is_none()));
        }
    }
}
