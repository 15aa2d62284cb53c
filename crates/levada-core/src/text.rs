//! Text of others, shown so that it cannot forge a line of a log or steer a terminal.

use core::fmt::{self, Write as _};

/// Shows text in one line: what is not printable is escaped as in Rust, and the backslash too.
pub(crate) struct OneLine<'a>(pub(crate) &'a str);

impl fmt::Display for OneLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|letter| match letter {
            '\'' | '"' => f.write_char(letter),
            _ => write!(f, "{}", letter.escape_debug()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn only_what_is_not_printable_is_escaped() {
        assert_eq!(OneLine("it's \"grün\"").to_string(), "it's \"grün\"");
        let forged = OneLine("bye\r\nERROR \u{1b}[2J\u{202e}\\").to_string();
        assert_eq!(forged, "bye\\r\\nERROR \\u{1b}[2J\\u{202e}\\\\");
    }
}
