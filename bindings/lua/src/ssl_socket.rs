//! `net.SslSocket`: a `TcpSocket` that can begin TLS, at once or later.

use std::rc::Rc;

use mlua::{AnyUserData, Table, UserData, UserDataFields, UserDataMethods};

use crate::event_loop::EventLoop;
use crate::object::{self, Object};
use crate::ssl_configuration::SslConfiguration;
use crate::stream::{self, Ignored, Stream};
use crate::tcp_socket::{self, wait};
use crate::values::{self, Constants};

pub(crate) struct SslSocket(pub(crate) Rc<Stream>);

/// The handlers that `SslSocket` adds.
const SSL_SOCKET: &[&str] = &[
    "alert_received_handler",
    "alert_sent_handler",
    "encrypted_handler",
    "mode_changed_handler",
    "ssl_errors_handler",
];

impl Object for SslSocket {
    type State = Stream;

    const NAME: &'static str = "SslSocket";
    const HANDLERS: &'static [&'static [&'static str]] =
        &[tcp_socket::HANDLERS[0], tcp_socket::HANDLERS[1], SSL_SOCKET];
    const CONSTANTS: &'static [Constants] = &[
        tcp_socket::CONSTANTS[0],
        tcp_socket::CONSTANTS[1],
        tcp_socket::CONSTANTS[2],
        values::SSL_VALUES,
    ];

    fn state(&self) -> &Rc<Stream> {
        &self.0
    }

    fn event_loop(&self) -> &Rc<EventLoop> {
        &self.0.event_loop
    }

    fn describe(&self) -> String {
        let plain = if self.0.is_encrypted.get() { "encrypted" } else { "not encrypted" };
        format!("{}, {plain}", tcp_socket::describe(&self.0))
    }
}

impl UserData for SslSocket {
    fn add_fields<F: UserDataFields<Self>>(fields: &mut F) {
        object::add_fields(fields);
        tcp_socket::add_fields(fields);
        fields.add_field_method_get("encrypted", |_, this| Ok(this.0.is_encrypted.get()));
        fields.add_field_method_get("mode", |_, this| Ok(this.0.mode.get()));
        fields.add_field_method_get("peer_verify_mode", |_, this| {
            let settings = this.0.settings.borrow();
            Ok(settings.as_ref().map_or(values::AUTO_VERIFY_PEER, |own| own.verify_mode()))
        });
        fields.add_field_method_set("peer_verify_mode", |_, this, mode: i64| {
            this.0.own_settings().set_verify_mode(mode)
        });
        fields.add_field_method_get("peer_verify_name", |_, this| {
            Ok(this.0.peer_verify_name.borrow().clone())
        });
        fields.add_field_method_set("peer_verify_name", |_, this, name: Option<String>| {
            *this.0.peer_verify_name.borrow_mut() = name;
            Ok(())
        });
        fields.add_field_method_get("ssl_configuration", |_, this| {
            Ok(SslConfiguration(this.0.own_settings()))
        });
        fields.add_field_method_set("ssl_configuration", |_, this, value: AnyUserData| {
            *this.0.settings.borrow_mut() = Some(value.borrow::<SslConfiguration>()?.0.clone());
            Ok(())
        });
    }

    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        object::add_handlers(methods);
        tcp_socket::add_methods(methods);
        methods.add_function("connect_encrypted", |_, (object, to): (AnyUserData, _)| {
            stream::connect(&object, to, true)
        });
        methods.add_function("start_client_encryption", |_, object: AnyUserData| {
            stream::start_encryption(&object, true)
        });
        methods.add_function("start_server_encryption", |_, object: AnyUserData| {
            stream::start_encryption(&object, false)
        });
        methods.add_method("danger_ignore_ssl_errors", |_, this, checks: Option<Table>| {
            let ignored = match checks {
                None => Ignored::Everything,
                Some(checks) => {
                    Ignored::Checks(checks.sequence_values().collect::<mlua::Result<_>>()?)
                }
            };
            let mut asked = this.0.ignored.borrow_mut();
            if asked.is_none() {
                return Err(mlua::Error::runtime(
                    "danger_ignore_ssl_errors may be called inside ssl_errors_handler only",
                ));
            }
            *asked = Some(ignored);
            Ok(())
        });
        methods.add_function(
            "wait_for_encrypted",
            |lua, (object, timeout): (AnyUserData, Option<f64>)| {
                let stream = stream::of(&object)?;
                wait(lua, &stream, timeout, || stream.is_encrypted.get())
            },
        );
    }
}
