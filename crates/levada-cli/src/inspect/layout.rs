//! A page of labelled rows, on paper of any width.

use std::fmt::Write as _;
use std::io::{self, IsTerminal as _};

use unicode_width::UnicodeWidthStr as _;

/// What a page is printed on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Paper {
    /// Columns.
    width: usize,
    colour: bool,
}

/// How a piece of text stands out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ink {
    Plain,
    Label,
    Good,
    Warning,
    Bad,
}

/// One row: what it is about, and its lines.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) label: &'static str,
    pub(crate) lines: Vec<(Ink, String)>,
}

/// Where the text begins behind the labels.
const INDENT: usize = 14;
/// On paper narrower than this, a label has a line of its own.
const NARROW: usize = 56;
/// Nothing is broken into shorter lines.
const NARROWEST: usize = 20;
/// What a program or a file gets.
const NO_TERMINAL: usize = 80;

impl Paper {
    /// The terminal's width and colours, where standard output is one.
    pub(crate) fn of_stdout() -> Self {
        let stdout = io::stdout();
        if !stdout.is_terminal() {
            return Self { width: NO_TERMINAL, colour: false };
        }
        let size = rustix::termios::tcgetwinsize(&stdout).ok();
        let width = size.map(|size| usize::from(size.ws_col)).filter(|columns| *columns > 0);
        let set = |name| std::env::var_os(name).filter(|value| !value.is_empty());
        let dumb = set("TERM").is_none_or(|term| term == "dumb");
        Self {
            width: width.unwrap_or(NO_TERMINAL).max(NARROWEST),
            colour: set("NO_COLOR").is_none() && !dumb,
        }
    }

    /// One that wide, without colours.
    #[cfg(test)]
    pub(crate) const fn plain(width: usize) -> Self {
        Self { width, colour: false }
    }

    /// The rows, one behind the other.
    pub(crate) fn print(&self, rows: &[Row]) -> String {
        let is_narrow = self.width < NARROW;
        let indent = if is_narrow { 2 } else { INDENT };
        let mut page = String::new();
        for Row { label, lines } in rows {
            let mut first = !label.is_empty();
            if is_narrow && first {
                let _ = writeln!(page, "{}", self.inked(Ink::Label, label));
                first = false;
            }
            for (ink, line) in lines {
                for part in wrapped(line, self.width - indent) {
                    let label = if first { label } else { "" };
                    let space = " ".repeat(indent - label.width().min(indent));
                    let text = format!(
                        "{}{space}{}",
                        self.inked(Ink::Label, label),
                        self.inked(*ink, &part)
                    );
                    let _ = writeln!(page, "{}", text.trim_end());
                    first = false;
                }
            }
        }
        page
    }

    fn inked(&self, ink: Ink, text: &str) -> String {
        let code = match ink {
            _ if !self.colour || text.is_empty() => return text.to_owned(),
            Ink::Plain => return text.to_owned(),
            Ink::Label => "2",
            Ink::Good => "32",
            Ink::Warning => "33",
            Ink::Bad => "31",
        };
        format!("\u{1b}[{code}m{text}\u{1b}[0m")
    }
}

/// `line` in parts of at most `width` columns, broken at spaces. Parts behind the first are indented by
/// two. A word that is longer stays whole: it may be copied.
fn wrapped(line: &str, width: usize) -> Vec<String> {
    let mut parts = Vec::new();
    let mut part = String::new();
    for word in line.split(' ') {
        let has_words = !part.trim().is_empty();
        if has_words && part.width() + 1 + word.width() > width {
            parts.push(std::mem::replace(&mut part, "  ".to_owned()));
        } else if !part.is_empty() {
            part.push(' ');
        }
        part.push_str(word);
    }
    parts.push(part);
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows() -> Vec<Row> {
        let words = "one two three four five six seven eight nine ten eleven twelve thirteen";
        vec![
            Row { label: "label", lines: vec![(Ink::Good, words.to_owned())] },
            Row { label: "other", lines: vec![(Ink::Bad, "x".repeat(70))] },
        ]
    }

    #[test]
    fn wide_paper_has_the_labels_beside_the_text() {
        assert_eq!(
            Paper::plain(60).print(&rows()[..1]),
            "label         one two three four five six seven eight nine\n                \
             ten eleven twelve thirteen\n"
        );
    }

    #[test]
    fn narrow_paper_has_them_above_it() {
        let page = Paper::plain(30).print(&rows());
        assert!(page.starts_with("label\n  one two three four five six\n    seven"), "{page}");
        assert!(page.contains(&"x".repeat(70)), "what may be copied stays whole");
        let wide = page.lines().filter(|line| line.width() > 30).count();
        assert_eq!(wide, 1, "{page}");
    }

    #[test]
    fn colour_stands_around_text_alone() {
        let paper = Paper { width: 80, colour: true };
        let page = paper.print(&[Row { label: "a", lines: vec![(Ink::Bad, "b".into())] }]);
        assert_eq!(page, "\u{1b}[2ma\u{1b}[0m             \u{1b}[31mb\u{1b}[0m\n");
        assert!(!Paper::plain(80).print(&rows()).contains('\u{1b}'));
    }
}
