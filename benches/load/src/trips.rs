//! Round trips of 64 bytes: with one connection and a depth of 1 they show the latency, with many
//! the CPU time that small messages take.

use std::collections::VecDeque;
use std::io;

use serde_json::json;
use tokio::time::Instant;

use crate::Outcome;
use crate::link::{Link, open_all};
use crate::options::Options;
use crate::request::Request;
use crate::run::Run;
use crate::target::Target;

/// Bytes of one message.
const MESSAGE: usize = 64;

pub(crate) async fn run(options: &Options) -> Outcome {
    let mut links = open_all(&Target::new(options)?, options.connections).await?;
    let negotiated = links.first().map(Link::negotiated);
    for (index, link) in links.iter_mut().enumerate() {
        let count = options.share(options.count, index);
        link.ask(Request::Echo(count * MESSAGE as u64)).await?;
    }
    let mut run = Run::begin(options)?;
    let tasks: Vec<_> = links
        .into_iter()
        .enumerate()
        .map(|(index, link)| {
            let count = options.share(options.count, index);
            tokio::task::spawn_local(one(link, count, options.depth))
        })
        .collect();
    let mut micros = Vec::new();
    let mut links = Vec::with_capacity(tasks.len());
    for task in tasks {
        let (link, some) = crate::joined(task).await?;
        links.push(link);
        micros.extend(some);
    }
    run.end()?;
    micros.sort_by(f64::total_cmp);
    run.add(json!({
        "count": options.count,
        "depth": options.depth,
        "p50_us": percentile(&micros, 50),
        "p99_us": percentile(&micros, 99),
    }));
    run.add(negotiated.unwrap_or_default());
    Ok(run.result())
}

/// Sends `count` messages, never more than `depth` of them unanswered, and answers how long each
/// took, in microseconds.
async fn one(mut link: Link, count: u64, depth: usize) -> io::Result<(Link, Vec<f64>)> {
    let mut micros = Vec::new();
    let mut under_way = VecDeque::with_capacity(depth);
    let mut unsent = count;
    let mut came = 0;
    while micros.len() as u64 != count {
        while unsent > 0 && under_way.len() < depth {
            under_way.push_back(Instant::now());
            link.send(&message(count - unsent)).await?;
            unsent -= 1;
        }
        link.receive(|bytes| {
            for &byte in bytes {
                let (number, place) = (came / MESSAGE, came % MESSAGE);
                if byte != message(number as u64)[place] {
                    return Err(io::Error::other("the echo is not what was sent"));
                }
                came += 1;
            }
            Ok(())
        })
        .await?;
        let now = Instant::now();
        while micros.len() < came / MESSAGE {
            let Some(sent) = under_way.pop_front() else {
                return Err(io::Error::other("more came than was sent"));
            };
            micros.push(now.duration_since(sent).as_secs_f64() * 1e6);
        }
    }
    Ok((link, micros))
}

/// Each message differs from the next ones.
fn message(number: u64) -> [u8; MESSAGE] {
    [number.to_le_bytes()[0]; MESSAGE]
}

/// The value that so many percent do not exceed (nearest rank); `None` of nothing.
fn percentile(sorted: &[f64], percent: usize) -> Option<f64> {
    let rank = (sorted.len() * percent).div_ceil(100);
    sorted.get(rank.saturating_sub(1)).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_occurred() {
        let sorted: Vec<f64> = (1..=200).map(f64::from).collect();
        assert_eq!(percentile(&sorted, 50), Some(100.0));
        assert_eq!(percentile(&sorted, 99), Some(198.0));
        assert_eq!(percentile(&[7.0], 99), Some(7.0));
        assert_eq!(percentile(&[], 50), None);
    }
}
