//! The lifecycle as a picture: drawn from the table that all streams obey.

use std::fmt::Write as _;

use levada_core::{LIFECYCLE, State, Step};

/// A state's box, and how far one begins below the one before.
const WIDTH: i32 = 120;
const HEIGHT: i32 = 30;
const PITCH: i32 = 60;

/// Where the column of boxes begins, and the whole picture's width.
const LEFT: i32 = 84;
const WHOLE: i32 = 304;

/// The states from top to bottom in the order of a life; steps to the next one go straight down, those
/// that skip some go by the right, those back by the left. The end, which every state can come to, is
/// one rail at the left.
pub(super) fn svg() -> String {
    let states = LIFECYCLE.states;
    let height = PITCH * i32::try_from(states.len()).unwrap_or(0) - PITCH + HEIGHT + 2;
    let mut svg = format!(
        "<svg viewBox=\"0 0 {WHOLE} {height}\" preserveAspectRatio=\"xMidYMin\" role=\"img\" aria-label=\"The states of a stream and the \
         steps between them\">\n<defs><marker id=\"tip\" viewBox=\"0 0 8 8\" refX=\"7\" refY=\"4\" \
         markerWidth=\"7\" markerHeight=\"7\" orient=\"auto\"><path d=\"M0 0 8 4 0 8z\"/></marker></defs>\n"
    );
    // Words stand on the lines, so they are drawn behind them.
    let (mut lane, mut words) = (0, String::new());
    for row in LIFECYCLE.rows {
        for &from in row.from {
            let (from, to) = (place(from), place(row.to));
            if row.step != Step::End || to == from + 1 {
                arrow(&mut svg, &mut words, row.step, from, to, &mut lane);
            }
        }
        if row.step == Step::End {
            rail(&mut svg, &mut words, row.from, row.to);
        }
    }
    svg.push_str(&words);
    for (index, state) in (0..).zip(states) {
        let (y, name) = (top(index), format!("{state:?}"));
        let _ = writeln!(
            svg,
            "<g class=\"state\" data-state=\"{}\"><rect x=\"{LEFT}\" y=\"{y}\" width=\"{WIDTH}\" \
             height=\"{HEIGHT}\" rx=\"7\"/><text x=\"{}\" y=\"{}\">{name}</text></g>",
            word(*state),
            LEFT + WIDTH / 2,
            y + HEIGHT / 2 + 5,
        );
    }
    svg.push_str("</svg>");
    svg
}

/// Which box from above a state has.
fn place(state: State) -> i32 {
    let place = LIFECYCLE.states.iter().position(|other| *other == state);
    place.and_then(|place| i32::try_from(place).ok()).unwrap_or(0)
}

fn top(place: i32) -> i32 {
    place * PITCH + 1
}

/// The state's name in events.
fn word(state: State) -> String {
    let word = serde_json::to_value(state).unwrap_or_default();
    word.as_str().unwrap_or_default().to_owned()
}

fn arrow(svg: &mut String, words: &mut String, step: Step, from: i32, to: i32, lane: &mut i32) {
    let middle = LEFT + WIDTH / 2;
    let (path, x, y) = if to == from + 1 {
        let (y, end) = (top(from) + HEIGHT, top(to) - 1);
        (format!("M{middle} {y}V{end}"), middle + 6, i32::midpoint(y, end) + 4)
    } else if to > from {
        // Those that skip more states go farther out.
        let (x, y, end) = (LEFT + WIDTH, top(from) + HEIGHT / 2, top(to) + HEIGHT / 2);
        let out = 22 + 18 * (to - from - 2);
        *lane += 1;
        // Two that end at the same box do not share its middle.
        let (y, end) = (y + 5 * (to - from - 2), end - 5 + 5 * (*lane % 2));
        let path = format!("M{x} {y}h{out}V{end}H{}", x + 1);
        (path, x + out - 4, i32::midpoint(y, end) + 34 * (to - from - 2))
    } else {
        let (x, y, end) = (LEFT, top(from) + HEIGHT / 2 - 6, top(to) + HEIGHT / 2 + 6);
        (format!("M{x} {y}h-18V{end}H{}", x - 1), x - 14, i32::midpoint(y, end) + 4)
    };
    let _ = writeln!(svg, "<path d=\"{path}\" marker-end=\"url(#tip)\"/>");
    let _ = writeln!(words, "<text x=\"{x}\" y=\"{y}\">{step:?}</text>");
}

/// From each state a way to the one rail that leads to the end.
fn rail(svg: &mut String, words: &mut String, from: &[State], to: State) {
    let x = 34;
    let mut path = String::new();
    for &state in from {
        let _ = write!(path, "M{LEFT} {}H{x}", top(place(state)) + HEIGHT / 2);
    }
    let (first, end) = (top(0) + HEIGHT / 2, top(place(to)) + HEIGHT / 2);
    let _ = writeln!(
        svg,
        "<path d=\"{path}\"/><path d=\"M{x} {first}V{end}H{}\" marker-end=\"url(#tip)\"/>",
        LEFT - 1
    );
    let _ = writeln!(words, "<text x=\"6\" y=\"{}\">{:?}</text>", end - HEIGHT, Step::End);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_and_every_step_is_drawn() {
        let svg = svg();
        for state in State::ALL {
            assert!(svg.contains(&format!("data-state=\"{}\"", word(*state))), "{state:?}");
        }
        for row in LIFECYCLE.rows {
            let drawn = svg.matches(&format!(">{:?}</text>", row.step)).count();
            // The end of the last state but one is an arrow, and that of all of them is the rail.
            let wanted = if row.step == Step::End { 2 } else { row.from.len() };
            assert_eq!(drawn, wanted, "{:?}", row.step);
        }
    }
}
