//! Deadlines as a Lua table: milliseconds by name.

use levada::{Deadline, Deadlines};
use mlua::{Lua, Table, Value};

use crate::event_loop::milliseconds;

pub(crate) fn table(lua: &Lua, deadlines: Deadlines) -> mlua::Result<Table> {
    let table = lua.create_table()?;
    for &deadline in Deadline::ALL {
        let time = deadlines.of(deadline);
        table.raw_set(name_of(deadline), time.map(|time| time.as_secs_f64() * 1000.0))?;
    }
    Ok(table)
}

/// The deadlines, with those of `table` in their place.
///
/// # Errors
///
/// For what is no deadline, or no time.
pub(crate) fn changed(mut deadlines: Deadlines, table: &Table) -> mlua::Result<Deadlines> {
    for pair in table.pairs::<String, Value>() {
        let (name, value) = pair?;
        set(&mut deadlines, &name, &value)?;
    }
    Ok(deadlines)
}

fn name_of(deadline: Deadline) -> &'static str {
    let word = deadline.word();
    word.strip_prefix("deadline-").unwrap_or(word)
}

fn set(deadlines: &mut Deadlines, name: &str, value: &Value) -> mlua::Result<()> {
    let time = match *value {
        Value::Boolean(false) => None,
        #[expect(clippy::cast_precision_loss, reason = "exact for the first 285 000 years")]
        Value::Integer(number) => Some(milliseconds(number as f64)?),
        Value::Number(number) => Some(milliseconds(number)?),
        _ => {
            let text = format!("deadlines.{name} is milliseconds, or false for none");
            return Err(mlua::Error::runtime(text));
        }
    };
    let deadline = match name {
        "lookup" => &mut deadlines.lookup,
        "connect" => &mut deadlines.connect,
        "handshake" => &mut deadlines.handshake,
        "close" => &mut deadlines.close,
        "idle" => &mut deadlines.idle,
        _ => {
            return Err(mlua::Error::runtime(format!(
                "there is no deadline \"{name}\": they are lookup, connect, handshake, close and idle"
            )));
        }
    };
    *deadline = time;
    Ok(())
}
