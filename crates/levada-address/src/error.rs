//! The error of an address, and how it is shown.

use std::error::Error;
use std::fmt::{self, Write as _};
use std::ops::Range;

use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

use crate::{Fault, mask};

/// What is wrong with an address, where, and what could be done about it.
///
/// `Display` takes three or four lines without an end of line behind them: the fault, the address
/// with carets under the place, and the hint if there is one. [`AddressError::one_line`] is for
/// logs. Both show control characters as pictures, so that a hostile address cannot speak to a
/// terminal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddressError(Box<Inner>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Inner {
    input: String,
    wrong: Wrong,
}

impl AddressError {
    /// What is wrong.
    pub fn fault(&self) -> &Fault {
        &self.0.wrong.fault
    }

    /// The text that is wrong. A fault found by [`parse`](str::parse) is in the address as given;
    /// one found by [`Address::set`](crate::Address::set) in `word=value`; one found for a side in
    /// the address as it is displayed, with the words that were set. What looks like a password is
    /// starred out, and of a text that is too long only the beginning is here.
    pub fn input(&self) -> &str {
        &self.0.input
    }

    /// Where in [`AddressError::input`] it is wrong, in bytes and between characters. An empty
    /// range is a place where something is missing.
    pub fn span(&self) -> Range<usize> {
        self.0.wrong.range.clone()
    }

    /// What could be done about it, as one line.
    pub fn hint(&self) -> Option<&str> {
        self.0.wrong.hint.as_deref()
    }

    /// The error as one line.
    pub fn one_line(&self) -> impl fmt::Display {
        OneLine(self)
    }
}

impl Error for AddressError {}

const INDENT: &str = "    ";

impl fmt::Display for AddressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inner { input, wrong: Wrong { range, fault, hint } } = &*self.0;
        let shown = |range: Range<usize>| Shown(&input[range]).to_string();
        let before = shown(0..range.start).width();
        let carets = "^".repeat(shown(range.clone()).width().max(1));
        write!(f, "{fault}\n{INDENT}{}\n", Shown(input))?;
        write!(f, "{INDENT}{:before$}{carets}", "")?;
        if let Some(hint) = hint {
            write!(f, "\n{INDENT}{}", Shown(hint))?;
        }
        Ok(())
    }
}

struct OneLine<'a>(&'a AddressError);

impl fmt::Display for OneLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inner { input, wrong: Wrong { range, fault, hint } } = &*self.0.0;
        write!(f, "{fault}, at byte {} of `{}`", range.start, Shown(input))?;
        if let Some(hint) = hint {
            write!(f, "; {}", Shown(hint))?;
        }
        Ok(())
    }
}

/// Text from outside as a terminal may see it: what would steer the terminal or turn the direction
/// of writing is shown as one sign of the width 1, and nothing else changes.
pub(crate) struct Shown<'a>(pub(crate) &'a str);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|char| f.write_char(shown(char)))
    }
}

fn shown(char: char) -> char {
    match char {
        // The block Control Pictures has its signs in the order of ASCII.
        '\0'..='\x1f' => char::from_u32(0x2400 + u32::from(char)).unwrap_or('\u{fffd}'),
        '\x7f' => '\u{2421}',
        '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => '\u{fffd}',
        _ if char.width().is_none() => '\u{fffd}',
        _ => char,
    }
}

/// A fault while its place is still counted from some part of the input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wrong {
    pub(crate) range: Range<usize>,
    pub(crate) fault: Fault,
    pub(crate) hint: Option<String>,
}

impl Wrong {
    pub(crate) fn new(range: Range<usize>, fault: impl Into<Fault>) -> Self {
        Self { range, fault: fault.into(), hint: None }
    }

    pub(crate) fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }

    pub(crate) fn hint_if_some(self, hint: Option<String>) -> Self {
        Self { hint, ..self }
    }

    /// The same place, counted from `by` bytes before.
    pub(crate) fn shifted(self, by: usize) -> Self {
        Self { range: self.range.start + by..self.range.end + by, ..self }
    }

    /// Takes in the whole of every character of `text` that the range cuts.
    pub(crate) fn on_char_boundaries(mut self, text: &str) -> Self {
        while !text.is_char_boundary(self.range.start) {
            self.range.start -= 1;
        }
        while !text.is_char_boundary(self.range.end) {
            self.range.end += 1;
        }
        self
    }

    /// The finished error, whose place counts in `input`.
    pub(crate) fn in_input(self, input: &str) -> AddressError {
        AddressError(Box::new(Inner { input: mask::secrets(input), wrong: self }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(input: &str, part: &str) -> String {
        let start = input.find(part).unwrap();
        Wrong::new(start..start + part.len(), Fault::Path).in_input(input).to_string()
    }

    #[test]
    fn carets_stand_under_wide_and_steering_characters() {
        let caret = |input, part| shown(input, part).lines().nth(2).unwrap().to_owned();
        assert_eq!(caret("abc", "b"), "     ^");
        assert_eq!(caret("žluťoučký kůň", "kůň"), "              ^^^");
        assert_eq!(caret("水渠x", "x"), "        ^");
        assert_eq!(caret("a水渠", "水渠"), "     ^^^^");
        assert_eq!(caret("e\u{301}x", "x"), "     ^");
        assert_eq!(caret("\x1b[31m\nx", "x"), "          ^");
        assert_eq!(shown("\x1b\n\u{202e}\u{85}", "\n").lines().nth(1), Some("    ␛␊��"));
    }
}
