//! A stream on a pool between two commands, of which the test holds both plain ends.

use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;

use levada::Role;
use rustix::net::sockopt::{set_socket_recv_buffer_size, set_socket_send_buffer_size};
use rustix::process::Signal;
use serde_json::Value;

use crate::harness::{Backend, Pki, Pool, Running, Serve, connect};
use crate::way::Way;

pub(crate) const ROLES: [Role; 2] = [Role::Server, Role::Client];

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
        let listen = if is_server {
            way.url(pool, "127.0.0.1:0")
        } else {
            format!("tls://127.0.0.1:0?cert={}&deadline-handshake=off", pki.localhost)
        };
        let serve = Serve::start(["--listen", &listen, "--to", &backend.url()]);
        let url = if is_server {
            format!("{}?ca={}&deadline-handshake=off", serve.tls_url(), pki.ca)
        } else {
            way.url(pool, serve.address())
        };
        let connect = connect(&url, ["--name", "localhost"]);
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
