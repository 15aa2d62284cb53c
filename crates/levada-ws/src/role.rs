//! Which end of a connection speaks.

/// The end of a connection that we are. A client masks what it sends, a server never does
/// (RFC 6455 §5.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// The end that opened the connection.
    Client,
    /// The end that accepted it.
    Server,
}

impl Role {
    /// The other end.
    #[must_use]
    pub fn peer(self) -> Self {
        match self {
            Self::Client => Self::Server,
            Self::Server => Self::Client,
        }
    }

    /// Whether the frames that this end sends carry a masking key.
    pub fn masks(self) -> bool {
        self == Self::Client
    }
}
