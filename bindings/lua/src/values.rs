//! The numbers of the interface: those of Qt's enumerations of the like names (QAbstractSocket,
//! QIODevice, QSslSocket, QSsl).

use levada::{ConnectFailure, Ended, Ending, OsError, OsErrorKind};

/// Names with their values: what a class has as static members.
pub(crate) type Constants = &'static [(&'static str, i64)];

pub(crate) const NOT_OPEN: i64 = 0;
pub(crate) const READ_ONLY: i64 = 1;
pub(crate) const WRITE_ONLY: i64 = 2;
pub(crate) const READ_WRITE: i64 = 3;
/// Every bit that a mode may have.
pub(crate) const ALL_MODES: i64 = 0xF;

pub(crate) const OPEN_MODES: Constants = &[
    ("NOT_OPEN_MODE", NOT_OPEN),
    ("READ_ONLY_MODE", READ_ONLY),
    ("READ_MODE", READ_ONLY),
    ("WRITE_ONLY_MODE", WRITE_ONLY),
    ("WRITE_MODE", WRITE_ONLY),
    ("READ_WRITE_MODE", READ_WRITE),
    ("APPEND_MODE", 4),
    ("TRUNCATE_MODE", 8),
];

pub(crate) const UNCONNECTED: i64 = 0;
pub(crate) const HOST_LOOKUP: i64 = 1;
pub(crate) const CONNECTING: i64 = 2;
pub(crate) const CONNECTED: i64 = 3;
pub(crate) const BOUND: i64 = 4;
pub(crate) const CLOSING: i64 = 6;

pub(crate) const STATES: Constants = &[
    ("UNCONNECTED_STATE", UNCONNECTED),
    ("HOST_LOOKUP_STATE", HOST_LOOKUP),
    ("CONNECTING_STATE", CONNECTING),
    ("CONNECTED_STATE", CONNECTED),
    ("BOUND_STATE", BOUND),
    ("CLOSING_STATE", CLOSING),
];

pub(crate) const CONNECTION_REFUSED: i64 = 0;
pub(crate) const REMOTE_HOST_CLOSED: i64 = 1;
pub(crate) const HOST_NOT_FOUND: i64 = 2;
pub(crate) const SOCKET_RESOURCE: i64 = 4;
pub(crate) const SOCKET_TIMEOUT: i64 = 5;
pub(crate) const NETWORK: i64 = 7;
pub(crate) const UNSUPPORTED_OPERATION: i64 = 10;
pub(crate) const SSL_HANDSHAKE_FAILED: i64 = 13;
pub(crate) const OPERATION: i64 = 19;
pub(crate) const SSL_INTERNAL: i64 = 20;
pub(crate) const SSL_INVALID_USERDATA: i64 = 21;
pub(crate) const UNKNOWN: i64 = -1;

pub(crate) const ERRORS: Constants = &[
    ("CONNECTION_REFUSED_ERROR", CONNECTION_REFUSED),
    ("REMOTE_HOST_CLOSED_ERROR", REMOTE_HOST_CLOSED),
    ("HOST_NOT_FOUND_ERROR", HOST_NOT_FOUND),
    ("SOCKET_RESOURCE_ERROR", SOCKET_RESOURCE),
    ("SOCKET_TIMEOUT_ERROR", SOCKET_TIMEOUT),
    ("DATAGRAM_TOO_LARGE_ERROR", 6),
    ("NETWORK_ERROR", NETWORK),
    ("UNSUPPORTED_SOCKET_OPERATION_ERROR", UNSUPPORTED_OPERATION),
    ("UNFINISHED_SOCKET_OPERATION_ERROR", 11),
    ("SSL_HANDSHAKE_FAILED_ERROR", SSL_HANDSHAKE_FAILED),
    ("OPERATION_ERROR", OPERATION),
    ("SSL_INTERNAL_ERROR", SSL_INTERNAL),
    ("SSL_INVALID_USERDATA_ERROR", SSL_INVALID_USERDATA),
    ("TEMPORARY_ERROR", 22),
    ("UNKNOWN_ERROR", UNKNOWN),
];

pub(crate) const UNENCRYPTED: i64 = 0;
pub(crate) const SSL_CLIENT: i64 = 1;
pub(crate) const SSL_SERVER: i64 = 2;

pub(crate) const VERIFY_NONE: i64 = 0;
pub(crate) const QUERY_PEER: i64 = 1;
pub(crate) const VERIFY_PEER: i64 = 2;
pub(crate) const AUTO_VERIFY_PEER: i64 = 3;

pub(crate) const ALERT_WARNING: i64 = 0;
pub(crate) const ALERT_FATAL: i64 = 1;

pub(crate) const SSL_VALUES: Constants = &[
    ("UNENCRYPTED_MODE", UNENCRYPTED),
    ("SSL_CLIENT_MODE", SSL_CLIENT),
    ("SSL_SERVER_MODE", SSL_SERVER),
    ("VERIFY_NONE", VERIFY_NONE),
    ("QUERY_PEER", QUERY_PEER),
    ("VERIFY_PEER", VERIFY_PEER),
    ("AUTO_VERIFY_PEER", AUTO_VERIFY_PEER),
    ("WARNING_ALERT_LEVEL", ALERT_WARNING),
    ("FATAL_ALERT_LEVEL", ALERT_FATAL),
];

pub(crate) const PEM: i64 = 0;
pub(crate) const DER: i64 = 1;

pub(crate) const ENCODINGS: Constants = &[("PEM", PEM), ("DER", DER)];

pub(crate) const PUBLIC: i64 = 0;
pub(crate) const PRIVATE: i64 = 1;
pub(crate) const RSA: i64 = 0;
pub(crate) const EC: i64 = 2;

pub(crate) const KEYS: Constants =
    &[("PUBLIC", PUBLIC), ("PRIVATE", PRIVATE), ("RSA", RSA), ("DSA", 1), ("EC", EC)];

/// The number for an end that is an error.
pub(crate) fn error_of(ended: &Ended) -> i64 {
    of_ending(&ended.ending, ended.phase.is_before_established())
}

fn of_ending(ending: &Ending, is_in_handshake: bool) -> i64 {
    match ending {
        Ending::ConnectFailed(failure) => match &**failure {
            ConnectFailure::Lookup { .. } => HOST_NOT_FOUND,
            ConnectFailure::Ended(ending) => of_ending(ending, true),
        },
        Ending::SocketClose | Ending::CloseNotify { .. } => REMOTE_HOST_CLOSED,
        Ending::SocketError(error) => of_system(error),
        Ending::FatalAlert(_) | Ending::FatalError { .. } | Ending::Refused(_) => {
            if is_in_handshake { SSL_HANDSHAKE_FAILED } else { SSL_INTERNAL }
        }
        Ending::TimedOut(_) => SOCKET_TIMEOUT,
        _ => UNKNOWN,
    }
}

/// The number for an error of the system.
pub(crate) fn of_system(error: &OsError) -> i64 {
    match (error.symbol(), error.kind) {
        ("EMFILE" | "ENFILE" | "ENOBUFS", _) | (_, OsErrorKind::OutOfMemory) => SOCKET_RESOURCE,
        (_, OsErrorKind::ConnectionRefused) => CONNECTION_REFUSED,
        (_, OsErrorKind::ConnectionReset | OsErrorKind::BrokenPipe) => REMOTE_HOST_CLOSED,
        (_, OsErrorKind::TimedOut) => SOCKET_TIMEOUT,
        (
            _,
            OsErrorKind::HostUnreachable
            | OsErrorKind::NetworkUnreachable
            | OsErrorKind::NetworkDown
            | OsErrorKind::ConnectionAborted,
        ) => NETWORK,
        (_, OsErrorKind::Unsupported) => UNSUPPORTED_OPERATION,
        _ => UNKNOWN,
    }
}
