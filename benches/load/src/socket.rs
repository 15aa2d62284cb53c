//! Non-blocking calls on a socket, with buffers that belong to the thread: 5,000 connections need
//! 5,000 sockets and no more.

use std::cell::RefCell;
use std::io;

use rustix::net::{Shutdown, shutdown};
use tokio::net::TcpStream;

/// Bytes that one call takes at most.
const SCRATCH: usize = 256 * 1024;

thread_local! {
    static BUFFER: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Waits for bytes and shows what one call of `read` gives, behind what `kept` holds from before.
/// `take` answers how much of it is done with; the rest is kept. The answer is how many bytes were
/// read, 0 at the end of the stream.
///
/// # Errors
///
/// Those of the socket and of `take`.
pub(crate) async fn read_behind(
    tcp: &TcpStream,
    kept: &mut Vec<u8>,
    mut take: impl FnMut(&mut [u8]) -> io::Result<usize>,
) -> io::Result<usize> {
    loop {
        tcp.readable().await?;
        let read: io::Result<usize> = BUFFER.with_borrow_mut(|buffer| {
            buffer.resize(SCRATCH, 0);
            let before = kept.len();
            buffer[..before].copy_from_slice(kept);
            let read = tcp.try_read(&mut buffer[before..])?;
            let all = &mut buffer[..before + read];
            let done = take(all)?;
            kept.clear();
            kept.extend_from_slice(&all[done..]);
            Ok(read)
        });
        match read {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            outcome => return outcome,
        }
    }
}

/// The same without anything kept: `take` is done with all that it is shown.
pub(crate) async fn read(
    tcp: &TcpStream,
    mut take: impl FnMut(&[u8]) -> io::Result<()>,
) -> io::Result<usize> {
    read_behind(tcp, &mut Vec::new(), |bytes| {
        take(bytes)?;
        Ok(bytes.len())
    })
    .await
}

/// Writes what the socket takes now, which may be nothing.
pub(crate) fn write_some(tcp: &TcpStream, bytes: &[u8]) -> io::Result<usize> {
    match tcp.try_write(bytes) {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(0),
        outcome => outcome,
    }
}

pub(crate) async fn write_all(tcp: &TcpStream, mut bytes: &[u8]) -> io::Result<()> {
    loop {
        bytes = &bytes[write_some(tcp, bytes)?..];
        if bytes.is_empty() {
            return Ok(());
        }
        tcp.writable().await?;
    }
}

/// Sends FIN.
pub(crate) fn finish(tcp: &TcpStream) -> io::Result<()> {
    Ok(shutdown(tcp, Shutdown::Write)?)
}
