//! The rules about the certificate of the other end.

use std::path::PathBuf;

use levada_core::{Lapse, Pin, SanRule};

use crate::{CrlCheck, Options, Value};

/// What the other end's certificate must satisfy beyond leading to an authority.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CertificateRules {
    /// One of these must be shown; any may, where there are none.
    pub pins: Vec<Pin>,
    /// One of these must allow a name; any may stand there, where there are none.
    pub names: Vec<SanRule>,
    /// PEM or DER: revocation lists.
    pub crls: Vec<PathBuf>,
    /// Whose revocation has to be told by a list; `None` for the default.
    pub crl_check: Option<CrlCheck>,
    /// The time at which it must be valid, in seconds since 1970-01-01 UTC; `None` for now.
    pub verify_time: Option<u64>,
    /// What it is let in with.
    pub danger_ignore: Vec<Lapse>,
}

/// The words of one side.
pub(crate) struct Words {
    pub(crate) pin: &'static str,
    pub(crate) san: &'static str,
    pub(crate) crl: &'static str,
    pub(crate) crl_check: &'static str,
    pub(crate) verify_time: &'static str,
    pub(crate) danger_ignore: &'static str,
}

/// Those of whoever connects, about the peer.
pub(crate) const PEER: Words = Words {
    pin: "pin",
    san: "san",
    crl: "crl",
    crl_check: "crl-check",
    verify_time: "verify-time",
    danger_ignore: "danger-ignore",
};

/// Those of a listener, about its clients.
pub(crate) const CLIENT: Words = Words {
    pin: "client-pin",
    san: "client-san",
    crl: "client-crl",
    crl_check: "client-crl-check",
    verify_time: "client-verify-time",
    danger_ignore: "danger-ignore-client",
};

impl Words {
    /// All of them.
    pub(crate) const fn all(&self) -> [&'static str; 6] {
        let Self { pin, san, crl, crl_check, verify_time, danger_ignore } = *self;
        [pin, san, crl, crl_check, verify_time, danger_ignore]
    }

    pub(crate) fn rules(&self, options: &Options) -> CertificateRules {
        fn each<T>(options: &Options, word: &str, value: impl Fn(&Value) -> Option<T>) -> Vec<T> {
            options.values(word).filter_map(value).collect()
        }
        let first = |word| options.get(word);
        CertificateRules {
            pins: each(options, self.pin, |value| match value {
                Value::Pin(pin) => Some(*pin),
                _ => None,
            }),
            names: each(options, self.san, |value| match value {
                Value::SanRule(rule) => Some(rule.clone()),
                _ => None,
            }),
            crls: options.paths(self.crl).map(ToOwned::to_owned).collect(),
            crl_check: match first(self.crl_check) {
                Some(Value::CrlCheck(check)) => Some(*check),
                _ => None,
            },
            verify_time: match first(self.verify_time) {
                Some(Value::Moment(seconds)) => Some(*seconds),
                _ => None,
            },
            danger_ignore: each(options, self.danger_ignore, |value| match value {
                Value::Lapse(lapse) => Some(*lapse),
                _ => None,
            }),
        }
    }
}
