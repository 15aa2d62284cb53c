//! The task of one connection: orders from the script go in, news for it come out.
//!
//! It never waits for the script, but it reads no further than the script has looked: after each piece
//! of data it holds until [`Order::GoOn`]. What was ordered before that, such as to begin TLS, is done
//! first, so that no byte of a handshake is ever read as plaintext.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use std::task::{Context, Poll};

use levada::{
    AlertDescription, Ended, Endpoint, Event, Events, Facts, Mode, Party, SessionName, Socket,
    State, TlsClient, TlsServer, UpgradeError, Watched,
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::oneshot;

use crate::inbox::{Inbox, Mail};
use crate::values;
use crate::verdict::Question;

/// What the script wants of its connection. Orders that belong together come together.
pub(crate) enum Order {
    Write(Vec<u8>),
    /// TLS is to begin. So many bytes the script has seen: what else has come may be an injection.
    Encrypt(Encryption, u64),
    /// All that has come was looked at: more may.
    GoOn,
    Disconnect,
    /// Without delay; the answer is the end.
    Abort(SyncSender<Ended>),
    Facts(SyncSender<Facts>),
}

pub(crate) enum Encryption {
    Client(TlsClient, SessionName),
    Server(TlsServer),
}

/// What the script is told, in this order.
pub(crate) enum News {
    /// One of the numbers of [`values::STATES`].
    State(i64),
    HostFound,
    Connected {
        local: Option<SocketAddr>,
        peer: Option<SocketAddr>,
    },
    Mode(Mode),
    Encrypted,
    Data(Vec<u8>),
    Written(usize),
    /// An alert, and whether it was fatal.
    Alert(Party, AlertDescription, bool),
    /// The peer has said goodbye.
    RemoteClosed,
    /// TLS was not begun for this reason; the end follows.
    NotEncrypted(String),
    /// Something is wrong with the peer's certificate: what is to be done about it?
    Verify(Question),
    Ended(Ended),
    /// The task has failed.
    Gone,
}

/// Tells the script about one connection, to the end in any case.
#[derive(Clone)]
pub(crate) struct Teller {
    inbox: Arc<Inbox>,
    id: u64,
}

impl Teller {
    pub(crate) fn new(inbox: Arc<Inbox>, id: u64) -> Self {
        Self { inbox, id }
    }

    pub(crate) fn tell(&self, news: News) {
        self.inbox.push(Mail::Stream(self.id, news));
    }

    pub(crate) fn ask(
        &self,
        question: impl FnOnce(oneshot::Sender<bool>) -> Question,
    ) -> oneshot::Receiver<bool> {
        let (answer, answered) = oneshot::channel();
        self.tell(News::Verify(question(answer)));
        answered
    }
}

/// Bytes that are received at once, at most.
const RECEIVED: usize = 64 * 1024;

/// Bytes that small pieces are joined to, at most.
const JOINED: usize = 64 * 1024;

thread_local! {
    /// What has come is read here first: an idle connection owns no buffer.
    static SCRATCH: RefCell<Vec<u8>> = RefCell::new(vec![0; RECEIVED]);
}

/// What is still to be sent, in order.
enum Sending {
    /// Bytes, of which so many are sent.
    Bytes(Vec<u8>, usize),
    Encrypt(Encryption),
    Goodbye,
}

pub(crate) struct Life {
    socket: Socket,
    events: Events,
    orders: UnboundedReceiver<Vec<Order>>,
    teller: Teller,
    sending: VecDeque<Sending>,
    /// Bytes that the socket has accepted and that have not left.
    accepted: usize,
    /// Bytes that the script was given.
    delivered: u64,
    /// Whether the script has yet to look at what it was given.
    holds: bool,
    /// Whether nothing that comes is of interest any more.
    is_closing: bool,
    /// The last state that was told.
    state: i64,
    ended: Option<Ended>,
    has_told_the_end: bool,
}

impl Life {
    /// Lives until the connection has ended, or nobody gives orders any more.
    pub(crate) async fn live(
        mut socket: Socket,
        orders: UnboundedReceiver<Vec<Order>>,
        teller: Teller,
    ) {
        let events = socket.events();
        let state = match socket.state() {
            State::Unconnected => values::UNCONNECTED,
            _ => values::CONNECTED,
        };
        let mut life = Self {
            socket,
            events,
            orders,
            teller,
            sending: VecDeque::new(),
            accepted: 0,
            delivered: 0,
            holds: false,
            is_closing: false,
            state,
            ended: None,
            has_told_the_end: false,
        };
        poll_fn(|cx| life.poll(cx)).await;
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            while let Poll::Ready(orders) = self.orders.poll_recv(cx) {
                // Without anybody to give orders the socket is dropped, which aborts it.
                let Some(orders) = orders else {
                    self.has_told_the_end = true;
                    return Poll::Ready(());
                };
                for order in orders {
                    self.take(order);
                }
            }
            let moved = self.poll_send(cx) | self.poll_receive(cx);
            self.tell_events();
            if let Some(ended) = self.ended.take() {
                self.tell_end(cx, ended);
            }
            if self.has_told_the_end {
                return Poll::Ready(());
            }
            if !moved {
                return Poll::Pending;
            }
        }
    }

    fn take(&mut self, order: Order) {
        match order {
            Order::Write(bytes) => match self.sending.back_mut() {
                // What is written in small pieces leaves in one.
                Some(Sending::Bytes(last, _)) if last.len() + bytes.len() <= JOINED => {
                    last.extend_from_slice(&bytes);
                }
                _ => self.sending.push_back(Sending::Bytes(bytes, 0)),
            },
            Order::Encrypt(encryption, seen) => {
                if seen == self.delivered {
                    self.sending.push_back(Sending::Encrypt(encryption));
                } else {
                    let bytes = usize::try_from(self.delivered - seen).unwrap_or(usize::MAX);
                    self.refuse_encryption(&UpgradeError::Injection { bytes });
                }
            }
            Order::GoOn => self.holds = false,
            Order::Disconnect => {
                if self.state == values::CONNECTED {
                    self.tell_state(values::CLOSING);
                }
                self.say_goodbye();
            }
            Order::Abort(answer) => {
                self.socket.abort();
                self.has_told_the_end = true;
                if let Some(ended) = self.socket.ended() {
                    // It waits for the answer.
                    let _ = answer.send(ended.clone());
                }
            }
            Order::Facts(answer) => {
                let _ = answer.send(self.socket.facts());
            }
        }
    }

    fn say_goodbye(&mut self) {
        if !self.is_closing {
            self.is_closing = true;
            self.sending.push_back(Sending::Goodbye);
        }
    }

    fn refuse_encryption(&mut self, why: &UpgradeError) {
        self.teller.tell(News::NotEncrypted(why.to_string()));
        // In plaintext it must not go on: the script may not look, and write its secrets.
        self.socket.abort();
    }

    /// Sends what waits, as far as it goes. Whether anything has changed for the other direction.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> bool {
        let mut moved = false;
        loop {
            // This also drives what comes before the first byte: connecting, and the handshake.
            let flushed = Pin::new(&mut self.socket).poll_flush(cx);
            if self.socket.ended().is_some() {
                // Its event tells why.
                return moved;
            }
            if flushed.is_ready() && self.accepted > 0 {
                self.tell_events();
                self.teller.tell(News::Written(std::mem::take(&mut self.accepted)));
            }
            match self.sending.front_mut() {
                None => return moved,
                Some(Sending::Bytes(bytes, sent)) => {
                    match Pin::new(&mut self.socket).poll_write(cx, &bytes[*sent..]) {
                        Poll::Ready(Ok(count)) => {
                            self.accepted += count;
                            *sent += count;
                            if *sent == bytes.len() {
                                self.sending.pop_front();
                            }
                        }
                        Poll::Ready(Err(_)) | Poll::Pending => return moved,
                    }
                }
                Some(Sending::Encrypt(encryption)) => {
                    let begun = match encryption {
                        Encryption::Client(tls, name) => {
                            self.socket.start_client_encryption(tls, name)
                        }
                        Encryption::Server(tls) => self.socket.start_server_encryption(tls),
                    };
                    self.sending.pop_front();
                    // Where the peer has closed meanwhile it has no effect: our own goodbye is on its way
                    // then, and nothing leaves behind that.
                    if let Err(error) = begun {
                        self.refuse_encryption(&error);
                    }
                    moved = true;
                }
                Some(Sending::Goodbye) => {
                    if Pin::new(&mut self.socket).poll_shutdown(cx).is_pending() {
                        return moved;
                    }
                    self.sending.pop_front();
                    moved = true;
                }
            }
        }
    }

    /// Receives what has come, if the script is to have it. Whether anything has changed for the other
    /// direction.
    fn poll_receive(&mut self, cx: &mut Context<'_>) -> bool {
        if self.is_closing {
            // What comes now is dropped; the end is told by its event.
            let _ = Watched::poll_closed(&mut self.socket, cx);
            return false;
        }
        let waits_for_tls = self.sending.iter().any(|next| matches!(next, Sending::Encrypt(_)));
        if self.holds || waits_for_tls || self.socket.ended().is_some() {
            return false;
        }
        match self.poll_read(cx) {
            Poll::Ready(Ok(bytes)) if bytes.is_empty() => {
                self.tell_events();
                // One that has ended tells it otherwise.
                if self.socket.ended().is_none() {
                    self.teller.tell(News::RemoteClosed);
                    self.say_goodbye();
                }
                true
            }
            Poll::Ready(Ok(bytes)) => {
                self.tell_events();
                self.deliver(bytes);
                false
            }
            // An error is the ended socket's: its event tells it.
            Poll::Ready(Err(_)) | Poll::Pending => false,
        }
    }

    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<std::io::Result<Vec<u8>>> {
        SCRATCH.with_borrow_mut(|scratch| {
            let mut buf = ReadBuf::new(scratch);
            let read = Pin::new(&mut self.socket).poll_read(cx, &mut buf);
            read.map_ok(|()| buf.filled().to_vec())
        })
    }

    fn deliver(&mut self, bytes: Vec<u8>) {
        self.delivered += bytes.len() as u64;
        self.holds = true;
        self.teller.tell(News::Data(bytes));
    }

    fn tell_state(&mut self, state: i64) {
        if self.state != state {
            self.state = state;
            self.teller.tell(News::State(state));
        }
    }

    /// Passes on what has happened.
    fn tell_events(&mut self) {
        while let Some(event) = self.events.try_next() {
            match event {
                Event::State(State::HostLookup) => self.tell_state(values::HOST_LOOKUP),
                Event::HostFound { .. } => self.teller.tell(News::HostFound),
                Event::State(State::Connecting) => {
                    if self.state == values::UNCONNECTED {
                        // An address needs no lookup, but the order of events is one.
                        self.tell_state(values::HOST_LOOKUP);
                        self.teller.tell(News::HostFound);
                    }
                    self.tell_state(values::CONNECTING);
                }
                Event::State(State::Connected) => {
                    self.state = values::CONNECTED;
                    let facts = self.socket.facts();
                    let (local, peer) =
                        (address(facts.local.as_ref()), address(facts.peer.as_ref()));
                    self.teller.tell(News::Connected { local, peer });
                }
                Event::Mode(mode) => self.teller.tell(News::Mode(mode)),
                Event::State(State::Established) if self.socket.mode() != Mode::Plain => {
                    self.teller.tell(News::Encrypted);
                }
                Event::State(State::Closing) => self.tell_state(values::CLOSING),
                Event::Alert(party, alert) => self.teller.tell(News::Alert(party, alert, true)),
                Event::Goodbye(party) if self.socket.mode() != Mode::Plain => {
                    self.teller.tell(News::Alert(party, AlertDescription::CLOSE_NOTIFY, false));
                }
                Event::Ended(ended) => self.ended = Some(ended),
                _ => {}
            }
        }
    }

    /// Tells the end, behind all that had come before it.
    fn tell_end(&mut self, cx: &mut Context<'_>, ended: Ended) {
        while !self.is_closing
            && let Poll::Ready(Ok(bytes)) = self.poll_read(cx)
            && !bytes.is_empty()
        {
            self.deliver(bytes);
        }
        self.has_told_the_end = true;
        self.teller.tell(News::Ended(ended));
    }
}

impl Drop for Life {
    fn drop(&mut self) {
        if !self.has_told_the_end {
            self.teller.tell(News::Gone);
        }
    }
}

/// The address of one end of a TCP connection.
pub(crate) fn address(endpoint: Option<&Endpoint>) -> Option<SocketAddr> {
    match endpoint {
        Some(Endpoint::Ip(address)) => Some(*address),
        _ => None,
    }
}
