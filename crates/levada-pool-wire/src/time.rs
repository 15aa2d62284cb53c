//! Time as an argument: this crate has no clock.

use core::time::Duration;

/// A point in time: how long after a start that the caller chose, once and for all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Moment(Duration);

impl Moment {
    /// The point that lies `elapsed` after the start.
    pub const fn after_start(elapsed: Duration) -> Self {
        Self(elapsed)
    }

    /// How long after the start this is.
    pub const fn elapsed(self) -> Duration {
        self.0
    }

    /// The point that lies `span` later; the end of time when there is none.
    #[must_use]
    pub const fn after(self, span: Duration) -> Self {
        Self(self.0.saturating_add(span))
    }
}

/// How long a handshake may take, as STARTTLS carries it: milliseconds, with 0 for "the pool's
/// default" and all ones for "no limit".
///
/// Source: TLS Pool protocol V2, STARTTLS flags and timeout.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(transparent)]
pub struct HandshakeTimeout(u32);

impl HandshakeTimeout {
    /// Whatever the pool takes when it is not told.
    pub const DEFAULT: Self = Self(0);
    /// No limit.
    pub const NEVER: Self = Self(u32::MAX);

    /// The timeout from its number in the packet.
    pub const fn from_wire(number: u32) -> Self {
        Self(number)
    }

    /// Its number in the packet.
    pub const fn to_wire(self) -> u32 {
        self.0
    }

    /// When a handshake that starts `now` has to be done, or `None` for no limit.
    pub const fn deadline(self, now: Moment, default: Duration) -> Option<Moment> {
        match self {
            Self::NEVER => None,
            Self::DEFAULT => Some(now.after(default)),
            Self(ms) => Some(now.after(Duration::from_millis(ms as u64))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a4_zero_is_the_default_and_all_ones_is_no_limit() {
        let now = Moment::after_start(Duration::from_secs(5));
        let default = Duration::from_secs(10);
        let due = |number| HandshakeTimeout::from_wire(number).deadline(now, default);
        assert_eq!(due(0), Some(Moment::after_start(Duration::from_secs(15))));
        assert_eq!(due(u32::MAX), None);
        assert_eq!(due(250), Some(Moment::after_start(Duration::from_millis(5_250))));
    }

    #[test]
    fn time_does_not_wrap() {
        let late = Moment::after_start(Duration::MAX);
        assert_eq!(late.after(Duration::from_secs(1)), late);
    }
}
