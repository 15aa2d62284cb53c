//! The one lifecycle of every Levada stream: its states, its declared transitions, its single end.

use alloc::boxed::Box;
use alloc::sync::Arc;
use core::fmt;

use crate::ended::Ended;
use crate::ending::Ending;
use crate::event::Event;
use crate::facts::Facts;
use crate::machine::{Machine, Transition};

/// Where a stream is in its life.
///
/// A plain tag, so that it can be compared, copied and stored in an atomic; how a life ended is told
/// by the [`Ended`] that goes with [`State::Disconnected`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "snake_case"))]
pub enum State {
    /// No transport yet. A local address may be bound already.
    Unconnected,
    /// The peer's name is being looked up.
    HostLookup,
    /// The transport is connecting.
    Connecting,
    /// The transport is up, nothing is wrapped around it yet.
    Connected,
    /// An opening handshake runs, of TLS or WebSocket.
    Handshaking,
    /// Every asked-for layer is up: bytes flow.
    Established,
    /// Our own shutdown has begun and what was written before it drains.
    Closing,
    /// The end, with exactly one [`Ended`].
    Disconnected,
}

impl State {
    /// Every state, in the order of a life.
    pub const ALL: &[Self] = &[
        Self::Unconnected,
        Self::HostLookup,
        Self::Connecting,
        Self::Connected,
        Self::Handshaking,
        Self::Established,
        Self::Closing,
        Self::Disconnected,
    ];

    /// Whether the state comes before [`State::Established`] in the order of a life.
    ///
    /// That is not yet "never established": an upgrade leads from [`State::Established`] back to
    /// [`State::Handshaking`]. See [`Life::was_established`].
    pub const fn is_before_established(self) -> bool {
        matches!(
            self,
            Self::Unconnected
                | Self::HostLookup
                | Self::Connecting
                | Self::Connected
                | Self::Handshaking
        )
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unconnected => "unconnected",
            Self::HostLookup => "looking up the host",
            Self::Connecting => "connecting",
            Self::Connected => "connected",
            Self::Handshaking => "handshaking",
            Self::Established => "established",
            Self::Closing => "closing",
            Self::Disconnected => "disconnected",
        })
    }
}

/// What moves a stream from one [`State`] to the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Step {
    /// A name lookup begins.
    Resolve,
    /// A transport begins to connect.
    Connect,
    /// The transport is up: dialled, accepted or adopted.
    Carry,
    /// An opening handshake begins.
    Handshake,
    /// The last asked-for layer is up.
    Establish,
    /// Our side begins to shut down.
    Close,
    /// The life ends.
    End,
}

impl Step {
    /// Every step.
    pub const ALL: &[Self] = &[
        Self::Resolve,
        Self::Connect,
        Self::Carry,
        Self::Handshake,
        Self::Establish,
        Self::Close,
        Self::End,
    ];
}

/// The lifecycle: no stream ever moves in a way that this table does not hold.
pub const LIFECYCLE: Machine<State, Step> = Machine {
    states: State::ALL,
    rows: &[
        Transition {
            step: Step::Resolve,
            from: &[State::Unconnected],
            to: State::HostLookup,
            meaning: "the peer is given by name, its addresses are looked up",
        },
        Transition {
            step: Step::Connect,
            from: &[State::Unconnected, State::HostLookup],
            to: State::Connecting,
            meaning: "an address is known, the transport connects to it",
        },
        Transition {
            step: Step::Carry,
            from: &[State::Unconnected, State::Connecting],
            to: State::Connected,
            meaning: "the transport is up: dialled, or at once where it was accepted or adopted",
        },
        Transition {
            step: Step::Handshake,
            from: &[State::Connected, State::Established],
            to: State::Handshaking,
            meaning: "a layer is put on; on an established plain stream this is an upgrade (STARTTLS)",
        },
        Transition {
            step: Step::Establish,
            from: &[State::Connected, State::Handshaking],
            to: State::Established,
            meaning: "every asked-for layer is up; a plain stream gets here at once",
        },
        Transition {
            step: Step::Close,
            from: &[State::Established],
            to: State::Closing,
            meaning: "our goodbye is asked for and goes out behind all that was written",
        },
        Transition {
            step: Step::End,
            from: &[
                State::Unconnected,
                State::HostLookup,
                State::Connecting,
                State::Connected,
                State::Handshaking,
                State::Established,
                State::Closing,
            ],
            to: State::Disconnected,
            meaning: "the life is over and its one ending is known",
        },
    ],
};

/// What is wrapped around the transport.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "snake_case"))]
pub enum Mode {
    /// Nothing: bytes go as they are.
    #[default]
    Plain,
    /// TLS, and we are its client.
    TlsClient,
    /// TLS, and we are its server.
    TlsServer,
}

/// Which end of a stream, or of a layer, we are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "snake_case"))]
pub enum Role {
    /// We called.
    Client,
    /// We were called.
    Server,
}

/// One of the two ends, as seen from ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "snake_case"))]
pub enum Party {
    /// This end.
    Local,
    /// The other end.
    Peer,
}

/// The life of one stream: its state, its mode and, at the end, its one [`Ended`].
///
/// Every change answers with the [`Event`] that tells of it; the driver hands these on in order.
///
/// ```
/// use std::sync::Arc;
///
/// use levada_core::{Ending, Event, Facts, Life, State, Step};
///
/// let mut life = Life::new();
/// assert_eq!(life.step(Step::Connect)?, Event::State(State::Connecting));
/// assert_eq!(life.step(Step::Carry)?, Event::State(State::Connected));
///
/// // What the table does not hold is refused, and nothing has changed.
/// assert!(life.step(Step::Close).is_err());
/// assert_eq!(life.state(), State::Connected);
///
/// let facts = Arc::new(Facts::default());
/// assert!(matches!(life.end(Ending::SocketClose, facts.clone()), Some(Event::Ended(_))));
/// assert_eq!(life.end(Ending::Aborted, facts), None, "there is one ending, and it is the first");
///
/// let ended = life.ended().expect("it is over");
/// assert_eq!((ended.code(), ended.phase), ("connectFailed", State::Connected));
/// assert_eq!(ended.ending.cause_code(), "ERR_TLS_SOCKET_CLOSE");
/// # Ok::<(), levada_core::Undeclared>(())
/// ```
#[derive(Debug)]
pub struct Life {
    state: State,
    mode: Mode,
    was_established: bool,
    /// Boxed: a stream that lives has no room for it.
    ended: Option<Box<Ended>>,
}

impl Default for Life {
    fn default() -> Self {
        Self::new()
    }
}

impl Life {
    /// A life that has not begun: [`State::Unconnected`], [`Mode::Plain`].
    pub const fn new() -> Self {
        Self { state: State::Unconnected, mode: Mode::Plain, was_established: false, ended: None }
    }

    /// Where in its life the stream is.
    pub const fn state(&self) -> State {
        self.state
    }

    /// What is wrapped around the transport.
    pub const fn mode(&self) -> Mode {
        self.mode
    }

    /// Whether the stream has been [`State::Established`], now or before: bytes may have gone both
    /// ways, and it cannot end as [`Ending::ConnectFailed`](crate::Ending::ConnectFailed) any more.
    pub const fn was_established(&self) -> bool {
        self.was_established
    }

    /// How the life ended; present exactly in [`State::Disconnected`].
    pub const fn ended(&self) -> Option<&Ended> {
        match &self.ended {
            Some(ended) => Some(&**ended),
            None => None,
        }
    }

    /// Takes one step other than [`Step::End`], which is [`Life::end`]'s.
    ///
    /// # Errors
    ///
    /// [`Undeclared`] when [`LIFECYCLE`] has no such transition. Nothing has changed then; it is a
    /// bug of the driver, never the peer's doing.
    pub fn step(&mut self, step: Step) -> Result<Event, Undeclared> {
        let undeclared = Undeclared { state: self.state, step };
        match LIFECYCLE.next(self.state, step) {
            Some(next) if next != State::Disconnected => {
                self.state = next;
                self.was_established |= next == State::Established;
                Ok(Event::State(next))
            }
            _ => Err(undeclared),
        }
    }

    /// Notes what is wrapped around the transport now; `None` when that is no change, or too late.
    pub fn wrap(&mut self, mode: Mode) -> Option<Event> {
        if self.mode == mode || self.ended.is_some() {
            return None;
        }
        self.mode = mode;
        Some(Event::Mode(mode))
    }

    /// Ends the life. The first ending is the only one: later ones answer `None` and change nothing.
    ///
    /// What only the life knows it sees to itself: the phase is the state at hand, and the ending of
    /// a stream that never was established is [that of such a stream](crate::Ending::before_established).
    pub fn end(&mut self, ending: Ending, facts: Arc<Facts>) -> Option<Event> {
        if self.ended.is_some() {
            return None;
        }
        let ending = if self.was_established { ending } else { ending.before_established() };
        let ended = Ended { ending, phase: self.state, facts };
        self.state = State::Disconnected;
        self.ended = Some(Box::new(ended.clone()));
        Some(Event::Ended(ended))
    }
}

/// A step that [`LIFECYCLE`] does not declare for the state at hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Undeclared {
    /// Where the stream was, and still is.
    pub state: State,
    /// What was tried.
    pub step: Step,
}

impl fmt::Display for Undeclared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the lifecycle has no step {:?} in state {:?}", self.step, self.state)
    }
}

impl core::error::Error for Undeclared {}
