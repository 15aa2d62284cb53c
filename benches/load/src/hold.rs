//! Connections that are up and idle, and the memory that they take in the terminator.

use std::time::Duration;

use serde_json::json;

use crate::Outcome;
use crate::link::{Link, open_all};
use crate::options::Options;
use crate::process::Tree;
use crate::run::Run;
use crate::target::Target;

/// How long the terminator gets to drop what it needed for the handshakes.
const SETTLE: Duration = Duration::from_secs(1);

pub(crate) async fn run(options: &Options) -> Outcome {
    let target = Target::new(options)?;
    // What the first handshakes allocate once is no cost of a connection.
    drop(open_all(&target, options.connections.min(32)).await?);
    tokio::time::sleep(SETTLE).await;

    let memory = |pid: Option<u32>| pid.map(|pid| Tree::new(pid).memory_kib()).transpose();
    let mut run = Run::begin(options)?;
    let before = memory(options.pid)?;
    let mut links = open_all(&target, options.connections).await?;
    tokio::time::sleep(SETTLE).await;
    let held = memory(options.pid)?;
    run.end()?;

    // Held means that each still works.
    for link in &mut links {
        link.probe().await?;
    }
    if let (Some(before), Some(held)) = (before, held) {
        run.add(json!({ "kib_before": before, "kib_held": held }));
    }
    run.add(links.first().map(Link::negotiated).unwrap_or_default());
    Ok(run.result())
}
