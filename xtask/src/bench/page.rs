//! The results as the block of a page: tables of medians, spread and ratios.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;

use crate::bench::chart;
use crate::bench::figures::{Figure, GROUPS, Group};
use crate::bench::machine::{Machine, Versions};
use crate::bench::results::{Results, Series, median, ratio, spread, values};
use crate::bench::terminators::{self, OURS};
use crate::steps::{Done, Outcome, shown};

/// The page, in the documentation.
pub(crate) const FILE: &str = "benchmarks.md";

/// The blocks of the terminators, of WebSockets, of the pool and of the Node package.
pub(crate) const RESULTS: &str = "results";
pub(crate) const WEBSOCKET: &str = "websocket";
pub(crate) const POOL: &str = "pool";
pub(crate) const NODE: &str = "node";

/// The page with another text in the block of this name.
///
/// # Errors
///
/// When it lacks the marker lines.
pub(crate) fn with_block(page: &str, name: &str, block: &str) -> Result<String, String> {
    let (begin, end) = (format!("<!-- begin {name} -->\n"), format!("<!-- end {name} -->"));
    let parts = || {
        let (head, rest) = page.split_once(&begin)?;
        let (_, tail) = rest.split_once(&end)?;
        Some(format!("{head}{begin}{block}{end}{tail}"))
    };
    parts().ok_or_else(|| format!("{FILE} lacks the marker lines of the block '{name}'"))
}

/// Runs a program that measures in so many rounds and prints tables, and puts them into this block of the
/// page, with where and when it was.
pub(crate) fn measure(program: &mut Command, rounds: usize, block: &str) -> Outcome {
    println!("$ {}", shown(program));
    let output = program.output().map_err(|error| format!("{}: {error}", shown(program)))?;
    if !output.status.success() {
        return Err(format!("{}: {}", output.status, String::from_utf8_lossy(&output.stderr)));
    }
    let tables = String::from_utf8_lossy(&output.stdout);
    let text = format!("{}\n{}\n", Machine::look()?.measured(rounds), tables.trim_end());
    println!("\n{text}");

    let path = Path::new("docs").join(FILE);
    let in_page = |error| format!("{}: {error}", path.display());
    let page = fs::read_to_string(&path).map_err(in_page)?;
    fs::write(&path, with_block(&page, block, &text)?).map_err(in_page)?;
    Ok(Done::Ran(path.display().to_string()))
}

pub(crate) fn render(results: &Results, machine: &Machine, versions: &Versions) -> String {
    let mut page = String::new();
    let _ = writeln!(page, "![The main figures as bars]({})\n", chart::FILE);
    let _ = writeln!(page, "{}", machine.measured(results.rounds()));
    about(&mut page, results, versions);
    against_the_best(&mut page, results);
    for group in GROUPS {
        table(&mut page, results, group);
    }
    let failures = results.failures();
    if !failures.is_empty() {
        let _ = writeln!(page, "Runs that failed:\n\n```text\n{failures}```\n");
    }
    page
}

fn about(page: &mut String, results: &Results, versions: &Versions) {
    let Versions { terminators, openssl } = versions;
    let _ = writeln!(page, "| terminator | version | set up |\n|---|---|---|");
    for (name, version) in terminators {
        let setup = terminators::named(name).map_or("", |terminator| terminator.setup);
        let _ = writeln!(page, "| {name} | {version} | {setup} |");
    }
    let _ =
        writeln!(page, "\nnginx, haproxy, stunnel and hitch use OpenSSL {openssl}. Negotiated:\n");
    for (what, who) in results.negotiated() {
        let _ = writeln!(page, "- {what}: {}", who.join(", "));
    }
    page.push('\n');
}

/// What a reader looks for first.
fn against_the_best(page: &mut String, results: &Results) {
    let mut rows = String::new();
    for group in GROUPS {
        for figure in group.figures {
            let ours = results.of(OURS, figure);
            let Some((name, best)) = results.best_peer(figure) else { continue };
            let (Some(ratio), Some(our), Some(their)) =
                (ratio(&ours, &best), median(values(&ours)), median(values(&best)))
            else {
                continue;
            };
            let limit = median(values(&results.limit(figure)));
            let _ = writeln!(
                rows,
                "| {}: {} | {} | {} ({name}) | **{ratio:.2}** | {} |",
                group.title,
                figure.title,
                number(our),
                number(their),
                limit.map_or_else(|| "–".to_owned(), |limit| format!("{:.2}", our / limit)),
            );
        }
    }
    if !rows.is_empty() {
        let head = "| | levada | best peer | ratio | to the limit |\n|---|---|---|---|---|";
        let _ = writeln!(page, "### Levada and the best peer of each discipline\n\n{head}\n{rows}");
    }
}

fn table(page: &mut String, results: &Results, group: &Group) {
    let _ = writeln!(page, "### {}\n\n{}.\n", group.title, capitalized(group.unit));
    let titles: Vec<&str> = group.figures.iter().map(|figure| figure.title).collect();
    let _ = writeln!(page, "| | {} |", titles.join(" | "));
    let _ = writeln!(page, "|---|{}", "---|".repeat(titles.len()));
    let best: Vec<Option<Series>> = group
        .figures
        .iter()
        .map(|figure| results.best_peer(figure).map(|(_, series)| series))
        .collect();
    let mut row = |name: &str, series: &dyn Fn(&Figure) -> Series| {
        let all: Vec<Series> = group.figures.iter().map(series).collect();
        if all.iter().all(Vec::is_empty) {
            return;
        }
        let cells = all.iter().zip(&best).map(|(series, best)| cell(series, best.as_ref()));
        let _ = writeln!(page, "| {name} | {} |", cells.collect::<Vec<_>>().join(" | "));
    };
    for terminator in terminators::ALL {
        row(terminator.name, &|figure| results.of(terminator.name, figure));
    }
    row("limit", &|figure| results.limit(figure));
    page.push('\n');
}

/// Median, least and greatest, and the ratio to the best peer.
fn cell(series: &Series, best: Option<&Series>) -> String {
    let values = values(series);
    let (Some(median), Some((least, greatest))) = (median(values.clone()), spread(&values)) else {
        return "–".to_owned();
    };
    let ratio = best.and_then(|best| ratio(series, best));
    let ratio = ratio.map_or_else(String::new, |ratio| format!(" ×{ratio:.2}"));
    format!("**{}** ({}–{}){ratio}", number(median), number(least), number(greatest))
}

/// Three digits that count.
pub(crate) fn number(value: f64) -> String {
    match value.abs() {
        size if size < 1.0 => format!("{value:.3}"),
        size if size < 10.0 => format!("{value:.2}"),
        size if size < 100.0 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}

fn capitalized(text: &str) -> String {
    let mut rest = text.chars();
    rest.next()
        .map_or_else(String::new, |first| format!("{}{}", first.to_uppercase(), rest.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const RUNS: &str = r#"{"load":"aead","round":1,"of":"","result":{"cpu_seconds":0.1,"bytes":1073741824}}
{"load":"down-4","round":1,"of":"levada","result":{"cpu_seconds":0.4,"bytes":1073741824,"version":"TLSv1_3","suite":"S","group":"X"}}
{"load":"down-4","round":1,"of":"nginx","result":{"cpu_seconds":0.8,"bytes":1073741824,"version":"TLSv1_3","suite":"S","group":"X"}}
{"load":"down-4","round":2,"of":"levada","result":{"cpu_seconds":0.5,"bytes":1073741824}}
{"load":"down-4","round":2,"of":"nginx","result":{"cpu_seconds":1.0,"bytes":1073741824}}
{"load":"down-4","round":1,"of":"plain relay","result":{"cpu_seconds":0.2,"bytes":1073741824}}
{"load":"up-4","round":1,"of":"hitch","error":"gone"}
"#;

    fn page() -> String {
        let machine = Machine { processor: "A".into(), cores: 2, ..Machine::default() };
        render(&Results::parse(RUNS).unwrap(), &machine, &Versions::default())
    }

    #[test]
    fn ours_stands_beside_the_best_peer_and_the_limit() {
        let page = page();
        let row =
            "| Bytes in bulk: down, 4 connections | 0.450 | 0.900 (nginx) | **0.50** | 1.50 |\n";
        assert!(page.contains(row), "{page}");
    }

    #[test]
    fn each_terminator_has_a_row_with_median_spread_and_ratio() {
        let page = page();
        assert!(page.contains("| nginx | **0.900** (0.800–1.00) ×1.00 | – | – | – |"), "{page}");
        assert!(page.contains("| limit | **0.300** (0.300–0.300) ×0.38 |"), "{page}");
        assert!(!page.contains("| stunnel | **"), "{page}");
    }

    #[test]
    fn what_failed_and_what_was_negotiated_is_told() {
        let page = page();
        assert!(page.contains("up-4, round 1, hitch: gone"), "{page}");
        assert!(page.contains("- TLSv1_3, S, X: levada, nginx"), "{page}");
    }

    #[test]
    fn only_the_block_is_exchanged() {
        let page = |text| format!("a\n<!-- begin ws -->\n{text}\n<!-- end ws -->\nb\n");
        assert_eq!(with_block(&page("old"), "ws", "new\n").unwrap(), page("new"));
        with_block(&page("old"), "results", "new\n").unwrap_err();
    }

    #[test]
    fn numbers_have_three_digits() {
        let numbers = [0.1234, 1.234, 12.34, 1234.4].map(number);
        assert_eq!(numbers, ["0.123", "1.23", "12.3", "1234"]);
    }
}
