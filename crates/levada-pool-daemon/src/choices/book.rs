//! All choices that are remembered, and the text that they are kept as.

use std::collections::BTreeMap;
use std::fmt;

use levada_config::{Fault, Faults};

use super::choice::{Candidate, Choice, Rank};

/// Identities that are remembered for a selector, at each end of what the policy has.
pub(crate) const ENTRIES: usize = 64;

/// Selectors that choices are remembered for.
const SELECTORS: usize = 1024;

const HEADER: &str = "\
# Whom `levada pool` shows to whom, as was chosen; of two lines the lower one counts more.
# Change it while no pool runs. Comments of your own go when one begins.
";

/// What is remembered, by selectors.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Book(BTreeMap<String, Lists>);

/// What stands before, and behind, what the policy has for a selector. No name is in it twice.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Lists {
    pub(crate) front: Vec<Candidate>,
    pub(crate) back: Vec<Candidate>,
}

/// There is no room for another selector, or for another identity behind the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NoRoom;

impl Book {
    pub(super) fn lists(&self, selector: &str) -> Lists {
        self.0.get(selector).cloned().unwrap_or_default()
    }

    /// Takes a choice in. Tells whether it says anything new.
    ///
    /// # Errors
    ///
    /// [`NoRoom`]; nothing has changed then. In front there always is: the one behind goes.
    pub(super) fn take(&mut self, choice: &Choice) -> Result<bool, NoRoom> {
        let Choice { rank, selector, candidate } = choice;
        if self.0.len() >= SELECTORS && !self.0.contains_key(selector) {
            return Err(NoRoom);
        }
        let Lists { front, back } = self.0.entry(selector.clone()).or_default();
        let known = match rank {
            Rank::First => front.first(),
            Rank::Last => back.last(),
        };
        if known == Some(candidate) {
            return Ok(false);
        }
        let is_other = |other: &Candidate| other.name != candidate.name;
        if *rank == Rank::Last && back.iter().filter(|other| is_other(other)).count() >= ENTRIES {
            return Err(NoRoom);
        }
        front.retain(is_other);
        back.retain(is_other);
        match rank {
            Rank::First => {
                front.insert(0, candidate.clone());
                front.truncate(ENTRIES);
            }
            Rank::Last => back.push(candidate.clone()),
        }
        Ok(true)
    }

    /// Reads a text of choices, one a line, and tells how many bytes behind the last line are left out: a
    /// crash may leave the beginning of one.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with it.
    pub(super) fn read(text: &[u8]) -> Result<(Self, usize), Faults> {
        const HINT: &str =
            "write it like `first .partner.example orders@example.org`, or take the line away";
        let end = text.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
        let (lines, torn) = text.split_at(end);
        let lines = std::str::from_utf8(lines).map_err(|error| {
            let (at, hint) = (error.valid_up_to(), "take the line away, or write it in UTF-8");
            let fault = Fault::new(at..at, "it is no UTF-8", Some(hint.to_owned()));
            Faults::new(&String::from_utf8_lossy(lines), vec![fault])
        })?;
        let (mut book, mut faults, mut start) = (Self::default(), Vec::new(), 0);
        for line in lines.split_inclusive('\n') {
            let place = start..start + line.trim_end().len();
            start += line.len();
            if line.trim().is_empty() || line.trim_start().starts_with('#') {
                continue;
            }
            let read = line.parse().and_then(|choice: Choice| {
                book.take(&choice).map_err(|NoRoom| "there are more choices than are remembered")
            });
            if let Err(wrong) = read {
                faults.push(Fault::new(place, wrong, Some(HINT.to_owned())));
            }
        }
        if faults.is_empty() { Ok((book, torn.len())) } else { Err(Faults::new(lines, faults)) }
    }
}

/// The shortest text that is read to the same.
impl fmt::Display for Book {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(HEADER)?;
        for (selector, Lists { front, back }) in &self.0 {
            let first = front.iter().rev().map(|candidate| (Rank::First, candidate));
            let last = back.iter().map(|candidate| (Rank::Last, candidate));
            for (rank, candidate) in first.chain(last) {
                let (selector, candidate) = (selector.clone(), candidate.clone());
                writeln!(f, "{}", Choice { rank, selector, candidate })?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn take(book: &mut Book, line: &str) -> Result<bool, NoRoom> {
        book.take(&line.parse().unwrap())
    }

    #[test]
    fn a4_choices_are_inserted_appended_and_moved_to_the_front() {
        let names = |list: Vec<Candidate>| {
            list.into_iter().map(|candidate| candidate.name).collect::<Vec<_>>().join(" ")
        };
        let mut book = Book::default();
        for (line, front, back) in [
            ("last .b z", "", "z"),
            ("first .b y", "y", "z"),
            ("first .b z", "z y", ""),
            ("last .b y", "z", "y"),
            ("last .c a", "z", "y"),
        ] {
            assert_eq!(take(&mut book, line), Ok(true));
            let Lists { front: before, back: behind } = book.lists(".b");
            assert_eq!((&*names(before), &*names(behind)), (front, back), "{line}");
            assert_eq!(take(&mut book, line), Ok(false), "that is known");
        }
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut book = Book::default();
        for number in 0..SELECTORS {
            assert_eq!(take(&mut book, &format!("first .{number} x")), Ok(true));
        }
        assert_eq!(take(&mut book, "first .more x"), Err(NoRoom));
        for number in 0..2 * ENTRIES {
            assert_eq!(take(&mut book, &format!("first .0 {number}")), Ok(true));
            let appended = take(&mut book, &format!("last .1 {number}"));
            assert_eq!(appended, if number < ENTRIES { Ok(true) } else { Err(NoRoom) });
        }
        assert_eq!(book.lists(".0").front.len(), ENTRIES);
        assert_eq!(take(&mut book, "last .1 0"), Ok(true), "what is there can move");
        let text = book.to_string();
        assert_eq!(Book::read(text.as_bytes()), Ok((book, 0)), "all of it can be kept");
        let faults = Book::read((text + "first .more x\n").as_bytes()).unwrap_err();
        assert!(faults.iter().any(|fault| fault.what().contains("more choices than")));
    }

    #[test]
    fn a_line_that_is_torn_is_left_out_and_any_other_wrong_one_is_told() {
        let text = "# Mine.\r\n\nlast .b z\r\nfirst .b y\nfirst .b na\u{fc}";
        let (book, torn) = Book::read(text.as_bytes()).unwrap();
        assert_eq!((book.lists(".b").front.len(), torn), (1, "first .b na\u{fc}".len()));
        assert_eq!(Book::read(&text.as_bytes()[..text.len() - 1]).unwrap(), (book, torn - 1));
        let faults = Book::read(b"first .a b\nlost .a b\n\xff").unwrap_err();
        assert_eq!(
            faults.in_file("choices").to_string(),
            "choices:2:1: it begins neither with `first` nor with `last`\n    lost .a b\n    ^^^^^^^^^\n    \
             write it like `first .partner.example orders@example.org`, or take the line away"
        );
        let faults = Book::read(b"first .a b\nfirst .a \xff\n").unwrap_err();
        let told = faults.in_file("choices").to_string();
        assert!(told.starts_with("choices:2:10: it is no UTF-8"), "{told}");
    }

    proptest! {
        /// However often it was shortened meanwhile, what is read is what was there.
        #[test]
        fn what_is_read_is_what_was_taken_in(
            choices in proptest::collection::vec(
                ("(first|last) (u@|@|)[a-c]?\\.[ab] [a-e]( on-the-fly)?", any::<bool>()),
                0..64,
            ),
            torn in "(first \\.a[^\n]{0,9})?",
        ) {
            let (mut book, mut text) = (Book::default(), String::new());
            for (line, is_shortened) in choices {
                let choice: Choice = line.parse().unwrap();
                if book.take(&choice).unwrap() {
                    text.extend([&*choice.to_string(), "\n"]);
                }
                if is_shortened {
                    text = book.to_string();
                }
            }
            text += &torn;
            prop_assert_eq!(Book::read(text.as_bytes()).unwrap(), (book, torn.len()));
        }
    }
}
