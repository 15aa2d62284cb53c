//! `net.TcpServer` and `net.SslServer`: listening, and the connections that wait for the script.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::mpsc::sync_channel;

use levada::{
    Deadlines, Endpoint, Family, Host, ListenEndpoint, Listener, Options, OsError, Socket,
};
use mlua::{AnyUserData, Lua, Table, UserData, UserDataFields, UserDataMethods, Value};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

use crate::accepting::{ServerNews, ServerOrder, accept};
use crate::deadlines;
use crate::event_loop::EventLoop;
use crate::object::{self, Object, add_twins};
use crate::ssl_configuration::{Settings, SslConfiguration};
use crate::ssl_socket::SslSocket;
use crate::stream::{self, Stream};
use crate::tcp_socket::{TcpSocket, timeout_of};
use crate::values::{self, Constants};
use crate::verdict::Verdict;

/// Connections that may wait, unless the script says otherwise.
const PENDING: usize = 30;

/// What a server object stands for.
pub(crate) struct Server {
    event_loop: Rc<EventLoop>,
    /// How TLS is to be with those that connect; `None` for plain connections.
    settings: RefCell<Option<Rc<Settings>>>,
    pending: RefCell<VecDeque<Box<Socket>>>,
    most_pending: Cell<usize>,
    /// Those of the connections.
    deadlines: Cell<Deadlines>,
    listening: RefCell<Option<Listening>>,
    is_paused: Cell<bool>,
    error_string: RefCell<String>,
}

struct Listening {
    id: u64,
    address: SocketAddr,
    orders: UnboundedSender<ServerOrder>,
}

pub(crate) struct TcpServer(Rc<Server>);

pub(crate) struct SslServer(Rc<Server>);

impl Server {
    fn new(event_loop: &Rc<EventLoop>, settings: Option<Rc<Settings>>) -> Rc<Self> {
        Rc::new(Self {
            event_loop: Rc::clone(event_loop),
            settings: RefCell::new(settings),
            pending: RefCell::default(),
            most_pending: Cell::new(PENDING),
            deadlines: Cell::default(),
            listening: RefCell::new(None),
            is_paused: Cell::new(false),
            error_string: RefCell::default(),
        })
    }

    fn order(&self, order: ServerOrder) {
        if let Some(listening) = &*self.listening.borrow() {
            // Where the task has ended there is nobody to obey.
            let _ = listening.orders.send(order);
        }
    }

    /// Listens, or says why not.
    fn listen(&self, object: &AnyUserData, port: u16, address: Option<&str>) -> mlua::Result<bool> {
        if self.listening.borrow().is_some() {
            "the server listens already".clone_into(&mut self.error_string.borrow_mut());
            return Ok(false);
        }
        let Ok(ip) = address.map(str::parse::<IpAddr>).transpose() else {
            let address = address.unwrap_or_default().escape_debug();
            let text = format!("\"{address}\" is no IP address to listen at");
            return Err(mlua::Error::runtime(text));
        };
        let host = ip.map(Host::Ip);
        if let Some(settings) = &*self.settings.borrow()
            && let Err(text) = settings.server(&Verdict { lets_all_in: false, teller: None })
        {
            *self.error_string.borrow_mut() = text;
            return Ok(false);
        }
        let endpoint = ListenEndpoint::Tcp { host, port, family: Family::Any };
        let mut options = Options::default();
        options.deadlines = self.deadlines.get();
        // It waits for nobody: there is no name to look up.
        let bound = self.event_loop.runtime.block_on(Listener::bind(&endpoint, None, options));
        let listener = match bound {
            Ok(listener) => listener,
            Err(error) => {
                *self.error_string.borrow_mut() = format!("port {port}: {}", OsError::from(&error));
                return Ok(false);
            }
        };
        let Some(Endpoint::Ip(address)) = listener.local() else {
            return Err(mlua::Error::runtime("the listener has no address"));
        };
        if self.is_paused.get() {
            listener.pause();
        }
        let (id, (orders, receiver)) = (self.event_loop.new_id(), unbounded_channel());
        let inbox = self.event_loop.inbox.clone();
        self.event_loop.runtime.spawn(accept(
            listener,
            receiver,
            self.most_pending.get(),
            inbox,
            id,
        ));
        self.event_loop.keep(id, object)?;
        *self.listening.borrow_mut() = Some(Listening { id, address, orders });
        Ok(true)
    }

    /// Listens no more: it is so when this returns.
    fn close(&self) -> mlua::Result<()> {
        let Some(listening) = self.listening.take() else { return Ok(()) };
        let (answer, answered) = sync_channel(1);
        if listening.orders.send(ServerOrder::Close(answer)).is_ok() {
            // An error tells as well that the task has ended.
            let _ = answered.recv();
        }
        self.pending.borrow_mut().clear();
        self.event_loop.release(listening.id)
    }

    /// The next connection that waits, as an object; nil where none does.
    fn next(&self, lua: &Lua) -> mlua::Result<Value> {
        let Some(socket) = self.pending.borrow_mut().pop_front() else { return Ok(Value::Nil) };
        self.order(ServerOrder::Taken);
        let stream = Rc::new(Stream::new(&self.event_loop));
        let settings = self.settings.borrow().clone();
        let Some(settings) = settings else {
            let object = lua.create_userdata(TcpSocket(stream))?;
            stream::adopt(&object, *socket, None)?;
            return Ok(Value::UserData(object));
        };
        let object = lua.create_userdata(SslSocket(stream))?;
        stream::adopt(&object, *socket, Some(settings))?;
        Ok(Value::UserData(object))
    }
}

/// Takes in what a server's task tells.
pub(crate) fn take(object: &AnyUserData, news: ServerNews) -> mlua::Result<()> {
    let server = of(object)?;
    match news {
        ServerNews::Connection(socket) => {
            server.pending.borrow_mut().push_back(socket);
            server.event_loop.handle(object, "new_connection_handler", ());
        }
        ServerNews::Error { error, is_final } => {
            *server.error_string.borrow_mut() = error.to_string();
            server.event_loop.handle(object, "accept_error_handler", values::of_system(&error));
            if is_final {
                server.close()?;
            }
        }
    }
    Ok(())
}

fn of(object: &AnyUserData) -> mlua::Result<Rc<Server>> {
    if object.is::<SslServer>() {
        return Ok(object.borrow::<SslServer>()?.0.clone());
    }
    Ok(object.borrow::<TcpServer>()?.0.clone())
}

macro_rules! server {
    ($class:ident, $name:literal) => {
        impl Object for $class {
            type State = Server;

            const NAME: &'static str = $name;
            const HANDLERS: &'static [&'static [&'static str]] =
                &[&["accept_error_handler", "new_connection_handler"]];
            const CONSTANTS: &'static [Constants] = &[];

            fn state(&self) -> &Rc<Server> {
                &self.0
            }

            fn event_loop(&self) -> &Rc<EventLoop> {
                &self.0.event_loop
            }

            fn describe(&self) -> String {
                match &*self.0.listening.borrow() {
                    Some(listening) => format!("listening at {}", listening.address),
                    None => "not listening".to_owned(),
                }
            }
        }
    };
}

server!(TcpServer, "TcpServer");
server!(SslServer, "SslServer");

impl UserData for TcpServer {
    fn add_fields<F: UserDataFields<Self>>(fields: &mut F) {
        add_fields(fields);
    }

    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        add_methods(methods);
    }
}

impl UserData for SslServer {
    fn add_fields<F: UserDataFields<Self>>(fields: &mut F) {
        add_fields(fields);
        fields.add_field_method_get("ssl_configuration", |_, this| {
            Ok(this.0.settings.borrow().clone().map(SslConfiguration))
        });
        fields.add_field_method_set("ssl_configuration", |_, this, value: AnyUserData| {
            *this.0.settings.borrow_mut() = Some(value.borrow::<SslConfiguration>()?.0.clone());
            Ok(())
        });
    }

    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        add_methods(methods);
        add_twins(methods, "next_pending_secure_connection", |lua, _, server, ()| server.next(lua));
    }
}

fn add_fields<T: Object<State = Server>, F: UserDataFields<T>>(fields: &mut F) {
    object::add_fields(fields);
    fields
        .add_field_method_get("listening", |_, this| Ok(this.state().listening.borrow().is_some()));
    fields.add_field_method_get("port", |_, this| {
        Ok(this.state().listening.borrow().as_ref().map_or(0, |listening| listening.address.port()))
    });
    fields.add_field_method_get("has_pending_connections", |_, this| {
        Ok(!this.state().pending.borrow().is_empty())
    });
    fields.add_field_method_get("error_string", |_, this| {
        Ok(this.state().error_string.borrow().clone())
    });
    fields.add_field_method_get("deadlines", |lua, this| {
        deadlines::table(lua, this.state().deadlines.get())
    });
    fields.add_field_method_set("deadlines", |_, this, table: Table| {
        this.state().deadlines.set(deadlines::changed(this.state().deadlines.get(), &table)?);
        Ok(())
    });
    fields.add_field_method_get("max_pending_connections", |_, this| {
        Ok(this.state().most_pending.get())
    });
    fields.add_field_method_set("max_pending_connections", |_, this, most: usize| {
        this.state().most_pending.set(most);
        this.state().order(ServerOrder::Room(most));
        Ok(())
    });
}

fn add_methods<T: Object<State = Server>, M: UserDataMethods<T>>(methods: &mut M) {
    object::add_handlers(methods);
    add_twins(methods, "listen", |_, object, server, (port, address): (u16, Option<String>)| {
        server.listen(object, port, address.as_deref())
    });
    add_twins(methods, "next_pending_connection", |lua, _, server, ()| server.next(lua));
    methods.add_method("pause_accepting", |_, this, ()| {
        this.state().is_paused.set(true);
        this.state().order(ServerOrder::Pause);
        Ok(())
    });
    methods.add_method("resume_accepting", |_, this, ()| {
        this.state().is_paused.set(false);
        this.state().order(ServerOrder::Resume);
        Ok(())
    });
    methods.add_method("close", |_, this, ()| this.state().close());
    methods.add_method("wait_for_new_connection", |lua, this, timeout: Option<f64>| {
        let server = Rc::clone(this.state());
        server.event_loop.wait(lua, timeout_of(timeout)?, || {
            if !server.pending.borrow().is_empty() {
                Some(true)
            } else if server.listening.borrow().is_some() {
                None
            } else {
                Some(false)
            }
        })
    });
}

/// A `TcpServer`.
pub(crate) fn plain(event_loop: &Rc<EventLoop>) -> TcpServer {
    TcpServer(Server::new(event_loop, None))
}

/// A `SslServer`.
pub(crate) fn secure(event_loop: &Rc<EventLoop>) -> SslServer {
    SslServer(Server::new(event_loop, Some(Rc::default())))
}
