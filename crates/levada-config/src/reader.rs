//! From text to a configuration: the keys of the whole file.

use std::ops::Range;
use std::path::Path;

use levada_address::{AddressError, OPTIONS, OptionSpec, Schemes, TimeLimit, ValueKind};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::config::{Config, LogFormat, Route};
use crate::fault::{Fault, Faults};
use crate::key::{KEYS, ROUTE_KEYS};
use crate::suggest;

/// Reads a configuration. Relative paths begin at `folder`, that of the file.
///
/// Nothing is opened: whether the files that it names can be used is seen by who uses them.
///
/// # Errors
///
/// Everything that is wrong with it; where it is no TOML, the first thing alone.
pub fn parse(text: &str, folder: &Path) -> Result<Config, Faults> {
    let table = DeTable::parse(text).map_err(|error| {
        let place = error.span().unwrap_or(text.len()..text.len());
        Faults::new(text, vec![Fault::new(place, one_line(error.message()), None)])
    })?;
    let mut reader = Reader { text, folder, deadlines: Vec::new(), faults: Vec::new() };
    let config = reader.config(table.get_ref());
    if reader.faults.is_empty() { Ok(config) } else { Err(Faults::new(text, reader.faults)) }
}

fn one_line(text: &str) -> String {
    text.lines().collect::<Vec<_>>().join(", ")
}

/// The reading of one text. What is wrong is kept, and the reading goes on.
pub(crate) struct Reader<'t> {
    pub(crate) text: &'t str,
    pub(crate) folder: &'t Path,
    /// The deadlines of the whole file, which every address takes that has none of its own.
    pub(crate) deadlines: Vec<(&'static OptionSpec, String)>,
    faults: Vec<Fault>,
}

impl Reader<'_> {
    fn config(&mut self, table: &DeTable<'_>) -> Config {
        self.unknown_keys(table);
        for row in deadlines() {
            if let Some(value) = table.get(row.word)
                && self.time(value).is_some()
                && let DeValue::String(text) = value.get_ref()
            {
                self.deadlines.push((row, text.clone().into_owned()));
            }
        }
        Config {
            drain: table.get("drain").and_then(|value| self.time(value)),
            log: table.get("log").and_then(|value| self.log(value)),
            max_connections: table.get("max-connections").and_then(|value| self.count(value)),
            max_connections_per_address: table
                .get("max-connections-per-address")
                .and_then(|value| self.count(value)),
            max_handshakes: table.get("max-handshakes").and_then(|value| self.count(value)),
            routes: self.routes(table.get("route")),
        }
    }

    fn unknown_keys(&mut self, table: &DeTable<'_>) {
        let words = || KEYS.iter().map(|row| row.word).chain(deadlines().map(|row| row.word));
        for key in table.keys().filter(|key| !words().any(|word| word == key.get_ref())) {
            let hint = if let Some(row) = OptionSpec::find(key.get_ref()) {
                format!("it belongs to one end of a route: {}", in_table(row.word))
            } else if ROUTE_KEYS.iter().any(|row| row.word == key.get_ref()) {
                format!("it belongs to a route: write `[[route]]` in a line above `{key}`")
            } else {
                suggest::key(key.get_ref(), words())
            };
            self.fault(key.span(), format!("unknown key `{key}`"), hint);
        }
    }

    fn routes(&mut self, value: Option<&Spanned<DeValue<'_>>>) -> Vec<Route> {
        const SHAPE: &str =
            "write `[[route]]`, and below it `listen = \"ADDRESS\"` and `to = \"ADDRESS\"`";
        let Some(value) = value else {
            let end = self.text.len();
            self.fault(end..end, "there is no route", SHAPE);
            return Vec::new();
        };
        let DeValue::Array(items) = value.get_ref() else {
            let hint = match value.get_ref() {
                DeValue::Table(_) => "write `[[route]]`, with two brackets: there may be several",
                _ => SHAPE,
            };
            self.fault(value.span(), "`route` is no list of routes", hint);
            return Vec::new();
        };
        if items.is_empty() {
            self.fault(value.span(), "there is no route", SHAPE);
        }
        let routes: Vec<_> = items.iter().filter_map(|item| self.route(item)).collect();
        self.together(&routes);
        routes
    }

    fn time(&mut self, value: &Spanned<DeValue<'_>>) -> Option<TimeLimit> {
        let text = self.string(value, "`\"30s\"`")?;
        match text.parse() {
            Ok(time) => Some(time),
            Err(error) => {
                self.address_fault(&error, value, 0);
                None
            }
        }
    }

    fn log(&mut self, value: &Spanned<DeValue<'_>>) -> Option<LogFormat> {
        match self.string(value, "`\"text\"` or `\"json\"`")?.as_str() {
            "text" => Some(LogFormat::Text),
            "json" => Some(LogFormat::Json),
            other => {
                let hint = suggest::key(other, ["text", "json"].into_iter());
                let hint =
                    hint.replace("the keys here are text, json", "write \"text\" or \"json\"");
                self.fault(value.span(), "no format of the log", hint);
                None
            }
        }
    }

    fn count(&mut self, value: &Spanned<DeValue<'_>>) -> Option<usize> {
        let number = match value.get_ref() {
            DeValue::Integer(number) => usize::from_str_radix(number.as_str(), number.radix()).ok(),
            _ => None,
        };
        let number = number.filter(|&number| number > 0);
        if number.is_none() {
            self.fault(
                value.span(),
                "no whole number",
                "give a whole number from 1 on, without quotes",
            );
        }
        number
    }

    /// The text of a value; `shape` shows what to write instead of one that is no text.
    pub(crate) fn string(&mut self, value: &Spanned<DeValue<'_>>, shape: &str) -> Option<String> {
        if let DeValue::String(text) = value.get_ref() {
            return Some(text.clone().into_owned());
        }
        let kind = kind(value.get_ref());
        self.fault(
            value.span(),
            format!("{kind}, where a text is wanted"),
            format!("write it like {shape}"),
        );
        None
    }

    pub(crate) fn fault(
        &mut self,
        place: Range<usize>,
        what: impl Into<String>,
        hint: impl Into<String>,
    ) {
        self.faults.push(Fault::new(place, what, Some(hint.into())));
    }

    /// Keeps an error about the text `value`, in whose error's input that begins at `from`.
    pub(crate) fn address_fault(
        &mut self,
        error: &AddressError,
        value: &Spanned<DeValue<'_>>,
        from: usize,
    ) {
        let place = self.inside(error, value.span(), from);
        self.tell(error, place);
    }

    /// Keeps an error of an address that is at `place`.
    pub(crate) fn tell(&mut self, error: &AddressError, place: Range<usize>) {
        let hint = error.hint().map(str::to_owned);
        self.faults.push(Fault::new(place, error.fault().to_string(), hint));
    }

    /// Where the error is, exactly if the text of the file is that of the value, in quotes.
    fn inside(&self, error: &AddressError, value: Range<usize>, from: usize) -> Range<usize> {
        let written = self.text.get(value.start + 1..value.end.saturating_sub(1));
        let wrong = error.span();
        if written != error.input().get(from..) || wrong.start < from {
            return value;
        }
        let begin = value.start + 1;
        begin + wrong.start - from..begin + wrong.end - from
    }
}

/// The words that stand for the whole file, too: every stream has them.
pub(crate) fn deadlines() -> impl Iterator<Item = &'static OptionSpec> + Clone {
    OPTIONS.iter().filter(|row| row.kind == ValueKind::Deadline && row.schemes == Schemes::Any)
}

/// An example of where the word of an end of a route stands.
pub(crate) fn in_table(word: &str) -> String {
    format!("`listen = {{ address = \"…\", {word} = \"…\" }}`, or the same with `to`")
}

fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) | DeValue::Float(_) => "a number",
        DeValue::Boolean(_) => "a boolean",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}
