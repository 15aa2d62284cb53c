//! The services that a client gives to the pool: it is registered, asked, and leaves.

use std::time::Duration;

use levada_pool_wire::body::{Lidentry, PinEntry};
use levada_pool_wire::{ErrorCode, ExchangeKey, Message};

use super::Control;
use crate::notice::{Notice, ServiceKind};
use crate::service::{Answering, NoAnswer, Registration, Terms};

/// A service that this client gives, for as long as its exchange lives.
pub(super) struct Seat {
    registration: Registration,
    kind: ServiceKind,
    /// Where the answer goes to the question that is out.
    asked: Option<Answering>,
}

impl Control {
    /// Registers this client to enter PINs. There is no reply until one is needed.
    ///
    /// Source: TLS Pool protocol V2, PINENTRY.
    pub(super) fn enter_pins(
        &mut self,
        exchange: ExchangeKey,
        entry: &PinEntry,
    ) -> Result<(), ErrorCode> {
        let time = Duration::from_micros(entry.timeout_us.into());
        let terms = Terms::new(time, self.pool.limits.answer);
        self.take_seat(exchange, ServiceKind::PinEntry, terms)
    }

    /// Registers this client to choose local identities.
    ///
    /// Source: TLS Pool protocol V2, LIDENTRY.
    pub(super) fn choose_identities(
        &mut self,
        exchange: ExchangeKey,
        body: &Lidentry,
    ) -> Result<(), ErrorCode> {
        let time = Duration::from_secs(body.timeout_s.into());
        let terms = Terms::new(time, self.pool.limits.answer);
        let terms = Terms { flags: body.flags, max_levels: body.max_levels, ..terms };
        self.take_seat(exchange, ServiceKind::Lidentry, terms)
    }

    fn take_seat(
        &mut self,
        exchange: ExchangeKey,
        kind: ServiceKind,
        terms: Terms,
    ) -> Result<(), ErrorCode> {
        let (service, taken) = match kind {
            ServiceKind::PinEntry => (self.pool.pins.clone(), ErrorCode::PinEntryNotVacant),
            ServiceKind::Lidentry => (self.pool.chooser.clone(), ErrorCode::LidentryNotVacant),
        };
        let uid = self.credentials.uid;
        if !self.pool.policy.now().may_serve(kind, uid, self.pool.uid) {
            return Err(taken);
        }
        // Who owes an answer, and registers instead, does not mean to give it.
        let owes = self.seats.iter().find_map(|(&exchange, seat)| {
            (seat.registration.is_for(&service) && seat.asked.is_some()).then_some(exchange)
        });
        if let Some(before) = owes {
            self.vacate(before, NoAnswer::Declined);
            self.reply(before, ErrorCode::ClientRefusesCallback.into());
        }
        let registration = service.register(exchange, self.events.clone(), terms).ok_or(taken)?;
        self.seats.insert(exchange, Seat { registration, kind, asked: None });
        self.pool.tell(&Notice::Service { kind, uid, left: None });
        Ok(())
    }

    /// Asks the client something that it is registered for.
    pub(super) fn consult(
        &mut self,
        exchange: ExchangeKey,
        question: Message,
        within: Duration,
        answer: Answering,
    ) {
        let due = self.now().after(within);
        // Who registered is gone meanwhile, or has another exchange.
        let Some(seat) = self.seats.get_mut(&exchange) else {
            return answer.give(Err(NoAnswer::Gone));
        };
        match self.exchanges.ask(exchange, question, due) {
            Ok(envelope) => {
                seat.asked = Some(answer);
                self.send(&envelope);
            }
            Err(_) => answer.give(Err(NoAnswer::Gone)),
        }
    }

    /// Passes the client's answer on; it is registered anew by that. `None` is for what is no answer to
    /// a service's question.
    pub(super) fn consulted(&mut self, exchange: ExchangeKey, message: Message) -> Option<Message> {
        let Some(seat) = self.seats.get_mut(&exchange) else { return Some(message) };
        let Some(asked) = seat.asked.take() else { return None };
        match &message {
            Message::PinEntry(entry) => {
                let time = Duration::from_micros(entry.timeout_us.into());
                seat.registration.renew(time, self.pool.limits.answer);
            }
            Message::LidentryCallback(body) | Message::LidentryRegister(body) => {
                let registered = seat.registration.terms().map(|terms| terms.flags);
                let own = levada_pool_wire::LidentryFlags::REGFLAGS;
                if registered.is_some_and(|flags| flags.and(own) != body.flags.and(own)) {
                    seat.asked = Some(asked);
                    self.vacate(exchange, NoAnswer::Unusable);
                    self.reply(exchange, ErrorCode::BadCallbackResponse.into());
                    return None;
                }
            }
            _ => {}
        }
        asked.give(Ok(message));
        None
    }

    /// The client's registration has ended: whoever waits for its answer is told.
    pub(super) fn vacate(&mut self, exchange: ExchangeKey, why: NoAnswer) {
        let Some(Seat { registration, kind, asked }) = self.seats.remove(&exchange) else { return };
        // First, so that whoever is told finds the seat free.
        drop(registration);
        if let Some(asked) = asked {
            asked.give(Err(why));
        }
        let uid = self.credentials.uid;
        self.pool.tell(&Notice::Service { kind, uid, left: Some(why.to_string()) });
    }

    /// The control connection is closed.
    pub(super) fn vacate_all(&mut self) {
        while let Some(&exchange) = self.seats.keys().next() {
            self.vacate(exchange, NoAnswer::Gone);
        }
    }
}
