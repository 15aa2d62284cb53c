//! The named deadlines of a stream.

use core::time::Duration;

/// A named deadline. Each can be set by the word `deadline-` and its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "snake_case"))]
pub enum Deadline {
    /// For looking up a name.
    Lookup,
    /// For connecting the transport.
    Connect,
    /// For the opening handshake, from the moment that the transport is up.
    Handshake,
    /// For closing: this long without a byte either way once our shutdown has begun.
    Close,
    /// For silence on an established stream.
    Idle,
}

impl Deadline {
    /// Every deadline.
    pub const ALL: &[Self] =
        &[Self::Lookup, Self::Connect, Self::Handshake, Self::Close, Self::Idle];

    /// How long it lasts unless set otherwise; `None` is for ever.
    pub const fn default_time(self) -> Option<Duration> {
        match self {
            Self::Lookup => Some(Duration::from_secs(5)),
            Self::Connect | Self::Handshake => Some(Duration::from_secs(10)),
            Self::Close => Some(Duration::from_secs(120)),
            Self::Idle => None,
        }
    }

    /// The option's word in addresses, flags and configuration.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Lookup => "deadline-lookup",
            Self::Connect => "deadline-connect",
            Self::Handshake => "deadline-handshake",
            Self::Close => "deadline-close",
            Self::Idle => "deadline-idle",
        }
    }

    pub(crate) const fn code(self) -> &'static str {
        match self {
            Self::Lookup => "timeout_lookup",
            Self::Connect => "timeout_connect",
            Self::Handshake => "timeout_handshake",
            Self::Close => "timeout_close",
            Self::Idle => "timeout_idle",
        }
    }
}

/// How long each phase of a stream may last; `None` is for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadlines {
    /// For looking up a name. 5 s by default.
    pub lookup: Option<Duration>,
    /// For connecting, over all addresses of the name. 10 s by default.
    pub connect: Option<Duration>,
    /// For the opening handshake. 10 s by default.
    pub handshake: Option<Duration>,
    /// For closing, without a byte either way. 120 s by default.
    pub close: Option<Duration>,
    /// For an established stream, without a byte either way. Off by default.
    pub idle: Option<Duration>,
}

impl Default for Deadlines {
    fn default() -> Self {
        Self {
            lookup: Deadline::Lookup.default_time(),
            connect: Deadline::Connect.default_time(),
            handshake: Deadline::Handshake.default_time(),
            close: Deadline::Close.default_time(),
            idle: Deadline::Idle.default_time(),
        }
    }
}

impl Deadlines {
    /// How long this one lasts.
    pub const fn of(&self, deadline: Deadline) -> Option<Duration> {
        match deadline {
            Deadline::Lookup => self.lookup,
            Deadline::Connect => self.connect,
            Deadline::Handshake => self.handshake,
            Deadline::Close => self.close,
            Deadline::Idle => self.idle,
        }
    }
}
