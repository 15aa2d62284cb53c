//! Deadlines: how long a phase of a stream's life may take.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use levada_core::{Deadline, Deadlines};

use crate::error::Wrong;
use crate::{AddressError, Options, ValueFault};

/// How long something may take: a number with a unit, such as `250ms`, `10s`, `2m` or `1h`, or
/// `off`. It is kept in whole milliseconds, from 1 ms to 365 days.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TimeLimit {
    /// This long, and never zero.
    After(Duration),
    /// As long as it takes.
    Off,
}

/// The longest deadline: 365 days.
const LONGEST_MS: u64 = 365 * 24 * 60 * 60 * 1000;

impl TimeLimit {
    /// A deadline of `secs` seconds; [`TimeLimit::Off`] for none.
    pub const fn secs(secs: u64) -> Self {
        Self::millis(secs.saturating_mul(1000))
    }

    /// A deadline of `millis` milliseconds, at most 365 days; [`TimeLimit::Off`] for none.
    pub const fn millis(millis: u64) -> Self {
        match millis {
            0 => Self::Off,
            1..=LONGEST_MS => Self::After(Duration::from_millis(millis)),
            _ => Self::After(Duration::from_millis(LONGEST_MS)),
        }
    }

    /// The limit that a stream has for `deadline` where nobody sets another.
    pub(crate) const fn default_of(deadline: Deadline) -> Self {
        match deadline.default_time() {
            Some(time) => Self::After(time),
            None => Self::Off,
        }
    }

    /// The time, or `None` for [`TimeLimit::Off`].
    pub const fn duration(self) -> Option<Duration> {
        match self {
            Self::After(time) => Some(time),
            Self::Off => None,
        }
    }

    pub(crate) fn parse(text: &str) -> Result<Self, Wrong> {
        if text == "off" {
            return Ok(Self::Off);
        }
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = text.split_at(digits);
        if number.is_empty() {
            return Err(Wrong::new(0..text.len(), ValueFault::DurationNumber)
                .hint("write it as `250ms`, `10s`, `2m`, `1h` or `off`"));
        }
        let unit_ms: u64 = match unit {
            "ms" => 1,
            "s" => 1000,
            "m" => 60 * 1000,
            "h" => 60 * 60 * 1000,
            "" => {
                let at = text.len();
                return Err(Wrong::new(at..at, ValueFault::DurationUnit)
                    .hint(format!("did you mean `{number}s` or `{number}ms`?")));
            }
            _ => {
                return Err(Wrong::new(digits..text.len(), ValueFault::DurationUnit)
                    .hint("the units are ms, s, m and h"));
            }
        };
        let millis = number.parse().ok().and_then(|n: u64| n.checked_mul(unit_ms));
        match millis {
            Some(0) => Err(Wrong::new(0..text.len(), ValueFault::DurationZero)
                .hint("for no deadline write `off`")),
            Some(millis @ 1..=LONGEST_MS) => Ok(Self::millis(millis)),
            _ => Err(Wrong::new(0..text.len(), ValueFault::DurationLong)
                .hint("for no deadline write `off`")),
        }
    }
}

impl FromStr for TimeLimit {
    type Err = AddressError;

    /// # Errors
    ///
    /// When `text` is neither `off` nor a number with one of the units ms, s, m and h, and when it
    /// is zero or longer than 365 days.
    fn from_str(text: &str) -> Result<Self, AddressError> {
        Self::parse(text).map_err(|wrong| wrong.in_input(text))
    }
}

impl fmt::Display for TimeLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Off => f.write_str("off"),
            Self::After(time) if time.subsec_millis() == 0 => write!(f, "{}s", time.as_secs()),
            Self::After(time) => write!(f, "{}ms", time.as_millis()),
        }
    }
}

/// The deadlines that `options` ask for.
pub(crate) fn deadlines(options: &Options) -> Deadlines {
    let limit = |deadline: Deadline| options.time_limit(deadline.word()).duration();
    Deadlines {
        lookup: limit(Deadline::Lookup),
        connect: limit(Deadline::Connect),
        handshake: limit(Deadline::Handshake),
        close: limit(Deadline::Close),
        idle: limit(Deadline::Idle),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_their_units() {
        for (text, deadline, shown) in [
            ("1ms", TimeLimit::millis(1), "1ms"),
            ("250ms", TimeLimit::millis(250), "250ms"),
            ("1000ms", TimeLimit::secs(1), "1s"),
            ("10s", TimeLimit::secs(10), "10s"),
            ("2m", TimeLimit::secs(120), "120s"),
            ("1h", TimeLimit::secs(3600), "3600s"),
            ("8760h", TimeLimit::secs(365 * 86400), "31536000s"),
            ("off", TimeLimit::Off, "off"),
        ] {
            assert_eq!(text.parse::<TimeLimit>().unwrap(), deadline, "{text}");
            assert_eq!(deadline.to_string(), shown);
            assert_eq!(shown.parse::<TimeLimit>().unwrap(), deadline, "{shown}");
        }
        for text in ["", "s", "10", "10 s", "0s", "-1s", "+1s", "1.5s", "8761h", "9d", "Off"] {
            assert!(text.parse::<TimeLimit>().is_err(), "{text}");
        }
        assert!("99999999999999999999999s".parse::<TimeLimit>().is_err());
    }
}
