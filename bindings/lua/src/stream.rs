//! What `TcpSocket` and `SslSocket` stand for: a connection as the script sees it.
//!
//! Every property tells what the handlers have been told so far. The connection itself may be ahead; its
//! news wait in the inbox.

use std::cell::{Cell, RefCell};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::rc::Rc;

use levada::{
    ConnectEndpoint, Deadlines, Ended, Facts, Family, Host, Mode, Options, Party, Session,
    SessionName, Socket,
};
use mlua::{AnyUserData, Lua};

use crate::buffer::Buffer;
use crate::event_loop::EventLoop;
use crate::life::{self, Encryption, Life, News, Order, Teller};
use crate::line::Line;
use crate::reservation::Reservation;
use crate::ssl_configuration::Settings;
use crate::verdict::{Question, Verdict};
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

    /// Takes what `look` finds in the buffer; it stays there for one that only peeks.
    pub(crate) fn read<R>(&self, peeks: bool, look: impl FnOnce(&Buffer) -> (usize, R)) -> R {
        if !self.is_readable() {
            self.set_error(values::OPERATION, "the stream is not open for reading");
            return look(&Buffer::default()).1;
        }
        let (count, result) = look(&self.buffer.borrow());
        if !peeks {
            self.buffer.borrow_mut().consume(count);
            self.saw(count);
        }
        result
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
        let teller = is_heard.then(|| Teller::new(self.event_loop.inbox.clone(), id));
        Verdict { lets_all_in: false, teller }
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

/// Sets an error and has it told. The connection, if there is one, goes on.
fn fail(object: &AnyUserData, stream: &Rc<Stream>, error: i64, text: String) {
    let (object, stream_of_task) = (object.clone(), Rc::clone(stream));
    stream.event_loop.later(move |_| {
        stream_of_task.set_error(error, text);
        stream_of_task.event_loop.handle(&object, "error_handler", error);
        Ok(())
    });
}

/// Connects to `host`, and begins TLS there at once if that is asked for.
pub(crate) fn connect(
    object: &AnyUserData,
    (host, port, open_mode): (String, u16, Option<i64>),
    is_encrypted: bool,
) -> mlua::Result<()> {
    let stream = &of(object)?;
    let open_mode = open_mode.unwrap_or(values::READ_WRITE);
    check_open_mode(open_mode)?;
    let Some(port) = std::num::NonZeroU16::new(port) else {
        return Err(mlua::Error::runtime(
            "port 0 cannot be connected to: it stands for any free port",
        ));
    };
    if stream.is_engaged() {
        let text = "the socket is in use: disconnect or abort it first".to_owned();
        fail(object, stream, values::OPERATION, text);
        return Ok(());
    }
    let to = match host_of(&host) {
        Ok(to) => to,
        Err(text) => {
            fail(object, stream, values::HOST_NOT_FOUND, text);
            return Ok(());
        }
    };
    *stream.host.borrow_mut() = Some(host);
    let id = stream.event_loop.new_id();
    let session = if is_encrypted {
        match client_session(object, stream, id) {
            Ok(session) => Some(session),
            Err(text) => {
                fail(object, stream, values::SSL_INVALID_USERDATA, text);
                return Ok(());
            }
        }
    } else {
        None
    };
    // Its port is free again for the connection.
    let bind = stream.reservation.take().map(|reservation| {
        let port = reservation.port();
        match &to {
            Host::Ip(ip) if ip.is_ipv6() => SocketAddr::from((Ipv6Addr::UNSPECIFIED, port)),
            _ => SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)),
        }
    });
    let endpoint = ConnectEndpoint::Tcp { host: to, port, family: Family::Any, bind };
    let (options, teller) = (stream.options(), Teller::new(stream.event_loop.inbox.clone(), id));
    let line = Line::new(id, |orders| {
        Box::pin(async move {
            Life::live(Socket::dial(endpoint, session, options), orders, teller).await;
        })
    });
    stream.engage(object, line, open_mode)?;
    stream.is_encrypting.set(is_encrypted);
    Ok(())
}

fn client_session(object: &AnyUserData, stream: &Stream, id: u64) -> Result<Session, String> {
    let tls = stream.client_tls(&stream.verdict(object, id))?;
    tls.session(&stream.session_name()?).map_err(|error| error.to_string())
}

/// Takes over an accepted connection; with `encryption`, its peer is to begin TLS.
pub(crate) fn adopt(
    object: &AnyUserData,
    socket: Socket,
    encryption: Option<Encryption>,
) -> mlua::Result<()> {
    let stream = of(object)?;
    let id = stream.event_loop.new_id();
    let facts = socket.facts();
    stream.local.set(life::address(facts.local.as_ref()));
    stream.remote.set(life::address(facts.peer.as_ref()));
    stream.state.set(values::CONNECTED);
    let teller = Teller::new(stream.event_loop.inbox.clone(), id);
    let line = Line::new(id, |orders| Box::pin(Life::live(socket, orders, teller)));
    stream.engage(object, line, values::READ_WRITE)?;
    *stream.first_facts.borrow_mut() = facts;
    if let Some(encryption) = encryption {
        stream.is_encrypting.set(true);
        stream.order(Order::Encrypt(encryption, 0));
    }
    Ok(())
}

/// The host in a script's words. An IPv6 address may stand in brackets.
fn host_of(text: &str) -> Result<Host, String> {
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    match bare.parse() {
        Ok(ip) => Ok(Host::Ip(ip)),
        Err(_) => text.parse::<Host>().map_err(|error| error.to_string()),
    }
}

/// # Errors
///
/// For a mode that cannot be opened.
pub(crate) fn check_open_mode(mode: i64) -> mlua::Result<()> {
    if mode & values::READ_WRITE != 0 && mode & !values::ALL_MODES == 0 {
        return Ok(());
    }
    Err(mlua::Error::runtime(format!(
        "{mode} is no mode to open a stream in: give READ_ONLY_MODE, WRITE_ONLY_MODE or READ_WRITE_MODE"
    )))
}

/// Reserves `port` for the next connection.
pub(crate) fn bind(object: &AnyUserData, stream: &Stream, port: u16) -> bool {
    if stream.is_engaged() {
        stream.set_error(values::OPERATION, "a port is bound before the socket is connected");
        return false;
    }
    stream.reservation.take();
    match Reservation::new(port) {
        Ok(reservation) => {
            stream.local.set(Some(reservation.address()));
            *stream.reservation.borrow_mut() = Some(reservation);
            set_state(object, stream, values::BOUND);
            true
        }
        Err(error) => {
            let error = levada::OsError::from(&error);
            stream.set_error(values::of_system(&error), format!("port {port}: {error}"));
            false
        }
    }
}

/// Takes on a state, and tells of it if it is another one.
fn set_state(object: &AnyUserData, stream: &Stream, state: i64) {
    if stream.state.replace(state) != state {
        stream.event_loop.handle(object, "state_changed_handler", state);
    }
}

fn set_mode(object: &AnyUserData, stream: &Stream, mode: i64) {
    if stream.mode.replace(mode) != mode {
        stream.event_loop.handle(object, "mode_changed_handler", mode);
    }
}

/// Closes when all is written.
pub(crate) fn disconnect(object: &AnyUserData) -> mlua::Result<()> {
    let stream = of(object)?;
    if stream.is_engaged() {
        stream.is_leaving.set(true);
        stream.order(Order::Disconnect);
    } else if stream.reservation.take().is_some() {
        stream.local.set(None);
        let object = object.clone();
        stream.event_loop.clone().later(move |_| {
            set_state(&object, &stream, values::UNCONNECTED);
            Ok(())
        });
    }
    Ok(())
}

/// Closes now. It is so when this returns; the handlers are told by the loop.
pub(crate) fn abort(object: &AnyUserData) -> mlua::Result<()> {
    let stream = of(object)?;
    let Some(line) = stream.line.take() else { return disconnect(object) };
    let ended = line.abort();
    stream.event_loop.release(line.id)?;
    *stream.ending.borrow_mut() = Some(ended);
    *stream.buffer.borrow_mut() = Buffer::default();
    stream.open_mode.set(values::NOT_OPEN);
    let was = (stream.state.get(), stream.mode.get());
    settle(&stream);
    let object = object.clone();
    stream.event_loop.clone().later(move |_| {
        tell_over(&object, &stream, was, (values::UNCONNECTED, values::UNENCRYPTED));
        Ok(())
    });
    Ok(())
}

/// Tells that data may be read for the last time, and then disconnects.
pub(crate) fn close(object: &AnyUserData) -> mlua::Result<()> {
    let stream = of(object)?;
    if stream.open_mode.get() == values::NOT_OPEN {
        return Ok(());
    }
    let object = object.clone();
    stream.event_loop.clone().later(move |_| {
        stream.event_loop.handle(&object, "about_to_close_handler", ());
        *stream.buffer.borrow_mut() = Buffer::default();
        stream.open_mode.set(values::NOT_OPEN);
        disconnect(&object)
    });
    Ok(())
}

/// The connection is over: so are its properties.
fn settle(stream: &Stream) {
    stream.state.set(values::UNCONNECTED);
    stream.mode.set(values::UNENCRYPTED);
    stream.is_encrypted.set(false);
    stream.bytes_to_write.set(0);
    stream.local.set(None);
    stream.remote.set(None);
}

/// Calls the handlers for a connection that is over.
fn tell_over(object: &AnyUserData, stream: &Stream, was: (i64, i64), is: (i64, i64)) {
    let event_loop = &stream.event_loop;
    if was.0 != is.0 {
        event_loop.handle(object, "state_changed_handler", is.0);
    }
    if was.1 != is.1 {
        event_loop.handle(object, "mode_changed_handler", is.1);
    }
    if was.0 == values::CONNECTED || was.0 == values::CLOSING {
        event_loop.handle(object, "disconnected_handler", ());
    }
}

/// Begins TLS on a connection that is up and plain. It has no effect on any other.
pub(crate) fn start_encryption(object: &AnyUserData, is_client: bool) -> mlua::Result<()> {
    let stream = of(object)?;
    let Some(line) = stream.line() else { return Ok(()) };
    let is_up = stream.state.get() == values::CONNECTED && !stream.is_leaving.get();
    if !is_up || stream.is_encrypting.get() {
        return Ok(());
    }
    stream.is_encrypting.set(true);
    let verdict = stream.verdict(object, line.id);
    let encryption = if is_client {
        stream.client_tls(&verdict).and_then(|tls| {
            let name = stream.session_name()?;
            Ok(Encryption::Client(tls, name))
        })
    } else {
        stream.own_settings().server(&verdict).map(Encryption::Server)
    };
    match encryption {
        Ok(encryption) => stream.order(Order::Encrypt(encryption, stream.seen.get())),
        Err(text) => {
            // In plaintext it must not go on: the script may not look, and write its secrets.
            stream.is_leaving.set(true);
            fail(object, &stream, values::SSL_INVALID_USERDATA, text);
            let object = object.clone();
            stream.event_loop.later(move |_| abort(&object));
        }
    }
    Ok(())
}

/// Takes in what a connection tells.
pub(crate) fn take(lua: &Lua, object: &AnyUserData, id: u64, news: News) -> mlua::Result<()> {
    let stream = of(object)?;
    if stream.line().is_none_or(|line| line.id != id) {
        return Ok(());
    }
    let event_loop = &stream.event_loop;
    match news {
        News::State(state) => set_state(object, &stream, state),
        News::HostFound => event_loop.handle(object, "host_found_handler", ()),
        News::Connected { local, peer } => {
            stream.local.set(local);
            stream.remote.set(peer);
            set_state(object, &stream, values::CONNECTED);
            event_loop.handle(object, "connected_handler", ());
        }
        News::Mode(mode) => set_mode(object, &stream, number_of(mode)),
        News::Encrypted => {
            stream.is_encrypted.set(true);
            event_loop.handle(object, "encrypted_handler", ());
        }
        News::Data(bytes) => {
            stream.owes_go_on.set(true);
            if stream.is_readable() {
                stream.buffer.borrow_mut().push(bytes);
                stream.arrivals.set(stream.arrivals.get() + 1);
                // It goes with what the handler orders, or with the turn that the handler waits for.
                stream.go_on();
                event_loop.handle(object, "ready_read_handler", ());
            } else {
                stream.saw(bytes.len());
            }
        }
        News::Written(count) => {
            stream.bytes_to_write.set(stream.bytes_to_write.get().saturating_sub(count));
            event_loop.handle(object, "bytes_written_handler", count);
        }
        News::Alert(party, alert, is_fatal) => {
            let handler = match party {
                Party::Local => "alert_sent_handler",
                Party::Peer => "alert_received_handler",
            };
            let level = if is_fatal { values::ALERT_FATAL } else { values::ALERT_WARNING };
            event_loop.handle(object, handler, (level, alert.0, alert.to_string()));
        }
        News::RemoteClosed => {
            stream.has_told_error.set(true);
            stream.is_leaving.set(true);
            stream.set_error(values::REMOTE_HOST_CLOSED, "the peer has closed the connection");
            event_loop.handle(object, "error_handler", values::REMOTE_HOST_CLOSED);
        }
        News::NotEncrypted(text) => {
            stream.has_told_error.set(true);
            // What has come in plaintext is not to be taken for what comes under TLS.
            *stream.buffer.borrow_mut() = Buffer::default();
            stream.set_error(values::SSL_HANDSHAKE_FAILED, text);
            event_loop.handle(object, "error_handler", values::SSL_HANDSHAKE_FAILED);
        }
        News::Verify(question) => verify(lua, object, &stream, question)?,
        News::Ended(ended) => end(object, &stream, Some(ended))?,
        News::Gone => {
            stream.set_error(
                values::UNKNOWN,
                "the connection was given up by an error of this module",
            );
            end(object, &stream, None)?;
        }
    }
    Ok(())
}

fn number_of(mode: Mode) -> i64 {
    match mode {
        Mode::TlsClient => values::SSL_CLIENT,
        Mode::TlsServer => values::SSL_SERVER,
        Mode::Plain => values::UNENCRYPTED,
    }
}

/// Asks the script about a peer.
fn verify(
    lua: &Lua,
    object: &AnyUserData,
    stream: &Stream,
    question: Question,
) -> mlua::Result<()> {
    let faults = lua.create_table()?;
    for (check, text) in &question.faults {
        let fault = lua.create_table()?;
        fault.raw_set("check", check.as_str())?;
        fault.raw_set("message", text.as_str())?;
        faults.raw_push(fault)?;
    }
    stream.ignored.replace(Some(Ignored::Nothing));
    stream.event_loop.handle(object, "ssl_errors_handler", faults);
    let let_in = match stream.ignored.take() {
        None | Some(Ignored::Nothing) => false,
        Some(Ignored::Everything) => true,
        Some(Ignored::Checks(checks)) => {
            question.faults.iter().all(|(check, _)| checks.contains(check))
        }
    };
    // The handshake may be over meanwhile.
    let _ = question.answer.send(let_in);
    Ok(())
}

/// The connection has ended.
fn end(object: &AnyUserData, stream: &Rc<Stream>, ended: Option<Ended>) -> mlua::Result<()> {
    let event_loop = &stream.event_loop;
    let error = match &ended {
        Some(ended) if ended.is_clean() || stream.has_told_error.get() => None,
        Some(ended) => {
            let error = values::error_of(ended);
            stream.set_error(error, ended.to_string());
            Some(error)
        }
        None => Some(values::UNKNOWN),
    };
    *stream.ending.borrow_mut() = ended;
    let line = stream.line();
    if let Some(error) = error {
        stream.is_leaving.set(true);
        event_loop.handle(object, "error_handler", error);
    }
    // The handler may have aborted it, and begun anew.
    let Some(line) = line.filter(|line| stream.line().is_some_and(|now| Rc::ptr_eq(&now, line)))
    else {
        return Ok(());
    };
    stream.line.take();
    event_loop.release(line.id)?;
    let was = (stream.state.get(), stream.mode.get());
    settle(stream);
    tell_over(object, stream, was, (values::UNCONNECTED, values::UNENCRYPTED));
    Ok(())
}
