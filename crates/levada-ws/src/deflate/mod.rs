//! permessage-deflate: messages that are compressed one by one (RFC 7692).
//!
//! Off unless both ends want it: a client offers it ([`Offer::with_deflate`]), a server accepts it
//! ([`Rules::deflate`], [`Answer::deflate`]), and each tells its connection what they agreed on
//! ([`Connection::compress`], [`MessageConnection::with_deflate`]). For data that is compressed already it
//! costs more than it gives; and what an attacker can mix with a secret in one connection, compression can
//! betray (RFC 7692 section 9).
//!
//! # Memory
//!
//! A [`Deflater`] takes about 310 KiB with a window of 15 bits and 190 KiB with one of 9; an [`Inflater`]
//! its window of 32 KiB, and some tables. Where the window is kept, that is from the first message on;
//! else while a message is under way. What comes out goes to where the caller wants it, as much as there
//! is room for: what a message claims, or becomes, costs nothing by itself.
//!
//! [`Offer::with_deflate`]: crate::handshake::Offer::with_deflate
//! [`Rules::deflate`]: crate::handshake::Rules::deflate
//! [`Answer::deflate`]: crate::handshake::Answer::deflate
//! [`Connection::compress`]: crate::connection::Connection::compress
//! [`MessageConnection::with_deflate`]: crate::message::MessageConnection::with_deflate

mod agreement;
mod codec;

pub use agreement::Params;
pub use codec::{Corrupt, Deflater, Inflated, Inflater};
