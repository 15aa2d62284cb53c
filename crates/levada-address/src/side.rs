//! What an address is for: listening or connecting.

use std::fmt;

/// What an address is used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    /// Peers come to the address.
    Listen,
    /// We go to the address.
    Connect,
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Listen => "listening",
            Self::Connect => "connecting",
        })
    }
}

/// The sides on which a scheme or a word has a meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Sides {
    /// Listening only.
    Listen,
    /// Connecting only.
    Connect,
    /// Listening and connecting.
    Both,
}

impl Sides {
    /// Whether `side` is one of them.
    pub const fn contains(self, side: Side) -> bool {
        matches!(
            (self, side),
            (Self::Both, _) | (Self::Listen, Side::Listen) | (Self::Connect, Side::Connect)
        )
    }
}

impl fmt::Display for Sides {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Listen => Side::Listen.fmt(f),
            Self::Connect => Side::Connect.fmt(f),
            Self::Both => f.write_str("both"),
        }
    }
}
