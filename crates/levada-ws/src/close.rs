//! The close machine: every state of a connection and every step between two of them.
//!
//! The table is what [`Connection`](crate::connection::Connection) obeys and what the docs show. A
//! close frame counts from the moment at which it is *queued*: nothing can be queued behind it.

use levada_core::machine::{Machine, Transition};

/// Where a connection stands between the opening handshake and its end (RFC 6455 §7).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// Data flows both ways.
    Open,
    /// Our close frame is queued or sent; the peer's data still arrives.
    CloseSent,
    /// The peer's close frame came; ours is held back until our side has written everything.
    CloseReceived,
    /// Both close frames are exchanged; the carrier is about to end, the server's end first.
    Exchanged,
    /// The peer broke the protocol; our close frame says so, and nothing more is read.
    Failing,
    /// The life is over.
    Closed,
}

/// What can happen to a connection as far as its closing is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Step {
    /// Our close frame is queued.
    Close,
    /// The peer's close frame arrives.
    PeerClose,
    /// The peer breaks the protocol or exceeds a limit.
    Violation,
    /// Everything that a server has sent, its close frame last, has left.
    ServerFlushed,
    /// The carrier ends or breaks.
    CarrierEnd,
    /// A deadline runs out: the pong's or the close handshake's.
    Deadline,
    /// The owner drops the connection.
    Abort,
}

const ROWS: &[Transition<State, Step>] = &[
    Transition {
        step: Step::Close,
        from: &[State::Open],
        to: State::CloseSent,
        meaning: "we close first: nothing of ours follows, what the peer still sends is delivered \
                  (C2, C9)",
    },
    Transition {
        step: Step::PeerClose,
        from: &[State::Open],
        to: State::CloseReceived,
        meaning: "the peer closes first: nothing of its data follows (C1)",
    },
    Transition {
        step: Step::Close,
        from: &[State::CloseReceived],
        to: State::Exchanged,
        meaning: "our answer: at once, or when our side has written everything if answers are held \
                  back (C1, C11)",
    },
    Transition {
        step: Step::PeerClose,
        from: &[State::CloseSent],
        to: State::Exchanged,
        meaning: "the answer to our close frame, or a close that crossed it on the way (C8)",
    },
    Transition {
        step: Step::Violation,
        from: &[State::Open, State::CloseSent],
        to: State::Failing,
        meaning: "our close frame carries the cause, unless one was already sent; input is no \
                  longer read (C10)",
    },
    Transition {
        step: Step::ServerFlushed,
        from: &[State::Exchanged, State::Failing],
        to: State::Closed,
        meaning: "the server ends the carrier first (C3)",
    },
    Transition {
        step: Step::CarrierEnd,
        from: &[State::Exchanged, State::Failing],
        to: State::Closed,
        meaning: "the client has waited for the server's end (C3)",
    },
    Transition {
        step: Step::CarrierEnd,
        from: &[State::Open, State::CloseSent, State::CloseReceived],
        to: State::Closed,
        meaning: "truncation: never a clean end (C4)",
    },
    Transition {
        step: Step::Deadline,
        from: &[State::Open, State::CloseSent, State::Exchanged, State::Failing],
        to: State::Closed,
        meaning: "no sign of life from the peer, or it does not end the close handshake (C5)",
    },
    Transition {
        step: Step::Abort,
        from: &[
            State::Open,
            State::CloseSent,
            State::CloseReceived,
            State::Exchanged,
            State::Failing,
        ],
        to: State::Closed,
        meaning: "a close frame with 1001 goes only if it can go without waiting (C12)",
    },
];

/// The whole truth about closing.
pub const MACHINE: Machine<State, Step> = Machine {
    states: &[
        State::Open,
        State::CloseSent,
        State::CloseReceived,
        State::Exchanged,
        State::Failing,
        State::Closed,
    ],
    rows: ROWS,
};

impl State {
    /// Whether the peer's frames are still decoded. Later bytes are discarded unread.
    pub fn reads(self) -> bool {
        matches!(self, Self::Open | Self::CloseSent)
    }

    /// Whether data frames, pings and pongs may still be queued.
    pub fn writes(self) -> bool {
        matches!(self, Self::Open | Self::CloseReceived)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn c8_the_table_is_sound_and_allows_one_close_frame_each_way() {
        assert_eq!(MACHINE.conflict(), None);
        for &state in MACHINE.states {
            // After our close frame no state leads back to one that writes.
            if let Some(next) = MACHINE.next(state, Step::Close) {
                assert!(!next.writes(), "{state:?}");
                assert_eq!(MACHINE.next(next, Step::Close), None);
            }
            if let Some(next) = MACHINE.next(state, Step::PeerClose) {
                assert!(!next.reads(), "{state:?}");
                assert_eq!(MACHINE.next(next, Step::PeerClose), None);
            }
        }
    }

    #[test]
    fn every_state_but_the_last_can_be_left_by_the_carrier_and_by_the_owner() {
        for &state in MACHINE.states {
            let leaves = state != State::Closed;
            assert_eq!(MACHINE.next(state, Step::CarrierEnd).is_some(), leaves, "{state:?}");
            assert_eq!(MACHINE.next(state, Step::Abort).is_some(), leaves, "{state:?}");
        }
    }
}
