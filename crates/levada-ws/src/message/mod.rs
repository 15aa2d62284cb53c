//! Whole messages with their borders, on top of the byte stream's connection.

mod text;

use alloc::string::String;
use alloc::vec::Vec;
use core::mem;
use core::time::Duration;

use text::Text;

use crate::connection::{
    Config, Connection, Event, MAX_CONTROL_BURST, Received, TextPolicy, WriteError,
};
use crate::frame::{Chunk, DataKind, MaskKeys, Shape};
use crate::{Role, Violation};

/// How much of a message is decompressed at a time, in bytes.
#[cfg(feature = "deflate")]
const ROOM: usize = 8 * 1024;

/// A complete message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// UTF-8, checked.
    Text(String),
    /// Any bytes.
    Binary(Vec<u8>),
}

/// What [`MessageConnection::handle_wire`] tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MessageEvent {
    /// A message is complete.
    Message(Message),
    /// Anything else; never [`Event::Data`] nor [`Event::TextRefused`].
    Connection(Event),
}

/// How far [`MessageConnection::handle_wire`] went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceivedMessage {
    /// How many of the bytes given are done with.
    pub consumed: usize,
    /// What they said. When it is `None`, all of them were consumed.
    pub event: Option<MessageEvent>,
}

/// A [`Connection`] whose data is told message by message.
///
/// It holds one message of at most the limit given, and never more of it than has arrived. Text is
/// checked as it comes, so that bad UTF-8 ends the connection with 1007 before its message does; a
/// message beyond the limit ends it with 1009 at the header that claims too much.
#[derive(Debug)]
pub struct MessageConnection {
    connection: Connection,
    text: Text,
    binary: Vec<u8>,
    /// The most bytes of a message, and what the compressed one that is under way has become so far.
    #[cfg(feature = "deflate")]
    inflated: (u64, u64),
}

impl MessageConnection {
    /// An open connection that takes messages of at most `limit` bytes. What `config` says about
    /// text and about the largest message does not count.
    pub fn new(role: Role, mut config: Config, limit: u64, now: Duration) -> Self {
        config.text = TextPolicy::AsBytes;
        config.limits.message = limit;
        Self {
            connection: Connection::new(role, config, now),
            text: Text::default(),
            binary: Vec::new(),
            #[cfg(feature = "deflate")]
            inflated: (limit, 0),
        }
    }

    /// As [`new`](Self::new), with messages compressed as both ends have agreed. The limit is for what
    /// they become: no more of a message than that is ever decompressed.
    #[cfg(feature = "deflate")]
    pub fn with_deflate(
        role: Role,
        config: Config,
        limit: u64,
        agreed: crate::deflate::Params,
        now: Duration,
    ) -> Self {
        let mut messages = Self::new(role, config, limit, now);
        messages.connection.compress(agreed);
        messages
    }

    /// Takes bytes of the carrier, up to and including the next event; see
    /// [`Connection::handle_wire`].
    pub fn handle_wire(&mut self, now: Duration, wire: &mut [u8]) -> ReceivedMessage {
        let mut consumed = 0;
        loop {
            let rest = &mut wire[consumed..];
            let Received { consumed: taken, event } = self.connection.receive(now, rest);
            let event = match event {
                Some(Event::Data(chunk)) => {
                    let payload = &rest[chunk.payload.clone()];
                    match self.take(&chunk, payload) {
                        Ok(message) => message.map(MessageEvent::Message),
                        Err(violation) => {
                            let event = self.connection.fail(now, violation);
                            Some(MessageEvent::Connection(event))
                        }
                    }
                }
                other => other.map(MessageEvent::Connection),
            };
            consumed += taken;
            if event.is_some() || consumed == wire.len() {
                return ReceivedMessage { consumed, event };
            }
        }
    }

    /// Appends queued control frames and then a text message to `out`, in fragments of at most
    /// 64 KiB.
    ///
    /// # Errors
    ///
    /// As [`Connection::encode`].
    pub fn encode_text(
        &mut self,
        text: &str,
        out: &mut Vec<u8>,
        keys: &mut MaskKeys<'_>,
    ) -> Result<(), WriteError> {
        self.encode(DataKind::Text, text.as_bytes(), out, keys)
    }

    /// Appends queued control frames and then a binary message to `out`, in fragments of at most
    /// 64 KiB.
    ///
    /// # Errors
    ///
    /// As [`Connection::encode`].
    pub fn encode_binary(
        &mut self,
        bytes: &[u8],
        out: &mut Vec<u8>,
        keys: &mut MaskKeys<'_>,
    ) -> Result<(), WriteError> {
        self.encode(DataKind::Binary, bytes, out, keys)
    }

    /// The connection, for everything but reading and writing data.
    pub fn connection(&mut self) -> &mut Connection {
        &mut self.connection
    }

    fn take(&mut self, chunk: &Chunk, payload: &[u8]) -> Result<Option<Message>, Violation> {
        #[cfg(feature = "deflate")]
        if chunk.compressed {
            self.inflate(chunk, payload)?;
            // What it became has been taken, and only its end is left to tell.
            return self.take_plain(chunk, &[]);
        }
        self.take_plain(chunk, payload)
    }

    /// Takes what a piece of a compressed message becomes, bit by bit, up to the limit.
    #[cfg(feature = "deflate")]
    fn inflate(&mut self, chunk: &Chunk, mut piece: &[u8]) -> Result<(), Violation> {
        let mut room = [0; ROOM];
        loop {
            let inflated = self.connection.decompress(piece, chunk.ends_message, &mut room)?;
            let (limit, len) = &mut self.inflated;
            *len += inflated.filled as u64;
            if len > limit {
                return Err(Violation::MessageTooBig { limit: *limit });
            }
            self.push(chunk.kind, &room[..inflated.filled])?;
            piece = &piece[inflated.consumed..];
            if inflated.is_done {
                break;
            }
        }
        if chunk.ends_message {
            self.inflated.1 = 0;
        }
        Ok(())
    }

    fn take_plain(&mut self, chunk: &Chunk, payload: &[u8]) -> Result<Option<Message>, Violation> {
        self.push(chunk.kind, payload)?;
        if !chunk.ends_message {
            return Ok(None);
        }
        Ok(Some(match chunk.kind {
            DataKind::Text => Message::Text(self.text.finish()?),
            DataKind::Binary => Message::Binary(mem::take(&mut self.binary)),
        }))
    }

    fn push(&mut self, kind: DataKind, piece: &[u8]) -> Result<(), Violation> {
        match kind {
            DataKind::Text => self.text.push(piece)?,
            DataKind::Binary => self.binary.extend_from_slice(piece),
        }
        Ok(())
    }

    fn encode(
        &mut self,
        kind: DataKind,
        data: &[u8],
        out: &mut Vec<u8>,
        keys: &mut MaskKeys<'_>,
    ) -> Result<(), WriteError> {
        #[cfg(feature = "deflate")]
        {
            let mut compressed = Vec::new();
            if self.connection.deflate(data, &mut compressed) {
                let shape = Shape::Message { kind, started: false, compressed: true };
                return self.encode_as(shape, &compressed, out, keys);
            }
        }
        let shape = Shape::Message { kind, started: false, compressed: false };
        self.encode_as(shape, data, out, keys)
    }

    fn encode_as(
        &mut self,
        shape: Shape,
        data: &[u8],
        out: &mut Vec<u8>,
        keys: &mut MaskKeys<'_>,
    ) -> Result<(), WriteError> {
        let start = out.len();
        out.resize(start + MAX_CONTROL_BURST + self.connection.encoder().wire_len(data.len()), 0);
        let result = self.connection.encode_as(shape, data, &mut out[start..], keys);
        out.truncate(start + result.as_ref().map_or(0, |encoded| encoded.written));
        result.map(|encoded| debug_assert_eq!(encoded.taken, data.len(), "the room was made"))
    }
}
