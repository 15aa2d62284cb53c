//! A service that one client at a time gives to the pool: it registers, and is asked.
//!
//! There are two: PIN entry, and the choice of identities.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use levada_pool_wire::{ExchangeKey, LidentryFlags, Message};
use tokio::sync::{OwnedMutexGuard, mpsc, oneshot};

use crate::control::Event;

/// The longest that anybody is waited for, whatever a registration says.
const LONGEST: Duration = Duration::from_secs(3600);

/// Why a question has no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoAnswer {
    /// No client is registered for it.
    Nobody,
    /// The person, or the program, does not want to.
    Declined,
    /// What came is against the rules.
    Unusable,
    /// No answer came within the time that the registration says.
    Late,
    /// The client has closed its control connection.
    Gone,
}

impl fmt::Display for NoAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Nobody => "nobody is registered to answer",
            Self::Declined => "who was asked declined",
            Self::Unusable => "who was asked gave an answer that is against the rules",
            Self::Late => "who was asked did not answer in time",
            Self::Gone => "who was asked went away",
        })
    }
}

/// What a registration says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Terms {
    /// How long an answer may take.
    pub(crate) time: Duration,
    pub(crate) flags: LidentryFlags,
    pub(crate) max_levels: u16,
}

impl Terms {
    /// Those of a client that takes up to `time`; nothing stated is `default`.
    pub(crate) fn new(time: Duration, default: Duration) -> Self {
        let time = if time.is_zero() { default } else { time.min(LONGEST) };
        Self { time, flags: LidentryFlags::NONE, max_levels: 0 }
    }
}

/// A service. Clones are the same. One question is out at a time, and whoever wants to ask waits in
/// order.
#[derive(Clone, Default)]
pub(crate) struct Service(Arc<Inner>);

#[derive(Default)]
struct Inner {
    seat: Mutex<Seat>,
    turn: Arc<tokio::sync::Mutex<()>>,
}

#[derive(Default)]
struct Seat {
    /// How many have registered so far: the number of the one that has.
    last: u64,
    taken: Option<Taken>,
}

#[derive(Clone)]
struct Taken {
    exchange: ExchangeKey,
    events: mpsc::Sender<Event>,
    terms: Terms,
}

impl Service {
    /// Takes the seat; `None` where somebody has it.
    pub(crate) fn register(
        &self,
        exchange: ExchangeKey,
        events: mpsc::Sender<Event>,
        terms: Terms,
    ) -> Option<Registration> {
        let mut seat = self.seat();
        if seat.taken.is_some() {
            return None;
        }
        seat.last += 1;
        seat.taken = Some(Taken { exchange, events, terms });
        Some(Registration { service: self.clone(), number: seat.last })
    }

    /// What the registration says, where there is one.
    pub(crate) fn terms(&self) -> Option<Terms> {
        self.seat().taken.as_ref().map(|taken| taken.terms)
    }

    /// Waits until it is our turn to ask.
    ///
    /// # Errors
    ///
    /// [`NoAnswer::Nobody`].
    pub(crate) async fn turn(&self) -> Result<Turn, NoAnswer> {
        let held = self.0.turn.clone().lock_owned().await;
        let taken = self.seat().taken.clone().ok_or(NoAnswer::Nobody)?;
        Ok(Turn { taken, held })
    }

    fn seat(&self) -> MutexGuard<'_, Seat> {
        // Nothing in this file panics while it holds the lock.
        self.0.seat.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The seat of a client that is registered: vacant again when this is dropped.
pub(crate) struct Registration {
    service: Service,
    number: u64,
}

impl Registration {
    /// Whether it is for this service.
    pub(crate) fn is_for(&self, service: &Service) -> bool {
        Arc::ptr_eq(&self.service.0, &service.0)
    }

    pub(crate) fn terms(&self) -> Option<Terms> {
        self.service.terms()
    }

    /// The client registers anew, with its answer.
    pub(crate) fn renew(&self, time: Duration, default: Duration) {
        if let Some(taken) = &mut self.service.seat().taken {
            taken.terms.time = Terms::new(time, default).time;
        }
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        let mut seat = self.service.seat();
        if seat.last == self.number {
            seat.taken = None;
        }
    }
}

/// The right to ask, one question after another.
pub(crate) struct Turn {
    taken: Taken,
    held: OwnedMutexGuard<()>,
}

impl Turn {
    pub(crate) const fn terms(&self) -> Terms {
        self.taken.terms
    }

    /// Asks, and gets the answer with the turn back.
    ///
    /// # Errors
    ///
    /// [`NoAnswer`].
    ///
    /// # Cancel safety
    ///
    /// A question stays out when this is dropped, and nobody else asks before it is answered or late:
    /// the turn goes with it.
    pub(crate) async fn ask(self, question: Message) -> Result<(Message, Self), NoAnswer> {
        let Self { taken, held } = self;
        let (answer, answered) = oneshot::channel();
        let event = Event::Consult {
            exchange: taken.exchange,
            question,
            within: taken.terms.time,
            answer: Answering { answer, held },
        };
        taken.events.send(event).await.map_err(|_| NoAnswer::Gone)?;
        let (answer, held) = answered.await.map_err(|_| NoAnswer::Gone)?;
        Ok((answer?, Self { taken, held }))
    }
}

/// Where an answer goes. Dropping it says that the client is gone.
pub(crate) struct Answering {
    answer: oneshot::Sender<(Result<Message, NoAnswer>, OwnedMutexGuard<()>)>,
    held: OwnedMutexGuard<()>,
}

impl Answering {
    /// Whoever asked may have gone: a PIN is wiped then.
    pub(crate) fn give(self, answer: Result<Message, NoAnswer>) {
        let _ = self.answer.send((answer, self.held));
    }
}
