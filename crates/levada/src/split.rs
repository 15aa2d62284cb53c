//! A stream in two halves, for two tasks.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use levada_core::{Ended, Facts, State};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::socket::Socket;

/// The reading half of a [`Socket`]: see [`Socket::into_split`].
#[derive(Debug)]
pub struct ReadHalf(Arc<Mutex<Socket>>);

/// The writing half of a [`Socket`]: see [`Socket::into_split`].
#[derive(Debug)]
pub struct WriteHalf(Arc<Mutex<Socket>>);

/// The halves that [`ReadHalf::unsplit`] was given are of two sockets. Here they are again.
#[derive(Debug)]
pub struct NotOneSocket(pub ReadHalf, pub WriteHalf);

impl std::fmt::Display for NotOneSocket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the two halves are of two sockets")
    }
}

impl std::error::Error for NotOneSocket {}

impl Socket {
    /// Splits the socket into two halves that two tasks can own.
    ///
    /// Each half is woken for what it waits for. They share a lock that is held for one poll and never
    /// across a wait. The socket lives until both are dropped: dropping one says nothing to the peer,
    /// so shut down the writing half first.
    ///
    /// For halves that borrow, `tokio::io::split(&mut socket)`.
    pub fn into_split(self) -> (ReadHalf, WriteHalf) {
        let socket = Arc::new(Mutex::new(self));
        (ReadHalf(Arc::clone(&socket)), WriteHalf(socket))
    }
}

impl ReadHalf {
    /// Puts the two halves of one socket together again.
    ///
    /// # Errors
    ///
    /// [`NotOneSocket`], with both halves, when they are of two sockets.
    pub fn unsplit(self, other: WriteHalf) -> Result<Socket, NotOneSocket> {
        if !Arc::ptr_eq(&self.0, &other.0) {
            return Err(NotOneSocket(self, other));
        }
        drop(other);
        match Arc::try_unwrap(self.0) {
            Ok(socket) => Ok(socket.into_inner().unwrap_or_else(PoisonError::into_inner)),
            // There are two halves, and one is dropped: nobody else holds the socket.
            Err(_) => unreachable!("a half of the socket exists beside the two that were given"),
        }
    }
}

/// What both halves tell.
macro_rules! common {
    ($half:ident) => {
        impl $half {
            /// Where in its life the socket is.
            pub fn state(&self) -> State {
                lock(&self.0).state()
            }

            /// How the socket ended; `None` while it lives.
            pub fn ended(&self) -> Option<Ended> {
                lock(&self.0).ended().cloned()
            }

            /// What is known about the stream so far.
            pub fn facts(&self) -> Facts {
                lock(&self.0).facts()
            }
        }
    };
}

common!(ReadHalf);
common!(WriteHalf);

impl AsyncRead for ReadHalf {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut *lock(&self.0)).poll_read(cx, buf)
    }
}

impl AsyncWrite for WriteHalf {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut *lock(&self.0)).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut *lock(&self.0)).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *lock(&self.0)).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *lock(&self.0)).poll_shutdown(cx)
    }
}

fn lock(socket: &Mutex<Socket>) -> MutexGuard<'_, Socket> {
    // A panic in a poll is a bug of ours; the other half is not to hide it behind one of its own.
    socket.lock().unwrap_or_else(PoisonError::into_inner)
}
