//! What a connection tells its driver.

use core::fmt;

use crate::frame::{Chunk, ControlPayload};
use crate::{CloseFrame, Violation};

/// One thing that happened, in order with the data around it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Payload stands unmasked in the bytes that were handed in. Never empty on a byte stream, but where
    /// a compressed message ends.
    Data(Chunk),
    /// The peer pinged; the pong is queued, unless our close frame already is.
    Ping(ControlPayload),
    /// The peer answered a ping of ours, or sent a pong unasked.
    Pong(ControlPayload),
    /// The peer sent a text message where only bytes are taken. It is discarded, a close frame with
    /// 1003 is queued unless one already is, and the close handshake runs on.
    TextRefused,
    /// The peer's close frame; its data before it has been told.
    CloseFrame(Option<CloseFrame>),
    /// The peer broke the protocol. Fatal: no data follows, and our close frame says why.
    Violation(Violation),
    /// The life is over. Exactly once, and the last event.
    Closed(Ending),
}

/// Which side of a connection did something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    /// We.
    Local,
    /// The peer.
    Peer,
}

/// A deadline that can run out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Deadline {
    /// After our ping nothing came.
    Pong,
    /// The close handshake stood still.
    Close,
}

/// How far into the peer's stream the carrier ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cut {
    /// Between two messages.
    BetweenMessages,
    /// Between two frames of a message.
    InMessage,
    /// Inside a frame.
    InFrame,
}

/// How a life ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The close handshake is complete.
    Close {
        /// The close frame of the side that closed first.
        frame: Option<CloseFrame>,
        /// That side. When both crossed, each end names itself.
        by: Side,
    },
    /// We refused a text message with 1003, and the close handshake is complete.
    TextRefused,
    /// The peer broke the protocol.
    Violation(Violation),
    /// The carrier ended without the peer's close frame, or while we held back our answer to it.
    Truncated(Cut),
    /// A deadline of ours ran out.
    TimedOut(Deadline),
    /// We dropped it.
    Aborted,
}

impl Ending {
    /// Whether everything that either side wanted to say was said.
    pub fn is_clean(&self) -> bool {
        match self {
            Self::Close { frame: None, .. } => true,
            Self::Close { frame: Some(frame), .. } => {
                matches!(frame.code().number(), 1000 | 1001)
            }
            Self::TextRefused
            | Self::Violation(_)
            | Self::Truncated(_)
            | Self::TimedOut(_)
            | Self::Aborted => false,
        }
    }
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Close { frame, by } => {
                f.write_str(match by {
                    Side::Local => "closed by us",
                    Side::Peer => "closed by the peer",
                })?;
                match frame {
                    Some(frame) => write!(f, " with {frame}"),
                    None => f.write_str(" without a code"),
                }
            }
            Self::TextRefused => f.write_str("the peer sent text where only bytes are taken"),
            Self::Violation(violation) => write!(f, "the peer broke the protocol: {violation}"),
            Self::Truncated(cut) => f.write_str(match cut {
                Cut::BetweenMessages => "the carrier ended without a complete close handshake",
                Cut::InMessage => "the carrier ended inside a message",
                Cut::InFrame => "the carrier ended inside a frame",
            }),
            Self::TimedOut(Deadline::Pong) => f.write_str("nothing came after our ping"),
            Self::TimedOut(Deadline::Close) => f.write_str("the close handshake stood still"),
            Self::Aborted => f.write_str("dropped by us"),
        }
    }
}

impl core::error::Error for Ending {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Violation(violation) => Some(violation),
            _ => None,
        }
    }
}

/// Why nothing more can be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WriteError {
    /// Our close frame is queued or sent (an io layer says `NotConnected`).
    NotConnected,
    /// The life ended badly; the same on every later call.
    Ended(Ending),
    /// Control frames wait that go before further data: drain
    /// [`poll_transmit`](super::Connection::poll_transmit) first.
    ControlFirst,
}

impl fmt::Display for WriteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotConnected => f.write_str("our close frame is already queued"),
            Self::Ended(ending) => ending.fmt(f),
            Self::ControlFirst => f.write_str("queued control frames go first"),
        }
    }
}

impl core::error::Error for WriteError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Ended(ending) => Some(ending),
            Self::NotConnected | Self::ControlFirst => None,
        }
    }
}
