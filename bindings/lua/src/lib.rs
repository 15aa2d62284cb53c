//! The Lua module `iomodules`: `net.SslSocket` and its parents, over the streams of Levada.
//!
//! Streams live on a thread of their own ([`runtime`]), one task for each ([`life`]). Orders go there
//! by a [`line`] each; news come back by one [`inbox`], whose descriptor foreign loops can watch. Both
//! meet Lua in the [`event_loop`] alone, on the script's own thread: no thread of ours ever calls into
//! Lua, and nothing changes while a script looks.
//!
//! What belongs to which class is told by the files of their names; what a socket object stands for is a
//! [`stream`].

mod accepting;
mod buffer;
mod deadlines;
mod event_loop;
mod inbox;
mod life;
mod line;
mod object;
mod reservation;
mod runtime;
mod ssl_certificate;
mod ssl_configuration;
mod ssl_key;
mod ssl_socket;
mod stream;
mod tables;
mod tcp_server;
mod tcp_socket;
mod values;
mod verdict;

use std::rc::Rc;
use std::time::Duration;

use mlua::{Function, Lua, Table};

use crate::event_loop::{EventLoop, milliseconds};
use crate::object::class;
use crate::stream::Stream;

/// What `require "iomodules"` gives.
#[mlua::lua_module]
fn iomodules(lua: &Lua) -> mlua::Result<Table> {
    let module = lua.create_table()?;
    let event_loop = Rc::new(EventLoop::new(lua, module.clone())?);
    module.raw_set("_VERSION", concat!("iomodules ", env!("CARGO_PKG_VERSION")))?;
    module.raw_set("net", net(lua, &event_loop)?)?;
    module.raw_set("Stream", module.raw_get::<Table>("net")?.raw_get::<Table>("Stream")?)?;

    let of_run = Rc::clone(&event_loop);
    let run = move |lua: &Lua, main: Option<Function>| of_run.run(lua, main);
    module.raw_set("run", lua.create_function(run)?)?;
    let of_run_once = Rc::clone(&event_loop);
    let run_once = move |lua: &Lua, timeout: Option<f64>| {
        let timeout = timeout.map_or(Ok(Duration::ZERO), milliseconds)?;
        of_run_once.turn(lua, Some(timeout))
    };
    module.raw_set("run_once", lua.create_function(run_once)?)?;
    let of_stop = Rc::clone(&event_loop);
    let stop = move |_: &Lua, ()| {
        of_stop.stop();
        Ok(())
    };
    module.raw_set("stop", lua.create_function(stop)?)?;
    let descriptor = move |_: &Lua, ()| Ok(event_loop.inbox.descriptor());
    module.raw_set("descriptor", lua.create_function(descriptor)?)?;
    Ok(module)
}

/// The classes.
fn net(lua: &Lua, event_loop: &Rc<EventLoop>) -> mlua::Result<Table> {
    let net = lua.create_table()?;
    let stream = class(lua, None, &[values::OPEN_MODES], None)?;
    let of = Rc::clone(event_loop);
    let new = move |_: &Lua, ()| Ok(tcp_socket::TcpSocket(Rc::new(Stream::new(&of))));
    let constants = [values::STATES, values::ERRORS];
    let tcp_socket = class(lua, Some(&stream), &constants, Some(lua.create_function(new)?))?;
    let of = Rc::clone(event_loop);
    let new = move |_: &Lua, ()| Ok(ssl_socket::SslSocket(Rc::new(Stream::new(&of))));
    let new = lua.create_function(new)?;
    let ssl_socket = class(lua, Some(&tcp_socket), &[values::SSL_VALUES], Some(new))?;
    let of = Rc::clone(event_loop);
    let new = lua.create_function(move |_, ()| Ok(tcp_server::plain(&of)))?;
    let tcp_server = class(lua, None, &[], Some(new))?;
    let of = Rc::clone(event_loop);
    let new = lua.create_function(move |_, ()| Ok(tcp_server::secure(&of)))?;
    let ssl_server = class(lua, Some(&tcp_server), &[], Some(new))?;
    let new = lua.create_function(ssl_configuration::new)?;
    let ssl_configuration = class(lua, None, &[], Some(new))?;
    let new = lua.create_function(ssl_certificate::new)?;
    let ssl_certificate = class(lua, None, &[], Some(new))?;
    let new = lua.create_function(ssl_key::new)?;
    let ssl_key = class(lua, None, &[values::KEYS], Some(new))?;
    net.raw_set("Stream", stream)?;
    net.raw_set("TcpSocket", tcp_socket)?;
    net.raw_set("SslSocket", ssl_socket)?;
    net.raw_set("TcpServer", tcp_server)?;
    net.raw_set("SslServer", ssl_server)?;
    net.raw_set("SslConfiguration", ssl_configuration)?;
    net.raw_set("SslCertificate", ssl_certificate)?;
    net.raw_set("SslKey", ssl_key)?;
    net.raw_set("SslEncoding", class(lua, None, &[values::ENCODINGS], None)?)?;
    Ok(net)
}
