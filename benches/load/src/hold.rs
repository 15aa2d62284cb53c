//! Connections that are up and do nothing, and the memory that they take in the terminator.

use std::io;
use std::time::Duration;

use serde_json::json;

use crate::Outcome;
use crate::bulk;
use crate::link::{Link, open_all};
use crate::options::Options;
use crate::process::Tree;
use crate::request::Request;
use crate::run::Run;
use crate::target::Target;

/// How long the terminator gets to drop what it needed for the handshakes.
const SETTLE: Duration = Duration::from_secs(1);

/// How long nothing is read from a stalled connection: until every buffer on the way is full.
const STALL: Duration = Duration::from_secs(2);

/// Connections over which nothing goes.
pub(crate) async fn run(options: &Options) -> Outcome {
    let (target, before) = warmed_up(options).await?;
    let mut run = Run::begin(options)?;
    let mut links = open_all(&target, options.connections).await?;
    tokio::time::sleep(SETTLE).await;
    end(&mut run, options, before)?;

    // Held means that each still works.
    for link in &mut links {
        link.probe().await?;
    }
    run.add(links.first().map(Link::negotiated).unwrap_or_default());
    Ok(run.result())
}

/// Connections on which the backend sends and the client does not read; in the end it does, and
/// everything has to be there.
pub(crate) async fn stall(options: &Options) -> Outcome {
    let (target, before) = warmed_up(options).await?;
    let mut run = Run::begin(options)?;
    let mut links = open_all(&target, options.connections).await?;
    run.add(links.first().map(Link::negotiated).unwrap_or_default());
    for (index, link) in links.iter_mut().enumerate() {
        link.ask(Request::Source(options.share(options.bytes, index))).await?;
    }
    tokio::time::sleep(STALL).await;
    end(&mut run, options, before)?;

    let parts = links.into_iter().enumerate();
    let tasks: Vec<_> = parts
        .map(|(index, link)| {
            tokio::task::spawn_local(bulk::take(link, options.share(options.bytes, index)))
        })
        .collect();
    for task in tasks {
        crate::joined(task).await?;
    }
    Ok(run.result())
}

/// The target after a few connections, since what the first ones allocate once is no cost of the
/// others; and the memory that it takes then.
async fn warmed_up(options: &Options) -> io::Result<(Target, Option<u64>)> {
    let target = Target::new(options)?;
    drop(open_all(&target, options.connections.min(32)).await?);
    tokio::time::sleep(SETTLE).await;
    Ok((target, memory_kib(options)?))
}

fn end(run: &mut Run, options: &Options, before: Option<u64>) -> io::Result<()> {
    run.end()?;
    if let (Some(before), Some(held)) = (before, memory_kib(options)?) {
        run.add(json!({ "kib_before": before, "kib_held": held }));
    }
    Ok(())
}

fn memory_kib(options: &Options) -> io::Result<Option<u64>> {
    options.pid.map(|pid| Tree::new(pid).memory_kib()).transpose()
}
