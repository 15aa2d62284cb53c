//! What a connection tells: what its properties become, and which handlers are called.

use std::rc::Rc;

use levada::{Ended, Mode, Party};
use mlua::{AnyUserData, Lua};

use super::{Ignored, Stream, of, set_state, settle, tell_over};
use crate::buffer::Buffer;
use crate::life::News;
use crate::values;
use crate::verdict::Question;

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
    let was = settle(stream);
    tell_over(object, stream, was);
    Ok(())
}

fn set_mode(object: &AnyUserData, stream: &Stream, mode: i64) {
    if stream.mode.replace(mode) != mode {
        stream.event_loop.handle(object, "mode_changed_handler", mode);
    }
}
