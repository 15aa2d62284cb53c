//! What a client may ask for, and who answers it.

use std::os::fd::OwnedFd;

use levada_pool_wire::body::{Ping, StartTls};
use levada_pool_wire::{
    Chain, ControlKey, Cut, Document, ErrorCode, ExchangeKey, Facilities, HandBack, Message, Offer,
    Page, Report, StartTlsFlags, Text,
};

use super::{Control, Event, Work};
use crate::inquiries::{self, TextAsked};
use crate::registry::Begun;
use crate::session::{Inquiry, Session};
use crate::starttls::{Asks, Handshake};

impl Control {
    /// Answers a request, or has it worked out.
    pub(super) fn request(
        &mut self,
        exchange: ExchangeKey,
        message: Message,
        descriptor: Option<OwnedFd>,
    ) {
        let reply = match message {
            Message::Ping(ping) => self.ping(&ping),
            Message::StartTls(request) => match self.starttls(exchange, request, descriptor) {
                Ok(()) => return,
                Err(code) => code.into(),
            },
            Message::Prng(_) | Message::Info(_) => return self.ask_session(exchange, message),
            Message::Local(..) => return self.private(exchange, &message),
            Message::ControlDetach(control) => {
                done(self.pool.registry.detach(self.client, &control.control_key))
            }
            Message::ControlReattach(control) => {
                let uid = self.credentials.uid;
                done(self.pool.registry.reattach(self.client, uid, &control.control_key))
            }
            // A registration has no reply but its questions.
            Message::PinEntry(entry) => match self.enter_pins(exchange, &entry) {
                Ok(()) => return,
                Err(code) => code.into(),
            },
            Message::LidentryRegister(body) => match self.choose_identities(exchange, &body) {
                Ok(()) => return,
                Err(code) => code.into(),
            },
            // The rules let no other message open an exchange.
            _ => ErrorCode::UnknownCommand.into(),
        };
        self.reply(exchange, reply);
    }

    fn ping(&self, ping: &Ping) -> Message {
        let producer = Text::new(Ping::V2).unwrap_or_default();
        let facilities = ping.facilities.and(self.pool.policy.now().facilities());
        Message::Ping(Ping { producer, facilities })
    }

    fn starttls(
        &mut self,
        exchange: ExchangeKey,
        request: StartTls,
        network: Option<OwnedFd>,
    ) -> Result<(), ErrorCode> {
        let flags = request.flags;
        if flags.contains(StartTlsFlags::RENEGOTIATE) {
            // TLS 1.3 has none, and that of TLS 1.2 is no longer thought of as safe.
            let session = self.pool.registry.session(self.client, &request.control_key);
            let known = session.map_err(|_| ErrorCode::RenegotiateNotFound);
            return known.and(Err(ErrorCode::WouldBeInsecure));
        }
        let network = network.ok_or(ErrorCode::CipherSocketNeeded)?;
        let role = flags.role()?;
        let policy = self.pool.policy.now();
        let makes = flags.contains(StartTlsFlags::LOCALID_ONTHEFLY);
        if flags.contains(StartTlsFlags::DTLS) || (makes && policy.local_ca().is_none()) {
            return Err(ErrorCode::NotImplemented);
        }
        if !policy.facilities().contains(Facilities::STARTTLS) {
            return Err(ErrorCode::StartTlsExcluded);
        }
        if self.pool.is_draining() {
            return Err(ErrorCode::HandlerSetup);
        }
        let permit = self.pool.session_permit().ok_or(ErrorCode::OutOfMemory)?;
        let begun = Begun {
            key: &request.control_key,
            flags,
            role,
            service: request.service,
            local_id: request.local_id,
            remote_id: request.remote_id,
        };
        let most = policy.sessions_per_user();
        let place = self.pool.registry.enter(self.client, &self.credentials, most, &begun)?;
        let deadline = request.timeout.deadline(self.now(), self.pool.limits.handshake);
        // The exchange was opened a moment ago.
        let _ = self.exchanges.set_deadline(exchange, deadline);
        let hand_back = self.hand_backs.take_wish(&request.control_key);
        if hand_back {
            let _ = self.exchanges.may_hand_back(exchange);
        }
        let alpn = self.offers.take(&request.control_key).unwrap_or_default();
        let session = (place.number(), place.key());
        let handshake = Handshake {
            pool: self.pool.clone(),
            policy,
            credentials: self.credentials.clone(),
            request,
            role,
            alpn,
            hand_back,
            place,
            permit,
            asks: Asks { exchange, events: self.events.clone() },
        };
        let events = self.events.clone();
        let task = tokio::spawn(async move {
            let outcome = handshake.run(network).await;
            // Who is not heard any more has lost its client.
            let _ = events.send(Event::Over { exchange, outcome }).await;
        });
        let work = Work { task: task.abort_handle(), answer: None, session: Some(session) };
        self.work.insert(exchange, work);
        Ok(())
    }

    /// Replies to what has to be asked of a session.
    fn ask_session(&mut self, exchange: ExchangeKey, message: Message) {
        let (pool, client) = (self.pool.clone(), self.client);
        self.work_out(exchange, async move {
            let reply = inquiries::reply(&pool, client, message).await;
            reply.unwrap_or_else(Message::from)
        });
    }

    /// Replies to a private command.
    fn private(&mut self, exchange: ExchangeKey, message: &Message) {
        let reply = match message {
            Message::Local(Offer::COMMAND, body) => Offer::from_body(body)
                .map(|Offer { control_key, alpn }| {
                    self.offers.keep(control_key, alpn, self.pool.limits.exchanges);
                })
                .map_err(|_| ErrorCode::NotImplemented),
            Message::Local(HandBack::COMMAND, body) => match HandBack::from_body(body) {
                Ok(HandBack { control_key, outcome: None }) => {
                    let reply = self.hand_back(control_key);
                    return self.reply(exchange, reply);
                }
                // The application has nothing to tell by it.
                Ok(_) | Err(_) => Err(ErrorCode::NotImplemented),
            },
            Message::Local(Cut::COMMAND, body) => self
                .pool
                .registry
                .session(self.client, &Cut::from_body(body).control_key)
                .map(|session| session.tell(Inquiry::Cut)),
            other => match Page::of(other) {
                Some(Ok(page)) => return self.page(exchange, page),
                Some(Err(_)) => Err(ErrorCode::NotImplemented),
                None => Err(ErrorCode::UnknownCommand),
            },
        };
        self.reply(exchange, done(reply));
    }

    /// What came of a wish for kernel TLS, or the wish itself.
    fn hand_back(&mut self, control_key: ControlKey) -> Message {
        let outcome = self.hand_backs.take_outcome(&control_key);
        if outcome.is_some() {
            return HandBack { control_key, outcome }.into();
        }
        self.hand_backs.wish(control_key);
        Message::Success
    }

    /// Takes in a page of what the application tells of a session that was handed back.
    fn take_in(&mut self, page: &Page) -> Result<(), ErrorCode> {
        let session = self.pool.registry.session(self.client, &page.control_key)?;
        let Some(text) = self.hand_backs.take_page(page)? else { return Ok(()) };
        if page.document == Document::Ticket {
            session.show(move |session| session.take_ticket(&text));
        } else {
            let report = Report::decode(&text).map_err(|_| ErrorCode::NotImplemented)?;
            session.tell(Inquiry::Farewell(Box::new(report)));
        }
        Ok(())
    }

    /// Replies with a page of a text, which has to be put together where it begins.
    fn page(&mut self, exchange: ExchangeKey, asked: Page) {
        let reply = match asked.document {
            Document::Ticket | Document::Farewell => {
                let taken = done(self.take_in(&asked));
                return self.reply(exchange, taken);
            }
            _ if asked.offset > 0 => self.pages.next(&asked).ok_or(ErrorCode::InfoNotFound),
            Document::Report => match self.pool.registry.session(self.client, &asked.control_key) {
                // It tells of itself as long as it lives. A task that waits for it would cost more.
                Ok(session) => {
                    let asked = TextAsked::new(exchange, asked, self.events.clone());
                    return session.show(|session| asked.answer(session.report().encode()));
                }
                Err(_) => self.kept(&asked),
            },
            Document::PeerChain => {
                match self.pool.registry.session(self.client, &asked.control_key) {
                    Ok(session) => {
                        let asked = TextAsked::new(exchange, asked, self.events.clone());
                        let chain = |session: &Session| Chain::encode(session.peer_chain());
                        return session.show(move |session| asked.answer(chain(session)));
                    }
                    Err(code) => Err(code),
                }
            }
            Document::Sessions => {
                let (pool, credentials) = (self.pool.clone(), self.credentials.clone());
                let pages = self.pages.clone();
                return self.work_out(exchange, async move {
                    let text = inquiries::sessions(&pool, &credentials).await;
                    pages.begin(&asked, text).into()
                });
            }
            Document::Unknown(_) => Err(ErrorCode::InfoKindUnknown),
        };
        self.turn_to(exchange, reply);
    }

    /// Replies with this page.
    fn turn_to(&mut self, exchange: ExchangeKey, page: Result<Page, ErrorCode>) {
        self.reply(exchange, page.map_or_else(Message::from, Message::from));
    }

    /// Replies with the first page of what a session has told of itself, or has left behind.
    pub(super) fn told(&mut self, exchange: ExchangeKey, asked: &Page, text: Option<Vec<u8>>) {
        let page = match text {
            Some(text) => Ok(self.pages.begin(asked, text)),
            // What it has left was there before it was gone.
            None => self.kept(asked),
        };
        self.turn_to(exchange, page);
    }

    /// The first page of what a session has left behind.
    fn kept(&self, asked: &Page) -> Result<Page, ErrorCode> {
        if asked.document != Document::Report {
            return Err(ErrorCode::ControlKeyNotFound);
        }
        let kept = self.pool.registry.report(self.client, &asked.control_key);
        let kept = kept.ok_or(ErrorCode::ControlKeyNotFound)?;
        Ok(self.pages.begin(asked, kept.encode()))
    }

    /// Has a task work out the reply.
    fn work_out(
        &mut self,
        exchange: ExchangeKey,
        reply: impl Future<Output = Message> + Send + 'static,
    ) {
        let events = self.events.clone();
        let task = tokio::spawn(async move {
            let message = reply.await;
            let _ = events.send(Event::Reply { exchange, message }).await;
        });
        let work = Work { task: task.abort_handle(), answer: None, session: None };
        self.work.insert(exchange, work);
    }
}

fn done(result: Result<(), ErrorCode>) -> Message {
    result.map_or_else(Message::from, |()| Message::Success)
}
