//! What all objects have in common: handlers that can be set, and methods with an asynchronous twin.

use std::rc::Rc;

use mlua::{
    AnyUserData, FromLuaMulti, Function, IntoLua, Lua, MetaMethod, MultiValue, Table,
    UserDataFields, UserDataMethods, Value,
};

use crate::event_loop::EventLoop;
use crate::values::Constants;

/// A class of objects.
pub(crate) trait Object: Sized + 'static {
    /// What its objects stand for.
    type State: 'static;

    /// Its name in `net`.
    const NAME: &'static str;
    /// Every handler that can be set, parents' first.
    const HANDLERS: &'static [&'static [&'static str]];
    /// Its static members, with those of its parents.
    const CONSTANTS: &'static [Constants];

    fn state(&self) -> &Rc<Self::State>;
    fn event_loop(&self) -> &Rc<EventLoop>;

    /// What it is right now, in words.
    fn describe(&self) -> String;
}

/// The members that every class has.
pub(crate) fn add_fields<T: Object, F: UserDataFields<T>>(fields: &mut F) {
    for (name, value) in T::CONSTANTS.iter().copied().flatten() {
        fields.add_field(*name, *value);
    }
    fields.add_meta_field("__name", T::NAME);
}

/// Setting and reading handlers.
pub(crate) fn add_handlers<T: Object, M: UserDataMethods<T>>(methods: &mut M) {
    methods.add_meta_method(MetaMethod::ToString, |_, this, ()| {
        Ok(format!("net.{} ({})", T::NAME, this.describe()))
    });
    methods.add_meta_function(
        MetaMethod::Index,
        |_, (object, key): (AnyUserData, Value)| match key
            .as_string()
            .and_then(|key| handler::<T>(&key.to_string_lossy()))
        {
            Some(handler) => object.named_user_value::<Value>(handler),
            None => Ok(Value::Nil),
        },
    );
    methods.add_meta_function(
        MetaMethod::NewIndex,
        |_, (object, key, value): (AnyUserData, String, Value)| {
            let Some(handler) = handler::<T>(&key) else {
                return Err(mlua::Error::runtime(no_such_member::<T>(&key)));
            };
            if !matches!(value, Value::Nil | Value::Function(_)) {
                let given = value.type_name();
                return Err(mlua::Error::runtime(format!(
                    "{key} is a function or nil, not a {given}"
                )));
            }
            object.set_named_user_value(handler, value)
        },
    );
}

/// The handler that `key` names; `new_connect_handler` is another name of one.
fn handler<T: Object>(key: &str) -> Option<&'static str> {
    let key = if key == "new_connect_handler" { "new_connection_handler" } else { key };
    T::HANDLERS.iter().copied().flatten().copied().find(|handler| *handler == key)
}

fn no_such_member<T: Object>(key: &str) -> String {
    let with_suffix = format!("{key}_handler");
    match handler::<T>(&with_suffix) {
        Some(_) => {
            format!("{} has no member \"{key}\" to set: did you mean {with_suffix}?", T::NAME)
        }
        None => format!("{} has no member \"{key}\" that can be set", T::NAME),
    }
}

/// Adds a method that may be called inside handlers only, and its twin, which may be called anywhere: it
/// takes one more argument, a function that is called back with the object, the result and, where the
/// method raises an error, that.
pub(crate) fn add_twins<T, M, A, R>(
    methods: &mut M,
    name: &'static str,
    work: impl Fn(&Lua, &AnyUserData, &Rc<T::State>, A) -> mlua::Result<R> + Copy + 'static,
) where
    T: Object,
    M: UserDataMethods<T>,
    A: FromLuaMulti + 'static,
    R: IntoLua,
{
    methods.add_function(name, move |lua, (object, args): (AnyUserData, A)| {
        let (state, event_loop) = parts::<T>(&object)?;
        event_loop.require_handler(name)?;
        work(lua, &object, &state, args)
    });
    let twin = format!("{name}_async");
    let name_of_twin = twin.clone();
    methods.add_function(twin, move |lua, (object, mut args): (AnyUserData, MultiValue)| {
        let twin = name_of_twin.clone();
        let Some(Value::Function(callback)) = args.pop_back() else {
            return Err(mlua::Error::runtime(format!(
                "{twin} takes a function as its last argument, which is called with the result"
            )));
        };
        let args = A::from_lua_multi(args, lua)?;
        let (state, event_loop) = parts::<T>(&object)?;
        Rc::clone(&event_loop).later(move |lua| {
            let result = event_loop
                .as_handler(true, || work(lua, &object, &state, args))
                .and_then(|result| result.into_lua(lua));
            match result {
                Ok(result) => event_loop.call_back(&callback, &twin, (object, result)),
                Err(error) => {
                    let error = error.to_string();
                    event_loop.call_back(&callback, &twin, (object, mlua::Nil, error));
                }
            }
            Ok(())
        });
        Ok(())
    });
}

fn parts<T: Object>(object: &AnyUserData) -> mlua::Result<(Rc<T::State>, Rc<EventLoop>)> {
    let this = object.borrow::<T>()?;
    Ok((Rc::clone(this.state()), Rc::clone(this.event_loop())))
}

/// The table that stands for a class: its constructor and its static members, and behind them those of
/// its parent.
pub(crate) fn class(
    lua: &Lua,
    parent: Option<&Table>,
    constants: &[Constants],
    constructor: Option<Function>,
) -> mlua::Result<Table> {
    let class = lua.create_table()?;
    for (name, value) in constants.iter().copied().flatten() {
        class.raw_set(*name, *value)?;
    }
    if let Some(constructor) = constructor {
        class.raw_set("new", constructor)?;
    }
    if let Some(parent) = parent {
        let metatable = lua.create_table()?;
        metatable.raw_set("__index", parent)?;
        class.set_metatable(Some(metatable))?;
    }
    Ok(class)
}

/// # Errors
///
/// When `value` is none of those that `names` stand for.
pub(crate) fn one_of(constants: Constants, names: &[&str], value: i64) -> mlua::Result<()> {
    if constants.iter().any(|(name, known)| names.contains(name) && *known == value) {
        return Ok(());
    }
    Err(mlua::Error::runtime(format!("{value} is not one of {}", names.join(", "))))
}
