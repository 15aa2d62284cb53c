//! One specimen, or more where the details decide, of every ending.
#![allow(dead_code, reason = "each test takes what it needs")]

use std::io;

use levada_core::{
    AlertDescription, CertificateFault, ConnectFailure, Deadline, Ended, Ending, Facts, Fault,
    OsError, Party, Rule, State,
};

/// Every ending, in the order of the enum.
pub(crate) fn endings() -> Vec<Ending> {
    let endings = vec![
        Ending::Finished,
        Ending::CloseNotify { unsent: 0 },
        Ending::CloseNotify { unsent: 512 },
        ws_close(Some(1000), ""),
        ws_close(Some(1011), "disk full"),
        Ending::SocketClose,
        Ending::SocketError(errno(104)),
        Ending::FatalAlert(AlertDescription::UNKNOWN_CA),
        expired(),
        Ending::WsProtocol(1002),
        Ending::WsProtocol(1003),
        Ending::Refused(Rule::San),
        Ending::TimedOut(Deadline::Idle),
        no_such_name(),
        Ending::SocketError(errno(111)).before_established(),
        Ending::FatalAlert(AlertDescription::CERTIFICATE_REQUIRED).before_established(),
        Ending::CloseNotify { unsent: 0 }.before_established(),
        not_tls().before_established(),
        Ending::ConnectFinalized,
        Ending::Aborted,
    ];
    for variant in 0..VARIANTS {
        assert!(
            endings.iter().any(|ending| index(ending) == variant),
            "variant {variant} is missing"
        );
    }
    endings
}

const VARIANTS: usize = 13;

/// The place in the enum. A new variant does not compile until it is counted here.
fn index(ending: &Ending) -> usize {
    match ending {
        Ending::Finished => 0,
        Ending::CloseNotify { .. } => 1,
        Ending::WsClose { .. } => 2,
        Ending::SocketClose => 3,
        Ending::SocketError(_) => 4,
        Ending::FatalAlert(_) => 5,
        Ending::FatalError { .. } => 6,
        Ending::WsProtocol(_) => 7,
        Ending::Refused(_) => 8,
        Ending::TimedOut(_) => 9,
        Ending::ConnectFailed(_) => 10,
        Ending::ConnectFinalized => 11,
        Ending::Aborted => VARIANTS - 1,
    }
}

/// An `Ended` about which nothing is known but its ending; in a phase that it fits.
pub(crate) fn ended(ending: Ending) -> Ended {
    let phase = match ending {
        Ending::ConnectFailed(_) | Ending::ConnectFinalized => State::Handshaking,
        _ => State::Established,
    };
    Ended { ending, phase, facts: Facts::default().into() }
}

/// The system's own error of this number.
pub(crate) fn errno(code: i32) -> OsError {
    OsError::from(&io::Error::from_raw_os_error(code))
}

pub(crate) fn ws_close(code: Option<u16>, reason: &str) -> Ending {
    Ending::WsClose { code, reason: reason.to_owned(), by: Party::Peer }
}

pub(crate) fn expired() -> Ending {
    let fault = CertificateFault::Expired { not_after: Some(1_700_000_000), now: None };
    Ending::FatalError {
        alert: Some(AlertDescription::CERTIFICATE_EXPIRED),
        cause: Fault::Certificate(fault),
    }
}

pub(crate) fn not_tls() -> Ending {
    Ending::FatalError { alert: None, cause: Fault::NotTls { first: b"220 mail\r\n".to_vec() } }
}

pub(crate) fn no_such_name() -> Ending {
    let error = OsError::from(&io::Error::new(io::ErrorKind::NotFound, "no such name"));
    Ending::ConnectFailed(Box::new(ConnectFailure::Lookup { name: "exmaple.org".into(), error }))
}
