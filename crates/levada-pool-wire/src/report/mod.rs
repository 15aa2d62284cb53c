//! What a pool tells about a session, as values: what TLS agreed on, and how it ended.
//!
//! It travels as [`Document::Report`](crate::Document::Report).

pub(crate) mod codec;

use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::error::Error;
use core::fmt;
use core::net::IpAddr;

use levada_core::{
    AlertDescription, CertificateFacts, CertificateFault, Checks, ConnectFailure, Deadline, Ending,
    Fault, NoKernelTls, OsError, OsErrorKind, Outcome, Party, ProxyFault, Rule, ShownCertificate,
    Staple, StapleStatus, SubjectName, TlsFacts, Verification,
};

use self::codec::{Input, Value};

/// What is known about a session so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// What TLS agreed on, as soon as there is something.
    pub tls: Option<TlsFacts>,
    /// Whether the peer's close_notify has come, behind all its data.
    pub peer_goodbye: bool,
    /// How the session ended; `None` while it lives.
    pub ending: Option<Ending>,
    /// SHA-256 of the [`Chain`](crate::Chain) that the peer has shown, as its bytes travel, once the handshake
    /// is done; `None` where it has shown none. Who has met it before need not ask for the chain again.
    pub peer_chain_sha256: Option<[u8; 32]>,
}

impl Report {
    /// The most bytes that a report has.
    pub const MAX_LEN: usize = 256 * 1024;
    /// Stands first: the layout of all that follows.
    const VERSION: u8 = 2;

    /// The bytes of this report.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::from([Self::VERSION]);
        self.peer_goodbye.put(&mut out);
        self.ending.put(&mut out);
        self.tls.put(&mut out);
        self.peer_chain_sha256.put(&mut out);
        out
    }

    /// The report that these bytes are.
    ///
    /// # Errors
    ///
    /// [`ReportError`] for anything that [`encode`](Self::encode) does not make.
    pub fn decode(bytes: &[u8]) -> Result<Self, ReportError> {
        let mut input = Input(bytes);
        if input.tag()? != Self::VERSION {
            return Err(ReportError::Version);
        }
        let peer_goodbye = bool::take(&mut input)?;
        let ending = Value::take(&mut input)?;
        let tls = Value::take(&mut input)?;
        let peer_chain_sha256 = Value::take(&mut input)?;
        if !input.0.is_empty() {
            return Err(ReportError::Long);
        }
        Ok(Self { tls, peer_goodbye, ending, peer_chain_sha256 })
    }
}

/// Why bytes are no report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReportError {
    /// It is in a layout that we do not know.
    Version,
    /// It ends too early.
    Short,
    /// Something follows it.
    Long,
    /// A text is no UTF-8.
    Text,
    /// A value is none of those that there are.
    Tag {
        /// The type.
        of: &'static str,
        /// The value.
        tag: u8,
    },
}

impl fmt::Display for ReportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the pool's report cannot be read: ")?;
        match self {
            Self::Version => f.write_str("it is in a layout that we do not know"),
            Self::Short => f.write_str("it ends too early"),
            Self::Long => f.write_str("something follows it"),
            Self::Text => f.write_str("a text is no UTF-8"),
            Self::Tag { of, tag } => write!(f, "there is no {of} number {tag}"),
        }
    }
}

impl Error for ReportError {}

/// A struct is its fields in order.
macro_rules! structs {
    ($($name:ident { $($field:ident),* })*) => {$(
        impl Value for $name {
            fn put(&self, out: &mut Vec<u8>) {
                $(self.$field.put(out);)*
            }

            fn take(input: &mut Input<'_>) -> Result<Self, ReportError> {
                Ok(Self { $($field: Value::take(input)?),* })
            }
        }
    )*};
}

/// An enum is a tag and then the fields of its variant.
macro_rules! enums {
    ($($name:ident { $($tag:literal = $variant:ident $(($($inner:ident),*))? $({$($field:ident),*})?;)* })*) => {$(
        impl Value for $name {
            fn put(&self, out: &mut Vec<u8>) {
                match self {
                    $(Self::$variant $(($($inner),*))? $({$($field),*})? => {
                        out.push($tag);
                        $($($inner.put(out);)*)?
                        $($($field.put(out);)*)?
                    })*
                }
            }

            fn take(input: &mut Input<'_>) -> Result<Self, ReportError> {
                Ok(match input.tag()? {
                    $($tag => {
                        $($(let $inner = Value::take(input)?;)*)?
                        $($(let $field = Value::take(input)?;)*)?
                        Self::$variant $(($($inner),*))? $({$($field),*})?
                    })*
                    tag => return Err(ReportError::Tag { of: stringify!($name), tag }),
                })
            }
        }
    )*};
}

enums! {
    Ending {
        1 = Finished;
        2 = CloseNotify { unsent };
        3 = WsClose { code, reason, by };
        4 = SocketClose;
        5 = SocketError(error);
        6 = FatalAlert(alert);
        7 = FatalError { alert, cause };
        8 = WsProtocol(code);
        9 = Refused(rule);
        10 = TimedOut(deadline);
        11 = ConnectFailed(failure);
        12 = ConnectFinalized;
        13 = Aborted;
    }
    Party { 1 = Local; 2 = Peer; }
    Rule { 1 = San; 2 = Pin; 3 = Uid; 4 = Fallback; 5 = Limit; }
    Deadline { 1 = Lookup; 2 = Connect; 3 = Handshake; 4 = Close; 5 = Idle; }
    Fault {
        1 = NotTls { first };
        2 = OldVersion;
        3 = NothingInCommon(what);
        4 = NoAlpn;
        5 = Protocol(how);
        6 = BadRecord;
        7 = Certificate(fault);
        8 = NoCertificate;
        9 = UnknownName(name);
        10 = WsHandshake(why);
        11 = Signer(why);
        12 = Internal(what);
        13 = HelloRefused(name);
        14 = Undecided(what);
        15 = Proxy(fault);
    }
    ProxyFault { 1 = Status(status); 2 = NotHttp; 3 = Truncated; }
    CertificateFault {
        1 = UnknownIssuer;
        2 = WrongName { wanted, presented };
        3 = Expired { not_after, now };
        4 = NotYetValid { not_before, now };
        5 = Revoked;
        6 = CaAsEndEntity;
        7 = WrongUsage { wanted, presented };
        8 = BadSignature;
        9 = BadEncoding;
        10 = Other(why);
        11 = RevocationUnknown(why);
        12 = NotPinned { presented };
        13 = NotAllowed { presented };
    }
    Outcome { 1 = NotAsked; 2 = Untold; 3 = Passed; 4 = Failed(fault); 5 = Ignored(fault); }
    StapleStatus { 1 = Good; 2 = Revoked; 3 = Unknown; 4 = NoAnswer; 5 = Unreadable; }
    ShownCertificate { 1 = Unreadable { bytes }; 2 = Read(facts); }
    SubjectName {
        1 = Dns(name);
        2 = Ip(address);
        3 = Uri(uri);
        4 = Email(mailbox);
        5 = Other { kind, value };
    }
    Verification { 1 = Verified; 2 = Danger; 3 = Refused; 4 = Anonymous; 5 = Pinned; }
    NoKernelTls {
        1 = Unsupported;
        2 = NotTcp;
        3 = Suite;
        4 = ReadAhead;
        5 = Forbidden;
        6 = System(error);
        7 = PlainSide;
        8 = NotConnected;
    }
    IpAddr { 4 = V4(address); 6 = V6(address); }
}

structs! {
    OsError { code, kind, text }
    CertificateFacts {
        subject, issuer, names, more_names, not_before, not_after, serial, spki_pin, is_ca
    }
    Staple { bytes, status, serial, this_update, next_update }
    TlsFacts {
        version, suite, group, alpn, sni, verified_name, resumed, identity, identity_asked,
        verification, checks, peer_certificates, peer_chain, staple
    }
    Checks { trust, validity, usage, revocation, name, pin, san }
}

impl Value for ConnectFailure {
    fn put(&self, out: &mut Vec<u8>) {
        match self {
            Self::Lookup { name, error } => {
                out.push(1);
                name.put(out);
                error.put(out);
            }
            Self::Ended(ending) => {
                out.push(2);
                ending.put(out);
            }
        }
    }

    fn take(input: &mut Input<'_>) -> Result<Self, ReportError> {
        match input.tag()? {
            1 => Ok(Self::Lookup { name: Value::take(input)?, error: Value::take(input)? }),
            // What never was established failed in one way, and not in a tower of them.
            2 if input.0.first() == Some(&11) => Err(ReportError::Tag { of: "Ending", tag: 11 }),
            2 => Ok(Self::Ended(Value::take(input)?)),
            tag => Err(ReportError::Tag { of: "ConnectFailure", tag }),
        }
    }
}

impl Value for AlertDescription {
    fn put(&self, out: &mut Vec<u8>) {
        out.push(self.0);
    }

    fn take(input: &mut Input<'_>) -> Result<Self, ReportError> {
        Ok(Self(input.tag()?))
    }
}

impl Value for OsErrorKind {
    fn put(&self, out: &mut Vec<u8>) {
        let known = Self::NAMED.iter().position(|kind| kind == self);
        out.push(known.map_or(0, |index| index as u8 + 1));
    }

    fn take(input: &mut Input<'_>) -> Result<Self, ReportError> {
        let tag = input.tag()?;
        let named = usize::from(tag).checked_sub(1);
        Ok(named.and_then(|index| Self::NAMED.get(index)).copied().unwrap_or(Self::Other))
    }
}

impl<T: Value> Value for Box<T> {
    fn put(&self, out: &mut Vec<u8>) {
        (**self).put(out);
    }

    fn take(input: &mut Input<'_>) -> Result<Self, ReportError> {
        T::take(input).map(Self::new)
    }
}

impl<T: Value> Value for Arc<T> {
    fn put(&self, out: &mut Vec<u8>) {
        (**self).put(out);
    }

    fn take(input: &mut Input<'_>) -> Result<Self, ReportError> {
        T::take(input).map(Self::new)
    }
}

impl<T: Value> Value for Arc<[T]> {
    fn put(&self, out: &mut Vec<u8>) {
        (self.len() as u16).put(out);
        for value in self.iter() {
            value.put(out);
        }
    }

    fn take(input: &mut Input<'_>) -> Result<Self, ReportError> {
        Vec::take(input).map(Self::from)
    }
}

impl Value for core::net::Ipv4Addr {
    fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.octets());
    }

    fn take(input: &mut Input<'_>) -> Result<Self, ReportError> {
        <[u8; 4]>::take(input).map(Self::from)
    }
}

impl Value for core::net::Ipv6Addr {
    fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.octets());
    }

    fn take(input: &mut Input<'_>) -> Result<Self, ReportError> {
        <[u8; 16]>::take(input).map(Self::from)
    }
}

/// Words that our side of TLS has as constants: a version, a kind of name.
impl Value for &'static str {
    fn put(&self, out: &mut Vec<u8>) {
        String::from(*self).put(out);
    }

    fn take(input: &mut Input<'_>) -> Result<Self, ReportError> {
        const WORDS: [&str; 8] = [
            "1.2",
            "1.3",
            "otherName",
            "directoryName",
            "x400Address",
            "ediPartyName",
            "iPAddress",
            "registeredID",
        ];
        let word = String::take(input)?;
        Ok(WORDS.into_iter().find(|known| *known == word).unwrap_or("unknown"))
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;
    use alloc::vec;

    use proptest::prelude::*;

    use super::*;

    fn tls() -> TlsFacts {
        let certificate = CertificateFacts {
            subject: "CN=orvelte".to_string(),
            issuer: "CN=CA".to_string(),
            names: vec![
                SubjectName::Dns("orvelte.nep".to_string()),
                SubjectName::Ip([192, 0, 2, 1].into()),
                SubjectName::Ip(core::net::Ipv6Addr::LOCALHOST.into()),
                SubjectName::Other { kind: "registeredID", value: "2.5.4.3".to_string() },
            ],
            more_names: 3,
            not_before: -1,
            not_after: i64::MAX,
            serial: "01".to_string(),
            spki_pin: "pin".to_string(),
            is_ca: false,
        };
        TlsFacts {
            version: Some("1.3"),
            suite: Some("TLS_AES_128_GCM_SHA256".to_string()),
            alpn: Some("h2".to_string()),
            resumed: Some(true),
            identity: Some(Arc::new(ShownCertificate::Unreadable { bytes: 9 })),
            verification: Some(Verification::Pinned),
            checks: Some(Arc::new(Checks {
                trust: Outcome::Untold,
                validity: Outcome::Failed(CertificateFault::Expired { not_after: None, now: None }),
                revocation: Outcome::Ignored(CertificateFault::RevocationUnknown("old".into())),
                pin: Outcome::Passed,
                san: Outcome::Failed(CertificateFault::NotAllowed {
                    presented: vec!["DNS:a".into()],
                }),
                ..Checks::default()
            })),
            staple: Some(Staple {
                bytes: 9,
                status: StapleStatus::Good,
                serial: Some("01".into()),
                this_update: Some(1),
                next_update: None,
            }),
            peer_certificates: 1,
            peer_chain: Arc::from([ShownCertificate::Read(certificate)]),
            ..TlsFacts::default()
        }
    }

    fn endings() -> Vec<Ending> {
        let os = OsError {
            code: Some(104),
            kind: OsErrorKind::ConnectionReset,
            text: "reset".to_string(),
        };
        let wrong_name = CertificateFault::WrongName {
            wanted: "a".into(),
            presented: vec!["b".into(), "c".into()],
        };
        vec![
            Ending::Finished,
            Ending::CloseNotify { unsent: 7 },
            Ending::WsClose { code: Some(1000), reason: "bye".into(), by: Party::Peer },
            Ending::SocketClose,
            Ending::SocketError(os.clone()),
            Ending::FatalAlert(AlertDescription::UNKNOWN_CA),
            Ending::FatalError {
                alert: Some(AlertDescription::BAD_CERTIFICATE),
                cause: Fault::Certificate(wrong_name),
            },
            Ending::FatalError { alert: None, cause: Fault::NotTls { first: b"GET ".to_vec() } },
            Ending::FatalError { alert: None, cause: Fault::UnknownName(None) },
            Ending::WsProtocol(1002),
            Ending::Refused(Rule::Uid),
            Ending::TimedOut(Deadline::Handshake),
            Ending::SocketClose.before_established(),
            Ending::ConnectFailed(Box::new(ConnectFailure::Lookup { name: "x".into(), error: os })),
            Ending::ConnectFinalized,
            Ending::Aborted,
        ]
    }

    #[test]
    fn every_ending_survives_with_all_that_is_known() {
        for ending in endings() {
            let report = Report {
                tls: Some(tls()),
                peer_goodbye: true,
                ending: Some(ending),
                peer_chain_sha256: Some([7; 32]),
            };
            assert_eq!(Report::decode(&report.encode()), Ok(report));
        }
        assert_eq!(Report::decode(&Report::default().encode()), Ok(Report::default()));
    }

    #[test]
    fn a_report_that_is_cut_or_lengthened_is_an_error() {
        let report = Report { tls: Some(tls()), ending: endings().pop(), ..Report::default() };
        let mut bytes = report.encode();
        for len in 0..bytes.len() {
            assert!(Report::decode(&bytes[..len]).is_err(), "{len}");
        }
        bytes.push(0);
        assert_eq!(Report::decode(&bytes), Err(ReportError::Long));
    }

    #[test]
    fn a_failure_within_a_failure_is_an_error() {
        // Else a pool could make us recurse as deep as its report is long.
        let mut bytes = vec![Report::VERSION, 0, 1];
        bytes.extend([11, 2].repeat(10_000));
        assert_eq!(Report::decode(&bytes), Err(ReportError::Tag { of: "Ending", tag: 11 }));
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_report_or_an_error(bytes: Vec<u8>, flips in prop::collection::vec((any::<u16>(), any::<u8>()), 1..4)) {
            let _ = Report::decode(&bytes);
            let report = Report {
                tls: Some(tls()),
                peer_goodbye: true,
                ending: Some(Ending::Finished),
                peer_chain_sha256: Some([7; 32]),
            };
            let mut bytes = report.encode();
            for (at, value) in flips {
                let at = usize::from(at) % bytes.len();
                bytes[at] = value;
            }
            if let Ok(report) = Report::decode(&bytes) {
                prop_assert_eq!(Report::decode(&report.encode()), Ok(report));
            }
        }
    }
}
