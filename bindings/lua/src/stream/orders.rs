//! What a script does with a connection: orders to its task, and what of them holds at once.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::num::NonZeroU16;
use std::rc::Rc;

use levada::{ConnectEndpoint, Family, Host, OsError, Session, Socket};
use mlua::AnyUserData;

use super::{Stream, of, set_state, settle, tell_over};
use crate::buffer::Buffer;
use crate::life::{self, Encryption, Life, Order};
use crate::line::Line;
use crate::reservation::Reservation;
use crate::ssl_configuration::Settings;
use crate::values;
use crate::verdict::Verdict;

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
    let Some(port) = NonZeroU16::new(port) else {
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
    let (options, teller) = (stream.options(), stream.teller(id));
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

/// Takes over an accepted connection; with `settings`, its peer is to begin TLS.
pub(crate) fn adopt(
    object: &AnyUserData,
    socket: Socket,
    settings: Option<Rc<Settings>>,
) -> mlua::Result<()> {
    let stream = of(object)?;
    let id = stream.event_loop.new_id();
    let encryption = match &settings {
        Some(settings) => {
            // Whoever takes the connection has had no time yet to set a handler.
            let teller = settings.asks_for_certificates().then(|| stream.teller(id));
            let tls = settings.server(&Verdict { lets_all_in: false, teller });
            Some(Encryption::Server(tls.map_err(mlua::Error::runtime)?))
        }
        None => None,
    };
    *stream.settings.borrow_mut() = settings;
    let facts = socket.facts();
    stream.local.set(life::address(facts.local.as_ref()));
    stream.remote.set(life::address(facts.peer.as_ref()));
    stream.state.set(values::CONNECTED);
    let teller = stream.teller(id);
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
            let error = OsError::from(&error);
            stream.set_error(values::of_system(&error), format!("port {port}: {error}"));
            false
        }
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
    stream.event_loop.release(line.id)?;
    let ended = line.abort();
    if stream.ending.borrow().is_none() {
        // It may have ended by itself, which was not told yet.
        let ended = stream.event_loop.inbox.ended(line.id).unwrap_or(ended);
        *stream.ending.borrow_mut() = Some(ended);
    }
    *stream.buffer.borrow_mut() = Buffer::default();
    stream.open_mode.set(values::NOT_OPEN);
    let was = settle(&stream);
    let object = object.clone();
    stream.event_loop.clone().later(move |_| {
        tell_over(&object, &stream, was);
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
