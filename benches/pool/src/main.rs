//! `levada-pool-bench LEVADA ROUNDS MIB HANDSHAKES`: the same loads on `levada serve` with TLS in its
//! process, and on `levada serve` whose TLS is a pool's. Prints tables.
//!
//! The two take turns in each round. CPU time is that of the processes, from `/proc/PID/stat`.
#![expect(clippy::unwrap_used, reason = "a measurement that fails has nothing to tell")]
#![expect(clippy::cast_precision_loss, reason = "of figures with three digits")]

mod arm;
mod load;

use std::collections::BTreeMap;

use arm::{Arm, Files, Kind};
use load::{Load, run};

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [levada, rounds, mib, handshakes] = words.as_slice() else {
        panic!("usage: levada-pool-bench LEVADA ROUNDS MIB HANDSHAKES")
    };
    let rounds: usize = rounds.parse().unwrap();
    let (mib, handshakes) = (mib.parse().unwrap(), handshakes.parse().unwrap());
    let loads = [
        Load::Down { mib },
        Load::Up { mib },
        Load::Handshakes { count: handshakes },
        Load::Trips { count: 4 * handshakes },
    ];
    let files = Files::new(levada);
    let mut figures: BTreeMap<(usize, &str), Vec<f64>> = BTreeMap::new();
    for round in 0..rounds {
        eprintln!("round {} of {rounds}", round + 1);
        for (row, load) in loads.iter().enumerate() {
            for kind in [Kind::InProcess, Kind::Pool] {
                let backend = load::backend(mib).await;
                let arm = Arm::start(&files, kind, backend);
                let took = run(*load, &arm).await;
                let mut note = |column, figure| {
                    figures.entry((row, column)).or_default().push(figure);
                };
                match kind {
                    Kind::InProcess => note("in process", took.first),
                    Kind::Pool => {
                        note("pool", took.first);
                        note("behind", took.second);
                    }
                }
            }
        }
    }
    println!("| load | unit | TLS in process | the pool | ratio | the program behind it |");
    println!("|---|---|---|---|---|---|");
    for (row, load) in loads.iter().enumerate() {
        let of = |column| &figures[&(row, column)];
        let ratios: Vec<f64> =
            of("pool").iter().zip(of("in process")).map(|(pool, own)| pool / own).collect();
        println!(
            "| {} | {} | {} | {} | ×{:.2} | {} |",
            load.name(),
            load.unit(),
            cell(of("in process")),
            cell(of("pool")),
            median(&ratios),
            cell(of("behind")),
        );
    }
}

/// The median, with the least and the greatest.
fn cell(figures: &[f64]) -> String {
    let least = figures.iter().copied().fold(f64::INFINITY, f64::min);
    let most = figures.iter().copied().fold(0.0, f64::max);
    format!("**{:.3}** ({least:.3}–{most:.3})", median(figures))
}

fn median(figures: &[f64]) -> f64 {
    let mut sorted = figures.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    if sorted.len() % 2 == 1 {
        sorted[middle]
    } else {
        f64::midpoint(sorted[middle - 1], sorted[middle])
    }
}
