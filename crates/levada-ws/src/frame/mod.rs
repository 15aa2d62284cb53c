//! The frame codec (RFC 6455 §5): header, mask, streaming decoder and encoder.

mod control;
mod decoder;
mod encoder;
mod header;
mod mask;
mod opcode;

pub use control::{ControlPayload, PayloadTooLong};
pub use decoder::{Chunk, Decoded, Decoder, Item, SizeLimits};
pub use encoder::{Encoded, Encoder, MAX_FRAME_PAYLOAD, Shape};
pub use header::{Expect, Header, HeaderBytes, MAX_HEADER};
pub use mask::{Mask, MaskKeys};
pub use opcode::{DataKind, Opcode};
