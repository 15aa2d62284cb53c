//! A local port that is held for a connection to come.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use socket2::{Domain, Protocol, Socket, Type};

/// A port that nobody else gets. It is given up just before the connection takes it.
pub(crate) struct Reservation {
    _held: Socket,
    address: SocketAddr,
}

impl Reservation {
    /// Holds `port`, or any free one for 0.
    pub(crate) fn new(port: u16) -> io::Result<Self> {
        let socket = Socket::new(Domain::IPV4, Type::STREAM.cloexec(), Some(Protocol::TCP))?;
        socket.bind(&SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)).into())?;
        let address = socket.local_addr()?.as_socket();
        let address = address.ok_or(io::ErrorKind::AddrNotAvailable)?;
        Ok(Self { _held: socket, address })
    }

    pub(crate) const fn port(&self) -> u16 {
        self.address.port()
    }

    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }
}
