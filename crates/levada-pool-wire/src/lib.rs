//! The TLS Pool protocol V2 without io: packets, message flow, exchange bookkeeping, framing.
//!
//! A TLS pool owns the private keys of a system. A program passes it a connected socket over a
//! control connection and gets plaintext back; it never sees a key. This crate holds all of the
//! protocol that needs no socket, for both sides:
//!
//! * [`diagram`]: the message flow of STARTTLS as a declared state machine;
//! * [`Packet`] and [`body`]: the 388 bytes of every packet, every field typed, [`layout`] as data;
//! * [`rules`]: who may send what, with which descriptor, and the code that answers a violation;
//! * [`Exchanges`] for a pool and [`Calls`] for a client: which packet belongs to what;
//! * [`Reassembler`]: packets and their descriptors from a byte stream;
//! * [`Page`], [`Offer`], [`HandBack`] and [`Cut`]: Levada's own commands, for what V2 has no fields for.
//!
//! There is no io, no clock and no randomness in here: time is an argument ([`Moment`]), and keys
//! are drawn by the caller. Every buffer and table has a stated bound.
//!
//! ```
//! use levada_pool_wire::body::{Ping, StartTls};
//! use levada_pool_wire::{Calls, ErrorCode, Exchanges, Heard, Incoming, Message, Packet};
//!
//! let (mut pool, mut client) = (Exchanges::default(), Calls::new(16));
//! let connection = pool.connect()?;
//!
//! let (call, packet) = client.call(Message::Ping(Ping::default()), false, None)?;
//! let bytes = packet.encode(); // to the socket, and out of it on the other side
//! let packet = Packet::decode(bytes.expose())?;
//! let Incoming::Request { exchange } = pool.handle_packet(connection, &packet, false)? else {
//!     panic!("PING opens an exchange");
//! };
//! let reply = pool.reply(exchange, packet.message)?;
//! assert_eq!(reply.connection, connection);
//! assert_eq!(client.handle_packet(&reply.packet), Heard::Reply { call });
//!
//! // STARTTLS without the socket that it is about.
//! let packet = Packet { message: Message::StartTls(StartTls::default()), ..reply.packet };
//! let Incoming::Refused(refusal) = pool.handle_packet(connection, &packet, false)? else {
//!     panic!("STARTTLS needs a descriptor");
//! };
//! assert_eq!(refusal.code(), ErrorCode::CipherSocketNeeded);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Numbers are in host byte order on the wire. The supported systems, Linux on x86-64 and
//! aarch64, are little-endian, and so is this crate.
#![no_std]
#![forbid(unsafe_code)]

#[cfg(target_endian = "big")]
compile_error!("the pool protocol is in host byte order, of which only little-endian is supported");

extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod diagram;

pub mod body;
pub mod layout;
pub mod rules;

mod arena;
mod callbacks;
mod calls;
mod chain;
mod codec;
mod command;
mod conversation;
mod cut;
mod error_code;
mod exchanges;
mod flags;
mod frame;
mod hand_back;
mod offer;
mod packet;
mod page;
mod report;
mod secret;
mod text;
mod time;

pub use calls::{AnswerError, CallError, CallKey, Calls, Decline, Heard, Lapsed};
pub use chain::{Chain, NoChain};
pub use codec::{DecodeError, Fault, PacketBytes};
pub use command::{Command, LocalCommand, Unassigned};
pub use cut::Cut;
pub use error_code::{ErrorCode, ErrorNumber};
pub use exchanges::{
    AskError, ConnectionKey, Envelope, ExchangeKey, Exchanges, Expired, Full, Gone, Incoming,
    Limits, Refusal, ReplyError,
};
pub use flags::{Facilities, LidentryFlags, Role, StartTlsFlags};
pub use frame::{Framed, Overrun, Progress, Reassembler, Truncated};
pub use hand_back::{HandBack, HandBackOutcome, KernelState, NoHandBack};
pub use layout::PACKET_SIZE;
pub use offer::{NoOffer, Offer};
pub use packet::{CallbackId, Header, Message, Packet, RequestId};
pub use page::{Document, NoPage, Page};
pub use report::{Report, ReportError};
pub use secret::{ControlKey, Secret};
pub use text::{Identity, Text, TextError};
pub use time::{HandshakeTimeout, Moment};
