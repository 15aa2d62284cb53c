//! How a stream is to behave.

use std::io;
use std::os::fd::AsFd;
use std::time::Duration;

use levada_core::{ClosePolicy, Deadlines};
use socket2::{SockRef, TcpKeepalive};

/// How a [`Socket`](crate::Socket) is to behave.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Options {
    /// How long each phase may last.
    pub deadlines: Deadlines,
    /// What the peer's goodbye means for our own direction.
    pub close: ClosePolicy,
    /// How a TCP transport behaves that is dialled or accepted.
    pub tcp: TcpOptions,
    /// Whether a server goes on in plaintext with a client whose first byte begins no TLS record; it
    /// is refused otherwise. Never after anything else of TLS has failed. What was written before is
    /// sent in plaintext then: write only when [`Facts::plain`](crate::Facts::plain) says what you can say.
    pub danger_allow_plaintext: bool,
    /// Whether the end of a stream under TLS ends its connection for everybody, also where another
    /// process holds the socket as well. Off by default: our descriptor is closed, and theirs is theirs.
    pub hang_up: bool,
    /// Whether the kernel is to seal and open the records of TLS once the handshake is done, where it can
    /// (CONFIG_TLS, over TCP); off by default. TLS goes on in this process where it cannot, and
    /// [`Facts::kernel_tls`](crate::Facts::kernel_tls) says why.
    ///
    /// The stream behaves as ever, but for three things: the counters of wire bytes count plaintext, and
    /// [`end_tls`](crate::Socket::end_tls) and
    /// [`keep_records_apart`](crate::Socket::keep_records_apart) have no effect. The handshake takes two
    /// reads for each record.
    pub kernel_tls: bool,
    /// How long an external [`Signer`](crate::Signer) may take for a signature; 5 s by default. The
    /// deadline of the whole handshake runs meanwhile.
    pub signer_deadline: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            deadlines: Deadlines::default(),
            close: ClosePolicy::default(),
            tcp: TcpOptions::default(),
            danger_allow_plaintext: false,
            hang_up: false,
            kernel_tls: false,
            signer_deadline: Duration::from_secs(5),
        }
    }
}

/// How a TCP transport behaves.
///
/// `SO_LINGER` is not among it: with a time it would make the drop of a socket block its thread. To
/// wait until the peer has everything, shut down and wait for [`closed`](crate::Socket::closed); to
/// give up at once, [`abort`](crate::Socket::abort), which is a linger of zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TcpOptions {
    /// Whether small writes leave at once (`TCP_NODELAY`). On by default: a stream gathers what
    /// belongs together itself.
    pub nodelay: bool,
    /// After how long a silence the system asks whether the peer is still there (`SO_KEEPALIVE`,
    /// `TCP_KEEPIDLE`), in whole seconds. Off by default.
    pub keepalive: Option<Duration>,
    /// Bytes of the system's send buffer (`SO_SNDBUF`); `None` lets the system choose and adapt.
    pub send_buffer: Option<u32>,
    /// Bytes of the system's receive buffer (`SO_RCVBUF`); `None` lets the system choose and adapt.
    pub receive_buffer: Option<u32>,
    /// Whether several listeners may share one port (`SO_REUSEPORT`). Off by default.
    pub reuse_port: bool,
}

impl Default for TcpOptions {
    fn default() -> Self {
        Self {
            nodelay: true,
            keepalive: None,
            send_buffer: None,
            receive_buffer: None,
            reuse_port: false,
        }
    }
}

impl TcpOptions {
    pub(crate) fn apply(self, socket: &impl AsFd) -> io::Result<()> {
        let socket = SockRef::from(socket);
        socket.set_tcp_nodelay(self.nodelay)?;
        if let Some(idle) = self.keepalive {
            socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(idle))?;
        }
        if let Some(bytes) = self.send_buffer {
            socket.set_send_buffer_size(bytes as usize)?;
        }
        if let Some(bytes) = self.receive_buffer {
            socket.set_recv_buffer_size(bytes as usize)?;
        }
        Ok(())
    }
}
