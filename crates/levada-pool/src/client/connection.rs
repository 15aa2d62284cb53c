//! One control connection that many tasks share: a task of its own drives it.

use std::collections::BTreeMap;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use levada_pool_wire::{CallKey, Message};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::{Semaphore, mpsc};

use crate::client::control::{CALLS, Control, Event};
use crate::client::error::PoolError;

/// A handle to the connection; the last one that is dropped closes it.
#[derive(Debug)]
pub(crate) struct Connection {
    orders: mpsc::UnboundedSender<Order>,
    /// One for each request that may be under way. It bounds the orders, too.
    slots: Arc<Semaphore>,
    next: AtomicU64,
}

/// What a task wants of the connection.
enum Order {
    Call {
        number: u64,
        message: Message,
        descriptor: Option<OwnedFd>,
        /// Whether it may be answered without a question for the plaintext socket.
        hand_back: bool,
        news: mpsc::UnboundedSender<News>,
    },
    Answer {
        number: u64,
        message: Message,
        descriptor: Option<OwnedFd>,
    },
    Abandon {
        number: u64,
    },
}

/// What a request hears.
#[derive(Debug)]
pub(crate) enum News {
    Question(Message),
    Reply(Result<Message, PoolError>),
}

impl Connection {
    /// Has `control` driven by a task of the current runtime.
    pub(crate) fn new(control: Control) -> Result<Self, PoolError> {
        let local = |error| PoolError::local(&error);
        let watched = control.as_fd().try_clone_to_owned().map_err(local)?;
        let both = Interest::READABLE | Interest::WRITABLE;
        let watched = levada_sys::watch(watched, both).map_err(|(_, error)| local(error))?;
        let (orders, received) = mpsc::unbounded_channel();
        tokio::spawn(drive(control, watched, received));
        Ok(Self { orders, slots: Arc::new(Semaphore::new(CALLS)), next: AtomicU64::new(0) })
    }

    /// Whether nothing can be asked any more.
    pub(crate) fn is_gone(&self) -> bool {
        self.orders.is_closed()
    }

    /// Makes a request, as soon as there are fewer than 64 under way.
    pub(crate) async fn call(
        &self,
        message: Message,
        descriptor: Option<OwnedFd>,
        hand_back: bool,
    ) -> Result<Call<'_>, PoolError> {
        // Nobody closes it.
        let slot = self.slots.acquire().await.map_err(|_| PoolError::Gone)?;
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let (news, heard) = mpsc::unbounded_channel();
        let order = Order::Call { number, message, descriptor, hand_back, news };
        self.orders.send(order).map_err(|_| PoolError::Gone)?;
        Ok(Call { connection: self, number, heard, done: false, _slot: slot })
    }

    /// Makes a request that the pool asks nothing about, and waits for the reply.
    pub(crate) async fn exchange(&self, message: Message) -> Result<Message, PoolError> {
        let mut call = self.call(message, None, false).await?;
        match call.next().await {
            News::Reply(reply) => reply,
            News::Question(_) => Err(PoolError::Protocol("a question out of place".to_owned())),
        }
    }
}

/// One request. Dropping it abandons the request.
#[derive(Debug)]
pub(crate) struct Call<'a> {
    connection: &'a Connection,
    number: u64,
    heard: mpsc::UnboundedReceiver<News>,
    done: bool,
    _slot: tokio::sync::SemaphorePermit<'a>,
}

impl Call<'_> {
    /// Waits for a question or the reply.
    pub(crate) async fn next(&mut self) -> News {
        let news = self.heard.recv().await.unwrap_or(News::Reply(Err(PoolError::Gone)));
        self.done = matches!(news, News::Reply(_));
        news
    }

    /// Answers a question. That it comes too late shows in the reply.
    pub(crate) fn answer(&self, message: Message, descriptor: Option<OwnedFd>) {
        let order = Order::Answer { number: self.number, message, descriptor };
        let _ = self.connection.orders.send(order);
    }
}

impl Drop for Call<'_> {
    fn drop(&mut self) {
        if !self.done {
            let _ = self.connection.orders.send(Order::Abandon { number: self.number });
        }
    }
}

/// The requests under way: under the number that their task has, and the key of the protocol.
#[derive(Default)]
struct Waiting {
    keys: BTreeMap<u64, CallKey>,
    tasks: BTreeMap<CallKey, (u64, mpsc::UnboundedSender<News>)>,
}

/// Drives a connection until it is lost, or nobody is left who could ask.
async fn drive(
    mut control: Control,
    watched: AsyncFd<OwnedFd>,
    mut orders: mpsc::UnboundedReceiver<Order>,
) {
    let mut waiting = Waiting::default();
    loop {
        let mut interest = Interest::READABLE;
        if control.wants_write() {
            interest |= Interest::WRITABLE;
        }
        let lost = tokio::select! {
            order = orders.recv() => match order {
                Some(order) => {
                    waiting.take(order, &mut control);
                    false
                }
                None => return,
            },
            ready = watched.ready(interest) => match ready {
                Ok(mut ready) => {
                    let lost = control.process().is_err();
                    // It has taken all there was.
                    ready.clear_ready();
                    lost
                }
                Err(_) => return,
            },
        };
        if lost {
            // Whoever hears of it now and asks again is to find out that a new one is needed.
            orders.close();
        }
        waiting.tell(&mut control);
        if lost {
            return;
        }
    }
}

impl Waiting {
    fn take(&mut self, order: Order, control: &mut Control) {
        match order {
            Order::Call { number, message, descriptor, hand_back, news } => {
                match control.call(message, descriptor) {
                    Ok(key) => {
                        if hand_back {
                            control.may_be_handed_back(key);
                        }
                        self.keys.insert(number, key);
                        self.tasks.insert(key, (number, news));
                    }
                    // A task that is gone need not hear it.
                    Err(error) => drop(news.send(News::Reply(Err(error)))),
                }
            }
            Order::Answer { number, message, descriptor } => {
                let Some(&key) = self.keys.get(&number) else { return };
                if let Err(error) = control.answer(key, message, descriptor) {
                    control.abandon(key);
                    self.settle(key, Err(error));
                }
            }
            Order::Abandon { number } => {
                if let Some(key) = self.keys.remove(&number) {
                    self.tasks.remove(&key);
                    control.abandon(key);
                }
            }
        }
    }

    fn tell(&mut self, control: &mut Control) {
        while let Some(event) = control.next_event() {
            match event {
                Event::Reply { call, reply } => self.settle(call, reply),
                Event::Question { call, question } => {
                    if let Some((_, news)) = self.tasks.get(&call) {
                        let _ = news.send(News::Question(question));
                    }
                }
            }
        }
    }

    fn settle(&mut self, call: CallKey, reply: Result<Message, PoolError>) {
        if let Some((number, news)) = self.tasks.remove(&call) {
            self.keys.remove(&number);
            let _ = news.send(News::Reply(reply));
        }
    }
}
