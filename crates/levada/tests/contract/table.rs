//! The close contract as data: what each thing that can happen leads to. The tests prove every row,
//! and the book shows it.

use std::io::ErrorKind;

use levada::{AlertDescription, ConnectFailure, Deadline, Ending, Fault, OsErrorKind};

/// How far the stream has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum When {
    /// The transport is up, and nothing has come from the peer.
    First,
    /// The handshake runs: the peer's last flight is what the trigger replaces, cuts or alters.
    Handshake,
    /// Bytes flow.
    Established,
    /// Bytes flow, and half a record has come.
    MidRecord,
    /// Our goodbye is asked for, and has gone out unless something before it waits.
    Closing,
}

impl When {
    pub(crate) const ALL: [Self; 5] =
        [Self::First, Self::Handshake, Self::Established, Self::MidRecord, Self::Closing];

    pub(crate) const fn is_before_established(self) -> bool {
        matches!(self, Self::First | Self::Handshake)
    }

    pub(crate) const fn title(self) -> &'static str {
        match self {
            Self::First => "before its first byte",
            Self::Handshake => "in the handshake",
            Self::Established => "established",
            Self::MidRecord => "within a record",
            Self::Closing => "after our goodbye",
        }
    }
}

/// What the peer does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trigger {
    /// Ends the transport without a goodbye of its layer.
    Fin,
    Reset,
    /// Sends a fatal alert.
    Alert,
    /// Sends a record of which one bit is altered.
    Flip,
    CloseNotify,
    /// Sends close_notify and then more.
    DataBehind,
    /// Sends what is no TLS record.
    Garbage,
    /// Says nothing, and does not close.
    Silence,
    /// Sends one byte that could begin a record, and then nothing.
    OneByte,
}

impl Trigger {
    pub(crate) const ALL: [Self; 9] = [
        Self::CloseNotify,
        Self::DataBehind,
        Self::Fin,
        Self::Reset,
        Self::Alert,
        Self::Flip,
        Self::Garbage,
        Self::Silence,
        Self::OneByte,
    ];

    /// Where it ends by a deadline, time is virtual, and so the carrier must be memory.
    pub(crate) const fn needs_time(self) -> bool {
        matches!(self, Self::Silence | Self::OneByte)
    }

    pub(crate) const fn title(self) -> &'static str {
        match self {
            Self::Fin => "FIN",
            Self::Reset => "RST",
            Self::Alert => "a fatal alert",
            Self::Flip => "an altered record",
            Self::CloseNotify => "close_notify",
            Self::DataBehind => "close_notify, then data",
            Self::Garbage => "bytes that are no TLS",
            Self::Silence => "nothing at all",
            Self::OneByte => "one byte, then nothing",
        }
    }
}

/// What that leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ends {
    /// Half-closed: the reader has end of file, the writer goes on until its own goodbye.
    GoesOn,
    Finished,
    GaveUp,
    SocketClose,
    SocketError,
    FatalAlert,
    /// With the alert that we send about it.
    BadRecord(Option<AlertDescription>),
    Malformed(Option<AlertDescription>),
    NotTls,
    TimedOut(Deadline),
}

/// What the peer gets from us once it has done its thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WeSend {
    Nothing,
    Goodbye,
    Alert(AlertDescription),
}

/// One row of the contract.
pub(crate) struct Row {
    /// The rows of the profiles that it proves.
    pub(crate) ids: &'static str,
    pub(crate) tls: bool,
    pub(crate) when: When,
    pub(crate) trigger: Trigger,
    pub(crate) ends: Ends,
}

const fn row(ids: &'static str, tls: bool, when: When, trigger: Trigger, ends: Ends) -> Row {
    Row { ids, tls, when, trigger, ends }
}

const BAD_MAC: Option<AlertDescription> = Some(AlertDescription::BAD_RECORD_MAC);
const DECODE: Option<AlertDescription> = Some(AlertDescription::DECODE_ERROR);

/// Every cell that a plain stream, or one of TLS, has.
#[rustfmt::skip]
pub(crate) const TABLE: &[Row] = {
    use Ends as E;
    use Trigger as T;
    use When as W;
    &[
        row("", false, W::Established, T::Fin, E::GoesOn),
        row("T10 T20 T29", false, W::Established, T::Reset, E::SocketError),
        row("", false, W::Established, T::Silence, E::TimedOut(Deadline::Idle)),
        row("", false, W::Closing, T::Fin, E::Finished),
        row("T10 T29", false, W::Closing, T::Reset, E::SocketError),
        row("", false, W::Closing, T::Silence, E::TimedOut(Deadline::Close)),

        row("T05 T13 T18", true, W::First, T::CloseNotify, E::GaveUp),
        row("T05 T09 T14 T29", true, W::First, T::Fin, E::SocketClose),
        row("T05 T10 T15 T29", true, W::First, T::Reset, E::SocketError),
        row("T05 T11 T16 T29", true, W::First, T::Alert, E::FatalAlert),
        row("T05 T12 T17", true, W::First, T::Garbage, E::NotTls),
        row("T05", true, W::First, T::Silence, E::TimedOut(Deadline::Handshake)),
        row("T05", true, W::First, T::OneByte, E::TimedOut(Deadline::Handshake)),

        row("T04 T05 T13 T18", true, W::Handshake, T::CloseNotify, E::GaveUp),
        row("T04 T05 T09 T14 T29", true, W::Handshake, T::Fin, E::SocketClose),
        row("T04 T05 T10 T15 T29", true, W::Handshake, T::Reset, E::SocketError),
        row("T04 T05 T11 T16 T29", true, W::Handshake, T::Alert, E::FatalAlert),
        row("T04 T05 T12 T17 T26", true, W::Handshake, T::Flip, E::BadRecord(BAD_MAC)),
        row("T04 T05 T12 T17 T26", true, W::Handshake, T::Garbage, E::Malformed(DECODE)),
        row("T05", true, W::Handshake, T::Silence, E::TimedOut(Deadline::Handshake)),

        row("", true, W::Established, T::CloseNotify, E::GoesOn),
        row("T31", true, W::Established, T::DataBehind, E::GoesOn),
        row("T09 T19 T29", true, W::Established, T::Fin, E::SocketClose),
        row("T10 T20 T29", true, W::Established, T::Reset, E::SocketError),
        row("T11 T21 T29", true, W::Established, T::Alert, E::FatalAlert),
        row("T12 T22 T26", true, W::Established, T::Flip, E::BadRecord(BAD_MAC)),
        row("T12 T22 T26", true, W::Established, T::Garbage, E::Malformed(DECODE)),
        row("", true, W::Established, T::Silence, E::TimedOut(Deadline::Idle)),

        row("T09 T19 T29", true, W::MidRecord, T::Fin, E::SocketClose),
        row("T10 T20 T29", true, W::MidRecord, T::Reset, E::SocketError),
        row("", true, W::MidRecord, T::Silence, E::TimedOut(Deadline::Idle)),

        row("T28", true, W::Closing, T::CloseNotify, E::Finished),
        row("T28 T31", true, W::Closing, T::DataBehind, E::Finished),
        row("T09 T19 T29", true, W::Closing, T::Fin, E::SocketClose),
        row("T10 T20 T29", true, W::Closing, T::Reset, E::SocketError),
        row("T11 T21 T29", true, W::Closing, T::Alert, E::FatalAlert),
        row("T12 T22", true, W::Closing, T::Flip, E::BadRecord(None)),
        row("T12 T22", true, W::Closing, T::Garbage, E::Malformed(None)),
        row("", true, W::Closing, T::Silence, E::TimedOut(Deadline::Close)),
    ]
};

/// The row for this, if the stream can come to it.
pub(crate) fn find(tls: bool, when: When, trigger: Trigger) -> Option<&'static Row> {
    TABLE.iter().find(|row| row.tls == tls && row.when == when && row.trigger == trigger)
}

impl Ends {
    /// Every ending that the table has, in the order of the book.
    pub(crate) const ALL: [Self; 14] = [
        Self::GoesOn,
        Self::Finished,
        Self::GaveUp,
        Self::SocketClose,
        Self::SocketError,
        Self::FatalAlert,
        Self::BadRecord(BAD_MAC),
        Self::BadRecord(None),
        Self::Malformed(DECODE),
        Self::Malformed(None),
        Self::NotTls,
        Self::TimedOut(Deadline::Handshake),
        Self::TimedOut(Deadline::Idle),
        Self::TimedOut(Deadline::Close),
    ];

    /// The code of what happened: that of the ending, or of its cause where it never was established.
    pub(crate) const fn code(self) -> &'static str {
        match self {
            Self::GoesOn | Self::Finished => "finished",
            Self::GaveUp => "ERR_TLS_CLOSE_NOTIFY",
            Self::SocketClose => "ERR_TLS_SOCKET_CLOSE",
            Self::SocketError => "ECONNRESET",
            Self::FatalAlert => "ERR_TLS_FATAL_ALERT",
            Self::BadRecord(_) | Self::Malformed(_) | Self::NotTls => "ERR_TLS_FATAL_ERROR",
            Self::TimedOut(Deadline::Handshake) => "timeout_handshake",
            Self::TimedOut(Deadline::Idle) => "timeout_idle",
            Self::TimedOut(_) => "timeout_close",
        }
    }

    /// What reading gives once all is read that had come before; `None` is end of file.
    pub(crate) const fn read(self) -> Option<ErrorKind> {
        match self {
            Self::GoesOn | Self::Finished => None,
            // End of file would say that there was an empty stream; there was none.
            Self::GaveUp | Self::SocketClose => Some(ErrorKind::UnexpectedEof),
            Self::SocketError => Some(ErrorKind::ConnectionReset),
            Self::FatalAlert | Self::BadRecord(_) | Self::Malformed(_) | Self::NotTls => {
                Some(ErrorKind::InvalidData)
            }
            Self::TimedOut(_) => Some(ErrorKind::TimedOut),
        }
    }

    /// The error of a write that waited; `None`: it goes out.
    pub(crate) const fn pending(self) -> Option<ErrorKind> {
        match self {
            Self::GoesOn | Self::Finished => None,
            Self::SocketError => Some(ErrorKind::ConnectionReset),
            Self::BadRecord(_) | Self::Malformed(_) | Self::NotTls => Some(ErrorKind::InvalidData),
            Self::GaveUp | Self::SocketClose | Self::FatalAlert | Self::TimedOut(_) => {
                Some(ErrorKind::BrokenPipe)
            }
        }
    }

    /// The error of every write after the end.
    pub(crate) const fn later(self) -> ErrorKind {
        match self {
            Self::BadRecord(_) | Self::Malformed(_) | Self::NotTls => ErrorKind::InvalidData,
            _ => ErrorKind::BrokenPipe,
        }
    }

    pub(crate) const fn we_send(self) -> WeSend {
        match self {
            Self::GoesOn | Self::Finished | Self::GaveUp | Self::TimedOut(_) => WeSend::Goodbye,
            Self::BadRecord(Some(alert)) | Self::Malformed(Some(alert)) => WeSend::Alert(alert),
            Self::SocketClose
            | Self::SocketError
            | Self::FatalAlert
            | Self::BadRecord(None)
            | Self::Malformed(None)
            | Self::NotTls => WeSend::Nothing,
        }
    }

    /// Whether `ending` is this one, every detail of it. `sent` is the alert that the peer sent, and
    /// `unsent` how many bytes we had queued.
    pub(crate) fn fits(self, ending: &Ending, sent: Option<AlertDescription>, unsent: u64) -> bool {
        match (self, ending) {
            (Self::GoesOn | Self::Finished, Ending::Finished)
            | (Self::SocketClose, Ending::SocketClose) => true,
            (Self::GaveUp, Ending::CloseNotify { unsent: lost }) => *lost == unsent,
            (Self::SocketError, Ending::SocketError(error)) => {
                error.kind == OsErrorKind::ConnectionReset
            }
            (Self::FatalAlert, Ending::FatalAlert(alert)) => Some(*alert) == sent,
            (Self::BadRecord(ours), Ending::FatalError { alert, cause: Fault::BadRecord })
            | (Self::Malformed(ours), Ending::FatalError { alert, cause: Fault::Protocol(_) }) => {
                *alert == ours
            }
            (Self::NotTls, Ending::FatalError { alert: None, cause: Fault::NotTls { first } }) => {
                first == b"HTTP/1.1 400 Bad"
            }
            (Self::TimedOut(ours), Ending::TimedOut(deadline)) => *deadline == ours,
            _ => false,
        }
    }
}

/// The ending itself, where it is why a stream never was established.
pub(crate) fn cause(ending: &Ending) -> &Ending {
    match ending {
        Ending::ConnectFailed(failure) => match &**failure {
            ConnectFailure::Ended(ending) => ending,
            ConnectFailure::Lookup { .. } => ending,
        },
        other => other,
    }
}
