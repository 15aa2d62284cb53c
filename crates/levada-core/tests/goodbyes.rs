//! The close contract: every sequence of up to six acts under both policies, against rules that look
//! back on what has happened instead of keeping a state.

use levada_core::{ClosePolicy, Ending, Goodbyes, OsError, OsErrorKind, Ours, Party};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Act {
    Ask,
    Sent,
    /// With so many bytes unsent.
    Received(u64),
    EndOfTransport,
    TransportFailed,
}

const ACTS: [Act; 6] = [
    Act::Ask,
    Act::Sent,
    Act::Received(0),
    Act::Received(5),
    Act::EndOfTransport,
    Act::TransportFailed,
];

/// What an act answered, of whatever type.
#[derive(Debug, PartialEq, Eq)]
enum Answer {
    News(bool),
    Ending(Option<Ending>),
    Failure(Result<Ending, OsError>),
}

fn reset() -> OsError {
    OsError { code: Some(104), kind: OsErrorKind::ConnectionReset, text: String::new() }
}

fn act(goodbyes: &mut Goodbyes, act: Act) -> Answer {
    match act {
        Act::Ask => Answer::News(goodbyes.ask()),
        Act::Sent => Answer::Ending(goodbyes.sent()),
        Act::Received(unsent) => Answer::Ending(goodbyes.received(unsent)),
        Act::EndOfTransport => Answer::Ending(goodbyes.end_of_transport()),
        Act::TransportFailed => Answer::Failure(goodbyes.transport_failed(reset())),
    }
}

/// The acts so far, in order; only the first goodbye of each side counts.
#[derive(Clone, Copy)]
struct Past<'a>(ClosePolicy, &'a [Act]);

impl Past<'_> {
    fn asked(self) -> Option<usize> {
        self.1.iter().position(|act| *act == Act::Ask)
    }

    fn sent(self) -> Option<usize> {
        self.1.iter().position(|act| *act == Act::Sent)
    }

    fn received(self) -> Option<(usize, u64)> {
        self.1.iter().enumerate().find_map(|(index, act)| match act {
            Act::Received(unsent) => Some((index, *unsent)),
            _ => None,
        })
    }

    fn ours(self) -> Ours {
        let replies = self.0 == ClosePolicy::Both && self.received().is_some();
        match self.sent() {
            Some(_) => Ours::Sent,
            None if self.asked().is_some() || replies => Ours::Asked,
            None => Ours::Open,
        }
    }

    fn first(self) -> Option<Party> {
        match (self.sent(), self.received()) {
            (None, None) => None,
            (Some(sent), Some((received, _))) if received < sent => Some(Party::Peer),
            (Some(_), _) => Some(Party::Local),
            (None, Some(_)) => Some(Party::Peer),
        }
    }

    /// The ending, once both goodbyes are complete.
    fn ending(self) -> Option<Ending> {
        let (sent, (received, unsent)) = (self.sent()?, self.received()?);
        let we_asked_before = self.asked().is_some_and(|asked| asked < received);
        let they_ended_us = received < sent && !(we_asked_before && unsent == 0);
        Some(match self.0 {
            ClosePolicy::Both if they_ended_us => Ending::CloseNotify { unsent },
            _ => Ending::Finished,
        })
    }

    fn answer(self, next: &Past<'_>, act: Act) -> Answer {
        match act {
            Act::Ask => Answer::News(self.ours() == Ours::Open),
            // Given by the act that completes the pair, and by no later one.
            Act::Sent | Act::Received(_) if self.ending().is_some() => Answer::Ending(None),
            Act::Sent | Act::Received(_) => Answer::Ending(next.ending()),
            Act::EndOfTransport if self.received().is_some() => Answer::Ending(None),
            Act::EndOfTransport => Answer::Ending(Some(Ending::SocketClose)),
            Act::TransportFailed if self.ending().is_some() => Answer::Failure(Err(reset())),
            Act::TransportFailed => Answer::Failure(Ok(Ending::SocketError(reset()))),
        }
    }
}

fn follow(policy: ClosePolicy, goodbyes: Goodbyes, acts: &mut Vec<Act>, more: usize) -> usize {
    let past = Past(policy, acts);
    assert_eq!(goodbyes.ours(), past.ours(), "{acts:?}");
    assert_eq!(goodbyes.theirs(), past.received().is_some(), "{acts:?}");
    assert_eq!(goodbyes.first(), past.first(), "{acts:?}");
    assert_eq!(goodbyes.are_complete(), past.ending().is_some(), "{acts:?}");
    if more == 0 {
        return 1;
    }
    let mut sequences = 0;
    for next in ACTS {
        let mut goodbyes = goodbyes;
        let answer = act(&mut goodbyes, next);
        acts.push(next);
        let (now, before) = (Past(policy, acts), Past(policy, &acts[..acts.len() - 1]));
        assert_eq!(answer, before.answer(&now, next), "{policy:?}, {acts:?}");
        sequences += follow(policy, goodbyes, acts, more - 1);
        acts.pop();
    }
    sequences
}

#[test]
fn every_sequence_of_six_acts_keeps_to_the_close_contract() {
    for policy in [ClosePolicy::HalfOpen, ClosePolicy::Both] {
        let sequences = follow(policy, Goodbyes::new(policy), &mut Vec::new(), 6);
        assert_eq!(sequences, ACTS.len().pow(6));
    }
}

#[test]
fn the_default_is_half_open() {
    let mut goodbyes = Goodbyes::default();
    assert_eq!(goodbyes.received(9), None);
    assert_eq!(goodbyes.ours(), Ours::Open, "we may go on writing");
    assert_eq!(goodbyes.sent(), Some(Ending::Finished), "what was unsent has gone out");
}
