//! The message flow of STARTTLS, declared as a state machine.
//!
//! The states are those of the TLS Pool's message-flow page; the machine is rendered into
//! `docs/pool.md`, and a test fails when the two drift.

use core::error::Error;
use core::fmt;

use levada_core::machine::{Machine, Transition};

/// Where a connection stands on its way to being protected by a pool.
///
/// Source: TLS Pool, message flow between application and TLS Pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// No TLS: whatever is exchanged is in plain view.
    Unprotected,
    /// The pool was asked for its dated identity and the facilities that it offers.
    IdentityAndFeatures,
    /// Identity and facilities are known; the application knows whether it can move on.
    Introduced,
    /// The pool runs the TLS handshake over the network socket that it was given.
    Handshake,
    /// The pool asks whether the application stands for the local identity that the peer named.
    LocalIdentityCheck,
    /// The pool asks for the new plaintext socket.
    Reconnect,
    /// The application talks plaintext to the pool, the pool talks TLS to the peer.
    Protected,
    /// Over: by an ERROR, a deadline, a lost control connection or an orderly end.
    Ended,
}

/// What moves a connection from one [`State`] to the next.
///
/// As on the message-flow page, `Req` is a packet from the application to the pool and `Cb` one
/// from the pool to the application.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Step {
    /// The application sends PING.
    ReqPing,
    /// The pool replies PING.
    CbPing,
    /// The application sends STARTTLS with the network socket.
    ReqStartTls,
    /// The pool calls back with `STARTTLS_LOCALID`.
    CbLocalId,
    /// The application answers `STARTTLS_LOCALID`.
    ReqLocalId,
    /// The pool calls back with `PLAINTEXT_CONNECT`.
    CbPlaintextConnect,
    /// The application answers `PLAINTEXT_CONNECT` with the plaintext socket.
    ReqPlaintextConnect,
    /// The pool replies STARTTLS.
    CbStartTls,
    /// Both directions of a protected connection have ended.
    Close,
    /// An ERROR packet, from either party.
    Error,
    /// The control connection is gone, and the session was neither forked nor detached.
    Disconnect,
    /// The party that the state waits for let its deadline pass.
    Deadline,
}

/// One of the two parties on a control connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Party {
    /// The program that wants its connections protected.
    Application,
    /// The process that owns the private keys.
    Pool,
}

/// The colour of a state's traffic light, as the message-flow page shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Light {
    /// The application is free to act.
    Green,
    /// A callback waits for the application's answer.
    Yellow,
    /// The pool is at work.
    Red,
}

/// The message flow: what no row allows is a protocol violation.
pub static MESSAGE_FLOW: Machine<State, Step> = Machine { states: &STATES, rows: &ROWS };

const STATES: [State; 8] = [
    State::Unprotected,
    State::IdentityAndFeatures,
    State::Introduced,
    State::Handshake,
    State::LocalIdentityCheck,
    State::Reconnect,
    State::Protected,
    State::Ended,
];

const ALL_BUT_ENDED: &[State] = &[
    State::Unprotected,
    State::IdentityAndFeatures,
    State::Introduced,
    State::Handshake,
    State::LocalIdentityCheck,
    State::Reconnect,
    State::Protected,
];

const ROWS: [Transition<State, Step>; 12] = [
    Transition {
        step: Step::ReqPing,
        from: &[State::Unprotected, State::Introduced],
        to: State::IdentityAndFeatures,
        meaning: "the application introduces itself; optional, and of no use to repeat",
    },
    Transition {
        step: Step::CbPing,
        from: &[State::IdentityAndFeatures],
        to: State::Introduced,
        meaning: "the pool names itself and the facilities that both sides have",
    },
    Transition {
        step: Step::ReqStartTls,
        from: &[State::Unprotected, State::Introduced],
        to: State::Handshake,
        meaning: "the network socket is now the pool's",
    },
    Transition {
        step: Step::CbLocalId,
        from: &[State::Handshake],
        to: State::LocalIdentityCheck,
        meaning: "the pool proposes a local identity, any number of times",
    },
    Transition {
        step: Step::ReqLocalId,
        from: &[State::LocalIdentityCheck],
        to: State::Handshake,
        meaning: "the application accepts or edits it; a plaintext socket may come along",
    },
    Transition {
        step: Step::CbPlaintextConnect,
        from: &[State::Handshake],
        to: State::Reconnect,
        meaning: "the pool wants the plaintext socket, at most once, and only if it has none yet",
    },
    Transition {
        step: Step::ReqPlaintextConnect,
        from: &[State::Reconnect],
        to: State::Handshake,
        meaning: "the application hands over the plaintext socket",
    },
    Transition {
        step: Step::CbStartTls,
        from: &[State::Handshake],
        to: State::Protected,
        meaning: "the handshake succeeded and the pool relays",
    },
    Transition {
        step: Step::Close,
        from: &[State::Protected],
        to: State::Ended,
        meaning: "both directions have ended",
    },
    Transition {
        step: Step::Deadline,
        from: &[
            State::IdentityAndFeatures,
            State::Handshake,
            State::LocalIdentityCheck,
            State::Reconnect,
        ],
        to: State::Ended,
        meaning: "who was waited for did not act in time",
    },
    Transition {
        step: Step::Error,
        from: ALL_BUT_ENDED,
        to: State::Ended,
        meaning: "either party gave up, with a code",
    },
    Transition {
        step: Step::Disconnect,
        from: ALL_BUT_ENDED,
        to: State::Ended,
        meaning: "the control connection is gone and the session was not detached",
    },
];

impl State {
    /// The party that has to act before this state can be left in order, or `None` when nobody
    /// is waited for. A state that waits has a deadline.
    pub const fn waits_for(self) -> Option<Party> {
        match self {
            Self::IdentityAndFeatures | Self::Handshake => Some(Party::Pool),
            Self::LocalIdentityCheck | Self::Reconnect => Some(Party::Application),
            Self::Unprotected | Self::Introduced | Self::Protected | Self::Ended => None,
        }
    }

    /// The colour of this state's traffic light.
    pub const fn light(self) -> Light {
        match self.waits_for() {
            Some(Party::Pool) => Light::Red,
            Some(Party::Application) => Light::Yellow,
            None => Light::Green,
        }
    }

    /// The name that the message-flow page gives to this state.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Unprotected => "Unprotected",
            Self::IdentityAndFeatures => "Identity & Features",
            Self::Introduced => "Introduced",
            Self::Handshake => "TLS Pool handshake",
            Self::LocalIdentityCheck => "Local Identity Check",
            Self::Reconnect => "Reconnect",
            Self::Protected => "Protected by TLS",
            Self::Ended => "Ended",
        }
    }
}

/// One connection's place in [`MESSAGE_FLOW`], with what the diagram alone does not say: the
/// plaintext socket is asked for at most once, and never when it came with a local identity. It is needed
/// unless the application may get its connection back (see [`HandBack`](crate::HandBack)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flow {
    state: State,
    plaintext: Plaintext,
}

/// Whether the pool holds the plaintext socket already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Plaintext {
    Missing,
    /// The application's own socket can be it.
    Spared,
    Held,
}

impl Flow {
    /// A connection that is not protected yet.
    pub const fn new() -> Self {
        Self { state: State::Unprotected, plaintext: Plaintext::Missing }
    }

    /// Where the connection stands.
    pub const fn state(&self) -> State {
        self.state
    }

    /// Takes `step` and returns the state that follows.
    ///
    /// # Errors
    ///
    /// [`IllegalStep`] when the flow does not allow it; nothing has changed then.
    pub fn step(&mut self, step: Step) -> Result<State, IllegalStep> {
        let fits = match step {
            Step::CbPlaintextConnect => self.plaintext != Plaintext::Held,
            Step::CbStartTls => self.plaintext != Plaintext::Missing,
            _ => true,
        };
        let next = MESSAGE_FLOW
            .next(self.state, step)
            .filter(|_| fits)
            .ok_or(IllegalStep { state: self.state, step })?;
        if step == Step::ReqPlaintextConnect {
            self.plaintext = Plaintext::Held;
        }
        self.state = next;
        Ok(next)
    }

    /// Takes the answer to `STARTTLS_LOCALID`; `plaintext` tells whether a socket came with it.
    ///
    /// # Errors
    ///
    /// [`IllegalStep`] when no local identity check is under way.
    pub fn answer_local_id(&mut self, plaintext: bool) -> Result<State, IllegalStep> {
        let next = self.step(Step::ReqLocalId)?;
        if plaintext {
            self.plaintext = Plaintext::Held;
        }
        Ok(next)
    }

    /// The application may get its connection back: then no plaintext socket is needed.
    pub const fn spare_plaintext(&mut self) {
        if let Plaintext::Missing = self.plaintext {
            self.plaintext = Plaintext::Spared;
        }
    }

    /// Whether the plaintext socket has been handed over.
    pub fn has_plaintext(&self) -> bool {
        self.plaintext == Plaintext::Held
    }
}

impl Default for Flow {
    fn default() -> Self {
        Self::new()
    }
}

/// A step that the message flow does not allow in this state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IllegalStep {
    /// Where the connection stands, still.
    pub state: State,
    /// What was tried.
    pub step: Step,
}

impl fmt::Display for IllegalStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} has no place in the state '{}'", self.step, self.state.label())
    }
}

impl Error for IllegalStep {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a7_the_table_is_sound() {
        assert_eq!(MESSAGE_FLOW.conflict(), None);
        assert_eq!(
            MESSAGE_FLOW.rows.iter().filter(|row| row.from.contains(&State::Ended)).count(),
            0
        );
    }

    #[test]
    fn a_state_has_a_deadline_exactly_when_it_waits_for_a_party() {
        for &state in MESSAGE_FLOW.states {
            let has_deadline = MESSAGE_FLOW.next(state, Step::Deadline).is_some();
            assert_eq!(has_deadline, state.waits_for().is_some(), "{state:?}");
        }
    }

    #[test]
    fn a7_error_leads_to_the_end_from_anywhere() {
        for &state in ALL_BUT_ENDED {
            assert_eq!(MESSAGE_FLOW.next(state, Step::Error), Some(State::Ended));
        }
        assert_eq!(ALL_BUT_ENDED.len() + 1, STATES.len());
    }

    #[test]
    fn a7_every_edge_of_the_diagram_in_one_life() {
        let mut flow = Flow::new();
        for (step, state) in [
            (Step::ReqPing, State::IdentityAndFeatures),
            (Step::CbPing, State::Introduced),
            (Step::ReqStartTls, State::Handshake),
            (Step::CbLocalId, State::LocalIdentityCheck),
            (Step::ReqLocalId, State::Handshake),
            (Step::CbLocalId, State::LocalIdentityCheck),
            (Step::ReqLocalId, State::Handshake),
            (Step::CbPlaintextConnect, State::Reconnect),
            (Step::ReqPlaintextConnect, State::Handshake),
            (Step::CbStartTls, State::Protected),
            (Step::Close, State::Ended),
        ] {
            assert_eq!(flow.step(step), Ok(state));
        }
        assert!(flow.step(Step::Error).is_err());
    }

    #[test]
    fn a7_the_plaintext_socket_is_asked_for_at_most_once() {
        let mut flow = Flow::new();
        flow.step(Step::ReqStartTls).unwrap();
        assert!(flow.step(Step::CbStartTls).is_err(), "there is nothing to relay to yet");
        flow.step(Step::CbPlaintextConnect).unwrap();
        flow.step(Step::ReqPlaintextConnect).unwrap();
        let refused = flow.step(Step::CbPlaintextConnect).unwrap_err();
        assert_eq!(
            refused,
            IllegalStep { state: State::Handshake, step: Step::CbPlaintextConnect }
        );
        assert_eq!(flow.step(Step::CbStartTls), Ok(State::Protected));
    }

    #[test]
    fn d3_a_connection_that_may_be_handed_back_needs_no_plaintext_socket() {
        let mut flow = Flow::new();
        flow.step(Step::ReqStartTls).unwrap();
        flow.spare_plaintext();
        assert!(!flow.has_plaintext());
        assert_eq!(flow.clone().step(Step::CbStartTls), Ok(State::Protected));
        // Or it is relayed after all.
        flow.step(Step::CbPlaintextConnect).unwrap();
        flow.step(Step::ReqPlaintextConnect).unwrap();
        assert!(flow.step(Step::CbPlaintextConnect).is_err());
        assert_eq!(flow.step(Step::CbStartTls), Ok(State::Protected));
    }

    #[test]
    fn a6_a_socket_with_the_local_identity_spares_the_reconnect() {
        let mut flow = Flow::new();
        flow.step(Step::ReqStartTls).unwrap();
        flow.step(Step::CbLocalId).unwrap();
        flow.answer_local_id(true).unwrap();
        assert!(flow.has_plaintext());
        assert!(flow.step(Step::CbPlaintextConnect).is_err());
        assert_eq!(flow.step(Step::CbStartTls), Ok(State::Protected));
    }
}
