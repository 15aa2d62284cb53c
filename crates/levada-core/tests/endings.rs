//! The endings, row by row as the design has them: code, clean, blame, and what reads and writes give.
#![cfg(feature = "std")]

mod specimens;

use std::io::ErrorKind::{
    AddrNotAvailable, BrokenPipe, ConnectionAborted, ConnectionRefused, ConnectionReset,
    HostUnreachable, InvalidData, NotConnected, NotFound, PermissionDenied, TimedOut,
    UnexpectedEof,
};
use std::io::{self, ErrorKind};

use levada_core::Blame::{self, Config, Local, Network, Peer};
use levada_core::{
    AlertDescription, CertificateFault, Deadline, Ended, Ending, Fault, OsError, OsErrorKind,
    Party, ProxyFault, Rule,
};
use specimens::{ended, errno, expired, no_such_name, not_tls, ws_close};

const CLEAN: Option<Blame> = None;
/// A read gives end of file.
const EOF: Option<ErrorKind> = None;

/// An ending; its code; whom to blame, or `CLEAN`; what a read, a pending and a later write give.
type Row = (Ending, &'static str, Option<Blame>, Option<ErrorKind>, ErrorKind, ErrorKind);

fn check(rows: impl IntoIterator<Item = Row>) {
    for (ending, code, blame, read, pending, later) in rows {
        let end = ended(ending);
        assert_eq!(end.code(), code, "{end}");
        assert_eq!(end.is_clean(), blame.is_none(), "{end}");
        assert_eq!(end.blame(), blame, "{end}");
        assert_eq!(end.hint().is_empty(), blame.is_none(), "a hint where it helps: {end}");
        let result = end.read_result();
        assert_eq!(result.as_ref().err().map(io::Error::kind), read, "read: {end}");
        let errors = [end.pending_write_error(), end.later_write_error()];
        assert_eq!(errors.each_ref().map(io::Error::kind), [pending, later], "writes: {end}");
        for error in errors.iter().chain(result.as_ref().err()) {
            assert_eq!(Ended::of(error), Some(&end), "the ending is inside, whole");
        }
    }
}

fn fault(cause: Fault) -> Ending {
    Ending::FatalError { alert: None, cause }
}

#[test]
fn finished() {
    check([(Ending::Finished, "finished", CLEAN, EOF, BrokenPipe, BrokenPipe)]);
}

#[test]
fn close_notify_is_clean_if_nothing_was_unsent() {
    let row = |unsent, blame| {
        (Ending::CloseNotify { unsent }, "ERR_TLS_CLOSE_NOTIFY", blame, EOF, BrokenPipe, BrokenPipe)
    };
    check([row(0, CLEAN), row(1, Some(Peer)), row(u64::MAX, Some(Peer))]);
}

#[test]
fn ws_close_reads_as_end_of_file_with_any_code() {
    for code in (1000..=1015).chain([3000, 4999]).map(Some).chain([None]) {
        let clean = matches!(code, None | Some(1000 | 1001 | 1005));
        let blame = if clean { CLEAN } else { Some(Peer) };
        check([(ws_close(code, "bye"), "ws_close", blame, EOF, BrokenPipe, NotConnected)]);
    }
    let ours = Ending::WsClose { code: Some(1011), reason: String::new(), by: Party::Local };
    check([(ours, "ws_close", Some(Local), EOF, BrokenPipe, NotConnected)]);
}

#[test]
fn socket_close_is_truncation() {
    let code = "ERR_TLS_SOCKET_CLOSE";
    check([(Ending::SocketClose, code, Some(Peer), Some(UnexpectedEof), BrokenPipe, BrokenPipe)]);
}

#[test]
fn socket_error_keeps_the_systems_code_and_kind() {
    let row = |number, code, blame, kind| {
        (Ending::SocketError(errno(number)), code, Some(blame), Some(kind), kind, BrokenPipe)
    };
    check([
        row(104, "ECONNRESET", Peer, ConnectionReset),
        row(32, "EPIPE", Peer, BrokenPipe),
        row(110, "ETIMEDOUT", Network, TimedOut),
        row(113, "EHOSTUNREACH", Network, HostUnreachable),
        row(99, "EADDRNOTAVAIL", Config, AddrNotAvailable),
        // The standard library knows kinds that ours does not: by the number they are kept.
        row(20, "ENOTDIR", Local, ErrorKind::NotADirectory),
    ]);
    assert_eq!(ended(Ending::SocketError(errno(104))).os_error(), Some(104));
    assert_eq!(ended(Ending::SocketClose).os_error(), None);
}

#[test]
fn socket_error_without_a_number_keeps_its_kind_and_words() {
    for &kind in OsErrorKind::NAMED {
        let kind = ErrorKind::from(kind);
        let error = OsError::from(&io::Error::new(kind, "in memory"));
        let end = ended(Ending::SocketError(error));
        assert_eq!(end.read_result().unwrap_err().kind(), kind);
        assert_eq!(end.pending_write_error().kind(), kind);
        assert_eq!(end.later_write_error().kind(), BrokenPipe);
        assert!(end.to_string().contains("in memory"), "{end}");
        assert!(end.blame().is_some() && !end.hint().is_empty(), "{end}");
    }
}

#[test]
fn fatal_alert() {
    for &alert in AlertDescription::NAMED {
        let blame = ended(Ending::FatalAlert(alert)).blame();
        assert!(blame.is_some(), "{alert}");
        let code = "ERR_TLS_FATAL_ALERT";
        let ending = Ending::FatalAlert(alert);
        check([(ending, code, blame, Some(InvalidData), BrokenPipe, BrokenPipe)]);
    }
    let blame = |alert| ended(Ending::FatalAlert(alert)).blame();
    assert_eq!(blame(AlertDescription::UNKNOWN_CA), Some(Config));
    assert_eq!(blame(AlertDescription::BAD_RECORD_MAC), Some(Network));
    assert_eq!(blame(AlertDescription::UNEXPECTED_MESSAGE), Some(Peer));
    assert_eq!(blame(AlertDescription(200)), Some(Peer));
}

#[test]
fn fatal_error_gives_every_write_the_original_error() {
    let text = String::new;
    let certificate = |fault| Fault::Certificate(fault);
    let table = [
        (Fault::NotTls { first: vec![] }, Config),
        (Fault::OldVersion, Config),
        (Fault::NothingInCommon(text()), Config),
        (Fault::NoAlpn, Config),
        (Fault::NoCertificate, Config),
        (Fault::UnknownName(None), Config),
        (Fault::HelloRefused(None), Config),
        (Fault::Undecided("x".to_owned()), Local),
        (Fault::Protocol(text()), Peer),
        (Fault::BadRecord, Network),
        (Fault::Signer(text()), Local),
        (Fault::WsHandshake(text()), Config),
        (Fault::Proxy(ProxyFault::Status(407)), Config),
        (Fault::Proxy(ProxyFault::Status(403)), Config),
        (Fault::Proxy(ProxyFault::Status(502)), Network),
        (Fault::Proxy(ProxyFault::NotHttp), Config),
        (Fault::Proxy(ProxyFault::Truncated), Network),
        (Fault::Internal(text()), Local),
        (certificate(CertificateFault::UnknownIssuer), Config),
        (certificate(CertificateFault::WrongName { wanted: text(), presented: vec![] }), Config),
        (certificate(CertificateFault::Expired { not_after: None, now: None }), Config),
        (certificate(CertificateFault::NotYetValid { not_before: None, now: None }), Config),
        (certificate(CertificateFault::CaAsEndEntity), Config),
        (
            certificate(CertificateFault::WrongUsage { wanted: String::new(), presented: vec![] }),
            Config,
        ),
        (certificate(CertificateFault::RevocationUnknown(text())), Config),
        (certificate(CertificateFault::NotPinned { presented: text() }), Config),
        (certificate(CertificateFault::NotAllowed { presented: vec![] }), Config),
        (certificate(CertificateFault::Revoked), Peer),
        (certificate(CertificateFault::BadSignature), Config),
        (certificate(CertificateFault::BadEncoding), Peer),
        (certificate(CertificateFault::Other(text())), Peer),
    ];
    check(table.map(|(cause, blame)| {
        let code = "ERR_TLS_FATAL_ERROR";
        (fault(cause), code, Some(blame), Some(InvalidData), InvalidData, InvalidData)
    }));
}

#[test]
fn ws_protocol_is_an_error_but_for_text() {
    let row = |code, read, later| {
        (Ending::WsProtocol(code), "ws_protocol", Some(Peer), read, BrokenPipe, later)
    };
    check([1002, 1007, 1009].map(|code| row(code, Some(InvalidData), InvalidData)));
    check([row(1003, EOF, NotConnected)]);
}

#[test]
fn refused() {
    let table = [
        (Rule::San, "refused_san"),
        (Rule::Pin, "refused_pin"),
        (Rule::Uid, "refused_uid"),
        (Rule::Fallback, "refused_fallback"),
        (Rule::Limit, "refused_limit"),
    ];
    check(table.map(|(rule, code)| {
        let ending = Ending::Refused(rule);
        (ending, code, Some(Config), Some(PermissionDenied), BrokenPipe, BrokenPipe)
    }));
}

#[test]
fn timed_out() {
    let table = [
        (Deadline::Lookup, "timeout_lookup", Network),
        (Deadline::Connect, "timeout_connect", Network),
        (Deadline::Handshake, "timeout_handshake", Peer),
        (Deadline::Close, "timeout_close", Peer),
        (Deadline::Idle, "timeout_idle", Peer),
    ];
    assert_eq!(table.map(|(deadline, ..)| deadline), Deadline::ALL);
    check(table.map(|(deadline, code, blame)| {
        let ending = Ending::TimedOut(deadline);
        (ending, code, Some(blame), Some(TimedOut), BrokenPipe, BrokenPipe)
    }));
}

#[test]
fn connect_failed_gives_what_its_cause_gives() {
    let row = |cause: Ending, blame, read, pending, later| {
        (cause.before_established(), "connectFailed", Some(blame), Some(read), pending, later)
    };
    check([
        row(no_such_name(), Config, NotFound, NotFound, BrokenPipe),
        row(
            Ending::SocketError(errno(111)),
            Config,
            ConnectionRefused,
            ConnectionRefused,
            BrokenPipe,
        ),
        row(Ending::SocketError(errno(113)), Network, HostUnreachable, HostUnreachable, BrokenPipe),
        row(Ending::SocketClose, Peer, UnexpectedEof, BrokenPipe, BrokenPipe),
        row(
            Ending::FatalAlert(AlertDescription::UNKNOWN_CA),
            Config,
            InvalidData,
            BrokenPipe,
            BrokenPipe,
        ),
        row(expired(), Config, InvalidData, InvalidData, InvalidData),
        row(not_tls(), Config, InvalidData, InvalidData, InvalidData),
        row(Ending::WsProtocol(1002), Peer, InvalidData, BrokenPipe, InvalidData),
        row(Ending::Refused(Rule::Pin), Config, PermissionDenied, BrokenPipe, BrokenPipe),
        row(Ending::TimedOut(Deadline::Lookup), Network, TimedOut, BrokenPipe, BrokenPipe),
        row(Ending::TimedOut(Deadline::Handshake), Peer, TimedOut, BrokenPipe, BrokenPipe),
    ]);
}

/// Clean later, but not here: before the handshake is over anybody on the way can forge it, and a
/// stream that never was is no empty one.
#[test]
fn connect_failed_by_a_goodbye_is_not_end_of_file() {
    for cause in [Ending::CloseNotify { unsent: 0 }, Ending::Finished] {
        let ending = cause.before_established();
        let code = "connectFailed";
        check([(ending, code, Some(Peer), Some(UnexpectedEof), BrokenPipe, BrokenPipe)]);
    }
}

#[test]
fn connect_failed_tells_the_code_of_its_cause() {
    assert_eq!(no_such_name().cause_code(), "lookup_failed");
    for ending in specimens::endings() {
        let cause = ending.cause_code();
        assert_ne!(cause, "connectFailed");
        let failed = ending.clone().before_established();
        assert_eq!(failed.cause_code(), cause);
        assert_eq!(failed.transport_error(), ending.transport_error());
        assert_eq!(failed.clone().before_established(), failed, "it failed once");
        let on_purpose = matches!(ending, Ending::ConnectFinalized | Ending::Aborted);
        assert_eq!(failed.code() == "connectFailed", !on_purpose);
    }
}

#[test]
fn connect_finalized() {
    let ending = Ending::ConnectFinalized;
    check([(ending, "connectFinalized", CLEAN, EOF, BrokenPipe, BrokenPipe)]);
}

#[test]
fn aborted() {
    let read = Some(ConnectionAborted);
    check([(Ending::Aborted, "aborted", Some(Local), read, BrokenPipe, BrokenPipe)]);
}

#[test]
fn every_hint_is_one_line_for_people() {
    let alerts = AlertDescription::NAMED.iter().map(|&alert| Ending::FatalAlert(alert));
    let deadlines = Deadline::ALL.iter().map(|&deadline| Ending::TimedOut(deadline));
    for ending in specimens::endings().into_iter().chain(alerts).chain(deadlines) {
        let hint = ending.hint();
        assert!(!hint.contains('\n') && !hint.contains("  "), "{hint}");
        assert!(!hint.ends_with('.') && hint.len() <= 140, "{hint}");
        assert_eq!(hint.is_empty(), ending.is_clean(), "{ending}");
    }
}
