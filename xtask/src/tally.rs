//! What `cargo test` says it ran, read from its output.

use std::fmt;

/// The sum of the closing lines, and the tests that did not run.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    passed: usize,
    failed: usize,
    /// One line for each, with the reason.
    pub(crate) skipped: Vec<String>,
}

impl Tally {
    /// Takes one line of output.
    pub(crate) fn read(&mut self, line: &str) {
        if let Some(closing) = line.strip_prefix("test result: ") {
            self.passed += number_before(closing, " passed");
            self.failed += number_before(closing, " failed");
        } else if let Some(test) = line.strip_prefix("test ")
            && let Some((name, reason)) = test.split_once(" ... ignored")
        {
            let reason = reason.strip_prefix(", ").unwrap_or("ignored");
            self.skipped.push(format!("{name}: {reason}"));
        }
    }

    /// Takes one line of the Test Anything Protocol, as `node --test` writes it.
    pub(crate) fn read_tap(&mut self, line: &str) {
        let count =
            |word: &str| line.strip_prefix(word).and_then(|count| count.trim().parse().ok());
        self.passed += count("# pass ").unwrap_or(0);
        self.failed += count("# fail ").or_else(|| count("# cancelled ")).unwrap_or(0);
        if let Some((test, why)) = line.split_once(" # SKIP") {
            let name = test.trim_start().trim_start_matches("ok ");
            self.skipped.push(format!("{name}: {}", why.trim()));
        }
    }

    /// Takes what tests wrote to the file of skips (`levada_testkit::skip`). Such a test returned
    /// early and was counted as passed.
    pub(crate) fn skips(&mut self, file: &str) {
        for line in file.lines() {
            self.passed = self.passed.saturating_sub(1);
            self.skipped.push(line.to_owned());
        }
    }

    pub(crate) fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped.extend(other.skipped);
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { passed, failed, skipped } = self;
        write!(f, "{passed} passed, {failed} failed, {} skipped", skipped.len())
    }
}

fn number_before(text: &str, word: &str) -> usize {
    let Some((head, _)) = text.split_once(word) else { return 0 };
    head.rsplit(' ').next().and_then(|digits| digits.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn closing_lines_are_summed() {
        let mut tally = Tally::default();
        tally.read("test a ... ok");
        tally.read("test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out");
        tally.read("test result: FAILED. 3 passed; 2 failed; 0 ignored; 0 measured");
        assert_eq!(tally.to_string(), "15 passed, 2 failed, 0 skipped");
    }

    #[test]
    fn the_counts_of_node_are_summed() {
        let mut tally = Tally::default();
        for line in
            ["ok 1 - a", "ok 2 - b # SKIP no broker", "# pass 12", "# fail 2", "# cancelled 1"]
        {
            tally.read_tap(line);
        }
        assert_eq!(tally.to_string(), "12 passed, 3 failed, 1 skipped");
        assert_eq!(tally.skipped, ["2 - b: no broker"]);
    }

    #[test]
    fn a_skip_keeps_its_reason_and_is_no_pass() {
        let mut tally = Tally::default();
        tally.read("test src/lib.rs - door (line 3) ... ignored");
        tally.read("test soak ... ignored, takes an hour");
        tally.read("test result: ok. 2 passed; 0 failed; 2 ignored");
        tally.skips("relay_soak: slow\n");
        assert_eq!(tally.to_string(), "1 passed, 0 failed, 3 skipped");
        assert_eq!(
            tally.skipped,
            ["src/lib.rs - door (line 3): ignored", "soak: takes an hour", "relay_soak: slow"]
        );
    }

    #[test]
    fn what_a_test_prints_is_not_a_closing_line() {
        let mut tally = Tally::default();
        tally.read("the peer said: 7 passed");
        assert_eq!(tally, Tally::default());
    }
}
