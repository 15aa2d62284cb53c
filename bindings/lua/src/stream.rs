//! What `TcpSocket` and `SslSocket` stand for: a connection as the script sees it.
//!
//! Every property tells what the handlers have been told so far. The connection itself may be ahead; its
//! news wait in the inbox.

mod news;
mod orders;

pub(crate) use news::take;
pub(crate) use orders::{
    abort, adopt, bind, check_open_mode, close, connect, disconnect, start_encryption,
};

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;

use levada::{Deadlines, Ended, Facts, Options, SessionName};
use mlua::AnyUserData;

use crate::buffer::Buffer;
use crate::event_loop::EventLoop;
use crate::life::{Order, Teller};
use crate::line::Line;
use crate::reservation::Reservation;
use crate::ssl_configuration::Settings;
use crate::verdict::Verdict;
use crate::{ssl_socket, tcp_socket, values};

/// Bytes that may wait to be sent.
const MOST_TO_WRITE: usize = 64 * 1024 * 1024;

/// Bytes that may wait to be read, unless the script says otherwise.
const READ_BUFFER: usize = 16 * 1024 * 1024;

pub(crate) struct Stream {
    pub(crate) event_loop: Rc<EventLoop>,
    pub(crate) state: Cell<i64>,
    pub(crate) mode: Cell<i64>,
    pub(crate) is_encrypted: Cell<bool>,
    pub(crate) open_mode: Cell<i64>,
    pub(crate) error: Cell<i64>,
    pub(crate) error_string: RefCell<String>,
    pub(crate) local: Cell<Option<SocketAddr>>,
    pub(crate) remote: Cell<Option<SocketAddr>>,
    pub(crate) buffer: RefCell<Buffer>,
    pub(crate) read_buffer_size: Cell<usize>,
    pub(crate) bytes_to_write: Cell<usize>,
    pub(crate) deadlines: Cell<Deadlines>,
    pub(crate) ending: RefCell<Option<Ended>>,
    /// How TLS is to be; `None` for the default.
    pub(crate) settings: RefCell<Option<Rc<Settings>>>,
    /// The name that the peer's certificate must have, if it is not that of the host.
    pub(crate) peer_verify_name: RefCell<Option<String>>,
    host: RefCell<Option<String>>,
    reservation: RefCell<Option<Reservation>>,
    line: RefCell<Option<Rc<Line>>>,
    /// What was known of the connection when it was accepted.
    first_facts: RefCell<Facts>,
    /// Bytes of this connection that the script has taken, or that it does not want.
    seen: Cell<u64>,
    /// Whether the connection holds until the script has read.
    owes_go_on: Cell<bool>,
    /// Whether an error of this connection was told.
    has_told_error: Cell<bool>,
    /// Whether the script has asked for the end.
    is_leaving: Cell<bool>,
    /// Whether TLS was asked for on this connection.
    is_encrypting: Cell<bool>,
    /// What waits may ask for.
    pub(crate) arrivals: Cell<u64>,
    /// What a handler for faults of certificates has decided: which checks may fail, or all.
    pub(crate) ignored: RefCell<Option<Ignored>>,
}

/// Which faults of a certificate the script passes over.
pub(crate) enum Ignored {
    Nothing,
    Everything,
    Checks(Vec<String>),
}

impl Stream {
    pub(crate) fn new(event_loop: &Rc<EventLoop>) -> Self {
        Self {
            event_loop: Rc::clone(event_loop),
            state: Cell::new(values::UNCONNECTED),
            mode: Cell::new(values::UNENCRYPTED),
            is_encrypted: Cell::new(false),
            open_mode: Cell::new(values::NOT_OPEN),
            error: Cell::new(values::UNKNOWN),
            error_string: RefCell::default(),
            local: Cell::new(None),
            remote: Cell::new(None),
            buffer: RefCell::default(),
            read_buffer_size: Cell::new(READ_BUFFER),
            bytes_to_write: Cell::new(0),
            deadlines: Cell::default(),
            ending: RefCell::new(None),
            settings: RefCell::new(None),
            peer_verify_name: RefCell::new(None),
            host: RefCell::new(None),
            reservation: RefCell::new(None),
            line: RefCell::new(None),
            first_facts: RefCell::default(),
            seen: Cell::new(0),
            owes_go_on: Cell::new(false),
            has_told_error: Cell::new(false),
            is_leaving: Cell::new(false),
            is_encrypting: Cell::new(false),
            arrivals: Cell::new(0),
            ignored: RefCell::new(None),
        }
    }

    /// Whether there is a connection, or is to be one.
    pub(crate) fn is_engaged(&self) -> bool {
        self.line.borrow().is_some()
    }

    pub(crate) fn is_readable(&self) -> bool {
        self.open_mode.get() & values::READ_ONLY != 0
    }

    pub(crate) fn is_writeable(&self) -> bool {
        self.open_mode.get() & values::WRITE_ONLY != 0
    }

    pub(crate) fn set_error(&self, error: i64, text: impl Into<String>) {
        self.error.set(error);
        *self.error_string.borrow_mut() = text.into();
    }

    fn line(&self) -> Option<Rc<Line>> {
        self.line.borrow().clone()
    }

    pub(crate) fn order(&self, order: Order) {
        if let Some(line) = self.line() {
            self.event_loop.order(&line, order);
        }
    }

    /// Facts about the connection: as they are now, else as they were at its end.
    pub(crate) fn facts(&self) -> Facts {
        if let Some(ended) = &*self.ending.borrow() {
            return (*ended.facts).clone();
        }
        let now = self.line().and_then(|line| line.facts());
        now.unwrap_or_else(|| self.first_facts.borrow().clone())
    }

    /// Begins a connection anew: what is left of the last one goes.
    fn engage(&self, object: &AnyUserData, line: Line, open_mode: i64) -> mlua::Result<()> {
        self.event_loop.keep(line.id, object)?;
        let line = Rc::new(line);
        self.event_loop.list(&line);
        *self.line.borrow_mut() = Some(line);
        self.open_mode.set(open_mode);
        *self.buffer.borrow_mut() = Buffer::default();
        self.bytes_to_write.set(0);
        self.ending.take();
        self.first_facts.take();
        self.seen.set(0);
        self.owes_go_on.set(false);
        self.has_told_error.set(false);
        self.is_leaving.set(false);
        self.is_encrypting.set(false);
        Ok(())
    }

    /// Bytes that the script has done with.
    pub(crate) fn saw(&self, count: usize) {
        self.seen.set(self.seen.get() + count as u64);
        self.go_on();
    }

    /// Lets more come, where there is room.
    pub(crate) fn go_on(&self) {
        if self.owes_go_on.get() && self.buffer.borrow().len() < self.read_buffer_size.get() {
            self.owes_go_on.set(false);
            self.order(Order::GoOn);
        }
    }

    /// Writes, or tells why not. The bytes that were accepted: all or, in case of an error, -1.
    pub(crate) fn write(&self, bytes: Vec<u8>) -> i64 {
        let count = bytes.len();
        if !self.is_writeable() {
            self.set_error(values::OPERATION, "the stream is not open for writing");
        } else if !self.is_engaged() || self.is_leaving.get() {
            self.set_error(values::OPERATION, "the socket is not connected");
        } else if count > MOST_TO_WRITE - self.bytes_to_write.get() {
            let waiting = self.bytes_to_write.get();
            self.set_error(
                values::SOCKET_RESOURCE,
                format!(
                    "{waiting} bytes wait to be sent, and {count} more are too many: wait for \
                     bytes_written_handler"
                ),
            );
        } else {
            self.bytes_to_write.set(self.bytes_to_write.get() + count);
            if count > 0 {
                self.order(Order::Write(bytes));
            }
            return i64::try_from(count).unwrap_or(i64::MAX);
        }
        -1
    }

    /// The bytes that are there, `most` of them at most, or the first line of them; those that are only
    /// peeked at stay there.
    pub(crate) fn read(&self, most: Option<usize>, is_line: bool, peeks: bool) -> Vec<u8> {
        if !self.is_readable() {
            self.set_error(values::OPERATION, "the stream is not open for reading");
            return Vec::new();
        }
        let mut buffer = self.buffer.borrow_mut();
        let count = if is_line { buffer.line(most) } else { buffer.some(most) };
        if peeks {
            return buffer.peek(count).to_vec();
        }
        let bytes = buffer.take(count);
        drop(buffer);
        self.saw(count);
        bytes
    }

    /// The settings of this socket, which belong to nobody else but those that the script gave it to.
    pub(crate) fn own_settings(&self) -> Rc<Settings> {
        Rc::clone(self.settings.borrow_mut().get_or_insert_with(Rc::default))
    }

    fn client_tls(&self, verdict: &Verdict) -> Result<levada::TlsClient, String> {
        match &*self.settings.borrow() {
            Some(settings) => settings.client(verdict),
            None => Settings::shared().client(verdict),
        }
    }

    fn session_name(&self) -> Result<SessionName, String> {
        let name = self.peer_verify_name.borrow().clone().or_else(|| self.host.borrow().clone());
        let Some(name) = name else {
            return Err("the name of the peer is not known: set peer_verify_name".to_owned());
        };
        SessionName::new(&name).map_err(|error| error.to_string())
    }

    fn verdict(&self, object: &AnyUserData, id: u64) -> Verdict {
        let is_heard = matches!(
            object.named_user_value::<mlua::Value>("ssl_errors_handler"),
            Ok(mlua::Value::Function(_))
        );
        Verdict { lets_all_in: false, teller: is_heard.then(|| self.teller(id)) }
    }

    fn teller(&self, id: u64) -> Teller {
        Teller::new(self.event_loop.inbox.clone(), id)
    }

    fn options(&self) -> Options {
        let mut options = Options::default();
        options.deadlines = self.deadlines.get();
        options
    }
}

/// The stream that a Lua object stands for.
///
/// # Errors
///
/// When it stands for none.
pub(crate) fn of(object: &AnyUserData) -> mlua::Result<Rc<Stream>> {
    if object.is::<ssl_socket::SslSocket>() {
        return Ok(object.borrow::<ssl_socket::SslSocket>()?.0.clone());
    }
    Ok(object.borrow::<tcp_socket::TcpSocket>()?.0.clone())
}

/// Takes on a state, and tells of it if it is another one.
fn set_state(object: &AnyUserData, stream: &Stream, state: i64) {
    if stream.state.replace(state) != state {
        stream.event_loop.handle(object, "state_changed_handler", state);
    }
}

/// The connection is over: so are its properties. The state and mode that it was in.
fn settle(stream: &Stream) -> (i64, i64) {
    stream.is_encrypted.set(false);
    stream.bytes_to_write.set(0);
    stream.local.set(None);
    stream.remote.set(None);
    (stream.state.replace(values::UNCONNECTED), stream.mode.replace(values::UNENCRYPTED))
}

/// Calls the handlers for a connection that is over and was in this state and mode.
fn tell_over(object: &AnyUserData, stream: &Stream, (state, mode): (i64, i64)) {
    let event_loop = &stream.event_loop;
    if state != values::UNCONNECTED {
        event_loop.handle(object, "state_changed_handler", values::UNCONNECTED);
    }
    if mode != values::UNENCRYPTED {
        event_loop.handle(object, "mode_changed_handler", values::UNENCRYPTED);
    }
    if state == values::CONNECTED || state == values::CLOSING {
        event_loop.handle(object, "disconnected_handler", ());
    }
}
