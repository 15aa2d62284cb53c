//! What each check of a peer's certificate found: all of them, not only the first that failed.

use core::fmt;

use crate::fault::CertificateFault;

/// What each check of a peer's certificate found.
///
/// Checks that do not need each other are all made, so that whoever mends a certificate sees at once
/// all that is wrong with it. The ending tells of the first that failed, in the order of the fields.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Checks {
    /// Whether an anchor leads to it (RFC 5280 section 6).
    pub trust: Outcome,
    /// Whether it, and the issuers on its path, are valid at the time (RFC 5280 section 4.1.2.5).
    pub validity: Outcome,
    /// Whether it is an end entity's, and meant for this role (RFC 5280 section 4.2.1.12).
    pub usage: Outcome,
    /// Whether it stands on no revocation list (RFC 5280 section 6.3).
    pub revocation: Outcome,
    /// Whether it is for the name that we verify (RFC 9525).
    pub name: Outcome,
    /// Whether its key or itself is pinned.
    pub pin: Outcome,
    /// Whether it has a name that is allowed.
    pub san: Outcome,
}

/// What one check found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "snake_case"))]
pub enum Outcome {
    /// Nobody has asked for it.
    #[default]
    NotAsked,
    /// It could not be made, because another one failed.
    Untold,
    /// All is well.
    Passed,
    /// This is wrong.
    Failed(CertificateFault),
    /// This is wrong, and passed over by a setting named `danger`.
    Ignored(CertificateFault),
}

/// One of the [`Checks`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Check {
    /// [`Checks::trust`].
    Trust,
    /// [`Checks::validity`].
    Validity,
    /// [`Checks::usage`].
    Usage,
    /// [`Checks::revocation`].
    Revocation,
    /// [`Checks::name`].
    Name,
    /// [`Checks::pin`].
    Pin,
    /// [`Checks::san`].
    San,
}

/// Something wrong with a certificate that can be passed over, by a setting named `danger`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Lapse {
    /// No anchor leads to it.
    Trust,
    /// It has expired, or is not valid yet.
    Validity,
    /// It is a certificate authority's, or meant for another use.
    Usage,
    /// No current revocation list tells whether it is revoked. One that is revoked is never let in.
    UnknownRevocation,
    /// It is for another name.
    Name,
}

impl Checks {
    /// Every check with what it found, in the order in which they count.
    pub fn iter(&self) -> impl Iterator<Item = (Check, &Outcome)> {
        [
            (Check::Trust, &self.trust),
            (Check::Validity, &self.validity),
            (Check::Usage, &self.usage),
            (Check::Revocation, &self.revocation),
            (Check::Name, &self.name),
            (Check::Pin, &self.pin),
            (Check::San, &self.san),
        ]
        .into_iter()
    }

    /// The checks that failed and are not passed over; the first one is what a refusal is about.
    pub fn failed(&self) -> impl Iterator<Item = (Check, &CertificateFault)> {
        self.iter().filter_map(|(check, outcome)| match outcome {
            Outcome::Failed(fault) => Some((check, fault)),
            _ => None,
        })
    }

    /// Whether something wrong was passed over.
    pub fn has_ignored(&self) -> bool {
        self.iter().any(|(_, outcome)| matches!(outcome, Outcome::Ignored(_)))
    }

    /// Passes over all that is wrong, whatever it is.
    pub fn ignore_all(&mut self) {
        let Self { trust, validity, usage, revocation, name, pin, san } = self;
        for outcome in [trust, validity, usage, revocation, name, pin, san] {
            if let Outcome::Failed(fault) = outcome {
                *outcome = Outcome::Ignored(fault.clone());
            }
        }
    }

    /// Passes over `lapse`, if it is there.
    pub fn ignore(&mut self, lapse: Lapse) {
        let outcome = match lapse {
            Lapse::Trust => &mut self.trust,
            Lapse::Validity => &mut self.validity,
            Lapse::Usage => &mut self.usage,
            Lapse::UnknownRevocation => &mut self.revocation,
            Lapse::Name => &mut self.name,
        };
        if let Outcome::Failed(fault) = outcome
            && *fault != CertificateFault::Revoked
        {
            *outcome = Outcome::Ignored(fault.clone());
        }
    }
}

impl Lapse {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Trust, Self::Validity, Self::Usage, Self::UnknownRevocation, Self::Name];

    /// The word for it in addresses and flags.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Trust => "trust",
            Self::Validity => "validity",
            Self::Usage => "usage",
            Self::UnknownRevocation => "unknown-revocation",
            Self::Name => "name",
        }
    }
}

impl fmt::Display for Lapse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    #[test]
    fn what_is_passed_over_is_still_told_and_a_revoked_one_never_is() {
        let mut checks = Checks {
            trust: Outcome::Passed,
            validity: Outcome::Failed(CertificateFault::BadEncoding),
            revocation: Outcome::Failed(CertificateFault::Revoked),
            ..Checks::default()
        };
        for lapse in Lapse::ALL {
            checks.ignore(lapse);
        }
        assert_eq!(checks.trust, Outcome::Passed);
        assert_eq!(checks.validity, Outcome::Ignored(CertificateFault::BadEncoding));
        assert!(checks.has_ignored());
        let failed: Vec<_> = checks.failed().collect();
        assert_eq!(failed, [(Check::Revocation, &CertificateFault::Revoked)]);
    }
}
