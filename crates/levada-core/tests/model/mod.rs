//! A second opinion on [`Life`]: the lifecycle in plain rules, written without the table, and a run
//! of both side by side. The property tests and the fuzz target share it.

use levada_core::{
    AlertDescription, Deadline, Ending, Event, Facts, Fault, Life, Mode, Party, State, Step,
};

/// Something that a driver does to a life.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Act {
    Step(Step),
    Wrap(Mode),
    /// Ends it, with one of [`ENDINGS`] endings.
    End(u8),
}

/// How many endings [`Act::End`] tells apart.
pub(crate) const ENDINGS: u8 = 8;

pub(crate) const MODES: [Mode; 3] = [Mode::Plain, Mode::TlsClient, Mode::TlsServer];

impl Act {
    /// Every byte is an act: the low three bits choose its sort, the others the details.
    #[allow(dead_code, reason = "the property tests make acts without bytes")]
    pub(crate) fn from_byte(byte: u8) -> Self {
        let (sort, detail) = (usize::from(byte & 7), byte >> 3);
        match Step::ALL.get(sort) {
            Some(step) => Self::Step(*step),
            None if detail < 24 => Self::Wrap(MODES[usize::from(detail % 3)]),
            None => Self::End(detail % ENDINGS),
        }
    }
}

/// Lives through `acts` and panics where the life and the rules differ.
pub(crate) fn live_through(acts: impl IntoIterator<Item = Act>) {
    let (mut life, mut rules) = (Life::new(), Rules::default());
    let mut events = Vec::new();
    for act in acts {
        let before = (life.state(), life.mode(), life.ended().cloned());
        let event = match act {
            Act::Step(step) => {
                let answer = life.step(step);
                assert_eq!(answer.is_ok(), rules.step(step), "{step:?} in {:?}", before.0);
                if let Err(undeclared) = &answer {
                    assert_eq!((undeclared.state, undeclared.step), (before.0, step));
                }
                answer.ok()
            }
            Act::Wrap(mode) => {
                let event = life.wrap(mode);
                assert_eq!(event.is_some(), rules.wrap(mode), "{mode:?}");
                event
            }
            Act::End(ending) => {
                let ending = ending_of(ending);
                let facts = Facts::default().into();
                let event = life.end(ending.clone(), facts);
                assert_eq!(event.is_some(), rules.end(ending));
                event
            }
        };
        let after = (life.state(), life.mode(), life.ended().cloned());
        match &event {
            None => assert_eq!(after, before, "{act:?} changed something and told nobody"),
            Some(Event::State(state)) => assert_eq!(*state, after.0),
            Some(Event::Mode(mode)) => assert_eq!(*mode, after.1),
            Some(Event::Ended(ended)) => assert_eq!(Some(ended), after.2.as_ref()),
            Some(other) => panic!("no life tells of {other:?}"),
        }
        events.extend(event);
        rules.agree_with(&life);
    }
    let ends = events.iter().filter(|event| matches!(event, Event::Ended(_))).count();
    assert_eq!(ends, usize::from(life.ended().is_some()), "one ending, one event");
    if ends == 1 {
        assert!(matches!(events.last(), Some(Event::Ended(_))), "nothing follows the end");
    }
}

/// What has happened, instead of where we are.
#[derive(Default)]
#[allow(clippy::struct_excessive_bools, reason = "each is a fact that no other one implies")]
struct Rules {
    looked_up: bool,
    dialled: bool,
    carried: bool,
    /// An opening handshake runs.
    shaking: bool,
    /// Every layer was up at least once.
    established: bool,
    closing: bool,
    mode: Mode,
    ended: Option<(Ending, State)>,
}

impl Rules {
    /// Whether the step may be taken now; then it is.
    fn step(&mut self, step: Step) -> bool {
        // One looks up before one dials, dials before the transport is up, and does each once.
        let waiting = !self.dialled && !self.carried;
        let allowed = match step {
            _ if self.ended.is_some() => false,
            Step::Resolve => waiting && !self.looked_up,
            Step::Connect => waiting,
            // A name alone carries nothing; what was accepted or adopted was never dialled.
            Step::Carry => !self.carried && (self.dialled || !self.looked_up),
            // One handshake at a time, on a transport that we have not begun to close.
            Step::Handshake => self.carried && !self.shaking && !self.closing,
            // Once, and again after each upgrade.
            Step::Establish => self.carried && (self.shaking || !self.established),
            // What is not up is given up, not closed.
            Step::Close => self.established && !self.shaking && !self.closing,
            // That takes an ending.
            Step::End => false,
        };
        if allowed {
            match step {
                Step::Resolve => self.looked_up = true,
                Step::Connect => self.dialled = true,
                Step::Carry => self.carried = true,
                Step::Handshake => self.shaking = true,
                Step::Establish => (self.shaking, self.established) = (false, true),
                Step::Close => self.closing = true,
                Step::End => {}
            }
        }
        allowed
    }

    fn wrap(&mut self, mode: Mode) -> bool {
        let news = self.ended.is_none() && self.mode != mode;
        if news {
            self.mode = mode;
        }
        news
    }

    fn end(&mut self, ending: Ending) -> bool {
        let first = self.ended.is_none();
        if first {
            self.ended = Some((ending, self.state()));
        }
        first
    }

    /// The latest thing that happened names the state.
    fn state(&self) -> State {
        match () {
            () if self.ended.is_some() => State::Disconnected,
            () if self.closing => State::Closing,
            () if self.shaking => State::Handshaking,
            () if self.established => State::Established,
            () if self.carried => State::Connected,
            () if self.dialled => State::Connecting,
            () if self.looked_up => State::HostLookup,
            () => State::Unconnected,
        }
    }

    fn agree_with(&self, life: &Life) {
        assert_eq!(life.state(), self.state());
        assert_eq!(life.mode(), self.mode);
        assert_eq!(life.was_established(), self.established);
        assert_eq!(life.ended().is_some(), life.state() == State::Disconnected);
        let (Some(ended), Some((ending, phase))) = (life.ended(), &self.ended) else {
            return assert!(life.ended().is_none() && self.ended.is_none());
        };
        assert_ne!(ended.phase, State::Disconnected);
        assert_eq!(ended.phase, *phase, "it ended where it was");
        // The first ending, and all of it: at most inside of the news that nothing was established.
        let on_purpose = matches!(ending, Ending::ConnectFinalized | Ending::Aborted);
        if self.established || on_purpose {
            assert_eq!(ended.ending, *ending);
        } else {
            assert_eq!(ended.code(), "connectFailed");
            assert_eq!(ended.ending.cause_code(), ending.cause_code());
            assert!(!ended.is_clean());
        }
    }
}

fn ending_of(number: u8) -> Ending {
    match number % ENDINGS {
        0 => Ending::Finished,
        1 => Ending::CloseNotify { unsent: 0 },
        2 => Ending::SocketClose,
        3 => Ending::FatalAlert(AlertDescription::UNKNOWN_CA),
        4 => Ending::FatalError { alert: None, cause: Fault::BadRecord },
        5 => Ending::TimedOut(Deadline::Handshake),
        6 => Ending::WsClose { code: None, reason: String::new(), by: Party::Peer },
        _ => Ending::Aborted,
    }
}
