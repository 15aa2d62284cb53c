//! The loop: the one place where what threads have told reaches Lua, and what Lua has ordered leaves it.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use mlua::{AnyUserData, Function, IntoLuaMulti, Lua, Table};
use tokio::runtime::Handle;
use tokio::time::Instant;

use crate::inbox::{Inbox, Mail, Waited};
use crate::life::Order;
use crate::line::Line;
use crate::{runtime, stream, tcp_server};

/// Work of the script's own thread that waits for the loop.
type Task = Box<dyn FnOnce(&Lua) -> mlua::Result<()>>;

/// One for each Lua state. Only the state's own thread touches it.
pub(crate) struct EventLoop {
    pub(crate) runtime: &'static Handle,
    pub(crate) inbox: Arc<Inbox>,
    /// The objects in use by their ids: nobody else may hold them, and their handlers are called.
    live: Table,
    live_count: Cell<usize>,
    next_id: Cell<u64>,
    tasks: RefCell<VecDeque<Task>>,
    /// Where orders wait.
    lines: RefCell<Vec<Rc<Line>>>,
    is_in_handler: Cell<bool>,
    /// How many calls of the loop are under way, one within the other.
    depth: Cell<usize>,
    is_stopped: Cell<bool>,
    module: Table,
    /// Does nothing: an interpreter that was interrupted raises its error when it runs next.
    breathe: Function,
}

impl EventLoop {
    pub(crate) fn new(lua: &Lua, module: Table) -> mlua::Result<Self> {
        let runtime = runtime::start().map_err(mlua::Error::external)?;
        let inbox = Inbox::new().map_err(mlua::Error::external)?;
        Ok(Self {
            runtime,
            inbox: Arc::new(inbox),
            live: lua.create_table()?,
            live_count: Cell::new(0),
            next_id: Cell::new(1),
            tasks: RefCell::default(),
            lines: RefCell::default(),
            is_in_handler: Cell::new(false),
            depth: Cell::new(0),
            is_stopped: Cell::new(false),
            module,
            breathe: lua.load("return").set_name("=iomodules").into_function()?,
        })
    }

    /// An id that no other object has or had.
    pub(crate) fn new_id(&self) -> u64 {
        self.next_id.replace(self.next_id.get() + 1)
    }

    /// Keeps an object that is in use.
    pub(crate) fn keep(&self, id: u64, object: &AnyUserData) -> mlua::Result<()> {
        self.live.raw_set(id, object)?;
        self.live_count.set(self.live_count.get() + 1);
        Ok(())
    }

    /// Leaves an object to the garbage collector, once its script has dropped it.
    pub(crate) fn release(&self, id: u64) -> mlua::Result<()> {
        self.live.raw_set(id, mlua::Nil)?;
        self.live_count.set(self.live_count.get() - 1);
        Ok(())
    }

    pub(crate) fn order(&self, line: &Rc<Line>, order: Order) {
        line.add(order);
        self.list(line);
    }

    /// Notes that something waits in `line`.
    pub(crate) fn list(&self, line: &Rc<Line>) {
        if !line.is_listed.replace(true) {
            self.lines.borrow_mut().push(Rc::clone(line));
            self.nudge();
        }
    }

    /// Does `task` when the loop comes round.
    pub(crate) fn later(&self, task: impl FnOnce(&Lua) -> mlua::Result<()> + 'static) {
        self.tasks.borrow_mut().push_back(Box::new(task));
        self.nudge();
    }

    /// Lets a foreign loop know that there is work.
    fn nudge(&self) {
        if self.depth.get() == 0 {
            self.inbox.nudge(true);
        }
    }

    /// # Errors
    ///
    /// A Lua error that names the twin, outside of handlers.
    pub(crate) fn require_handler(&self, method: &str) -> mlua::Result<()> {
        if self.is_in_handler.get() {
            return Ok(());
        }
        Err(mlua::Error::runtime(format!(
            "{method} may be called inside a handler only: call {method}_async here, or do it in a \
             function that is given to iomodules.run"
        )))
    }

    /// Calls one of an object's handlers, if it is set. What it raises is reported.
    pub(crate) fn handle(&self, object: &AnyUserData, handler: &str, args: impl IntoLuaMulti) {
        let function = object.named_user_value::<Option<Function>>(handler);
        let called = function.and_then(|function| match function {
            Some(function) => self.as_handler(true, || function.call::<()>((object, args))),
            None => Ok(()),
        });
        if let Err(error) = called {
            self.report(&error, handler);
        }
    }

    /// Calls what was given to a twin: it is none of the handlers. What it raises is reported.
    pub(crate) fn call_back(&self, function: &Function, twin: &str, args: impl IntoLuaMulti) {
        if let Err(error) = self.as_handler(false, || function.call::<()>(args)) {
            self.report(&error, &format!("the callback of {twin}"));
        }
    }

    pub(crate) fn as_handler<R>(&self, is_handler: bool, work: impl FnOnce() -> R) -> R {
        let before = self.is_in_handler.replace(is_handler);
        let result = work();
        self.is_in_handler.set(before);
        result
    }

    /// Tells `iomodules.error_handler` of an error, or standard error where there is none.
    fn report(&self, error: &mlua::Error, place: &str) {
        let text = error.to_string();
        if let Ok(Some(handler)) = self.module.raw_get::<Option<Function>>("error_handler")
            && handler.call::<()>((text.as_str(), place)).is_ok()
        {
            return;
        }
        eprintln!("iomodules: error in {place}: {text}");
    }

    /// Runs `main`, as a handler, and then for as long as anything is in use or waits.
    pub(crate) fn run(&self, lua: &Lua, main: Option<Function>) -> mlua::Result<()> {
        self.is_stopped.set(false);
        if let Some(main) = main {
            self.as_handler(true, || main.call::<()>(()))?;
        }
        while self.has_work() && !self.is_stopped.replace(false) {
            self.turn(lua, None)?;
        }
        Ok(())
    }

    pub(crate) fn stop(&self) {
        self.is_stopped.set(true);
        self.nudge();
    }

    fn has_work(&self) -> bool {
        self.live_count.get() > 0
            || !self.tasks.borrow().is_empty()
            || !self.lines.borrow().is_empty()
            || self.inbox.len() > 0
    }

    /// Turns the loop until `reached` tells what is waited for, or `timeout` is over.
    pub(crate) fn wait(
        &self,
        lua: &Lua,
        timeout: Option<Duration>,
        reached: impl Fn() -> Option<bool>,
    ) -> mlua::Result<bool> {
        let begun = Instant::now();
        let mut left = timeout;
        loop {
            if let Some(outcome) = reached() {
                return Ok(outcome);
            }
            self.turn(lua, left)?;
            left = timeout.map(|timeout| timeout.saturating_sub(begun.elapsed()));
            if left == Some(Duration::ZERO) {
                return Ok(reached().unwrap_or(false));
            }
        }
    }

    /// Does what waits. Where nothing does, waits for `timeout` at most and then does what has come.
    /// Whether anything was done.
    pub(crate) fn turn(&self, lua: &Lua, timeout: Option<Duration>) -> mlua::Result<bool> {
        self.depth.set(self.depth.get() + 1);
        self.inbox.nudge(false);
        let done = self.turn_within(lua, timeout);
        self.depth.set(self.depth.get() - 1);
        if !self.tasks.borrow().is_empty() {
            self.nudge();
        }
        done
    }

    fn turn_within(&self, lua: &Lua, timeout: Option<Duration>) -> mlua::Result<bool> {
        self.flush();
        if self.work(lua)? {
            return Ok(true);
        }
        match self.inbox.wait(timeout).map_err(mlua::Error::external)? {
            Waited::Ready => self.work(lua),
            Waited::InVain => Ok(false),
            Waited::Interrupted => self.breathe.call::<()>(()).map(|()| false),
        }
    }

    /// Does what waits now; what comes of it waits for the next turn.
    fn work(&self, lua: &Lua) -> mlua::Result<bool> {
        let (tasks, mail) = (self.tasks.borrow().len(), self.inbox.len());
        for _ in 0..tasks {
            // A handler that waits turns the loop itself.
            let Some(task) = self.tasks.borrow_mut().pop_front() else { break };
            task(lua)?;
            self.flush();
        }
        for _ in 0..mail {
            let Some(next) = self.inbox.pop() else { break };
            self.deliver(lua, next)?;
            self.flush();
        }
        Ok(tasks + mail > 0)
    }

    fn flush(&self) {
        for line in self.lines.take() {
            line.flush(self.runtime);
        }
    }

    fn deliver(&self, lua: &Lua, mail: Mail) -> mlua::Result<()> {
        let id = match &mail {
            Mail::Stream(id, _) | Mail::Server(id, _) => *id,
        };
        // What is not in use any more is told nothing.
        let Some(object) = self.live.raw_get::<Option<AnyUserData>>(id)? else { return Ok(()) };
        match mail {
            Mail::Stream(_, news) => stream::take(lua, &object, id, news),
            Mail::Server(_, news) => tcp_server::take(&object, news),
        }
    }
}

/// Milliseconds as a script gives them.
///
/// # Errors
///
/// For a number that is no time.
pub(crate) fn milliseconds(number: f64) -> mlua::Result<Duration> {
    Duration::try_from_secs_f64(number / 1000.0).map_err(|_| {
        let text = format!("{number} is no time: milliseconds from 0 on are expected");
        mlua::Error::runtime(text)
    })
}
