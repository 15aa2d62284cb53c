//! The end of one stream: its ending, with where it happened and all that is known.

use alloc::borrow::Cow;
use alloc::sync::Arc;
use core::{fmt, mem};

use crate::diagnosis::Blame;
use crate::ending::Ending;
use crate::facts::Facts;
use crate::fault::CertificateFault;
use crate::lifecycle::State;
use crate::text::OneLine;

/// The end of one stream: how, where in its life, and all that is known about it.
///
/// It travels in band, inside the [`std::io::Error`](https://doc.rust-lang.org/std/io/struct.Error.html)
/// of the call that meets it, and out of band, as the last event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// How it ended.
    pub ending: Ending,
    /// The state in which it ended; never [`State::Disconnected`], [`Life::end`](crate::Life::end)
    /// sees to that.
    pub phase: State,
    /// What is known about the stream.
    pub facts: Arc<Facts>,
}

impl Ended {
    /// The stable code: see [`Ending::code`].
    pub fn code(&self) -> &'static str {
        self.ending.code()
    }

    /// Whether the stream ended as both ends wanted, with nothing lost.
    pub fn is_clean(&self) -> bool {
        self.ending.is_clean()
    }

    /// Where the cause lies: see [`Ending::blame`].
    pub fn blame(&self) -> Option<Blame> {
        self.ending.blame()
    }

    /// What to try: see [`Ending::hint`].
    pub fn hint(&self) -> Cow<'static, str> {
        self.ending.hint()
    }

    /// What else is wrong with the peer's certificate than what the ending tells, where it was refused.
    pub fn other_faults(&self) -> impl Iterator<Item = &CertificateFault> {
        let told = self.ending.certificate_fault();
        let checks = self.facts.tls.as_ref().and_then(|tls| tls.checks.as_ref());
        let failed = checks.into_iter().flat_map(|checks| checks.failed());
        failed.map(|(_, fault)| fault).filter(move |fault| told != Some(*fault))
    }

    /// The system's error number, where a transport error ended the stream.
    pub fn os_error(&self) -> Option<i32> {
        self.ending.transport_error().and_then(|error| error.code)
    }
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.ending)?;
        if !self.ending.is_clean() {
            write!(f, ", while {}", self.phase)?;
        }
        let facts = &self.facts;
        let mut mark = "; ";
        let mut fact = |name: &str, value: &dyn fmt::Display| {
            write!(f, "{}{name} {value}", mem::replace(&mut mark, ", "))
        };
        if let Some(peer) = &facts.peer {
            fact("peer", peer)?;
        }
        if let Some(host) = &facts.host {
            fact("host", &OneLine(host))?;
        }
        if let Some(proxy) = &facts.proxy {
            fact("proxy", &OneLine(proxy))?;
        }
        if let Some(tls) = &facts.tls {
            if let Some(sni) = tls.sni.as_ref().filter(|sni| facts.host.as_ref() != Some(*sni)) {
                fact("SNI", &OneLine(sni))?;
            }
            if let Some(alpn) = &tls.alpn {
                fact("ALPN", &OneLine(alpn))?;
            }
        }
        for fault in self.other_faults() {
            fact("certificate:", fault)?;
        }
        Ok(())
    }
}

impl core::error::Error for Ended {}

/// What the methods answer, then what the fields hold: a log needs no table of ours to be read.
#[cfg(feature = "serde")]
impl serde::Serialize for Ended {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use alloc::string::ToString;
        use serde::ser::SerializeStruct;

        let mut fields = serializer.serialize_struct("Ended", 10)?;
        fields.serialize_field("code", self.code())?;
        fields.serialize_field("cause", self.ending.cause_code())?;
        fields.serialize_field("clean", &self.is_clean())?;
        fields.serialize_field("blame", &self.blame())?;
        fields.serialize_field("message", &self.ending.to_string())?;
        fields.serialize_field("hint", &self.hint())?;
        fields.serialize_field("os_error", &self.os_error())?;
        fields.serialize_field("phase", &self.phase)?;
        fields.serialize_field("ending", &self.ending)?;
        fields.serialize_field("facts", &*self.facts)?;
        fields.end()
    }
}
