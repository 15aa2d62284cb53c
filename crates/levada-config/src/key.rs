//! The tables of keys that are no words of addresses.

/// One row of [`KEYS`] or [`ROUTE_KEYS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeySpec {
    /// The key. Where the command has a flag for the same, it is the same word.
    pub word: &'static str,
    /// The shape of its value, as TOML.
    pub value: &'static str,
    /// What holds where it is absent, in words.
    pub default: &'static str,
    /// What it does, as one line without a full stop.
    pub help: &'static str,
}

/// The keys of the whole file, beside the deadlines, in the order in which the docs show them.
pub const KEYS: &[KeySpec] = &[
    KeySpec {
        word: "route",
        value: "[[route]]",
        default: "at least one is needed",
        help: "a listener and where its streams go; repeatable",
    },
    KeySpec {
        word: "drain",
        value: "\"TIME\" or \"off\"",
        default: "`\"30s\"`",
        help: "how long streams may go on after the first signal",
    },
    KeySpec {
        word: "max-handshakes",
        value: "N",
        default: "`1024`",
        help: "handshakes at once for each listener, of TLS and WebSockets; more are refused",
    },
    KeySpec {
        word: "max-connections",
        value: "N",
        default: "what the limit of open files allows, at most 16384",
        help: "streams at once; more wait in the system's queue",
    },
    KeySpec {
        word: "max-connections-per-address",
        value: "N",
        default: "as many as all",
        help: "streams at once of one client, for each listener; more are refused",
    },
    KeySpec {
        word: "log",
        value: "\"text\" or \"json\"",
        default: "`\"text\"`",
        help: "one line for each stream that ends, on standard error",
    },
];

/// The keys of a route, in the order in which the docs show them.
pub const ROUTE_KEYS: &[KeySpec] = &[
    KeySpec {
        word: "listen",
        value: "\"ADDRESS\" or a table",
        default: "needed",
        help: "where streams come from",
    },
    KeySpec {
        word: "to",
        value: "\"ADDRESS\" or a table",
        default: "needed",
        help: "where they go",
    },
    KeySpec {
        word: WHEN,
        value: "{ sni = [\"NAME\"], alpn = [\"NAME\"] }",
        default: "every client that no route before it is for",
        help: "which clients it is for, by their ClientHello",
    },
];

/// The key of a route that holds its conditions.
pub(crate) const WHEN: &str = "when";

/// The key for the address, in the table of one end of a route.
pub(crate) const ADDRESS: &str = "address";

#[cfg(test)]
mod tests {
    use super::*;
    use levada_address::OptionSpec;

    #[test]
    fn no_key_is_a_word_of_addresses() {
        for row in KEYS.iter().chain(ROUTE_KEYS) {
            assert_eq!(OptionSpec::find(row.word), None, "{}", row.word);
            assert!(!row.help.ends_with('.'), "{}", row.word);
        }
        assert_eq!(OptionSpec::find(ADDRESS), None);
    }
}
