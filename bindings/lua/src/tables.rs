//! Facts and endings as Lua tables.

use levada::{Ended, Facts};
use mlua::{Lua, LuaSerdeExt, Value};

/// What is not known is not there.
pub(crate) const OPTIONS: mlua::serde::SerializeOptions = mlua::serde::SerializeOptions::new()
    .set_array_metatable(false)
    .serialize_none_to_null(false)
    .serialize_unit_to_null(false);

pub(crate) fn facts(lua: &Lua, facts: &Facts) -> mlua::Result<Value> {
    lua.to_value_with(facts, OPTIONS)
}

pub(crate) fn ending(lua: &Lua, ended: Option<&Ended>) -> mlua::Result<Value> {
    match ended {
        Some(ended) => lua.to_value_with(ended, OPTIONS),
        None => Ok(Value::Nil),
    }
}
