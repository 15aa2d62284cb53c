//! The close contract of a WebSocket as data. The tests prove every row, and the book shows it.

use std::io::ErrorKind;

use levada::{Deadline, Ending, Fault, OsErrorKind, Party};

/// How far the WebSocket has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum When {
    /// The carrier is up, and of the opening handshake nothing has come from the peer.
    Opening,
    /// Half of the peer's head has come.
    MidHead,
    /// Bytes flow.
    Established,
    /// Bytes flow, and half a frame has come.
    MidFrame,
    /// Our Close frame is asked for, and has gone out unless something before it waits.
    Closing,
    /// The peer's Close frame has come, and ours waits behind what it does not take.
    Crossing,
    /// Both Close frames have passed. Only a client is long in there: it waits for the server's end.
    Closed,
}

impl When {
    pub(crate) const ALL: [Self; 7] = [
        Self::Opening,
        Self::MidHead,
        Self::Established,
        Self::MidFrame,
        Self::Closing,
        Self::Crossing,
        Self::Closed,
    ];

    pub(crate) const fn is_before_established(self) -> bool {
        matches!(self, Self::Opening | Self::MidHead)
    }

    /// Whether our own Close frame is asked for.
    pub(crate) const fn is_closing(self) -> bool {
        matches!(self, Self::Closing | Self::Crossing | Self::Closed)
    }

    pub(crate) const fn title(self) -> &'static str {
        match self {
            Self::Opening => "before its head",
            Self::MidHead => "within its head",
            Self::Established => "established",
            Self::MidFrame => "within a frame",
            Self::Closing => "after our Close",
            Self::Crossing => "after its Close, ours waits",
            Self::Closed => "after both Closes, as client",
        }
    }
}

/// What the peer does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trigger {
    /// Sends a Close frame with 1000.
    Close,
    /// Sends one with a code of its own, and a reason.
    CloseWithCode,
    /// Sends one without a code.
    CloseEmpty,
    /// Sends one with 1000, and then more.
    DataBehind,
    /// Sends text.
    Text,
    /// Sends a frame with a reserved bit.
    ReservedBit,
    /// Sends a Close frame whose reason is no UTF-8.
    BadReason,
    /// Sends a frame that exceeds our limit.
    TooBig,
    /// Sends what is no head of the opening handshake.
    Garbage,
    /// Ends the transport.
    Fin,
    /// Ends TLS well, and nothing above it.
    CloseNotify,
    Reset,
    /// Sends a fatal alert of TLS.
    Alert,
    /// Sends a record of TLS of which one bit is altered.
    Flip,
    /// Says nothing, and does not close.
    Silence,
}

impl Trigger {
    pub(crate) const ALL: [Self; 15] = [
        Self::Close,
        Self::CloseEmpty,
        Self::CloseWithCode,
        Self::DataBehind,
        Self::Text,
        Self::ReservedBit,
        Self::BadReason,
        Self::TooBig,
        Self::Garbage,
        Self::Fin,
        Self::CloseNotify,
        Self::Reset,
        Self::Alert,
        Self::Flip,
        Self::Silence,
    ];

    /// Where it ends by a deadline, time is virtual, and so the carrier must be memory.
    pub(crate) const fn needs_time(self) -> bool {
        matches!(self, Self::Silence)
    }

    /// Whether only a peer under TLS can do it.
    pub(crate) const fn needs_tls(self) -> bool {
        matches!(self, Self::CloseNotify | Self::Alert | Self::Flip)
    }

    /// The peer's own Close frame, where that is what it sends.
    pub(crate) const fn close(self) -> Option<(Option<u16>, &'static str)> {
        match self {
            Self::Close | Self::DataBehind => Some((Some(1000), "")),
            Self::CloseWithCode => Some((Some(4000), "why")),
            Self::CloseEmpty => Some((None, "")),
            _ => None,
        }
    }

    pub(crate) const fn title(self) -> &'static str {
        match self {
            Self::Close => "Close 1000",
            Self::CloseEmpty => "Close without a code",
            Self::CloseWithCode => "Close 4000 with a reason",
            Self::DataBehind => "Close 1000, then data",
            Self::Text => "text",
            Self::ReservedBit => "a frame with a reserved bit",
            Self::BadReason => "Close with a reason that is no UTF-8",
            Self::TooBig => "a frame beyond our limit",
            Self::Garbage => "no head of a handshake",
            Self::Fin => "FIN",
            Self::CloseNotify => "close_notify (TLS)",
            Self::Reset => "RST",
            Self::Alert => "a fatal alert (TLS)",
            Self::Flip => "an altered record (TLS)",
            Self::Silence => "nothing at all",
        }
    }
}

/// What that leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ends {
    /// Both Close frames have passed; who began.
    Closed(Party),
    TextRefused,
    /// Found by us, with this code.
    Violation(u16),
    /// There is no WebSocket: the head opens none.
    NotOpened,
    SocketClose,
    SocketError,
    FatalAlert,
    BadRecord,
    TimedOut(Deadline),
}

/// One row of the contract.
pub(crate) struct Row {
    /// The rows of the WebSocket page that it proves.
    pub(crate) ids: &'static str,
    pub(crate) when: When,
    pub(crate) trigger: Trigger,
    pub(crate) ends: Ends,
}

const fn row(ids: &'static str, when: When, trigger: Trigger, ends: Ends) -> Row {
    Row { ids, when, trigger, ends }
}

/// Every cell that a WebSocket has.
#[rustfmt::skip]
pub(crate) const TABLE: &[Row] = {
    use Ends as E;
    use Trigger as T;
    use When as W;
    const BY_US: Ends = E::Closed(Party::Local);
    const BY_PEER: Ends = E::Closed(Party::Peer);
    &[
        row("X1", W::Opening, T::Garbage, E::NotOpened),
        row("C4", W::Opening, T::Fin, E::SocketClose),
        row("C4", W::Opening, T::CloseNotify, E::SocketClose),
        row("X1", W::Opening, T::Reset, E::SocketError),
        row("X1", W::Opening, T::Alert, E::FatalAlert),
        row("X1", W::Opening, T::Flip, E::BadRecord),
        row("C5", W::Opening, T::Silence, E::TimedOut(Deadline::Handshake)),

        row("C4", W::MidHead, T::Fin, E::SocketClose),
        row("X1", W::MidHead, T::Reset, E::SocketError),
        row("C5", W::MidHead, T::Silence, E::TimedOut(Deadline::Handshake)),

        row("C1 C3 C8 E1", W::Established, T::Close, BY_PEER),
        row("C1 C3 E1", W::Established, T::CloseEmpty, BY_PEER),
        row("C1 C3 E1", W::Established, T::CloseWithCode, BY_PEER),
        row("C1", W::Established, T::DataBehind, BY_PEER),
        row("E10", W::Established, T::Text, E::TextRefused),
        row("C10 C13 X1", W::Established, T::ReservedBit, E::Violation(1002)),
        row("C7 C10", W::Established, T::BadReason, E::Violation(1007)),
        row("X3 C10", W::Established, T::TooBig, E::Violation(1009)),
        row("C4", W::Established, T::Fin, E::SocketClose),
        row("C4", W::Established, T::CloseNotify, E::SocketClose),
        row("X1", W::Established, T::Reset, E::SocketError),
        row("X1", W::Established, T::Alert, E::FatalAlert),
        row("X1", W::Established, T::Flip, E::BadRecord),
        row("X1", W::Established, T::Silence, E::TimedOut(Deadline::Idle)),

        row("B3 C4", W::MidFrame, T::Fin, E::SocketClose),
        row("B3 C4", W::MidFrame, T::CloseNotify, E::SocketClose),
        row("B3 X1", W::MidFrame, T::Reset, E::SocketError),
        row("B3 X1", W::MidFrame, T::Silence, E::TimedOut(Deadline::Idle)),

        row("C2 C3 C8", W::Closing, T::Close, BY_US),
        row("C2 C3", W::Closing, T::CloseEmpty, BY_US),
        row("C2 C3 C8", W::Closing, T::CloseWithCode, BY_US),
        row("C2", W::Closing, T::DataBehind, BY_US),
        row("E10", W::Closing, T::Text, BY_US),
        row("C8 C9 C10", W::Closing, T::ReservedBit, E::Violation(1002)),
        row("C7 C8", W::Closing, T::BadReason, E::Violation(1007)),
        row("X3 C8", W::Closing, T::TooBig, E::Violation(1009)),
        row("C4", W::Closing, T::Fin, E::SocketClose),
        row("C4", W::Closing, T::CloseNotify, E::SocketClose),
        row("X1", W::Closing, T::Reset, E::SocketError),
        row("X1", W::Closing, T::Alert, E::FatalAlert),
        row("X1", W::Closing, T::Flip, E::BadRecord),
        row("C5", W::Closing, T::Silence, E::TimedOut(Deadline::Close)),

        row("C4", W::Crossing, T::Fin, E::SocketClose),
        row("C4", W::Crossing, T::CloseNotify, E::SocketClose),
        row("X1", W::Crossing, T::Reset, E::SocketError),
        row("X1", W::Crossing, T::Alert, E::FatalAlert),
        row("X1", W::Crossing, T::Flip, E::BadRecord),
        row("C5", W::Crossing, T::Silence, E::TimedOut(Deadline::Close)),

        row("C3", W::Closed, T::Fin, BY_US),
        row("C3", W::Closed, T::CloseNotify, BY_US),
        row("C3 E4", W::Closed, T::Reset, BY_US),
        row("C3 E4", W::Closed, T::Alert, BY_US),
        row("C3 E4", W::Closed, T::Flip, BY_US),
        row("C5", W::Closed, T::Silence, BY_US),
    ]
};

/// The row for this, if the stream can come to it.
pub(crate) fn find(when: When, trigger: Trigger) -> Option<&'static Row> {
    TABLE.iter().find(|row| row.when == when && row.trigger == trigger)
}

impl Ends {
    /// Every ending that the table has, in the order of the book.
    pub(crate) const ALL: [Self; 14] = [
        Self::Closed(Party::Peer),
        Self::Closed(Party::Local),
        Self::TextRefused,
        Self::Violation(1002),
        Self::Violation(1007),
        Self::Violation(1009),
        Self::NotOpened,
        Self::SocketClose,
        Self::SocketError,
        Self::FatalAlert,
        Self::BadRecord,
        Self::TimedOut(Deadline::Handshake),
        Self::TimedOut(Deadline::Idle),
        Self::TimedOut(Deadline::Close),
    ];

    /// The code of what happened: that of the ending, or of its cause where it never was established.
    pub(crate) const fn code(self) -> &'static str {
        match self {
            Self::Closed(_) => "ws_close",
            Self::TextRefused | Self::Violation(_) => "ws_protocol",
            Self::SocketClose => "ERR_TLS_SOCKET_CLOSE",
            Self::SocketError => "ECONNRESET",
            Self::FatalAlert => "ERR_TLS_FATAL_ALERT",
            Self::NotOpened | Self::BadRecord => "ERR_TLS_FATAL_ERROR",
            Self::TimedOut(Deadline::Handshake) => "timeout_handshake",
            Self::TimedOut(Deadline::Idle) => "timeout_idle",
            Self::TimedOut(_) => "timeout_close",
        }
    }

    /// What reading gives once all is read that had come before; `None` is end of file.
    pub(crate) const fn read(self) -> Option<ErrorKind> {
        match self {
            Self::Closed(_) | Self::TextRefused => None,
            Self::SocketClose => Some(ErrorKind::UnexpectedEof),
            Self::SocketError => Some(ErrorKind::ConnectionReset),
            Self::Violation(_) | Self::NotOpened | Self::FatalAlert | Self::BadRecord => {
                Some(ErrorKind::InvalidData)
            }
            Self::TimedOut(_) => Some(ErrorKind::TimedOut),
        }
    }

    /// The error of a write that waited.
    pub(crate) const fn pending(self) -> ErrorKind {
        match self {
            Self::SocketError => ErrorKind::ConnectionReset,
            Self::Violation(_) | Self::NotOpened | Self::BadRecord => ErrorKind::InvalidData,
            _ => ErrorKind::BrokenPipe,
        }
    }

    /// The error of every write after the end.
    pub(crate) const fn later(self) -> ErrorKind {
        match self {
            Self::Closed(_) | Self::TextRefused => ErrorKind::NotConnected,
            Self::Violation(_) | Self::NotOpened | Self::BadRecord => ErrorKind::InvalidData,
            _ => ErrorKind::BrokenPipe,
        }
    }

    /// The code in our own Close frame as it goes over the wire, where we had not sent one before. It
    /// may be empty.
    pub(crate) fn close(self, trigger: Trigger) -> Option<Vec<u8>> {
        let code = match self {
            Self::Closed(_) => trigger.close().and_then(|(code, _)| code),
            Self::TextRefused => Some(1003),
            Self::Violation(code) => Some(code),
            Self::TimedOut(Deadline::Idle) => Some(1011),
            _ => return None,
        };
        Some(code.map(u16::to_be_bytes).into_iter().flatten().collect())
    }

    /// Whether `ending` is this one, every detail of it, after the peer's Close frame.
    pub(crate) fn fits(self, ending: &Ending, trigger: Trigger) -> bool {
        match (self, ending) {
            (Self::Closed(who), Ending::WsClose { code, reason, by }) => {
                let (wanted, words) = match who {
                    Party::Peer => trigger.close().unwrap_or_default(),
                    Party::Local => (Some(1000), ""),
                };
                *by == who && *code == wanted && reason == words
            }
            (Self::TextRefused, Ending::WsProtocol(1003))
            | (Self::SocketClose, Ending::SocketClose)
            | (Self::FatalAlert, Ending::FatalAlert(_))
            | (Self::BadRecord, Ending::FatalError { cause: Fault::BadRecord, .. })
            | (Self::NotOpened, Ending::FatalError { alert: None, cause: Fault::WsHandshake(_) }) => {
                true
            }
            (Self::Violation(code), Ending::WsProtocol(found)) => code == *found,
            (Self::SocketError, Ending::SocketError(error)) => {
                error.kind == OsErrorKind::ConnectionReset
            }
            (Self::TimedOut(ours), Ending::TimedOut(deadline)) => *deadline == ours,
            _ => false,
        }
    }
}
