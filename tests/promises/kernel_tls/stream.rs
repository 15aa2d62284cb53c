//! Streams between two commands, of which the test holds both plain ends where it wants to.

use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;

use levada::Role;
use rustix::net::sockopt::{set_socket_recv_buffer_size, set_socket_send_buffer_size};
use rustix::process::Signal;
use serde_json::Value;

use crate::harness::{Backend, Command, Pki, Pool, Running, Serve, connect};
use crate::way::{PATIENT, Way};

pub(crate) const ROLES: [Role; 2] = [Role::Server, Role::Client];

/// A server whose TLS is in its own process, and where it leads.
#[track_caller]
pub(crate) fn serve_tls(pki: &Pki, to: &str) -> Serve {
    let listen = format!("tls://127.0.0.1:0?cert={}&{PATIENT}", pki.localhost);
    Serve::start(["--listen", &listen, "--to", to])
}

/// A client of a server, whose TLS is in its own process.
pub(crate) fn connect_tls(pki: &Pki, serve: &Serve) -> Command {
    connect(&format!("{}?ca={}&{PATIENT}", serve.tls_url(), pki.ca), [""; 0])
}

/// A client on a pool, by an address that [`Way::url`] makes.
pub(crate) fn connect_by_pool(url: &str) -> Command {
    connect(url, ["--name", "localhost"])
}

/// A stream whose one end is on a pool, and whose other end has its TLS in process.
pub(crate) struct Stream {
    /// The plain side of the end that is on the pool.
    pub(crate) near: End,
    /// That of its peer.
    pub(crate) far: End,
    ours: Process,
    theirs: Process,
}

/// A plain end: for `levada connect` its standard input and output.
pub(crate) struct End {
    pub(crate) reader: TcpStream,
    pub(crate) writer: TcpStream,
}

/// A command that has one end of the stream.
enum Process {
    Serve(Serve),
    Connect(Running),
}

impl Stream {
    /// One that is up, with the pool's end in this role.
    #[track_caller]
    pub(crate) fn start(pki: &Pki, pool: &Pool, way: Way, role: Role) -> Self {
        let backend = Backend::new();
        let is_server = role == Role::Server;
        let (serve, connect) = if is_server {
            let listen = way.url(pool, "127.0.0.1:0");
            let serve = Serve::start(["--listen", &listen, "--to", &backend.url()]);
            let connect = connect_tls(pki, &serve);
            (serve, connect)
        } else {
            let serve = serve_tls(pki, &backend.url());
            let connect = connect_by_pool(&way.url(pool, serve.address()));
            (serve, connect)
        };
        let ((writer, stdin), (reader, stdout)) = (pair(), pair());
        let connect = connect.stdin(OwnedFd::from(stdin)).stdout(OwnedFd::from(stdout)).start();
        let piped = End { reader, writer };
        let target = backend.accept();
        narrow(&target);
        let target = End { reader: target.try_clone().unwrap(), writer: target };
        let (serve, connect) = (Process::Serve(serve), Process::Connect(connect));
        if is_server {
            Self { near: target, far: piped, ours: serve, theirs: connect }
        } else {
            Self { near: piped, far: target, ours: connect, theirs: serve }
        }
    }

    /// Kills the peer (SIGKILL), and waits until it is gone.
    pub(crate) fn kill_peer(&mut self) {
        let process = match &mut self.theirs {
            Process::Serve(serve) => &mut serve.process,
            Process::Connect(connect) => connect,
        };
        process.signal(Signal::KILL);
        process.join();
    }

    /// How the pool's end ended, as the log tells it.
    #[track_caller]
    pub(crate) fn ended(self) -> Value {
        match self.ours {
            Process::Serve(mut serve) => serve.next("ended")["client"].take(),
            Process::Connect(connect) => connect.wait().ended(),
        }
    }
}

/// Both ends of a connection.
fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let far = listener.accept().unwrap().0;
    narrow(&near);
    narrow(&far);
    (near, far)
}

/// Has a socket hold little: what waits is to wait in the commands, and in the connection between them.
fn narrow(socket: &TcpStream) {
    set_socket_recv_buffer_size(socket, 64 << 10).unwrap();
    set_socket_send_buffer_size(socket, 64 << 10).unwrap();
}
