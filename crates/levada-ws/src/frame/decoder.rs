//! The streaming decoder: wire bytes in, payload out in place, in constant memory.

use core::ops::Range;

use super::{ControlPayload, DataKind, Expect, Header, MAX_HEADER, Mask, Opcode};
use crate::{CloseFrame, Role, Violation};

/// Where in the stream of frames the next byte stands.
#[derive(Clone, Copy, Debug)]
enum At {
    /// In a header, of which the stash holds the beginning.
    Header,
    /// In a data frame's payload.
    Payload { left: u64, mask: Option<Mask>, fin: bool },
    /// In a control frame's payload, which is collected.
    Control { opcode: Opcode, left: u8, mask: Option<Mask> },
    /// Behind a violation: nothing can be read any more.
    Failed(Violation),
}

/// The message that is under way.
#[derive(Clone, Copy, Debug)]
struct Message {
    kind: DataKind,
    compressed: bool,
    /// What its frames have claimed so far, in bytes.
    len: u64,
    /// Whether a chunk of it has been told.
    told: bool,
}

/// The largest frame and message that are taken, in bytes. A byte stream needs no limit, since it
/// holds nothing: the default is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SizeLimits {
    /// The largest frame's payload.
    pub frame: u64,
    /// The largest message, the payloads of its fragments together.
    pub message: u64,
}

impl Default for SizeLimits {
    fn default() -> Self {
        Self { frame: u64::MAX, message: u64::MAX }
    }
}

/// A piece of a message's payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chunk {
    /// The type of the message.
    pub kind: DataKind,
    /// Whether the message is compressed (RFC 7692): only where both ends have agreed on that.
    pub compressed: bool,
    /// Where in the bytes given the payload stands. Empty when a message begins or ends without a byte:
    /// an empty chunk is never an end of the stream.
    pub payload: Range<usize>,
    /// What it is still masked with, where it is left masked.
    pub mask: Option<Mask>,
    /// Whether this is the first chunk of its message.
    pub starts_message: bool,
    /// Whether the message is complete with it.
    pub ends_message: bool,
}

impl Chunk {
    /// Whether it matters where messages are only bytes: without a byte only as the end of a compressed
    /// message, which may still have something to say.
    pub(crate) fn says_something(&self) -> bool {
        !self.payload.is_empty() || self.compressed && self.ends_message
    }
}

/// One thing that the wire says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item {
    /// A piece of a message.
    Data(Chunk),
    /// A ping.
    Ping(ControlPayload),
    /// A pong.
    Pong(ControlPayload),
    /// A close frame, checked.
    Close(Option<CloseFrame>),
}

/// How far the decoder went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decoded {
    /// How many of the bytes given are done with.
    pub consumed: usize,
    /// What they said. When it is `None`, all of them were consumed and more are needed.
    pub item: Option<Item>,
}

/// Decodes the frames of one direction.
///
/// Payload is told as it arrives, unmasked where it stands; no frame is ever waited for or held.
/// The decoder owns 14 bytes for a header that is split and 125 for a control frame, whatever
/// length a header claims.
#[derive(Clone, Debug)]
pub struct Decoder {
    at: At,
    masked: bool,
    limits: SizeLimits,
    message: Option<Message>,
    stash: [u8; MAX_HEADER],
    stashed: u8,
    control: ControlPayload,
    data_frames: u64,
    /// Whether a message may be compressed.
    compression: bool,
}

impl Decoder {
    /// A decoder of what `sender` sends.
    pub fn new(sender: Role, limits: SizeLimits) -> Self {
        Self {
            at: At::Header,
            masked: sender.masks(),
            limits,
            message: None,
            stash: [0; MAX_HEADER],
            stashed: 0,
            control: ControlPayload::EMPTY,
            data_frames: 0,
            compression: false,
        }
    }

    /// Takes messages whose first reserved bit is set, which says that they are compressed (RFC 7692
    /// section 6).
    #[cfg(feature = "deflate")]
    pub fn take_compressed(&mut self) {
        self.compression = true;
    }

    /// Decodes up to and including the next item. To be called again with the bytes behind
    /// `consumed` until there is no item.
    ///
    /// # Errors
    ///
    /// The peer's [`Violation`], found at the earliest byte that shows it. It is final: every later
    /// call gives it again.
    pub fn decode(&mut self, wire: &mut [u8]) -> Result<Decoded, Violation> {
        let mut decoded = self.decode_masked(wire)?;
        if let Some(Item::Data(chunk)) = &mut decoded.item
            && let Some(mut mask) = chunk.mask.take()
        {
            mask.apply(&mut wire[chunk.payload.clone()]);
        }
        Ok(decoded)
    }

    /// As [`decode`](Self::decode), but payload is left as it stands: to unmask it with the chunk's mask
    /// is for the caller, who may have to move it anyway ([`Mask::shift`], [`Mask::copy`]).
    ///
    /// # Errors
    ///
    /// As [`decode`](Self::decode).
    pub fn decode_masked(&mut self, wire: &[u8]) -> Result<Decoded, Violation> {
        let decoded = self.next_item(wire);
        if let Err(violation) = decoded {
            self.at = At::Failed(violation);
        }
        decoded
    }

    /// How many bytes of the current data frame's payload are still to come. As many wire bytes can
    /// be read straight into the place where the payload is wanted.
    pub fn payload_left(&self) -> u64 {
        match self.at {
            At::Payload { left, .. } => left,
            At::Header | At::Control { .. } | At::Failed(_) => 0,
        }
    }

    /// Whether the last byte was inside a frame, its header included.
    pub fn in_frame(&self) -> bool {
        !matches!(self.at, At::Header) || self.stashed > 0
    }

    /// Whether a message has begun and not ended.
    pub fn in_message(&self) -> bool {
        self.message.is_some()
    }

    /// How many data frames have begun so far.
    pub fn data_frames(&self) -> u64 {
        self.data_frames
    }

    fn next_item(&mut self, wire: &[u8]) -> Result<Decoded, Violation> {
        let mut consumed = 0;
        loop {
            let rest = &wire[consumed..];
            match self.at {
                At::Failed(violation) => return Err(violation),
                At::Header => {
                    let Some(taken) = self.take_header(rest)? else {
                        return Ok(Decoded { consumed: wire.len(), item: None });
                    };
                    consumed += taken;
                }
                At::Payload { left, mask, fin } => {
                    let len = usize::try_from(left).map_or(rest.len(), |left| left.min(rest.len()));
                    let item = self.take_payload(len, left, mask, fin);
                    let payload = consumed..consumed + len;
                    consumed += len;
                    if item.is_some() || consumed == wire.len() {
                        let item = item.map(|chunk| Item::Data(Chunk { payload, ..chunk }));
                        return Ok(Decoded { consumed, item });
                    }
                }
                At::Control { opcode, left, mask } => {
                    let len = rest.len().min(usize::from(left));
                    self.control.push(&rest[..len]);
                    consumed += len;
                    let left = left - len as u8;
                    self.at = At::Control { opcode, left, mask };
                    let item = if left == 0 { self.end_control(opcode, mask)? } else { None };
                    return Ok(Decoded { consumed, item });
                }
            }
        }
    }

    /// Reads a header from the stash and `wire`; gives how many bytes of `wire` it took.
    fn take_header(&mut self, wire: &[u8]) -> Result<Option<usize>, Violation> {
        let stashed = usize::from(self.stashed);
        let parsed = if stashed == 0 {
            self.parse(wire)?
        } else {
            let more = wire.len().min(MAX_HEADER - stashed);
            self.stash[stashed..stashed + more].copy_from_slice(&wire[..more]);
            let whole = self.stash;
            self.parse(&whole[..stashed + more])?
        };
        let Some((header, len)) = parsed else {
            // Fewer than 14 bytes in all, or the header would be complete.
            self.stash[stashed..stashed + wire.len()].copy_from_slice(wire);
            self.stashed += wire.len() as u8;
            return Ok(None);
        };
        self.stashed = 0;
        self.begin(&header)?;
        Ok(Some(len - stashed))
    }

    fn parse(&self, bytes: &[u8]) -> Result<Option<(Header, usize)>, Violation> {
        let Self { masked, compression, .. } = *self;
        Header::parse(bytes, Expect { masked, in_message: self.in_message(), compression })
    }

    fn begin(&mut self, header: &Header) -> Result<(), Violation> {
        let mask = header.mask.map(Mask::new);
        if header.opcode.is_control() {
            self.control = ControlPayload::EMPTY;
            self.at = At::Control { opcode: header.opcode, left: header.len as u8, mask };
            return Ok(());
        }
        let SizeLimits { frame, message } = self.limits;
        if header.len > frame {
            return Err(Violation::FrameTooBig { limit: frame });
        }
        let kind = if header.opcode == Opcode::Text { DataKind::Text } else { DataKind::Binary };
        let compressed = header.compressed;
        let new = Message { kind, compressed, len: 0, told: false };
        let current = self.message.get_or_insert(new);
        current.len = current.len.saturating_add(header.len);
        if current.len > message {
            return Err(Violation::MessageTooBig { limit: message });
        }
        self.data_frames += 1;
        self.at = At::Payload { left: header.len, mask, fin: header.fin };
        Ok(())
    }

    /// Takes a piece of payload. Its chunk is worth telling when it has bytes, or when the message begins
    /// or ends with it.
    fn take_payload(
        &mut self,
        len: usize,
        left: u64,
        mask: Option<Mask>,
        fin: bool,
    ) -> Option<Chunk> {
        let left = left - len as u64;
        let ends_message = left == 0 && fin;
        self.at = if left == 0 {
            At::Header
        } else {
            let mut mask = mask;
            if let Some(mask) = &mut mask {
                mask.skip(len);
            }
            At::Payload { left, mask, fin }
        };

        // Always there: `begin` set it for this frame at the latest.
        let message = self.message.as_mut()?;
        let Message { kind, compressed, told, .. } = *message;
        let starts_message = !told;
        message.told = true;
        if ends_message {
            self.message = None;
        }
        let worth_telling = len > 0 || starts_message || ends_message;
        worth_telling.then_some(Chunk {
            kind,
            compressed,
            payload: 0..0,
            mask,
            starts_message,
            ends_message,
        })
    }

    fn end_control(
        &mut self,
        opcode: Opcode,
        mask: Option<Mask>,
    ) -> Result<Option<Item>, Violation> {
        self.at = At::Header;
        if let Some(mut mask) = mask {
            mask.apply(self.control.bytes_mut());
        }
        Ok(Some(match opcode {
            Opcode::Ping => Item::Ping(self.control.clone()),
            Opcode::Pong => Item::Pong(self.control.clone()),
            _ => Item::Close(CloseFrame::from_body(&self.control)?),
        }))
    }
}
