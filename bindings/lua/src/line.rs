//! From the script to the task of its connection.

use std::cell::{Cell, RefCell};
use std::pin::Pin;
use std::sync::mpsc::sync_channel;

use levada::{Ended, Ending, Facts, State};
use tokio::runtime::Handle;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::life::Order;

/// The task of a connection, before it is begun.
pub(crate) type Birth = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Orders are gathered, and go when the loop comes round: what a script orders in one piece reaches its
/// connection in one piece. Dropping the line drops the connection.
pub(crate) struct Line {
    /// Which connection it is, of all that this process ever had.
    pub(crate) id: u64,
    birth: RefCell<Option<Birth>>,
    orders: RefCell<Vec<Order>>,
    sender: UnboundedSender<Vec<Order>>,
    /// Whether the loop knows that something waits here.
    pub(crate) is_listed: Cell<bool>,
}

impl Line {
    /// A line, with the task that `birth` makes of its other end.
    pub(crate) fn new(id: u64, birth: impl FnOnce(UnboundedReceiver<Vec<Order>>) -> Birth) -> Self {
        let (sender, receiver) = unbounded_channel();
        Self {
            id,
            birth: RefCell::new(Some(birth(receiver))),
            orders: RefCell::default(),
            sender,
            is_listed: Cell::new(false),
        }
    }

    pub(crate) fn add(&self, order: Order) {
        self.orders.borrow_mut().push(order);
    }

    /// Passes on what waits.
    pub(crate) fn flush(&self, runtime: &Handle) {
        self.is_listed.set(false);
        let orders = self.orders.take();
        if !orders.is_empty() {
            // Where the connection has ended there is nobody to obey.
            let _ = self.sender.send(orders);
        }
        // Behind its first orders: it is to know of them before it reads anything.
        if let Some(birth) = self.birth.take() {
            runtime.spawn(birth);
        }
    }

    /// Ends the connection now; what waits is dropped.
    pub(crate) fn abort(&self) -> Ended {
        self.orders.take();
        let unborn = self.birth.take().is_some();
        let ended = (!unborn).then(|| self.ask(Order::Abort)).flatten();
        ended.unwrap_or_else(|| Ended {
            ending: Ending::Aborted,
            phase: State::Unconnected,
            facts: Facts::default().into(),
        })
    }

    /// What is known of the connection; `None` where it has ended, or not begun.
    pub(crate) fn facts(&self) -> Option<Facts> {
        if self.birth.borrow().is_some() {
            return None;
        }
        self.ask(Order::Facts)
    }

    /// The task answers between two of its polls: this waits for no peer.
    fn ask<A>(&self, order: impl FnOnce(std::sync::mpsc::SyncSender<A>) -> Order) -> Option<A> {
        let (answer, answered) = sync_channel(1);
        self.sender.send(vec![order(answer)]).ok()?;
        answered.recv().ok()
    }
}
