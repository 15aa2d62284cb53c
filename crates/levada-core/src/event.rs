//! What can be watched in the life of a stream.

use alloc::string::String;
use core::net::SocketAddr;

use crate::alert::AlertDescription;
use crate::ended::Ended;
use crate::lifecycle::{Mode, Party, State};
use crate::os_error::OsError;

/// One thing that happened to a stream. Events come in the order in which things happened, and
/// [`Event::Ended`] is the last one, exactly once.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "snake_case"))]
pub enum Event {
    /// The stream entered this state. [`State::Disconnected`] is told by [`Event::Ended`] alone.
    State(State),
    /// The stream's wrapping changed.
    Mode(Mode),
    /// The lookup of `name` gave this many addresses.
    HostFound {
        /// The name that was looked up.
        name: String,
        /// How many addresses it has.
        addresses: usize,
    },
    /// An attempt to connect began.
    Attempt(SocketAddr),
    /// An attempt to connect failed; others may still run.
    AttemptFailed(SocketAddr, OsError),
    /// A fatal alert was sent (by us) or received (from the peer).
    Alert(Party, AlertDescription),
    /// The outermost layer's goodbye (a TLS close_notify; on a plain stream its FIN) was sent by us
    /// in full, or came from the peer.
    Goodbye(Party),
    /// The transport failed after both goodbyes: no data is lost by it.
    TransportFailed(OsError),
    /// A slow listener lost this many events, all older than the ones that follow.
    Lost(u64),
    /// The end. Nothing follows.
    Ended(Ended),
}
