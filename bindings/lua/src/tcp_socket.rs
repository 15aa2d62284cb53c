//! `net.TcpSocket`, and what it has of `Stream`: reading, writing, connecting.

use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use mlua::{AnyUserData, Lua, LuaString, Table, UserData, UserDataFields, UserDataMethods, Value};

use crate::deadlines;
use crate::event_loop::{EventLoop, milliseconds};
use crate::object::{self, Object, add_twins};
use crate::stream::{self, Stream};
use crate::tables;
use crate::values::{self, Constants};

pub(crate) struct TcpSocket(pub(crate) Rc<Stream>);

/// The handlers of `Stream`.
const STREAM: &[&str] = &["ready_read_handler", "bytes_written_handler", "about_to_close_handler"];

/// The handlers that `TcpSocket` adds.
const TCP_SOCKET: &[&str] = &[
    "connected_handler",
    "disconnected_handler",
    "error_handler",
    "host_found_handler",
    "state_changed_handler",
];

/// The handlers of both.
pub(crate) const HANDLERS: [&[&str]; 2] = [STREAM, TCP_SOCKET];

/// The static members of both.
pub(crate) const CONSTANTS: [Constants; 3] = [values::OPEN_MODES, values::STATES, values::ERRORS];

impl Object for TcpSocket {
    type State = Stream;

    const NAME: &'static str = "TcpSocket";
    const HANDLERS: &'static [&'static [&'static str]] = &HANDLERS;
    const CONSTANTS: &'static [Constants] = &CONSTANTS;

    fn state(&self) -> &Rc<Stream> {
        &self.0
    }

    fn event_loop(&self) -> &Rc<EventLoop> {
        &self.0.event_loop
    }

    fn describe(&self) -> String {
        describe(&self.0)
    }
}

impl UserData for TcpSocket {
    fn add_fields<F: UserDataFields<Self>>(fields: &mut F) {
        object::add_fields(fields);
        add_fields(fields);
    }

    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        object::add_handlers(methods);
        add_methods(methods);
    }
}

pub(crate) fn describe(stream: &Stream) -> String {
    let state = match stream.state.get() {
        values::HOST_LOOKUP => "looking up the host",
        values::CONNECTING => "connecting",
        values::CONNECTED => "connected",
        values::BOUND => "bound",
        values::CLOSING => "closing",
        _ => "unconnected",
    };
    match stream.remote.get() {
        Some(remote) => format!("{state}, {remote}"),
        None => state.to_owned(),
    }
}

/// The properties of `Stream` and `TcpSocket`.
pub(crate) fn add_fields<T: Object<State = Stream>, F: UserDataFields<T>>(fields: &mut F) {
    let get = |fields: &mut F, name: &str, get: fn(&Stream) -> Value| {
        fields.add_field_method_get(name, move |_, this| Ok(get(this.state())));
    };
    get(fields, "is_open", |stream| boolean(stream.open_mode.get() != values::NOT_OPEN));
    get(fields, "open_mode", |stream| integer(stream.open_mode.get()));
    get(fields, "bytes_available", |stream| count(stream.buffer.borrow().len()));
    get(fields, "bytes_to_write", |stream| count(stream.bytes_to_write.get()));
    get(fields, "at_end", |stream| boolean(stream.buffer.borrow().len() == 0));
    get(fields, "pos", |_| integer(0));
    get(fields, "readable", |stream| boolean(stream.is_readable()));
    get(fields, "writeable", |stream| boolean(stream.is_writeable()));
    get(fields, "sequential", |_| boolean(true));
    get(fields, "can_read_line", |stream| {
        boolean(stream.is_readable() && stream.buffer.borrow().has_line())
    });
    get(fields, "error", |stream| integer(stream.error.get()));
    get(fields, "state", |stream| integer(stream.state.get()));
    get(fields, "valid", |stream| {
        let state = stream.state.get();
        boolean(matches!(state, values::CONNECTED | values::BOUND | values::CLOSING))
    });
    get(fields, "local_port", |stream| port(stream.local.get()));
    get(fields, "remote_port", |stream| port(stream.remote.get()));
    fields.add_field_method_get("local_address", |_, this| Ok(ip(this.state().local.get())));
    fields.add_field_method_get("remote_address", |_, this| Ok(ip(this.state().remote.get())));
    fields.add_field_method_get("error_string", |_, this| {
        Ok(this.state().error_string.borrow().clone())
    });
    fields.add_field_method_get("facts", |lua, this| tables::facts(lua, &this.state().facts()));
    fields.add_field_method_get("ending", |lua, this| {
        let ended = this.state().ending.borrow().clone();
        tables::ending(lua, ended.as_ref())
    });
    fields.add_field_method_get("read_buffer_size", |_, this| {
        Ok(this.state().read_buffer_size.get())
    });
    fields.add_field_method_set("read_buffer_size", |_, this, bytes: usize| {
        if bytes == 0 {
            return Err(mlua::Error::runtime("a buffer of 0 bytes would take nothing in"));
        }
        this.state().read_buffer_size.set(bytes);
        this.state().go_on();
        Ok(())
    });
    fields.add_field_method_get("deadlines", |lua, this| {
        deadlines::table(lua, this.state().deadlines.get())
    });
    fields.add_field_method_set("deadlines", |_, this, table: Table| {
        this.state().deadlines.set(deadlines::changed(this.state().deadlines.get(), &table)?);
        Ok(())
    });
}

fn integer(number: i64) -> Value {
    Value::Integer(number as mlua::Integer)
}

fn count(count: usize) -> Value {
    integer(i64::try_from(count).unwrap_or(i64::MAX))
}

fn boolean(is: bool) -> Value {
    Value::Boolean(is)
}

fn port(address: Option<SocketAddr>) -> Value {
    integer(address.map_or(0, |address| address.port().into()))
}

fn ip(address: Option<SocketAddr>) -> String {
    // An IPv4 peer of a listener for both versions is told as what it is.
    address.map_or_else(String::new, |address| address.ip().to_canonical().to_string())
}

/// The methods of `Stream` and `TcpSocket`.
pub(crate) fn add_methods<T: Object<State = Stream>, M: UserDataMethods<T>>(methods: &mut M) {
    add_reading(methods);
    add_twins(methods, "write_string", |_, _, stream, text: LuaString| {
        Ok(stream.write(text.as_bytes().to_vec()))
    });
    add_twins(methods, "write_bytes", |_, _, stream, bytes: Vec<u8>| Ok(stream.write(bytes)));
    // Sockets have no position to move.
    add_twins(methods, "seek", |_, _, _, _: f64| Ok(false));
    add_twins(methods, "reset", |_, _, _, ()| Ok(false));
    add_twins(methods, "open", |_, _, stream, mode: i64| {
        stream::check_open_mode(mode)?;
        if stream.is_engaged() {
            stream.open_mode.set(mode);
            return Ok(true);
        }
        stream.set_error(values::OPERATION, "the socket is not connected: connect opens it");
        Ok(false)
    });
    add_twins(methods, "bind", |_, object, stream, port: u16| {
        Ok(stream::bind(object, stream, port))
    });
    methods.add_function("connect", |_, (object, to): (AnyUserData, _)| {
        stream::connect(&object, to, false)
    });
    methods.add_function("disconnect", |_, object: AnyUserData| stream::disconnect(&object));
    methods.add_function("abort", |_, object: AnyUserData| stream::abort(&object));
    methods.add_function("close", |_, object: AnyUserData| stream::close(&object));
    add_waits(methods);
}

/// Methods that read, which all have a form for strings and one for tables of bytes.
fn add_reading<T: Object<State = Stream>, M: UserDataMethods<T>>(methods: &mut M) {
    /// The two names, whether it reads a line, and whether it only peeks.
    type Reading = (&'static str, &'static str, bool, bool);
    const READINGS: [Reading; 3] = [
        ("read_string", "read_bytes", false, false),
        ("read_line_string", "read_line_bytes", true, false),
        ("peek_string", "peek_bytes", false, true),
    ];
    let string = |lua: &Lua, bytes: Vec<u8>| lua.create_string(bytes);
    let table = |lua: &Lua, bytes: Vec<u8>| lua.create_sequence_from(bytes);
    for (of_string, of_bytes, is_line, peeks) in READINGS {
        add_twins(methods, of_string, move |lua, _, stream, most: Option<usize>| {
            string(lua, stream.read(most, is_line, peeks))
        });
        add_twins(methods, of_bytes, move |lua, _, stream, most: Option<usize>| {
            table(lua, stream.read(most, is_line, peeks))
        });
    }
    add_twins(methods, "read_all_string", move |lua, _, stream, ()| {
        string(lua, stream.read(None, false, false))
    });
    add_twins(methods, "read_all_bytes", move |lua, _, stream, ()| {
        table(lua, stream.read(None, false, false))
    });
}

/// Methods that turn the loop until something has happened.
fn add_waits<T: Object<State = Stream>, M: UserDataMethods<T>>(methods: &mut M) {
    let add = |methods: &mut M, name: &str, reached: fn(&Stream) -> bool| {
        methods.add_function(name, move |lua, (object, timeout): (AnyUserData, Option<f64>)| {
            let stream = stream::of(&object)?;
            wait(lua, &stream, timeout, || reached(&stream))
        });
    };
    add(methods, "wait_for_connected", |stream| stream.state.get() == values::CONNECTED);
    add(methods, "wait_for_bytes_written", |stream| stream.bytes_to_write.get() == 0);
    methods.add_function(
        "wait_for_ready_read",
        |lua, (object, timeout): (AnyUserData, Option<f64>)| {
            let stream = stream::of(&object)?;
            let before = stream.arrivals.get();
            wait(lua, &stream, timeout, || stream.arrivals.get() != before)
        },
    );
    methods.add_function(
        "wait_for_disconnected",
        |lua, (object, timeout): (AnyUserData, Option<f64>)| {
            let stream = stream::of(&object)?;
            let event_loop = &stream.event_loop;
            event_loop.wait(lua, timeout_of(timeout)?, || (!stream.is_engaged()).then_some(true))
        },
    );
}

/// Waits until `reached` holds, or can do so no more, or the time is over: 30 s unless told otherwise.
pub(crate) fn wait(
    lua: &Lua,
    stream: &Stream,
    timeout: Option<f64>,
    reached: impl Fn() -> bool,
) -> mlua::Result<bool> {
    stream.event_loop.wait(lua, timeout_of(timeout)?, || {
        if reached() {
            Some(true)
        } else if stream.is_engaged() {
            None
        } else {
            Some(false)
        }
    })
}

/// How long a wait lasts; a negative time is for ever.
pub(crate) fn timeout_of(timeout: Option<f64>) -> mlua::Result<Option<Duration>> {
    match timeout {
        None => Ok(Some(Duration::from_secs(30))),
        Some(number) if number < 0.0 => Ok(None),
        Some(number) => milliseconds(number).map(Some),
    }
}
