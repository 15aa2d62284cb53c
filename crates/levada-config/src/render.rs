//! The tables of keys as Markdown, for the docs.

use std::fmt::Write as _;

use levada_address::{DefaultValue, OPTIONS, Repeat, Schemes, Side};

use crate::key::{ADDRESS, KEYS, KeySpec, ROUTE_KEYS};
use crate::reader;

const HEAD: &str = "| key | value | default | what it does |\n|---|---|---|---|\n";

/// The keys of the whole file.
pub fn keys_markdown() -> String {
    let mut text = rows(KEYS);
    for row in reader::deadlines() {
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "| `{}` | `\"TIME\"` or `\"off\"` | {} | {} |",
            row.word,
            default(&row.default),
            row.help
        );
    }
    text
}

/// The keys of a route.
pub fn route_markdown() -> String {
    rows(ROUTE_KEYS)
}

/// The keys of one end of a route, when that is a table.
pub fn end_markdown() -> String {
    let mut text = String::from(
        "| key | in | value | for | default | what it does |\n|---|---|---|---|---|---|\n",
    );
    let _ = writeln!(
        text,
        "| `{ADDRESS}` | `listen`, `to` | `\"ADDRESS\"` | all | needed | the address; it may hold words of its own. |"
    );
    for row in OPTIONS {
        let ends: Vec<_> = [(Side::Listen, "`listen`"), (Side::Connect, "`to`")]
            .into_iter()
            .filter_map(|(side, name)| row.side.contains(side).then_some(name))
            .collect();
        let mut value = format!("`\"{}\"`", row.kind.placeholder().replace('|', "\\|"));
        if let Repeat::On(side) = row.repeat {
            let end = if side == Side::Listen { "listen" } else { "to" };
            let _ = write!(value, ", in `{end}` also a list");
        }
        let schemes = match row.schemes {
            Schemes::Any => "all".to_owned(),
            Schemes::Only(schemes) => {
                schemes.iter().map(|scheme| scheme.name()).collect::<Vec<_>>().join(", ")
            }
        };
        let more = if row.more.is_empty() { String::new() } else { format!(" {}", row.more) };
        let _ = writeln!(
            text,
            "| `{}` | {} | {value} | {schemes} | {} | {}.{more} |",
            row.word,
            ends.join(", "),
            default(&row.default),
            row.help,
        );
    }
    text
}

fn rows(table: &[KeySpec]) -> String {
    let mut text = HEAD.to_owned();
    for row in table {
        let _ = writeln!(
            text,
            "| `{}` | `{}` | {} | {} |",
            row.word,
            row.value.replace(" or ", "` or `"),
            row.default,
            row.help
        );
    }
    text.replace("`a table`", "a table")
}

fn default(default: &DefaultValue) -> String {
    match default {
        DefaultValue::Absent => "none".to_owned(),
        DefaultValue::Value(value) => format!("`\"{value}\"`"),
        DefaultValue::Derived(words) => (*words).to_owned(),
    }
}
