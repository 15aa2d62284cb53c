//! Whose doing an ending is, and what to try about it.

use alloc::borrow::Cow;

use crate::alert::AlertDescription;
use crate::deadline::Deadline;
use crate::ending::{ConnectFailure, Ending, Rule};
use crate::fault::{CertificateFault, Fault, ProxyFault};
use crate::lifecycle::Party;
use crate::os_error::OsErrorKind;
use crate::text::OneLine;

const PIN_KEY: &str = "pin the peer's key, which `levada inspect` shows, with pin=PIN (of a client: \
                       client-pin=PIN), if it is to be let in";

const ALLOW_NAME: &str = "allow a name of the peer with san=NAME (of a client: client-san=NAME), if it is \
                          to be let in";

/// Where the cause of an ending lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "snake_case"))]
pub enum Blame {
    /// This program or this machine.
    Local,
    /// The other end.
    Peer,
    /// What is between the two.
    Network,
    /// How one of the two ends is set up: names, certificates, trust, limits.
    Config,
}

impl Ending {
    /// Where the cause lies; `None` for a clean ending, which nobody is to blame for.
    pub fn blame(&self) -> Option<Blame> {
        if self.is_clean() {
            return None;
        }
        Some(match self {
            Self::Finished | Self::ConnectFinalized | Self::Aborted => Blame::Local,
            Self::CloseNotify { .. } | Self::SocketClose | Self::WsProtocol(_) => Blame::Peer,
            Self::WsClose { by: Party::Local, .. } => Blame::Local,
            Self::WsClose { by: Party::Peer, .. } => Blame::Peer,
            Self::SocketError(error) => blame_of_transport(error.kind),
            Self::FatalAlert(alert) => blame_of_alert(*alert),
            Self::FatalError { cause, .. } => blame_of_fault(cause),
            Self::Refused(_) => Blame::Config,
            Self::TimedOut(Deadline::Lookup | Deadline::Connect) => Blame::Network,
            Self::TimedOut(_) => Blame::Peer,
            Self::ConnectFailed(failure) => match &**failure {
                ConnectFailure::Lookup { .. } => Blame::Config,
                // What would be clean later is a peer that hung up on us now.
                ConnectFailure::Ended(ending) => ending.blame().unwrap_or(Blame::Peer),
            },
        })
    }

    /// What to try, in one line; empty for a clean ending.
    pub fn hint(&self) -> Cow<'static, str> {
        if self.is_clean() {
            return Cow::Borrowed("");
        }
        Cow::Borrowed(match self {
            Self::Finished | Self::ConnectFinalized => "",
            Self::Aborted => "this end gave the stream up; look for the reason there",
            Self::CloseNotify { .. } => {
                "the peer closed before all of ours was sent; to go on writing then, close half-open"
            }
            Self::WsClose { .. } => "see at the end that sent the close code what it means there",
            Self::SocketClose => {
                "the peer, or something on the way, cut the stream short: treat what came as \
                 incomplete and look into the peer's log"
            }
            Self::SocketError(error) => hint_of_transport(error.kind),
            Self::FatalAlert(alert) => hint_of_alert(*alert),
            Self::FatalError { cause, .. } => return hint_of_fault(cause),
            Self::WsProtocol(1003) => {
                "the peer sent text where bytes are expected: send binary messages"
            }
            Self::WsProtocol(1009) => {
                "the peer's message is larger than we take: send smaller ones, or raise the limit"
            }
            Self::WsProtocol(_) => {
                "the peer does not keep to RFC 6455: look for a proxy in between"
            }
            Self::Refused(rule) => match rule {
                Rule::San => ALLOW_NAME,
                Rule::Pin => PIN_KEY,
                Rule::Uid => "allow the peer's user, if it is to be let in",
                Rule::Fallback => "let the peer speak TLS, or allow the fallback by name",
                Rule::Limit => "raise the limit, or find out who opens so many connections",
            },
            Self::TimedOut(deadline) => match deadline {
                Deadline::Lookup => "look into the name service, or raise deadline-lookup",
                Deadline::Connect => {
                    "a firewall may drop the packets; check address and port, or raise deadline-connect"
                }
                Deadline::Handshake => {
                    "the peer connected and then said too little: does it expect another protocol? \
                     else raise deadline-handshake"
                }
                Deadline::Close => "the peer does not close; raise deadline-close if it is slow",
                Deadline::Idle => "nothing was said for too long; raise deadline-idle",
            },
            Self::ConnectFailed(failure) => match &**failure {
                ConnectFailure::Lookup { .. } => {
                    "check the spelling of the name, or use an address"
                }
                ConnectFailure::Ended(ending) => {
                    if ending.is_clean() || *ending == Self::SocketClose {
                        "the peer hung up before the stream was established: does it speak TLS there? \
                         its log tells more"
                    } else {
                        return ending.hint();
                    }
                }
            },
        })
    }
}

const fn blame_of_transport(kind: OsErrorKind) -> Blame {
    match kind {
        OsErrorKind::ConnectionReset
        | OsErrorKind::BrokenPipe
        | OsErrorKind::InvalidData
        | OsErrorKind::UnexpectedEof => Blame::Peer,
        OsErrorKind::ConnectionRefused
        | OsErrorKind::NotFound
        | OsErrorKind::PermissionDenied
        | OsErrorKind::AddrInUse
        | OsErrorKind::AddrNotAvailable => Blame::Config,
        OsErrorKind::InvalidInput
        | OsErrorKind::NotConnected
        | OsErrorKind::OutOfMemory
        | OsErrorKind::Unsupported
        | OsErrorKind::WriteZero
        | OsErrorKind::Other => Blame::Local,
        OsErrorKind::ConnectionAborted
        | OsErrorKind::HostUnreachable
        | OsErrorKind::NetworkDown
        | OsErrorKind::NetworkUnreachable
        | OsErrorKind::TimedOut => Blame::Network,
    }
}

const fn hint_of_transport(kind: OsErrorKind) -> &'static str {
    match kind {
        OsErrorKind::ConnectionRefused => "nothing listens there: check address and port",
        OsErrorKind::ConnectionReset | OsErrorKind::BrokenPipe | OsErrorKind::UnexpectedEof => {
            "the peer dropped the connection: look into its log"
        }
        OsErrorKind::NotFound => "there is no such socket: check the path",
        OsErrorKind::PermissionDenied => "this user may not: check the permissions of the address",
        OsErrorKind::AddrInUse => "something else uses that address: stop it, or choose another",
        OsErrorKind::AddrNotAvailable => {
            "that is no address of this machine: give one that is, or none"
        }
        OsErrorKind::HostUnreachable
        | OsErrorKind::NetworkUnreachable
        | OsErrorKind::NetworkDown => "there is no way to that address: check the network",
        OsErrorKind::TimedOut | OsErrorKind::ConnectionAborted => {
            "the connection was lost on the way: check the network"
        }
        OsErrorKind::InvalidData => "the transport carries something else than it should",
        OsErrorKind::InvalidInput | OsErrorKind::Unsupported => {
            "this system cannot do that: check the address and the options"
        }
        OsErrorKind::NotConnected
        | OsErrorKind::OutOfMemory
        | OsErrorKind::WriteZero
        | OsErrorKind::Other => "look into this machine's own limits and log",
    }
}

const fn blame_of_alert(alert: AlertDescription) -> Blame {
    match alert {
        AlertDescription::BAD_CERTIFICATE
        | AlertDescription::UNSUPPORTED_CERTIFICATE
        | AlertDescription::CERTIFICATE_REVOKED
        | AlertDescription::CERTIFICATE_EXPIRED
        | AlertDescription::CERTIFICATE_UNKNOWN
        | AlertDescription::UNKNOWN_CA
        | AlertDescription::ACCESS_DENIED
        | AlertDescription::PROTOCOL_VERSION
        | AlertDescription::INSUFFICIENT_SECURITY
        | AlertDescription::UNRECOGNIZED_NAME
        | AlertDescription::UNKNOWN_PSK_IDENTITY
        | AlertDescription::CERTIFICATE_REQUIRED
        | AlertDescription::NO_APPLICATION_PROTOCOL
        | AlertDescription::HANDSHAKE_FAILURE => Blame::Config,
        AlertDescription::BAD_RECORD_MAC | AlertDescription::DECRYPT_ERROR => Blame::Network,
        _ => Blame::Peer,
    }
}

const fn hint_of_alert(alert: AlertDescription) -> &'static str {
    match alert {
        AlertDescription::UNKNOWN_CA => {
            "the peer does not trust our certificate's issuer: give it our CA, or send the whole chain"
        }
        AlertDescription::BAD_CERTIFICATE
        | AlertDescription::UNSUPPORTED_CERTIFICATE
        | AlertDescription::CERTIFICATE_UNKNOWN => {
            "the peer refused our certificate: check its names, usage and chain"
        }
        AlertDescription::CERTIFICATE_EXPIRED => {
            "the peer takes our certificate for expired: renew it, and check the clocks"
        }
        AlertDescription::CERTIFICATE_REVOKED => "our certificate is revoked: get a new one",
        AlertDescription::CERTIFICATE_REQUIRED | AlertDescription::NO_CERTIFICATE => {
            "the peer wants a client certificate: give cert and key"
        }
        AlertDescription::ACCESS_DENIED => {
            "the peer does not let us in: have our certificate, its key or its names allowed there"
        }
        AlertDescription::PROTOCOL_VERSION => {
            "the two ends share no TLS version: we speak 1.2 and 1.3, let the peer allow one of them"
        }
        AlertDescription::HANDSHAKE_FAILURE | AlertDescription::INSUFFICIENT_SECURITY => {
            "the two ends share no cipher suite, group or certificate type, or the peer wants a \
             client certificate"
        }
        AlertDescription::UNRECOGNIZED_NAME => {
            "the peer has no identity for the name that we asked for: ask for one that it has, sni=NAME"
        }
        AlertDescription::NO_APPLICATION_PROTOCOL => {
            "the peer speaks none of our application protocols: name one that it speaks, alpn=NAME"
        }
        AlertDescription::BAD_RECORD_MAC
        | AlertDescription::DECRYPT_ERROR
        | AlertDescription::DECRYPTION_FAILED => {
            "something on the way alters the data, or the two implementations disagree"
        }
        AlertDescription::UNEXPECTED_MESSAGE
        | AlertDescription::ILLEGAL_PARAMETER
        | AlertDescription::DECODE_ERROR
        | AlertDescription::DECOMPRESSION_FAILURE
        | AlertDescription::MISSING_EXTENSION
        | AlertDescription::UNSUPPORTED_EXTENSION => {
            "the peer does not understand our TLS: bring it up to date, or look for a box on the way \
             that alters TLS"
        }
        AlertDescription::RECORD_OVERFLOW => {
            "the peer takes smaller records: lower max-record, or bring the peer up to date"
        }
        AlertDescription::INTERNAL_ERROR => {
            "something failed inside the peer, perhaps its private key: look into its log"
        }
        AlertDescription::INAPPROPRIATE_FALLBACK => {
            "the peer speaks a newer TLS than we offered: look for a box on the way that lowers it"
        }
        AlertDescription::EXPORT_RESTRICTION | AlertDescription::NO_RENEGOTIATION => {
            "the peer wants something of TLS that is long forbidden: bring it up to date"
        }
        AlertDescription::USER_CANCELED => "somebody at the peer gave up: try again",
        AlertDescription::CERTIFICATE_UNOBTAINABLE
        | AlertDescription::BAD_CERTIFICATE_STATUS_RESPONSE
        | AlertDescription::BAD_CERTIFICATE_HASH_VALUE => {
            "the peer cannot use what was stapled to our certificate: renew the OCSP response"
        }
        AlertDescription::UNKNOWN_PSK_IDENTITY => {
            "the peer has forgotten the session that we resume: begin a new one"
        }
        AlertDescription::ECH_REQUIRED => {
            "the peer wants the ClientHello encrypted (ECH), which we do not do: use another name \
             of it"
        }
        _ => "look into the peer's log for the reason",
    }
}

const fn blame_of_fault(fault: &Fault) -> Blame {
    match fault {
        Fault::NotTls { .. }
        | Fault::OldVersion
        | Fault::NothingInCommon(_)
        | Fault::NoAlpn
        | Fault::NoCertificate
        | Fault::UnknownName(_)
        | Fault::HelloRefused(_)
        | Fault::WsHandshake(_)
        | Fault::Certificate(
            CertificateFault::UnknownIssuer
            | CertificateFault::WrongName { .. }
            | CertificateFault::CaAsEndEntity
            | CertificateFault::WrongUsage { .. }
            | CertificateFault::Expired { .. }
            | CertificateFault::NotYetValid { .. }
            | CertificateFault::RevocationUnknown(_)
            | CertificateFault::NotPinned { .. }
            | CertificateFault::NotAllowed { .. }
            | CertificateFault::BadSignature,
        ) => Blame::Config,
        Fault::Proxy(ProxyFault::NotHttp | ProxyFault::Status(400..500)) => Blame::Config,
        Fault::Protocol(_) | Fault::Certificate(_) => Blame::Peer,
        Fault::BadRecord | Fault::Proxy(_) => Blame::Network,
        Fault::Signer(_) | Fault::Undecided(_) | Fault::Internal(_) => Blame::Local,
    }
}

fn hint_of_fault(fault: &Fault) -> Cow<'static, str> {
    Cow::Borrowed(match fault {
        Fault::NotTls { first } => {
            let begins =
                |words: &[&str]| words.iter().any(|word| first.starts_with(word.as_bytes()));
            if begins(&["HTTP/", "GET ", "HEAD ", "POST ", "PUT ", "CONNECT ", "OPTIONS ", "PRI "])
            {
                "the peer speaks plain HTTP: use the port and the scheme (https) of TLS"
            } else if begins(&["SSH-"]) {
                "the peer speaks SSH: use another port"
            } else if begins(&["PROXY ", "\r\n\r\n\0\r\nQUIT\n"]) {
                "a proxy in front sends a PROXY header, which is not taken here: switch it off there"
            } else if begins(&["220", "* ", "+OK"]) {
                "the peer greets in plaintext: it may want STARTTLS, or have a TLS port"
            } else {
                "the peer speaks plaintext, or another protocol: is this the right port?"
            }
        }
        Fault::OldVersion => "let the peer speak TLS 1.2 or 1.3; older versions are not safe",
        Fault::NothingInCommon(what) if what.starts_with("version") => {
            "let one end allow a version of TLS that the other one speaks"
        }
        Fault::NothingInCommon(_) => {
            "bring the peer's TLS settings up to date: what is too weak is not taken"
        }
        Fault::NoAlpn => "let both ends name a protocol in common, with alpn=NAME",
        Fault::NoCertificate => {
            "give the peer a client certificate, or do not require one (client-auth=requested)"
        }
        Fault::UnknownName(_) => "add an identity for that name with cert=FILE, or a default one",
        Fault::HelloRefused(_) => "let the rule that looks at ClientHellos allow such clients",
        Fault::Undecided(_) => {
            "look into what decides: it failed or is slow; else raise deadline-handshake"
        }
        Fault::Protocol(_) => "the peer's TLS is faulty, or something on the way alters the data",
        Fault::BadRecord => "something on the way alters the data, or the peer's TLS is faulty",
        Fault::WsHandshake(_) => {
            "check host, path, origin and subprotocol, and whether the server is one for WebSocket"
        }
        Fault::Proxy(ProxyFault::Status(401 | 407)) => {
            "give it a user that it knows, as in proxy=http://USER@HOST:PORT with \
             proxy-password-file=FILE"
        }
        Fault::Proxy(ProxyFault::Status(400..500)) => {
            "let the proxy allow CONNECT to that host and port"
        }
        Fault::Proxy(ProxyFault::Status(_)) => {
            "the proxy cannot reach the host: check host and port, and look into its log"
        }
        Fault::Proxy(ProxyFault::NotHttp) => {
            "is that the port of an HTTP proxy? One that wants TLS is written https://"
        }
        Fault::Proxy(ProxyFault::Truncated) => "look into the proxy's log for the reason",
        Fault::Signer(_) => "check the private key, or what holds it",
        Fault::Internal(_) => "please report this with the log line",
        Fault::Certificate(fault) => match fault {
            CertificateFault::UnknownIssuer => {
                "trust the peer's CA (ca=FILE; of a client: client-ca=FILE), or let the peer send its \
                 intermediate certificates"
            }
            CertificateFault::WrongName { presented, .. } => {
                return match presented.first() {
                    Some(name) => Cow::Owned(alloc::format!(
                        "connect by a name that the certificate has, or verify another with \
                         name={}",
                        OneLine(name)
                    )),
                    None => Cow::Borrowed("the certificate names no host: get one that does"),
                };
            }
            CertificateFault::Expired { .. } => {
                "the peer must renew its certificate, or one of its chain; check this machine's clock too"
            }
            CertificateFault::NotYetValid { .. } => {
                "set the clocks of both machines right; if they are, wait until it is valid"
            }
            CertificateFault::Revoked => "the peer must get a new certificate",
            CertificateFault::RevocationUnknown(_) => {
                "give a current revocation list of each issuer with crl=FILE (of a client: client-crl=FILE)"
            }
            CertificateFault::CaAsEndEntity => {
                "give the peer a certificate of its own, issued by that CA; or pin this one"
            }
            CertificateFault::NotPinned { .. } => PIN_KEY,
            CertificateFault::NotAllowed { .. } => ALLOW_NAME,
            CertificateFault::WrongUsage { .. } => {
                "let the peer get a certificate with the extended key usage for this role"
            }
            CertificateFault::BadSignature => {
                "trust the CA that has really signed it: there may be two of the same name; else the \
                 peer is faulty"
            }
            CertificateFault::BadEncoding | CertificateFault::Other(_) => {
                "let the peer get another certificate; `levada inspect` shows its chain"
            }
        },
    })
}
