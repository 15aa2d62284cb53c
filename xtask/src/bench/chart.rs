//! The main figures as one picture: bars in SVG, without scripts and fonts of its own.

use std::fmt::Write as _;

use crate::bench::figures::{Figure, figures};
use crate::bench::page::number;
use crate::bench::results::{Results, median, values};
use crate::bench::terminators::{self, OURS, RELAY};

/// The picture, in the documentation.
pub(crate) const FILE: &str = "benchmarks.svg";

/// The figures that are shown, with the words of the picture.
const PANELS: &[(&str, &str)] = &[
    ("down-4", "CPU seconds per GiB sent to TLS clients"),
    ("up-4", "CPU seconds per GiB received from TLS clients"),
    ("full", "Full handshakes per CPU second"),
    ("idle", "KiB of memory per idle connection"),
];

const WIDTH: usize = 760;
const MARGIN: usize = 20;
/// Where the bars begin, so that the names stand left of them.
const BARS: u32 = 110;
/// The longest bar; its number stands right of it.
const LONGEST: f64 = 540.0;
const ROW: usize = 24;
const TITLE: usize = 40;

const OUR_COLOUR: &str = "#0a7f6f";
const PEER_COLOUR: &str = "#9aa5b1";
const LIMIT_COLOUR: &str = "#d5dbe1";

struct Bar {
    name: &'static str,
    value: f64,
}

pub(crate) fn render(results: &Results) -> String {
    let mut body = String::new();
    let mut y = MARGIN;
    for (name, title) in PANELS {
        let Some(figure) = figures().find(|figure| figure.name == *name) else { continue };
        let bars = bars(results, figure);
        if !bars.is_empty() {
            let better = if figure.more_is_better { "more is better" } else { "less is better" };
            y = panel(&mut body, y, &format!("{title} ({better})"), &bars);
        }
    }
    let height = y + MARGIN;
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height}\" \
         viewBox=\"0 0 {WIDTH} {height}\" font-family=\"sans-serif\" font-size=\"14\" \
         fill=\"#1f2933\">\n\
         <title>Levada and its peers</title>\n\
         <rect width=\"{WIDTH}\" height=\"{height}\" fill=\"#ffffff\"/>\n{body}</svg>\n"
    )
}

/// The best on top; what cannot be passed above all.
fn bars(results: &Results, figure: &Figure) -> Vec<Bar> {
    let terminators = terminators::ALL.iter().filter(|terminator| terminator.name != RELAY);
    let mut bars: Vec<Bar> = terminators
        .filter_map(|terminator| {
            let value = median(values(&results.of(terminator.name, figure)))?;
            Some(Bar { name: terminator.name, value })
        })
        .collect();
    bars.sort_by(|a, b| a.value.total_cmp(&b.value));
    if figure.more_is_better {
        bars.reverse();
    }
    if let Some(value) = median(values(&results.limit(figure))) {
        bars.insert(0, Bar { name: "limit", value });
    }
    bars
}

/// Draws from `y` down, and answers where it ends.
fn panel(body: &mut String, y: usize, title: &str, bars: &[Bar]) -> usize {
    let _ = writeln!(
        body,
        "<text x=\"{MARGIN}\" y=\"{}\" font-weight=\"bold\">{title}</text>",
        y + TITLE / 2
    );
    let greatest = bars.iter().map(|bar| bar.value).fold(0.0, f64::max);
    let mut top = y + TITLE - 8;
    for Bar { name, value } in bars {
        let length = if greatest > 0.0 { (value / greatest * LONGEST).max(1.0) } else { 1.0 };
        let (colour, weight) = match *name {
            OURS => (OUR_COLOUR, "bold"),
            "limit" => (LIMIT_COLOUR, "normal"),
            _ => (PEER_COLOUR, "normal"),
        };
        let (base, right, thick) = (top + ROW - 8, f64::from(BARS) + length + 6.0, ROW - 6);
        let _ = writeln!(
            body,
            "<text x=\"{}\" y=\"{base}\" text-anchor=\"end\" font-weight=\"{weight}\">{name}</text>\
             <rect x=\"{BARS}\" y=\"{}\" width=\"{length:.1}\" height=\"{thick}\" fill=\"{colour}\"/>\
             <text x=\"{right:.1}\" y=\"{base}\" font-weight=\"{weight}\">{}</text>",
            BARS - 8,
            top + 2,
            number(*value),
        );
        top += ROW;
    }
    top + MARGIN / 2
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart() -> String {
        let run = |load: &str, of: &str, cpu: f64| {
            format!(
                "{{\"load\":\"{load}\",\"round\":1,\"of\":\"{of}\",\"result\":\
                 {{\"cpu_seconds\":{cpu},\"bytes\":1073741824}}}}\n"
            )
        };
        let runs = [
            run("down-4", "levada", 0.25),
            run("down-4", "nginx", 0.5),
            run("down-4", RELAY, 0.125),
            run("aead", "", 0.0625),
        ];
        render(&Results::parse(&runs.concat()).unwrap())
    }

    #[test]
    fn the_longest_bar_fills_the_room_and_others_are_in_proportion() {
        let chart = chart();
        assert!(chart.contains("width=\"540.0\" height=\"18\" fill=\"#9aa5b1\""), "{chart}");
        assert!(chart.contains("width=\"270.0\" height=\"18\" fill=\"#0a7f6f\""), "{chart}");
    }

    #[test]
    fn the_limit_stands_on_top_and_the_best_next() {
        let chart = chart();
        let place = |word: &str| chart.find(word).unwrap();
        assert!(place(">limit<") < place(">levada<"));
        assert!(place(">levada<") < place(">nginx<"));
        assert!(!chart.contains("Full handshakes"), "no panel without a figure");
    }

    #[test]
    fn tags_are_balanced() {
        let chart = chart();
        assert_eq!(chart.matches("<text").count(), chart.matches("</text>").count());
        assert!(chart.starts_with("<svg ") && chart.ends_with("</svg>\n"));
    }
}
