//! The options of addresses as flags: every word of the table is one, with the same meaning.

use std::ffi::OsString;
use std::fmt;

use clap::builder::ValueParser;
use clap::{Arg, ArgAction, ArgMatches, Command};
use levada_address::{
    Address, AddressError, DefaultValue, OPTIONS, OptionSpec, Repeat, Scheme, Schemes, Side, Sides,
    ValueKind,
};

/// The flags that were given: each with its row of the table and its values.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Flags(Vec<(&'static OptionSpec, Vec<OsString>)>);

/// Adds a flag for each word that has a meaning on one of `sides`.
pub(crate) fn add(command: Command, sides: &[Side]) -> Command {
    let rows = OPTIONS.iter().filter(|row| sides.iter().any(|side| row.side.contains(*side)));
    rows.fold(command, |command, row| command.arg(flag(row, sides)))
}

fn flag(row: &'static OptionSpec, sides: &[Side]) -> Arg {
    let repeats = sides.iter().any(|side| row.repeat == Repeat::On(*side));
    Arg::new(row.word)
        .long(row.word)
        .value_name(row.kind.placeholder())
        .value_parser(ValueParser::os_string())
        .action(if repeats { ArgAction::Append } else { ArgAction::Set })
        .allow_hyphen_values(false)
        .help_heading(heading(row))
        .help(help(row, sides))
}

fn heading(row: &OptionSpec) -> &'static str {
    match (row.kind, row.schemes) {
        (_, Schemes::Only([Scheme::Ws, ..])) => "WebSocket",
        (ValueKind::Deadline, _) => "Deadlines",
        (ValueKind::Family | ValueKind::Bind, _) => "Network",
        _ if row.word.starts_with("proxy") => "Network",
        _ => "TLS",
    }
}

fn help(row: &OptionSpec, sides: &[Side]) -> String {
    let of = if sides.len() > 1 && row.side == Sides::Connect { " (of --to)" } else { "" };
    let help = row.help;
    match &row.default {
        DefaultValue::Absent => format!("{help}{of}"),
        DefaultValue::Value(value) => format!("{help}{of} [default: {value}]"),
        DefaultValue::Derived(words) => format!("{help}{of} [default: {words}]"),
    }
}

/// A flag that cannot be used as given.
#[derive(Debug)]
pub(crate) enum FlagError {
    /// Its value, or its number of values, is wrong.
    Wrong(&'static str, AddressError),
    /// It has no meaning for any of the addresses.
    NoUse(&'static OptionSpec),
}

impl fmt::Display for FlagError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Wrong(word, error) => write!(f, "--{word}: {error}"),
            Self::NoUse(row) => {
                write!(f, "--{} means nothing here: it is for ", row.word)?;
                match row.schemes {
                    Schemes::Any => f.write_str("every address")?,
                    Schemes::Only(schemes) => {
                        for (index, scheme) in schemes.iter().enumerate() {
                            let mark = match index {
                                0 => "",
                                _ if index + 1 == schemes.len() => " and ",
                                _ => ", ",
                            };
                            write!(f, "{mark}`{scheme}:`")?;
                        }
                    }
                }
                match row.side {
                    Sides::Both => Ok(()),
                    side => write!(f, ", when {side}"),
                }
            }
        }
    }
}

impl Flags {
    /// Takes what `matches` holds of the flags.
    pub(crate) fn of(matches: &mut ArgMatches) -> Self {
        let given = OPTIONS.iter().filter_map(|row| {
            // A word that this command has no flag for is no match either.
            let values = matches.try_remove_many::<OsString>(row.word).ok()??;
            Some((row, values.collect()))
        });
        Self(given.collect())
    }

    /// Gives the flags to the addresses that they fit: to the listening ones, else to the targets.
    /// What every stream has, and the version of IP, goes to both. What an address says itself wins.
    pub(crate) fn set(
        &self,
        listen: &mut [Address],
        connect: &mut [Address],
    ) -> Result<(), FlagError> {
        for (row, values) in &self.0 {
            let both = matches!(row.kind, ValueKind::Deadline | ValueKind::Family);
            let mut used = give(row, values, listen, Side::Listen)?;
            if !used || both {
                used |= give(row, values, connect, Side::Connect)?;
            }
            if !used {
                return Err(FlagError::NoUse(row));
            }
        }
        Ok(())
    }
}

/// Sets a word in each of `addresses` that it fits; whether there was one.
fn give(
    row: &'static OptionSpec,
    values: &[OsString],
    addresses: &mut [Address],
    side: Side,
) -> Result<bool, FlagError> {
    let mut used = false;
    for address in addresses {
        if row.fits(address.scheme(), side) {
            let set = address.set_all(row.word, values);
            set.map_err(|error| FlagError::Wrong(row.word, error))?;
            used = true;
        }
    }
    Ok(used)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flags(given: &[(&str, &str)]) -> Flags {
        let row = |word| OptionSpec::find(word).unwrap();
        Flags(given.iter().map(|(word, value)| (row(word), vec![value.into()])).collect())
    }

    fn set(given: &[(&str, &str)], listen: &str, to: &str) -> Result<[String; 2], FlagError> {
        let (mut listen, mut to) = ([listen.parse().unwrap()], [to.parse().unwrap()]);
        flags(given).set(&mut listen, &mut to)?;
        Ok([listen[0].to_string(), to[0].to_string()])
    }

    #[test]
    fn a_flag_goes_to_the_listening_side_if_it_fits_there() {
        let [listen, to] = set(&[("cert", "a.pem")], "tls://:1", "tls://b:2").unwrap();
        assert_eq!((&*listen, &*to), ("tls://*:1?cert=a.pem", "tls://b:2"));
        let [listen, to] = set(&[("cert", "a.pem")], "tcp://:1", "tls://b:2").unwrap();
        assert_eq!((&*listen, &*to), ("tcp://*:1", "tls://b:2?cert=a.pem"));
        let [listen, to] = set(&[("ca", "a.pem")], "tls://:1", "tls://b:2").unwrap();
        assert_eq!((&*listen, &*to), ("tls://*:1", "tls://b:2?ca=a.pem"));
    }

    #[test]
    fn deadlines_and_family_go_to_both_sides() {
        let given = [("family", "4"), ("deadline-idle", "5s")];
        let [listen, to] = set(&given, "tcp://:1", "tcp://b:2").unwrap();
        assert_eq!(listen, "tcp://*:1?family=4&deadline-idle=5s");
        assert_eq!(to, "tcp://b:2?family=4&deadline-idle=5s");
        let [listen, to] = set(&given, "unix:a", "tcp://b:2").unwrap();
        assert_eq!(listen, "unix:a?deadline-idle=5s");
        assert_eq!(to, "tcp://b:2?family=4&deadline-idle=5s");
    }

    #[test]
    fn the_words_of_an_address_win() {
        let given = [("deadline-idle", "5s")];
        let [listen, to] = set(&given, "tcp://:1?deadline-idle=1s", "tcp://b:2").unwrap();
        assert_eq!(listen, "tcp://*:1?deadline-idle=1s");
        assert_eq!(to, "tcp://b:2?deadline-idle=5s");
    }

    #[test]
    fn a_flag_without_use_is_an_error_that_says_where_it_is_for() {
        let error = set(&[("ca", "a.pem")], "tls://:1", "tcp://b:2").unwrap_err().to_string();
        assert_eq!(error, "--ca means nothing here: it is for `tls:` and `wss:`, when connecting");
        let error = set(&[("bind", "::1")], "tcp://:1", "echo:").unwrap_err().to_string();
        assert_eq!(
            error,
            "--bind means nothing here: it is for `tcp:`, `tls:`, `pool+tls:`, `ws:` and `wss:`, when \
             connecting"
        );
    }

    #[test]
    fn a_wrong_value_is_shown_with_its_place() {
        let error = set(&[("deadline-idle", "5")], "tcp://:1", "echo:").unwrap_err().to_string();
        assert!(error.starts_with("--deadline-idle: a time ends with its unit\n"), "{error}");
        assert!(error.contains("\n    deadline-idle=5\n"), "{error}");
    }
}
