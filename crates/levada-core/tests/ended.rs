//! An `Ended` on its way: found in errors however they are wrapped, shown in words, and as JSON.
#![cfg(feature = "std")]
#![recursion_limit = "256"]

mod specimens;

use std::error::Error;
use std::sync::Arc;
use std::{fmt, io};

use levada_core::{
    CertificateFault, Checks, Ended, Ending, Endpoint, Facts, Fault, KernelTls, NoKernelTls,
    Outcome, State, TlsFacts,
};
use specimens::{ended, errno, expired, no_such_name, not_tls, ws_close};

/// Another library's error, with a cause of any type.
#[derive(Debug)]
struct Wrapper<E>(E);

impl<E: fmt::Debug> fmt::Display for Wrapper<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("another library failed")
    }
}

impl<E: Error + 'static> Error for Wrapper<E> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.0)
    }
}

#[test]
fn an_ended_is_found_however_it_is_wrapped() {
    let end = ended(Ending::SocketClose);
    let direct = || io::Error::from(end.clone());
    let boxed: Box<dyn Error + Send + Sync> = Box::new(Wrapper(direct()));
    let errors = [
        ("direct", direct()),
        ("an io::Error in an io::Error", io::Error::other(direct())),
        ("three deep", io::Error::other(io::Error::other(io::Error::other(direct())))),
        ("the source of a third type", io::Error::other(Wrapper(direct()))),
        ("no io::Error in between", io::Error::other(Wrapper(end.clone()))),
        ("a Box<dyn Error>", io::Error::other(boxed)),
        ("both in turn", io::Error::other(Wrapper(io::Error::other(Wrapper(direct()))))),
        ("behind an Arc", io::Error::other(Wrapper(Arc::new(direct())))),
        ("behind a Box", io::Error::other(Wrapper(Box::new(direct())))),
    ];
    for (how, error) in &errors {
        assert_eq!(Ended::of(error), Some(&end), "{how}");
    }
}

#[test]
fn there_is_no_ended_in_the_errors_of_others() {
    let errors = [
        io::Error::from(io::ErrorKind::BrokenPipe),
        io::Error::from_raw_os_error(104),
        io::Error::other("text"),
        io::Error::other(Wrapper(io::Error::from_raw_os_error(104))),
        io::Error::other(io::Error::other(Wrapper(io::Error::from(io::ErrorKind::TimedOut)))),
        io::Error::other(Wrapper(Arc::new(io::Error::from(io::ErrorKind::TimedOut)))),
    ];
    for error in &errors {
        assert_eq!(Ended::of(error), None, "{error:?}");
    }
}

#[test]
fn an_ended_becomes_the_error_that_a_read_gives() {
    for ending in specimens::endings() {
        let end = ended(ending);
        let read = end.read_result().err().map(|error| error.kind());
        let error = io::Error::from(end.clone());
        assert_eq!(error.kind(), read.unwrap_or(io::ErrorKind::UnexpectedEof), "{end}");
        assert_eq!(error.to_string(), end.to_string());
        assert_eq!(Ended::of(&error), Some(&end));
    }
}

fn facts() -> Facts {
    Facts {
        host: Some("example.org".into()),
        peer: Some(Endpoint::Ip(([192, 0, 2, 7], 443).into())),
        ..Facts::default()
    }
}

fn with_tls(sni: &str) -> Facts {
    let tls = TlsFacts { sni: Some(sni.into()), alpn: Some("h2".into()), ..TlsFacts::default() };
    Facts { tls: Some(Box::new(tls)), ..facts() }
}

#[test]
fn an_ended_is_shown_in_words() {
    let wrong_name = Ending::FatalError {
        alert: None,
        cause: Fault::Certificate(CertificateFault::WrongName {
            wanted: "example.org".into(),
            presented: vec!["example.net".into(), "www.example.net".into()],
        }),
    };
    let unix = |path: &str| Facts { peer: Some(Endpoint::Unix(path.into())), ..Facts::default() };
    let nothing = Facts::default;
    let table = [
        (Ending::Finished, State::Closing, nothing(), "finished cleanly"),
        (
            Ending::Finished,
            State::Closing,
            with_tls("example.org"),
            "finished cleanly; peer 192.0.2.7:443, host example.org, ALPN h2",
        ),
        (
            Ending::SocketClose,
            State::Established,
            with_tls("other.example"),
            "the transport ended without a goodbye: data may be missing, while established; \
             peer 192.0.2.7:443, host example.org, SNI other.example, ALPN h2",
        ),
        (
            wrong_name.clone().before_established(),
            State::Handshaking,
            Facts {
                tls: Some(Box::new(TlsFacts {
                    checks: Some(Arc::new(Checks {
                        validity: Outcome::Failed(CertificateFault::Expired {
                            not_after: None,
                            now: None,
                        }),
                        name: Outcome::Failed(CertificateFault::WrongName {
                            wanted: "example.org".into(),
                            presented: vec!["example.net".into(), "www.example.net".into()],
                        }),
                        ..Checks::default()
                    })),
                    ..TlsFacts::default()
                })),
                ..facts()
            },
            "never established: the peer's certificate was refused: it is not for \"example.org\" \
             but for \"example.net\", \"www.example.net\", while handshaking; peer \
             192.0.2.7:443, host example.org, certificate: it has expired",
        ),
        (
            Ending::SocketError(errno(104)),
            State::Established,
            unix("/run/app.sock"),
            "the transport failed: Connection reset by peer (ECONNRESET), while established; \
             peer unix:/run/app.sock",
        ),
        (
            Ending::SocketError(errno(111)).before_established(),
            State::Connecting,
            facts(),
            "never established: the transport failed: Connection refused (ECONNREFUSED), \
             while connecting; peer 192.0.2.7:443, host example.org",
        ),
        (
            no_such_name(),
            State::HostLookup,
            Facts { host: Some("exmaple.org".into()), ..Facts::default() },
            "never established: the name \"exmaple.org\" was not found: no such name, \
             while looking up the host; host exmaple.org",
        ),
        (
            expired().before_established(),
            State::Handshaking,
            nothing(),
            "never established: the peer's certificate was refused: it has expired, \
             we sent the alert certificate_expired (45), while handshaking",
        ),
        (
            wrong_name.before_established(),
            State::Handshaking,
            nothing(),
            "never established: the peer's certificate was refused: it is not for \
             \"example.org\" but for \"example.net\", \"www.example.net\", while handshaking",
        ),
        (
            not_tls().before_established(),
            State::Handshaking,
            nothing(),
            "never established: the peer does not speak TLS: it begins \"220\", \
             while handshaking",
        ),
        (
            Ending::SocketClose.before_established(),
            State::Handshaking,
            nothing(),
            "never established: the transport ended without a goodbye, while handshaking",
        ),
        (
            ws_close(Some(1011), "out of\r\nspace \u{1b}[31m"),
            State::Established,
            unix(""),
            "the peer closed the WebSocket with code 1011: out of\\r\\nspace \\u{1b}[31m, \
             while established; peer unix:(unnamed)",
        ),
        (
            ws_close(None, ""),
            State::Established,
            nothing(),
            "the peer closed the WebSocket without a code",
        ),
    ];
    for (ending, phase, facts, words) in table {
        assert_eq!(Ended { ending, phase, facts: facts.into() }.to_string(), words);
    }
}

#[test]
fn whatever_a_peer_chose_an_ended_is_one_printable_line() {
    let evil = "a\r\nb\u{1b}[2J\u{202e}\0";
    let name = || evil.to_owned();
    let fault = |cause| Ending::FatalError { alert: None, cause };
    let endings = [
        ws_close(Some(3000), evil),
        fault(Fault::NotTls { first: evil.as_bytes().to_vec() }),
        fault(Fault::Protocol(name())),
        fault(Fault::WsHandshake(name())),
        fault(Fault::UnknownName(Some(name()))),
        fault(Fault::HelloRefused(Some(name()))),
        fault(Fault::Undecided(name())),
        fault(Fault::Certificate(CertificateFault::Other(name()))),
        fault(Fault::Certificate(CertificateFault::WrongName {
            wanted: name(),
            presented: vec![name(), name()],
        })),
    ];
    for ending in endings {
        let tls = TlsFacts { sni: Some(name()), ..TlsFacts::default() };
        let peer = Some(Endpoint::Unix(name()));
        let facts =
            Facts { host: Some("h".into()), peer, tls: Some(Box::new(tls)), ..Facts::default() };
        let end = Ended { ending, phase: State::Established, facts: facts.into() };
        for text in [end.to_string(), end.hint().into_owned()] {
            assert!(text.chars().all(|c| !c.is_control() && c != '\u{202e}'), "{text:?}");
        }
    }
}

#[cfg(feature = "serde")]
mod json {
    use super::*;
    use levada_core::{
        Bytes, CertificateFacts, Event, Mode, Party, Role, ShownCertificate, Staple, StapleStatus,
        SubjectName, Times, Verification, WebSocketFacts, WhyPlain,
    };
    use serde_json::{Value, json};
    use std::time::Duration;

    fn value(of: &impl serde::Serialize) -> Value {
        serde_json::to_value(of).expect("it is all plain values")
    }

    fn client() -> ShownCertificate {
        ShownCertificate::Read(CertificateFacts {
            subject: "CN=client".into(),
            issuer: "CN=ca,O=Example".into(),
            names: vec![SubjectName::Uri("spiffe://example.org/client".into())],
            more_names: 0,
            not_before: 1_600_000_000,
            not_after: 1_900_000_000,
            serial: "0AFF".into(),
            spki_pin: "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=".into(),
            is_ca: false,
        })
    }

    fn server() -> ShownCertificate {
        let ShownCertificate::Read(facts) = client() else { panic!("it is read") };
        ShownCertificate::Read(CertificateFacts {
            subject: String::new(),
            names: vec![
                SubjectName::Dns("example.org".into()),
                SubjectName::Ip([192, 0, 2, 7].into()),
                SubjectName::Email("a@example.org".into()),
                SubjectName::Other { kind: "directoryName", value: "CN=x".into() },
            ],
            more_names: 3,
            ..facts
        })
    }

    #[test]
    fn the_fields_of_an_ended_are_stable() {
        let facts = Facts {
            role: Some(Role::Client),
            local: Some(Endpoint::Ip("[2001:db8::1]:50000".parse().unwrap())),
            tls: Some(Box::new(TlsFacts {
                version: Some("1.3"),
                suite: Some("TLS_AES_128_GCM_SHA256".into()),
                group: Some("X25519MLKEM768".into()),
                alpn: Some("h2".into()),
                sni: Some("example.org".into()),
                verified_name: Some("example.org".into()),
                resumed: Some(false),
                identity: Some(Arc::new(client())),
                identity_asked: true,
                verification: Some(Verification::Verified),
                checks: Some(Arc::new(Checks {
                    trust: Outcome::Passed,
                    validity: Outcome::Failed(CertificateFault::Expired {
                        not_after: Some(1_700_000_000),
                        now: None,
                    }),
                    revocation: Outcome::Untold,
                    usage: Outcome::Ignored(CertificateFault::CaAsEndEntity),
                    ..Checks::default()
                })),
                peer_certificates: 2,
                peer_chain: [server(), ShownCertificate::Unreadable { bytes: 812 }].into(),
                staple: Some(Staple {
                    bytes: 300,
                    status: StapleStatus::Good,
                    serial: Some("0AFF".into()),
                    this_update: Some(1_700_000_000),
                    next_update: None,
                }),
            })),
            kernel_tls: Some(KernelTls::Declined(NoKernelTls::NotTcp)),
            web_socket: Some(Box::new(WebSocketFacts {
                subprotocol: Some("binary".into()),
                extension: None,
            })),
            first_goodbye: Some(Party::Peer),
            bytes: Bytes { read: 1, written: 2, wire_read: 3, wire_written: 4, discarded: 5 },
            times: Times { connect: Some(Duration::from_micros(1_500)), ..Times::default() },
            ..facts()
        };
        let ending = expired().before_established();
        let end = Ended { ending, phase: State::Handshaking, facts: facts.into() };
        let checks = json!({
            "trust": "passed",
            "validity": { "failed": { "expired": {
                "not_after": 1_700_000_000, "now": null,
            } } },
            "usage": { "ignored": "ca_as_end_entity" },
            "revocation": "untold",
            "name": "not_asked",
            "pin": "not_asked",
            "san": "not_asked",
        });
        let tls = json!({
            "version": "1.3",
            "suite": "TLS_AES_128_GCM_SHA256",
            "group": "X25519MLKEM768",
            "alpn": "h2",
            "sni": "example.org",
            "verified_name": "example.org",
            "resumed": false,
            "identity": {
                "subject": "CN=client",
                "issuer": "CN=ca,O=Example",
                "names": [{ "uri": "spiffe://example.org/client" }],
                "more_names": 0,
                "not_before": 1_600_000_000,
                "not_after": 1_900_000_000,
                "serial": "0AFF",
                "spki_pin": "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=",
                "is_ca": false,
            },
            "identity_asked": true,
            "verification": "verified",
            "checks": checks,
            "peer_certificates": 2,
            "peer_chain": [
                {
                    "subject": "",
                    "issuer": "CN=ca,O=Example",
                    "names": [
                        { "dns": "example.org" },
                        { "ip": "192.0.2.7" },
                        { "email": "a@example.org" },
                        { "other": { "kind": "directoryName", "value": "CN=x" } },
                    ],
                    "more_names": 3,
                    "not_before": 1_600_000_000,
                    "not_after": 1_900_000_000,
                    "serial": "0AFF",
                    "spki_pin": "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=",
                    "is_ca": false,
                },
                { "unreadable": { "bytes": 812 } },
            ],
            "staple": {
                "bytes": 300,
                "status": "good",
                "serial": "0AFF",
                "this_update": 1_700_000_000,
                "next_update": null,
            },
        });
        let wanted = json!({
            "code": "connectFailed",
            "cause": "ERR_TLS_FATAL_ERROR",
            "clean": false,
            "blame": "config",
            "message": "never established: the peer's certificate was refused: it has expired, \
                        we sent the alert certificate_expired (45)",
            "hint": "the peer must renew its certificate, or one of its chain; check this machine's clock too",
            "os_error": null,
            "phase": "handshaking",
            "ending": { "connect_failed": { "ended": { "fatal_error": {
                "alert": "certificate_expired (45)",
                "cause": { "certificate": { "expired": { "not_after": 1_700_000_000, "now": null } } },
            } } } },
            "facts": {
                "role": "client",
                "host": "example.org",
                "local": "[2001:db8::1]:50000",
                "peer": "192.0.2.7:443",
                "proxy": null,
                "plain": null,
                "tls": tls,
                "kernel_tls": { "declined": "not_tcp" },
                "http": null,
                "web_socket": { "subprotocol": "binary", "extension": null },
                "first_goodbye": "peer",
                "bytes": {
                    "read": 1, "written": 2, "wire_read": 3, "wire_written": 4, "discarded": 5,
                },
                "times": { "lookup": null, "connect": 1.5, "handshake": null, "total": null },
            },
        });
        assert_eq!(value(&end), wanted);
        // The last event is the same, under its name.
        assert_eq!(value(&Event::Ended(end)), json!({ "ended": wanted }));
    }

    #[test]
    fn the_details_of_every_ending_are_kept() {
        let table = [
            (Ending::Finished, json!("finished")),
            (Ending::CloseNotify { unsent: 7 }, json!({ "close_notify": { "unsent": 7 } })),
            (
                ws_close(Some(1000), "bye"),
                json!({ "ws_close": { "code": 1000, "reason": "bye", "by": "peer" } }),
            ),
            (
                Ending::SocketError(errno(104)),
                json!({ "socket_error": {
                    "code": 104, "kind": "connection_reset", "text": "Connection reset by peer",
                } }),
            ),
            (Ending::WsProtocol(1002), json!({ "ws_protocol": 1002 })),
            (Ending::Refused(levada_core::Rule::Pin), json!({ "refused": "pin" })),
            (Ending::TimedOut(levada_core::Deadline::Idle), json!({ "timed_out": "idle" })),
            (
                no_such_name(),
                json!({ "connect_failed": { "lookup": {
                    "name": "exmaple.org",
                    "error": { "code": null, "kind": "not_found", "text": "no such name" },
                } } }),
            ),
        ];
        for (ending, wanted) in table {
            assert_eq!(value(&ended(ending))["ending"], wanted);
        }
        assert_eq!(value(&ended(Ending::SocketError(errno(104))))["os_error"], 104);
    }

    #[test]
    fn events_and_words_are_in_snake_case() {
        assert_eq!(value(&Event::State(State::HostLookup)), json!({ "state": "host_lookup" }));
        assert_eq!(value(&Event::Mode(Mode::TlsClient)), json!({ "mode": "tls_client" }));
        assert_eq!(value(&Event::Goodbye(Party::Local)), json!({ "goodbye": "local" }));
        assert_eq!(value(&WhyPlain::Disabled), json!("disabled"));
        for (verification, word) in [
            (Verification::Verified, "verified"),
            (Verification::Pinned, "pinned"),
            (Verification::Danger, "danger"),
            (Verification::Refused, "refused"),
            (Verification::Anonymous, "anonymous"),
        ] {
            assert_eq!(value(&verification), json!(word));
        }
    }
}
