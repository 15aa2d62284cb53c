//! What a peer can do wrong, and the close code that answers it.

use core::fmt;

use crate::CloseCode;

/// A peer's breach of RFC 6455, or of a limit of ours. Always fatal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Violation {
    /// RSV bits are set and no extension was agreed on (§5.2). The three bits, RSV1 highest.
    ReservedBits(u8),
    /// An opcode that nobody has defined: 3-7 or 11-15 (§5.2).
    ReservedOpcode(u8),
    /// A control frame in fragments (§5.5).
    ControlFragmented,
    /// A control frame of more than 125 bytes (§5.5).
    ControlTooLong,
    /// A continuation frame with no message to continue (§5.4).
    ContinuationWithoutStart,
    /// A new message before the previous one was complete (§5.4).
    MessageInsideMessage,
    /// A client's frame without a masking key (§5.1).
    Unmasked,
    /// A server's frame with a masking key (§5.1).
    Masked,
    /// A length in more bytes than it needs (§5.2).
    LengthNotMinimal,
    /// A length with its top bit set (§5.2).
    LengthTopBit,
    /// A close frame's body of one byte (§5.5.1).
    CloseBodyOneByte,
    /// A close code that may not go on the wire (§7.4).
    CloseCode(u16),
    /// A close reason that is no UTF-8 (§5.5.1).
    CloseReasonNotUtf8,
    /// A text message that is no UTF-8 (§8.1). Only where text is read as text.
    TextNotUtf8,
    /// A compressed message that does not decompress (RFC 7692 section 7.2.2).
    Corrupt,
    /// A frame of more bytes than our limit.
    FrameTooBig {
        /// The limit in bytes.
        limit: u64,
    },
    /// A message of more bytes than our limit, its fragments together.
    MessageTooBig {
        /// The limit in bytes.
        limit: u64,
    },
}

impl Violation {
    /// The close code to send (RFC 6455 §7.4.1).
    pub fn close_code(self) -> CloseCode {
        match self {
            Self::ReservedBits(_)
            | Self::ReservedOpcode(_)
            | Self::ControlFragmented
            | Self::ControlTooLong
            | Self::ContinuationWithoutStart
            | Self::MessageInsideMessage
            | Self::Unmasked
            | Self::Masked
            | Self::LengthNotMinimal
            | Self::LengthTopBit
            | Self::CloseBodyOneByte
            | Self::CloseCode(_) => CloseCode::PROTOCOL,
            Self::CloseReasonNotUtf8 | Self::TextNotUtf8 | Self::Corrupt => {
                CloseCode::INVALID_PAYLOAD
            }
            Self::FrameTooBig { .. } | Self::MessageTooBig { .. } => CloseCode::TOO_BIG,
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ReservedBits(bits) => write!(f, "reserved bits {bits:03b} without an extension"),
            Self::ReservedOpcode(opcode) => write!(f, "reserved opcode {opcode}"),
            Self::ControlFragmented => f.write_str("fragmented control frame"),
            Self::ControlTooLong => f.write_str("control frame of more than 125 bytes"),
            Self::ContinuationWithoutStart => f.write_str("continuation of no message"),
            Self::MessageInsideMessage => f.write_str("new message inside a message"),
            Self::Unmasked => f.write_str("client frame without a mask"),
            Self::Masked => f.write_str("server frame with a mask"),
            Self::LengthNotMinimal => f.write_str("length not in its shortest form"),
            Self::LengthTopBit => f.write_str("length of more than 63 bits"),
            Self::CloseBodyOneByte => f.write_str("close body of one byte"),
            Self::CloseCode(code) => write!(f, "forbidden close code {code}"),
            Self::CloseReasonNotUtf8 => f.write_str("close reason is not UTF-8"),
            Self::TextNotUtf8 => f.write_str("text is not UTF-8"),
            Self::Corrupt => f.write_str("message that does not decompress"),
            Self::FrameTooBig { limit } => write!(f, "frame of more than {limit} bytes"),
            Self::MessageTooBig { limit } => write!(f, "message of more than {limit} bytes"),
        }
    }
}

impl core::error::Error for Violation {}
