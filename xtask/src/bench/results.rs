//! What the runs gave, and the statistics over it.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::bench::figures::{Figure, cpu_per_gib};
use crate::bench::terminators::{self, RELAY};

/// One run.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Sample {
    pub(crate) load: String,
    pub(crate) round: usize,
    /// The terminator, or nothing for a limit of the machine.
    pub(crate) of: String,
    /// What the load said; the error is why it failed.
    pub(crate) result: Result<Value, String>,
}

impl Sample {
    /// As a line of JSON.
    pub(crate) fn line(&self) -> String {
        let Self { load, round, of, result } = self;
        let mut line = json!({ "load": load, "round": round, "of": of });
        match result {
            Ok(result) => line["result"] = result.clone(),
            Err(error) => line["error"] = json!(error),
        }
        line.to_string()
    }

    fn parse(line: &str) -> Option<Self> {
        let mut line: Value = serde_json::from_str(line).ok()?;
        let text = |name: &str| Some(line.get(name)?.as_str()?.to_owned());
        Some(Self {
            load: text("load")?,
            round: line.get("round")?.as_u64()?.try_into().ok()?,
            of: text("of")?,
            result: match text("error") {
                Some(error) => Err(error),
                None => Ok(line.get_mut("result")?.take()),
            },
        })
    }
}

/// All runs of a measurement.
#[derive(Debug, Default)]
pub(crate) struct Results {
    samples: Vec<Sample>,
}

/// A figure of each round in which it could be had.
pub(crate) type Series = Vec<(usize, f64)>;

impl Results {
    /// # Errors
    ///
    /// Names the line that is none of ours.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let samples = text.lines().map(|line| Sample::parse(line).ok_or(line));
        let samples = samples.collect::<Result<_, _>>();
        Ok(Self { samples: samples.map_err(|line| format!("not a run: {line}"))? })
    }

    pub(crate) fn of(&self, terminator: &str, figure: &Figure) -> Series {
        self.runs(terminator, figure.load)
            .filter_map(|(round, result)| Some((round, (figure.of)(result)?)))
            .collect()
    }

    /// What bulk costs at least: the relay without TLS, and one pass of encryption. Empty for a figure
    /// that has no limit.
    pub(crate) fn limit(&self, figure: &Figure) -> Series {
        if !figure.has_limit {
            return Series::new();
        }
        let encryption: Series =
            self.runs("", "aead").filter_map(|(at, run)| Some((at, cpu_per_gib(run)?))).collect();
        let relay = self.of(RELAY, figure);
        paired(&relay, &encryption).map(|(round, relay, pass)| (round, relay + pass)).collect()
    }

    /// The peer with the best median.
    pub(crate) fn best_peer(&self, figure: &Figure) -> Option<(&'static str, Series)> {
        let peers = terminators::ALL.iter().filter(|terminator| terminator.is_peer());
        let peers = peers.map(|peer| (peer.name, self.of(peer.name, figure)));
        let rank = |series: &Series| {
            let median = median(values(series))?;
            Some(if figure.more_is_better { -median } else { median })
        };
        let ranked = peers.filter_map(|(name, series)| Some((rank(&series)?, name, series)));
        let best = ranked.min_by(|(a, ..), (b, ..)| a.total_cmp(b));
        best.map(|(_, name, series)| (name, series))
    }

    /// Every run that failed, one line each.
    pub(crate) fn failures(&self) -> String {
        let mut lines = String::new();
        for Sample { load, round, of, result } in &self.samples {
            if let Err(error) = result {
                let _ = writeln!(lines, "{load}, round {round}, {of}: {error}");
            }
        }
        lines
    }

    /// How many rounds there are.
    pub(crate) fn rounds(&self) -> usize {
        self.samples.iter().map(|sample| sample.round).max().unwrap_or(0)
    }

    /// Everything that was negotiated, each once, with who did.
    pub(crate) fn negotiated(&self) -> Vec<(String, Vec<&str>)> {
        let mut all: Vec<(String, Vec<&str>)> = Vec::new();
        for Sample { of, result, .. } in &self.samples {
            let Ok(result) = result else { continue };
            let word = |name: &str| result.get(name).and_then(Value::as_str);
            let (Some(version), Some(suite)) = (word("version"), word("suite")) else { continue };
            let group = word("group").unwrap_or("resumed");
            let what = format!("{version}, {suite}, {group}");
            if let Some((_, who)) = all.iter_mut().find(|(known, _)| *known == what) {
                if !who.contains(&of.as_str()) {
                    who.push(of);
                }
            } else {
                all.push((what, vec![of]));
            }
        }
        all
    }

    fn runs<'a>(
        &'a self,
        terminator: &'a str,
        load: &'a str,
    ) -> impl Iterator<Item = (usize, &'a Value)> {
        let samples = self.samples.iter();
        let ours = samples.filter(move |sample| sample.of == terminator && sample.load == load);
        ours.filter_map(|sample| Some((sample.round, sample.result.as_ref().ok()?)))
    }
}

/// The median of the ratios of `series` to `other`, round by round. `None` without a common round.
pub(crate) fn ratio(series: &Series, other: &Series) -> Option<f64> {
    median(paired(series, other).map(|(_, value, other)| value / other).collect())
}

fn paired(a: &Series, b: &Series) -> impl Iterator<Item = (usize, f64, f64)> {
    a.iter().filter_map(|&(round, value)| {
        let (_, other) = b.iter().find(|(other, _)| *other == round)?;
        Some((round, value, *other))
    })
}

pub(crate) fn values(series: &Series) -> Vec<f64> {
    series.iter().map(|(_, value)| *value).collect()
}

/// `None` of nothing.
pub(crate) fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let upper = *values.get(values.len() / 2)?;
    let lower = *values.get((values.len() - 1) / 2)?;
    Some(f64::midpoint(lower, upper))
}

/// The least and the greatest.
pub(crate) fn spread(values: &[f64]) -> Option<(f64, f64)> {
    let least = values.iter().copied().min_by(f64::total_cmp)?;
    let greatest = values.iter().copied().max_by(f64::total_cmp)?;
    Some((least, greatest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::figures::figures;

    fn run(load: &str, round: usize, of: &str, cpu: f64) -> Sample {
        let result = json!({ "cpu_seconds": cpu, "bytes": 1_u64 << 30 });
        Sample { load: load.into(), round, of: of.into(), result: Ok(result) }
    }

    fn down() -> &'static Figure {
        figures().find(|figure| figure.name == "down-4").unwrap()
    }

    #[test]
    fn lines_survive_the_way() {
        let mut failed = run("up-4", 3, "hitch", 0.5);
        failed.result = Err("it \"broke\"".to_owned());
        let text = format!("{}\n{}\n", run("down-4", 1, "nginx", 0.5).line(), failed.line());
        let results = Results::parse(&text).unwrap();
        assert_eq!(results.samples, [run("down-4", 1, "nginx", 0.5), failed]);
        assert_eq!(results.rounds(), 3);
        assert_eq!(results.failures(), "up-4, round 3, hitch: it \"broke\"\n");
        Results::parse("{}\n").unwrap_err();
    }

    #[test]
    fn medians_and_spreads() {
        assert_eq!(median(vec![]), None);
        assert_eq!(median(vec![3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]), Some(2.5));
        assert_eq!(spread(&[3.0, 1.0, 2.0]), Some((1.0, 3.0)));
        assert_eq!(spread(&[]), None);
    }

    #[test]
    fn ratios_are_of_the_same_round() {
        let ours = vec![(1, 1.0), (2, 4.0), (3, 3.0)];
        let theirs = vec![(1, 2.0), (2, 8.0), (4, 1.0)];
        assert_eq!(ratio(&ours, &theirs), Some(0.5));
        assert_eq!(ratio(&ours, &vec![(9, 1.0)]), None);
    }

    #[test]
    fn the_best_peer_is_neither_ours_nor_the_relay() {
        let samples = vec![
            run("down-4", 1, "levada", 0.25),
            run("down-4", 1, "nginx", 0.75),
            run("down-4", 1, "hitch", 0.5),
            run("down-4", 1, RELAY, 0.125),
            run("aead", 1, "", 0.0625),
        ];
        let results = Results { samples };
        assert_eq!(results.best_peer(down()), Some(("hitch", vec![(1, 0.5)])));
        assert_eq!(results.limit(down()), [(1, 0.1875)]);
    }
}
