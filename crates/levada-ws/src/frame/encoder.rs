//! The encoder: data and control frames into the caller's buffer.

use super::{ControlPayload, DataKind, Header, HeaderBytes, Mask, MaskKeys, Opcode};
use crate::Role;

/// The longest payload of a data frame that we send, in bytes: 64 KiB, so that pings get through.
pub const MAX_FRAME_PAYLOAD: usize = 64 * 1024;

/// A further frame is begun in a buffer that is nearly full only for this many bytes of payload, or
/// for all that is left: slivers cost both ends more than they carry.
const MIN_FURTHER_PAYLOAD: usize = 4 * 1024;

/// How data becomes messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// A byte stream: every frame is a binary message of its own, and no data is no frame.
    Stream,
    /// One message: its frames are fragments, and the last one is final. No data is an empty frame.
    Message {
        /// The type of the message.
        kind: DataKind,
        /// Whether an earlier call has sent the beginning.
        started: bool,
        /// Whether the data is compressed.
        compressed: bool,
    },
}

/// What a call to the encoder did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Encoded {
    /// How many bytes of the data are in the buffer.
    pub taken: usize,
    /// How many bytes of the buffer are to be sent.
    pub written: usize,
    /// How many data frames that is.
    pub frames: usize,
}

/// Encodes the frames of one direction.
#[derive(Clone, Copy, Debug)]
pub struct Encoder {
    role: Role,
}

impl Encoder {
    /// An encoder of what `role` sends.
    pub fn new(role: Role) -> Self {
        Self { role }
    }

    /// The header of a frame with `len` bytes of payload; a client's payload is to be masked with
    /// its key, piece by piece ([`Mask`]).
    pub fn header(self, opcode: Opcode, fin: bool, len: usize, keys: &mut MaskKeys<'_>) -> Header {
        let mask = self.role.masks().then(keys);
        Header { fin, compressed: false, opcode, mask, len: len as u64 }
    }

    /// Puts one control frame into `out` and gives its length, or 0 when `out` is too small: 131
    /// bytes are always enough.
    pub fn control(
        self,
        opcode: Opcode,
        payload: &ControlPayload,
        out: &mut [u8],
        keys: &mut MaskKeys<'_>,
    ) -> usize {
        if Header::wire_len(payload.len(), self.role.masks()) + payload.len() > out.len() {
            return 0;
        }
        put(self.header(opcode, true, payload.len(), keys), payload, out)
    }

    /// Puts as many data frames into `out` as it can take, each of at most
    /// [`MAX_FRAME_PAYLOAD`] bytes. A buffer of 1 MiB and 224 bytes takes 16 full ones, for one
    /// system call; a buffer of fewer than 7 bytes may take nothing.
    pub fn data(
        self,
        shape: Shape,
        data: &[u8],
        out: &mut [u8],
        keys: &mut MaskKeys<'_>,
    ) -> Encoded {
        let mut done = Encoded::default();
        loop {
            let (rest, room) = (&data[done.taken..], &mut out[done.written..]);
            let len = self.fitting(rest.len(), room.len());
            let first = done.frames == 0;
            let is_empty_message =
                first && data.is_empty() && matches!(shape, Shape::Message { .. });
            let is_sliver = !first && len < rest.len() && len < MIN_FURTHER_PAYLOAD;
            let fits = room.len() >= Header::wire_len(len, self.role.masks()) + len;
            if !fits || is_sliver || (len == 0 && !is_empty_message) {
                return done;
            }
            let ends = len == rest.len();
            let (opcode, compressed, fin) = match shape {
                Shape::Stream => (Opcode::Binary, false, true),
                Shape::Message { kind, started: false, compressed } if first => {
                    (kind.opcode(), compressed, ends)
                }
                Shape::Message { .. } => (Opcode::Continuation, false, ends),
            };
            let header = Header { compressed, ..self.header(opcode, fin, len, keys) };
            done.written += put(header, &rest[..len], room);
            done.taken += len;
            done.frames += 1;
            if ends {
                return done;
            }
        }
    }

    /// The bytes that [`Encoder::data`] needs to take `len` bytes of data whole.
    pub fn wire_len(self, len: usize) -> usize {
        let full = len / MAX_FRAME_PAYLOAD;
        let rest = len % MAX_FRAME_PAYLOAD;
        let header = |len| Header::wire_len(len, self.role.masks());
        full * header(MAX_FRAME_PAYLOAD) + header(rest) + len
    }

    /// The longest payload, of at most `len` bytes, whose frame fits `room`.
    fn fitting(self, len: usize, room: usize) -> usize {
        let len = len.min(MAX_FRAME_PAYLOAD);
        let header = |len| Header::wire_len(len, self.role.masks());
        // A shorter header may leave room for no more payload than it can announce.
        [len, len.min(65_535), len.min(125)]
            .into_iter()
            .map(|most| most.min(room.saturating_sub(header(most))))
            .max()
            .unwrap_or(0)
    }
}

/// Puts a frame into `out`, which has room for it.
fn put(header: Header, payload: &[u8], out: &mut [u8]) -> usize {
    let bytes: HeaderBytes = header.encode();
    let (head, rest) = out.split_at_mut(bytes.len());
    head.copy_from_slice(&bytes);
    let place = &mut rest[..payload.len()];
    match header.mask {
        Some(key) => Mask::new(key).copy(payload, place),
        None => place.copy_from_slice(payload),
    }
    bytes.len() + payload.len()
}
