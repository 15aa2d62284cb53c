//! One choice of identity that is to be remembered, and how it is written.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use levada_pool_wire::{Identity, LidentryFlags};

use crate::policy::normalize;

/// An identity that can be shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Candidate {
    pub(crate) name: String,
    /// Whether it may be signed on the fly, where the policy has none of this name.
    pub(crate) on_the_fly: bool,
}

/// Where an identity stands for its selector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rank {
    /// Before all others.
    First,
    /// Behind all others.
    Last,
}

/// A choice that is to be remembered: `first SELECTOR NAME` or `last SELECTOR NAME`, with `on-the-fly`
/// behind it where that is so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Choice {
    pub(super) rank: Rank,
    pub(super) selector: String,
    pub(super) candidate: Candidate,
}

impl Choice {
    /// What an answer with these flags tells to remember, where `listed` could be shown. What a line
    /// cannot hold is not remembered.
    ///
    /// Source: TLS Pool protocol V2, LIDENTRY flags.
    pub(crate) fn told(
        flags: LidentryFlags,
        selector: &str,
        candidate: &Candidate,
        listed: &[Candidate],
    ) -> Option<Self> {
        let is_listed = listed.iter().any(|other| other.name == candidate.name);
        let reorders = flags.contains(LidentryFlags::DBREORDER) && is_listed;
        let rank = if flags.contains(LidentryFlags::DBINSERT) || reorders {
            Rank::First
        } else if flags.contains(LidentryFlags::DBAPPEND) && !is_listed {
            Rank::Last
        } else {
            return None;
        };
        let fits = is_selector(selector) && is_word(selector) && is_word(&candidate.name);
        fits.then(|| Self { rank, selector: selector.to_owned(), candidate: candidate.clone() })
    }
}

/// Whether it can stand in a line, and in a packet.
fn is_word(text: &str) -> bool {
    let divides = |char: char| char.is_whitespace() || char.is_control();
    !text.is_empty() && !text.contains(divides) && Identity::new(text).is_ok()
}

/// Whether a remote identity can be looked for under it.
fn is_selector(text: &str) -> bool {
    let domain = text.rsplit_once('@').map_or(text, |(_, domain)| domain);
    normalize(text).is_ok() || domain.parse::<IpAddr>().is_ok()
}

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rank = match self.rank {
            Rank::First => "first",
            Rank::Last => "last",
        };
        let Candidate { name, on_the_fly } = &self.candidate;
        write!(f, "{rank} {} {name}", self.selector)?;
        if *on_the_fly { f.write_str(" on-the-fly") } else { Ok(()) }
    }
}

impl FromStr for Choice {
    type Err = &'static str;

    fn from_str(line: &str) -> Result<Self, Self::Err> {
        let mut words = line.split_whitespace();
        let rank = match words.next() {
            Some("first") => Rank::First,
            Some("last") => Rank::Last,
            _ => return Err("it begins neither with `first` nor with `last`"),
        };
        let (Some(selector), Some(name)) = (words.next(), words.next()) else {
            return Err("a choice needs a selector, and an identity behind it");
        };
        let on_the_fly = match (words.next(), words.next()) {
            (None, _) => false,
            (Some("on-the-fly"), None) => true,
            _ => return Err("there is more than a selector, an identity and `on-the-fly`"),
        };
        if !is_selector(selector) || !is_word(selector) {
            return Err("it is for no remote identity");
        }
        if !is_word(name) {
            return Err("no identity has such a name");
        }
        let [selector, name] = [selector, name].map(str::to_ascii_lowercase);
        Ok(Self { rank, selector, candidate: Candidate { name, on_the_fly } })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_a_choice_or_is_wrong_in_words() {
        for line in [
            "first .partner.example orders@example.org",
            "last @bank.example a@b.example on-the-fly",
            "first u@. *.example.org",
            "last ::1 proxy.test on-the-fly",
        ] {
            assert_eq!(line.parse::<Choice>().unwrap().to_string(), line);
        }
        let odd: Choice = "  first\t.Partner.example  A@b.example ".parse().unwrap();
        assert_eq!(odd.to_string(), "first .partner.example a@b.example");
        let long = "x".repeat(128);
        for (line, wrong) in [
            ("insert .a b", "neither"),
            ("First .a b", "neither"),
            ("first", "needs"),
            ("last .a", "needs"),
            ("first .a b c", "more than"),
            ("first .a b on-the-fly c", "more than"),
            ("first *.a b", "no remote"),
            ("first .a b\u{7}", "such a name"),
            (&format!("first .a {long}"), "such a name"),
            (&format!("first u{long}@a b"), "no remote"),
        ] {
            let error = line.parse::<Choice>().unwrap_err();
            assert!(error.contains(wrong), "{line:?}: {error}");
        }
    }

    #[test]
    fn a4_an_answer_tells_what_is_to_be_remembered() {
        let candidate = |name: &str| Candidate { name: name.into(), on_the_fly: false };
        let listed = [candidate("x"), candidate("y")];
        let told = |flags, selector: &str, name: &str| {
            let told = Choice::told(flags, selector, &candidate(name), &listed);
            told.map(|choice| choice.to_string())
        };
        assert_eq!(told(LidentryFlags::NONE, ".b", "x"), None, "without a flag it holds once");
        assert_eq!(told(LidentryFlags::DBREORDER, ".b", "z"), None, "it is not there");
        assert_eq!(told(LidentryFlags::DBAPPEND, ".b", "x"), None, "it is there");
        assert_eq!(told(LidentryFlags::DBAPPEND, ".b", "z").unwrap(), "last .b z");
        assert_eq!(told(LidentryFlags::DBREORDER, ".b", "y").unwrap(), "first .b y");
        assert_eq!(told(LidentryFlags::DBINSERT, ".b", "z").unwrap(), "first .b z");
        for (selector, name) in [("u v@.b", "z"), ("u\n@.b", "z"), (".b", "a\nb.example")] {
            assert_eq!(told(LidentryFlags::DBINSERT, selector, name), None, "no line can hold it");
        }
    }
}
