//! One route: two ends, each an address and its words.

use std::ops::Range;
use std::path::PathBuf;

use levada_address::{
    AddressError, Endpoint, KeyPlace, OPTIONS, OptionSpec, Repeat, Side, Value, ValueKind,
};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::config::{End, Route};
use crate::key::{ADDRESS, ROUTE_KEYS, WHEN};
use crate::reader::{Reader, in_table};
use crate::suggest;

/// A value in a table of the text.
type Place<'v, 't> = &'v Spanned<DeValue<'t>>;

/// The key of a route that holds this side.
fn key(side: Side) -> &'static str {
    match side {
        Side::Listen => "listen",
        Side::Connect => "to",
    }
}

impl Reader<'_> {
    pub(crate) fn route(&mut self, route: Place<'_, '_>) -> Option<Route> {
        let DeValue::Table(table) = route.get_ref() else {
            let hint = "write `[[route]]`, and below it `listen` and `to`";
            self.fault(route.span(), "a route is a table", hint);
            return None;
        };
        let words = ROUTE_KEYS.iter().map(|row| row.word);
        for key in table.keys().filter(|key| !words.clone().any(|word| word == key.get_ref())) {
            let hint = match OptionSpec::find(key.get_ref()) {
                Some(row) => format!("say for which end it is: {}", in_table(row.word)),
                None => suggest::key(key.get_ref(), words.clone()),
            };
            self.fault(key.span(), format!("unknown key `{key}`"), hint);
        }
        let mut end = |side| {
            if let Some(value) = table.get(key(side)) {
                return self.end(value, side);
            }
            let hint = match side {
                Side::Listen => "add `listen = \"ADDRESS\"`: where streams come from",
                Side::Connect => "add `to = \"ADDRESS\"`: where streams go",
            };
            self.fault(route.span(), format!("a route needs `{}`", key(side)), hint);
            None
        };
        let (listen, to) = (end(Side::Listen), end(Side::Connect));
        let when = match table.get(WHEN) {
            Some(value) => Some(self.when(value)?),
            None => None,
        };
        Some(Route { when, listen: listen?, to: to? })
    }

    fn end(&mut self, value: Place<'_, '_>, side: Side) -> Option<End> {
        let none = DeTable::new();
        let (table, address) = match value.get_ref() {
            DeValue::Table(table) => {
                self.unknown_words(table, side);
                let Some(address) = table.get(ADDRESS) else {
                    let hint = format!("add `{ADDRESS} = \"ADDRESS\"`");
                    self.fault(value.span(), format!("`{}` needs `{ADDRESS}`", key(side)), hint);
                    return None;
                };
                (table, address)
            }
            _ => (&none, value),
        };
        let text = self.string(address, "`\"tcp://127.0.0.1:80\"`")?;
        let parsed = match text.parse() {
            Ok(parsed) => parsed,
            Err(error) => {
                self.address_fault(&error, address, 0);
                return None;
            }
        };
        let mut end = End { address: parsed, place: address.span(), files: Vec::new() };
        let files = end.address.options().iter().filter_map(|(_, value)| as_path(value)).collect();
        self.note_files(&mut end, files, &address.span());
        for (row, value) in &self.deadlines {
            // A word of the table comes later, and replaces it.
            end.address.set(row.word, value).ok()?;
        }
        // Every word is looked at, also behind a wrong one.
        let mut good = true;
        for row in OPTIONS {
            if let Some((name, value)) = table.get_key_value(row.word) {
                good &= self.word(&mut end, row, name.span(), value, side).is_some();
            }
        }
        if !good {
            return None;
        }
        self.check(end, table, side)
    }

    /// Keys of an end that no table has, or only that of the other end.
    fn unknown_words(&mut self, table: &DeTable<'_>, side: Side) {
        let rows = || OPTIONS.iter().filter(move |row| row.side.contains(side));
        let words = || std::iter::once(ADDRESS).chain(rows().map(|row| row.word));
        for name in table.keys().filter(|name| !words().any(|word| word == name.get_ref())) {
            if OptionSpec::find(name.get_ref()).is_some() {
                let (here, there) = match side {
                    Side::Listen => ("listening", "to"),
                    Side::Connect => ("connecting", "listen"),
                };
                let what = format!("`{name}` means nothing for {here}");
                self.fault(name.span(), what, format!("it is for `{there}`"));
            } else {
                let hint = suggest::key(name.get_ref(), words());
                self.fault(name.span(), format!("unknown key `{name}`"), hint);
            }
        }
    }

    /// Sets one word; `None` when it is wrong, and that is told.
    fn word(
        &mut self,
        end: &mut End,
        row: &'static OptionSpec,
        name: Range<usize>,
        value: Place<'_, '_>,
        side: Side,
    ) -> Option<()> {
        if !row.side.contains(side) {
            // Told already.
            return None;
        }
        let example = row.kind.placeholder().split('|').next().unwrap_or_default();
        let shape = format!("`{} = \"{example}\"`", row.word);
        let repeats = row.repeat == Repeat::On(side);
        let values: Vec<Place<'_, '_>> = match value.get_ref() {
            DeValue::Array(items) if repeats && !items.is_empty() => items.iter().collect(),
            _ => vec![value],
        };
        let mut texts = Vec::new();
        for value in &values {
            texts.push(self.string(value, &shape)?);
        }
        match end.address.set_all(row.word, &texts) {
            Ok(true) => {
                if matches!(row.kind, ValueKind::Path | ValueKind::Key) {
                    let files = end.address.options().iter();
                    let files = files.filter(|(spec, _)| spec.word == row.word);
                    let files: Vec<_> = files.map(|(_, value)| as_path(value)).collect();
                    for (file, value) in files.into_iter().zip(values) {
                        self.note_files(end, file.into_iter().collect(), &value.span());
                    }
                }
                Some(())
            }
            Ok(false) => {
                let (what, hint) = match row.partner {
                    Some(partner) => (
                        format!("the address has its own `{}` or `{partner}`", row.word),
                        "write them all in the address, or all here",
                    ),
                    None => (
                        format!("`{}` is in the address already", row.word),
                        "leave one of the two away",
                    ),
                };
                self.fault(name, what, hint);
                None
            }
            Err(error) => {
                let at = row.word.len() + 1;
                let wrong = texts.iter().position(|text| error.input().get(at..) == Some(text));
                match wrong {
                    Some(index) => self.address_fault(&error, values[index], at),
                    // The word is what does not fit.
                    None => self.tell(&error, name),
                }
                None
            }
        }
    }

    fn note_files(&self, end: &mut End, files: Vec<PathBuf>, place: &Range<usize>) {
        let seen = |file: PathBuf| (self.folder.join(file), place.clone());
        end.files.extend(files.into_iter().map(seen));
    }

    /// Checks the whole end for its side.
    fn check(&mut self, mut end: End, table: &DeTable<'_>, side: Side) -> Option<End> {
        if let Err(error) = end.address.begin_paths_at(self.folder) {
            let hint =
                "paths begin at the folder of this file; one that is absolute may be shorter";
            self.fault(end.place, error.fault().to_string(), hint);
            return None;
        }
        let checked = match side {
            Side::Listen => end.address.for_listening().map(drop),
            Side::Connect => end.address.for_connecting().map(drop),
        };
        if let Err(error) = checked {
            let place = blamed(&error, table).unwrap_or(end.place);
            self.tell(&error, place);
            return None;
        }
        if side == Side::Connect && *end.address.endpoint() == Endpoint::Stdio {
            let hint = "use `levada connect` the other way round";
            self.fault(
                end.place,
                "standard output can serve one stream only, and a route has many",
                hint,
            );
            return None;
        }
        Some(end)
    }
}

/// The word of the table that an error of the whole address is about.
fn blamed(error: &AddressError, table: &DeTable<'_>) -> Option<Range<usize>> {
    let word = error.input().get(error.span())?.split('=').next()?;
    table.get_key_value(word).map(|(_, value)| value.span())
}

fn as_path(value: &Value) -> Option<PathBuf> {
    match value {
        Value::Path(path) | Value::Key(KeyPlace::File(path)) => Some(path.clone()),
        _ => None,
    }
}
