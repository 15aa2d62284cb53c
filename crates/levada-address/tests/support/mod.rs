//! What the tests of addresses share.
#![allow(dead_code, reason = "each test file is a crate of its own and uses its part")]

use levada_address::{Address, AddressError};

pub(crate) mod invariants;

/// Addresses, and their errors as they are displayed.
pub(crate) type Table = &'static [(&'static str, &'static str)];

/// Panics unless parsing or else `check` refuses every address of `table` in the words beside it.
pub(crate) fn assert_refused(table: Table, check: fn(&Address) -> Result<(), AddressError>) {
    for (input, wanted) in table {
        let error = input
            .parse::<Address>()
            .and_then(|address| check(&address))
            .expect_err(&format!("{input} is refused"));
        assert_eq!(error.to_string(), *wanted, "{input}");
        invariants::assert_sound(&error);
    }
}
