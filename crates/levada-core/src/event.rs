//! What can be watched in the life of a stream.

use alloc::string::String;
use alloc::vec::Vec;
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
    /// A WebSocket ping came; its pong is queued, unless our Close frame already is.
    Ping(Vec<u8>),
    /// A WebSocket pong came, asked for or not.
    Pong(Vec<u8>),
    /// A WebSocket text message came where only bytes are taken. It is dropped, and a Close frame with
    /// code 1003 goes out; not fatal to what is under way.
    TextRefused,
    /// The peer's Close frame came, behind all its data; the code and the reason in it.
    CloseFrame {
        /// The code, if there is one.
        code: Option<u16>,
        /// The reason; often empty.
        reason: String,
    },
    /// The peer broke RFC 6455 or a limit of ours. Fatal: nothing more is read, and the ending follows.
    WsViolation {
        /// The Close code that answers it.
        code: u16,
        /// What it did, in words.
        cause: String,
    },
    /// A slow listener lost this many events, all older than the ones that follow.
    Lost(u64),
    /// The end. Nothing follows.
    Ended(Ended),
}
