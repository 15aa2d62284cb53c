//! What the owner of a connection may choose.

use core::time::Duration;

use crate::frame::SizeLimits;

/// What becomes of a text message on a byte stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TextPolicy {
    /// It is refused with close code 1003.
    #[default]
    Refuse,
    /// Its bytes are data like any other, unchecked.
    AsBytes,
}

/// When our close frame answers the peer's (RFC 6455 §5.5.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CloseReply {
    /// At once: what we have not written by then is not sent.
    #[default]
    Immediate,
    /// When we close: our side may write everything first.
    WhenWeClose,
}

/// Pings that find out whether the peer is alive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keepalive {
    /// How long nothing may come before we ping.
    pub interval: Duration,
    /// How long after the ping nothing may come before the life ends. Any byte is a sign of life:
    /// a pong can stand behind a large frame.
    pub pong_deadline: Duration,
}

/// The choices of a connection. The default is a byte stream with a close deadline of 120 s and no
/// keepalive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Config {
    /// What becomes of text.
    pub text: TextPolicy,
    /// When the peer's close frame is answered.
    pub close_reply: CloseReply,
    /// Own pings, if wanted.
    pub keepalive: Option<Keepalive>,
    /// How long a close handshake may go without a byte either way; `None` is for ever.
    pub close_deadline: Option<Duration>,
    /// The largest frame and message.
    pub limits: SizeLimits,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            text: TextPolicy::default(),
            close_reply: CloseReply::default(),
            keepalive: None,
            close_deadline: Some(Duration::from_secs(120)),
            limits: SizeLimits::default(),
        }
    }
}
