//! Deadlines: how long a phase of a stream's life may take.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::error::Wrong;
use crate::{AddressError, Options, ValueFault};

/// How long something may take: a number with a unit, such as `250ms`, `10s`, `2m` or `1h`, or
/// `off`. It is kept in whole milliseconds, from 1 ms to 365 days.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Deadline {
    /// This long, and never zero.
    After(Duration),
    /// As long as it takes.
    Off,
}

/// The longest deadline: 365 days.
const LONGEST_MS: u64 = 365 * 24 * 60 * 60 * 1000;

impl Deadline {
    /// A deadline of `secs` seconds; [`Deadline::Off`] for none.
    pub const fn secs(secs: u64) -> Self {
        Self::millis(secs.saturating_mul(1000))
    }

    /// A deadline of `millis` milliseconds, at most 365 days; [`Deadline::Off`] for none.
    pub const fn millis(millis: u64) -> Self {
        match millis {
            0 => Self::Off,
            1..=LONGEST_MS => Self::After(Duration::from_millis(millis)),
            _ => Self::After(Duration::from_millis(LONGEST_MS)),
        }
    }

    /// The time, or `None` for [`Deadline::Off`].
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

impl FromStr for Deadline {
    type Err = AddressError;

    /// # Errors
    ///
    /// When `text` is neither `off` nor a number with one of the units ms, s, m and h, and when it
    /// is zero or longer than 365 days.
    fn from_str(text: &str) -> Result<Self, AddressError> {
        Self::parse(text).map_err(|wrong| wrong.in_input(text))
    }
}

impl fmt::Display for Deadline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Off => f.write_str("off"),
            Self::After(time) if time.subsec_millis() == 0 => write!(f, "{}s", time.as_secs()),
            Self::After(time) => write!(f, "{}ms", time.as_millis()),
        }
    }
}

/// The five deadlines that every stream has, whatever carries it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadlines {
    /// Resolving the host's name.
    pub lookup: Deadline,
    /// Connecting the transport.
    pub connect: Deadline,
    /// A handshake, from its first byte to its last.
    pub handshake: Deadline,
    /// Closing, without a byte either way.
    pub close: Deadline,
    /// An open stream, without a byte either way.
    pub idle: Deadline,
}

impl Deadlines {
    pub(crate) fn of(options: &Options) -> Self {
        Self {
            lookup: options.deadline("deadline-lookup"),
            connect: options.deadline("deadline-connect"),
            handshake: options.deadline("deadline-handshake"),
            close: options.deadline("deadline-close"),
            idle: options.deadline("deadline-idle"),
        }
    }
}

impl Default for Deadlines {
    /// What holds where an address says nothing.
    fn default() -> Self {
        Self::of(&Options::default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_their_units() {
        for (text, deadline, shown) in [
            ("1ms", Deadline::millis(1), "1ms"),
            ("250ms", Deadline::millis(250), "250ms"),
            ("1000ms", Deadline::secs(1), "1s"),
            ("10s", Deadline::secs(10), "10s"),
            ("2m", Deadline::secs(120), "120s"),
            ("1h", Deadline::secs(3600), "3600s"),
            ("8760h", Deadline::secs(365 * 86400), "31536000s"),
            ("off", Deadline::Off, "off"),
        ] {
            assert_eq!(text.parse::<Deadline>().unwrap(), deadline, "{text}");
            assert_eq!(deadline.to_string(), shown);
            assert_eq!(shown.parse::<Deadline>().unwrap(), deadline, "{shown}");
        }
        for text in ["", "s", "10", "10 s", "0s", "-1s", "+1s", "1.5s", "8761h", "9d", "Off"] {
            assert!(text.parse::<Deadline>().is_err(), "{text}");
        }
        assert!("99999999999999999999999s".parse::<Deadline>().is_err());
    }
}
