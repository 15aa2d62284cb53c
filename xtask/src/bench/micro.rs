//! `cargo xtask bench` without further words: the microbenchmarks of the crates, which need no peer.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::bench::page::number;
use crate::steps::{Done, Report, cargo, run as run_command};
use crate::test::target_folder;

/// What criterion says about one benchmark.
struct Row {
    name: String,
    /// Nanoseconds: the median, and its confidence interval.
    median: f64,
    interval: (f64, f64),
    /// Bytes that one turn handles, if the benchmark says so.
    bytes: Option<f64>,
}

pub(crate) fn run(report: &mut Report) {
    let crates = match crates_with_benches() {
        Ok(crates) if crates.is_empty() => {
            return report.skip("bench", "no crate has microbenchmarks (`benches/*.rs`)");
        }
        Ok(crates) => crates,
        Err(error) => return report.step("bench", || Err(error)),
    };
    for name in &crates {
        report.step(&format!("bench {name}"), || {
            let words = ["bench", "--locked", "--package", name, "--benches"];
            run_command(&mut cargo(words)).map(|()| Done::Ran(String::new()))
        });
    }
    report.step("bench table", || {
        let mut rows = Vec::new();
        collect(&target_folder()?.join("criterion"), &mut rows)?;
        rows.sort_by(|a, b| a.name.cmp(&b.name));
        print!("{}", table(&rows));
        Ok(Done::Ran(format!("{} benchmarks", rows.len())))
    });
}

/// The crates that have files in `benches`, by name; a crate's folder has its name.
fn crates_with_benches() -> Result<Vec<String>, String> {
    let entries = fs::read_dir("crates").map_err(|error| format!("crates: {error}"))?;
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.map_err(|error| format!("crates: {error}"))?;
        if entry.path().join("benches").is_dir() {
            names.push(entry.file_name().display().to_string());
        }
    }
    names.sort();
    Ok(names)
}

/// Every result below `folder`: criterion leaves `…/new/benchmark.json` and `…/new/estimates.json`.
fn collect(folder: &Path, rows: &mut Vec<Row>) -> Result<(), String> {
    let entries = fs::read_dir(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    for entry in entries {
        let path = entry.map_err(|error| format!("{}: {error}", folder.display()))?.path();
        if path.file_name().is_some_and(|name| name == "new") {
            let read = |name: &str| json(&path.join(name));
            let row = row(&read("benchmark.json")?, &read("estimates.json")?);
            rows.push(row.ok_or_else(|| format!("{}: not criterion's", path.display()))?);
        } else if path.is_dir() {
            collect(&path, rows)?;
        }
    }
    Ok(())
}

fn json(path: &Path) -> Result<Value, String> {
    let text = fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
    serde_json::from_slice(&text).map_err(|error| format!("{}: {error}", path.display()))
}

fn row(benchmark: &Value, estimates: &Value) -> Option<Row> {
    let median = estimates.get("median")?;
    let interval = median.get("confidence_interval")?;
    let bound = |name: &str| interval.get(name)?.as_f64();
    Some(Row {
        name: benchmark.get("full_id")?.as_str()?.to_owned(),
        median: median.get("point_estimate")?.as_f64()?,
        interval: (bound("lower_bound")?, bound("upper_bound")?),
        bytes: benchmark.pointer("/throughput/Bytes").and_then(Value::as_f64),
    })
}

fn table(rows: &[Row]) -> String {
    let width = rows.iter().map(|row| row.name.len()).max().unwrap_or(0);
    let line = |Row { name, median, interval, bytes }: &Row| {
        let (low, high) = (number(interval.0), number(interval.1));
        // Bytes in a nanosecond are GB in a second.
        let rate =
            bytes.map_or_else(String::new, |bytes| format!("{} GB/s", number(bytes / median)));
        let line = format!("{name:width$}  {:>8} ns  ({low}–{high})  {rate}", number(*median));
        format!("{}\n", line.trim_end())
    };
    rows.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn criterions_files_become_a_table() {
        let benchmark = json!({ "full_id": "frame/16 KiB", "throughput": { "Bytes": 16384 } });
        let estimates = json!({ "median": {
            "point_estimate": 8192.0,
            "confidence_interval": { "lower_bound": 8000.0, "upper_bound": 8300.4 },
        } });
        let plain = json!({ "full_id": "open", "throughput": null });
        let rows = [row(&benchmark, &estimates).unwrap(), row(&plain, &estimates).unwrap()];
        assert_eq!(
            table(&rows),
            "frame/16 KiB      8192 ns  (8000–8300)  2.00 GB/s\n\
             open              8192 ns  (8000–8300)\n"
        );
        assert!(row(&plain, &json!({})).is_none());
    }
}
