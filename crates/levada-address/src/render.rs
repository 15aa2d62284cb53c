//! The tables of schemes and options as Markdown, for the docs.

use std::fmt::Write as _;

use crate::{DefaultValue, OPTIONS, OptionSpec, Repeat, SCHEMES, Schemes, Side, Sides};

/// [`SCHEMES`] as a table in Markdown, one line a row.
pub fn schemes_markdown() -> String {
    let mut text = String::from("| address | for | what it is |\n|---|---|---|\n");
    for row in SCHEMES {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "| `{}` | {} | {} |", row.shape, row.side, row.help);
    }
    text
}

/// [`OPTIONS`] as a table in Markdown, one line a row.
pub fn options_markdown() -> String {
    let mut text = String::from("| option | for | default | what it does |\n|---|---|---|---|\n");
    for row in OPTIONS {
        let value = row.kind.placeholder().replace('|', "\\|");
        let _ = write!(text, "| `{}={value}` | {} | ", row.word, applies(row));
        let _ = write!(text, "{} | {}.", default(row), row.help);
        let _ = match row.more {
            "" => writeln!(text, " |"),
            more => writeln!(text, " {more} |"),
        };
    }
    text
}

/// Where a word has a meaning, and whether it may be repeated there: `tls, listening ; repeatable`.
fn applies(row: &OptionSpec) -> String {
    let mut text = match row.schemes {
        Schemes::Any => "every scheme".to_owned(),
        Schemes::Only(schemes) => {
            schemes.iter().map(|scheme| scheme.name()).collect::<Vec<_>>().join(", ")
        }
    };
    if row.side != Sides::Both {
        let _ = write!(text, ", {}", row.side);
    }
    match row.repeat {
        Repeat::Never => {}
        Repeat::On(Side::Listen) => text.push_str("; repeatable when listening"),
        Repeat::On(Side::Connect) => text.push_str("; repeatable when connecting"),
    }
    text
}

fn default(row: &OptionSpec) -> String {
    match &row.default {
        DefaultValue::Absent => "none".to_owned(),
        DefaultValue::Value(value) => format!("`{value}`"),
        DefaultValue::Derived(words) => (*words).to_owned(),
    }
}
