//! Options that take security away, by their name: whoever uses one is told so, each time.

use std::fmt;

use levada::Address;
use serde::Serialize;

use crate::door::shown;

/// One such option of one address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Danger {
    /// The address, without its options.
    address: String,
    /// The option, as it is written.
    option: String,
    /// What it does.
    message: &'static str,
}

impl Danger {
    /// All of `address`.
    pub(crate) fn all_of(address: &Address) -> Vec<Self> {
        let options = address.options().iter().filter(|(row, _)| row.word.starts_with("danger"));
        let danger = options.map(|(row, value)| Self {
            address: shown(address, None),
            option: format!("{}={value}", row.word),
            message: row.help,
        });
        danger.collect()
    }

    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    pub(crate) fn option(&self) -> &str {
        &self.option
    }

    pub(crate) const fn message(&self) -> &'static str {
        self.message
    }
}

impl fmt::Display for Danger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DANGER: {}: {}", self.option, self.message)
    }
}
