//! The connection, as whoever waits for it sees it.

use std::io::{self, IoSlice};
use std::os::fd::BorrowedFd;
use std::time::Duration;

use levada_sys::kernel_tls::{self, Received};
use levada_tls::{Direction, RecordKeys};
use rustix::net::{SendAncillaryBuffer, SendFlags, Shutdown, sendmsg};

use crate::arm::install;

/// How long until it is worth to look whether TCP has had room.
pub const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// Reads of what came behind the peer's goodbye, and is dropped.
const DISCARDED: usize = 64;

/// The connection below [`Records`](crate::Records), as whoever waits for it sees it.
///
/// None of this waits. `WouldBlock` ends the call of `Records` that met it, which goes on where it was when it
/// is made again: whoever says so sees to that.
pub trait Transport {
    /// The connection's socket.
    fn socket(&self) -> BorrowedFd<'_>;

    /// TCP has no room yet for what the kernel has sealed, and nothing tells when it has: `Ok` to look again
    /// at once, `WouldBlock` to do so in [a moment](LOOK_AGAIN).
    ///
    /// # Errors
    ///
    /// `WouldBlock`.
    fn pause(&mut self) -> io::Result<()>;

    /// As [`kernel_tls::receive`].
    ///
    /// # Errors
    ///
    /// The same.
    fn receive(&mut self, room: &mut [u8]) -> io::Result<Received> {
        kernel_tls::receive(self.socket(), room)
    }

    /// As [`kernel_tls::send`].
    ///
    /// # Errors
    ///
    /// The same.
    fn send(&mut self, content_type: u8, content: &[u8]) -> io::Result<usize> {
        kernel_tls::send(self.socket(), content_type, content)
    }

    /// Writes data.
    ///
    /// # Errors
    ///
    /// The system's. A connection that is gone is an error, never a signal.
    fn write(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        let send = || sendmsg(self.socket(), bufs, &mut SendAncillaryBuffer::default(), flags);
        Ok(rustix::io::retry_on_intr(send)?)
    }

    /// Has the kernel go on with these keys.
    ///
    /// # Errors
    ///
    /// As [`kernel_tls::install`].
    fn install(&mut self, direction: Direction, keys: &RecordKeys) -> io::Result<()> {
        install(self.socket(), direction, keys)
    }

    /// As [`kernel_tls::given_to_tcp`].
    ///
    /// # Errors
    ///
    /// The same.
    fn given(&self) -> io::Result<u64> {
        kernel_tls::given_to_tcp(self.socket())
    }

    /// Forgets the error that the last record has left: the kernel would tell it to the next call, too.
    fn forget_error(&mut self) {
        let _ = rustix::net::sockopt::socket_error(self.socket());
    }

    /// Ends our direction of the transport.
    fn end(&mut self) {
        // Bytes that nobody has read would make a reset of the end, and that overtakes what waits.
        let mut room = [0; 4096];
        for _ in 0..DISCARDED {
            let received = kernel_tls::receive(self.socket(), &mut room);
            if !matches!(received, Ok(some) if some.bytes > 0) {
                break;
            }
        }
        // A connection that is gone already needs no end.
        let _ = rustix::net::shutdown(self.socket(), Shutdown::Write);
    }
}
