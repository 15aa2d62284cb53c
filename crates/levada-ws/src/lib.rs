//! RFC 6455 as a byte stream: opening handshake, streaming frame codec and close machine.
//!
//! Bytes in, bytes and events out. Nothing here reads a socket, a clock, a random source or the
//! environment: time is an argument (a [`Duration`](core::time::Duration) since any fixed origin),
//! and masking keys and handshake nonces come from the caller, who owes them strong randomness
//! (RFC 6455 §5.3, §10.3).
//!
//! Read in this order:
//! 1. [`close`]: the states of a connection and every step between them, as one table.
//! 2. [`connection`]: the byte stream, which joins decoder, encoder and close machine.
//! 3. [`frame`]: the codec itself, for those who bring their own connection.
//! 4. [`handshake`]: how a connection begins, for both roles.
//! 5. [`message`]: whole messages, for those who need their boundaries; with the feature `deflate` they
//!    can be compressed (permessage-deflate, RFC 7692).
//!
//! ```
//! use core::time::Duration;
//! use levada_ws::connection::{Config, Connection, Event};
//! use levada_ws::{CloseFrame, Role};
//!
//! let now = Duration::ZERO;
//! let mut client = Connection::new(Role::Client, Config::default(), now);
//! let mut server = Connection::new(Role::Server, Config::default(), now);
//!
//! // The client writes, closes, and sends what that makes.
//! let mut random = || [1, 2, 3, 4]; // In earnest: strong randomness.
//! let mut wire = [0; 100];
//! let encoded = client.encode(b"over a kept channel", &mut wire, &mut random)?;
//! client.close(now, CloseFrame::default());
//! let len = encoded.written + client.poll_transmit(&mut wire[encoded.written..], &mut random);
//!
//! // The server reads, event by event.
//! let mut rest = &mut wire[..len];
//! let received = server.handle_wire(now, rest);
//! let Some(Event::Data(chunk)) = received.event else { panic!("no data") };
//! assert_eq!(rest[chunk.payload], *b"over a kept channel");
//! rest = &mut rest[received.consumed..];
//! let received = server.handle_wire(now, rest);
//! assert!(matches!(received.event, Some(Event::CloseFrame(Some(_)))));
//!
//! // It answers, and then its life is over.
//! let _len = server.poll_transmit(&mut wire, &mut random);
//! assert!(matches!(server.handle_flushed(), Some(Event::Closed(_))));
//! # Ok::<(), levada_ws::connection::WriteError>(())
//! ```
//!
//! # Memory
//!
//! A [`Connection`](connection::Connection) owns no buffer that grows. It holds a stash of 14 bytes
//! for a split header, one incoming control frame and at most one queued pong, ping and close frame
//! of 125 bytes each, whatever length the peer claims. A handshake holds at most one head
//! ([`Limits`](handshake::Limits)), and [`message`] at most one message of the size that its owner
//! allows.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod close;
mod close_frame;
pub mod connection;
#[cfg(feature = "deflate")]
pub mod deflate;
pub mod frame;
pub mod handshake;
pub mod message;
mod role;
mod violation;

pub use close_frame::{CloseCode, CloseFrame, ForbiddenCloseCode, ReasonTooLong, cut_reason};
pub use role::Role;
pub use violation::Violation;
