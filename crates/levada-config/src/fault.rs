//! What is wrong with a configuration, and how it is shown.

use std::fmt::{self, Write as _};
use std::ops::Range;

use unicode_width::UnicodeWidthChar as _;

/// One thing that is wrong, with its place in the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    pub(crate) place: Range<usize>,
    pub(crate) what: String,
    pub(crate) hint: Option<String>,
}

impl Fault {
    /// `what` is wrong at `place`, in bytes of the text; `hint` says what could be done, in one line.
    pub fn new(place: Range<usize>, what: impl Into<String>, hint: Option<String>) -> Self {
        Self { place, what: what.into(), hint }
    }

    /// Where it is wrong, in bytes of the text.
    pub fn place(&self) -> Range<usize> {
        self.place.clone()
    }

    /// What is wrong, in one line.
    pub fn what(&self) -> &str {
        &self.what
    }

    /// What could be done about it, in one line.
    pub fn hint(&self) -> Option<&str> {
        self.hint.as_deref()
    }
}

/// All that is wrong with one text, in the order of the places; at least one fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Faults {
    text: String,
    faults: Vec<Fault>,
}

impl Faults {
    /// The faults of `text`.
    pub fn new(text: &str, mut faults: Vec<Fault>) -> Self {
        faults.sort_by_key(|fault| (fault.place.start, fault.place.end));
        Self { text: text.to_owned(), faults }
    }

    /// The faults.
    pub fn iter(&self) -> impl Iterator<Item = &Fault> {
        self.faults.iter()
    }

    /// The faults as a person reads them. Each is `FILE:LINE:COLUMN: what`, the line itself, carets
    /// under the place, and what could be done; columns count characters, from 1. What would steer a
    /// terminal is shown as pictures.
    pub fn in_file(&self, file: &str) -> impl fmt::Display {
        InFile { faults: self, file: file.to_owned() }
    }
}

struct InFile<'a> {
    faults: &'a Faults,
    file: String,
}

const INDENT: &str = "    ";

impl fmt::Display for InFile<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, fault) in self.faults.iter().enumerate() {
            if index > 0 {
                f.write_char('\n')?;
            }
            self.fault(fault, f)?;
        }
        Ok(())
    }
}

impl InFile<'_> {
    fn fault(&self, fault: &Fault, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = &self.faults.text;
        let Spot { line, number, from, to } = Spot::of(text, &fault.place);
        let column = line[..from].chars().count() + 1;
        write!(f, "{}:{number}:{column}: {}\n{INDENT}", Shown(&self.file), Shown(&fault.what))?;
        let before = width(&line[..from]);
        let carets = "^".repeat(width(&line[from..to]).max(1));
        writeln!(f, "{}", Shown(line))?;
        write!(f, "{INDENT}{:before$}{carets}", "")?;
        if let Some(hint) = &fault.hint {
            write!(f, "\n{INDENT}{}", Shown(hint))?;
        }
        Ok(())
    }
}

/// A place in its line: what lies in further lines is left away.
struct Spot<'a> {
    line: &'a str,
    number: usize,
    from: usize,
    to: usize,
}

impl<'a> Spot<'a> {
    fn of(text: &'a str, place: &Range<usize>) -> Self {
        // A place may be behind the last byte, and then it is the end of the last line that has any.
        let start = boundary(text, place.start.min(text.trim_end().len()));
        let begin = text[..start].rfind('\n').map_or(0, |at| at + 1);
        let end = text[start..].find('\n').map_or(text.len(), |at| start + at);
        let line = text[begin..end].trim_end();
        let from = (start - begin).min(line.len());
        let to = boundary(text, place.end).saturating_sub(begin).clamp(from, line.len());
        let number = line_of(text, begin);
        Self { line, number, from, to }
    }
}

/// The number of the line that holds the byte `at` of `text`, from 1.
pub fn line_of(text: &str, at: usize) -> usize {
    text.bytes().take(at).filter(|&byte| byte == b'\n').count() + 1
}

/// The last boundary between characters up to `at`.
fn boundary(text: &str, at: usize) -> usize {
    (0..=at.min(text.len())).rev().find(|&at| text.is_char_boundary(at)).unwrap_or_default()
}

fn width(text: &str) -> usize {
    text.chars().map(|char| shown(char).width().unwrap_or(1)).sum()
}

/// Text from outside as a terminal may see it: what would steer it is one sign of the width 1.
struct Shown<'a>(&'a str);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|char| f.write_char(shown(char)))
    }
}

fn shown(char: char) -> char {
    match char {
        // As wide as one caret, which is all that a caret below needs.
        '\t' => ' ',
        // The block Control Pictures has its signs in the order of ASCII.
        '\0'..='\x1f' => char::from_u32(0x2400 + u32::from(char)).unwrap_or('\u{fffd}'),
        '\x7f' => '\u{2421}',
        '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => '\u{fffd}',
        _ if char.width().is_none() => '\u{fffd}',
        _ => char,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(text: &str, place: Range<usize>) -> String {
        Faults::new(text, vec![Fault::new(place, "x", None)]).in_file("f").to_string()
    }

    #[test]
    fn a_place_is_shown_in_its_line() {
        assert_eq!(told("ab\ncd = 1\n", 3..5), "f:2:1: x\n    cd = 1\n    ^^");
        assert_eq!(told("ab\r\n\tžž= 1\r\n", 5..9), "f:2:2: x\n     žž= 1\n     ^^");
        assert_eq!(told("a = [\n1\n]", 4..9), "f:1:5: x\n    a = [\n        ^");
    }

    #[test]
    fn the_end_is_a_place_too() {
        assert_eq!(told("a = 1\n\n", 7..7), "f:1:6: x\n    a = 1\n         ^");
        assert_eq!(told("", 0..0), "f:1:1: x\n    \n    ^");
    }

    #[test]
    fn nothing_steers_the_terminal() {
        assert_eq!(told("\u{1b}[31m\u{202e}", 0..1), "f:1:1: x\n    ␛[31m\u{fffd}\n    ^");
    }
}
