//! Proving many cells, and telling which ones do not hold.

use std::fmt::Display;
use std::time::Duration;

/// One cell of a table.
pub(crate) trait Proof: Display + Copy + 'static {
    /// Whether a deadline ends it, in virtual time.
    fn needs_time(&self) -> bool;

    /// Proves it, or panics.
    async fn prove(self);
}

/// Proves each cell, and tells which one does not hold.
pub(crate) async fn prove_all<P: Proof>(cells: Vec<P>) {
    assert!(!cells.is_empty());
    let mut failed = Vec::new();
    for cell in cells {
        // Only so that a hang is told by its name.
        let limit = Duration::from_secs(if cell.needs_time() { 3600 } else { 20 });
        let proof = tokio::task::LocalSet::new();
        let outcome = proof.run_until(async {
            tokio::task::spawn_local(async move { tokio::time::timeout(limit, cell.prove()).await })
                .await
        });
        match outcome.await {
            Ok(Ok(())) => {}
            Ok(Err(_)) => failed.push(format!("{cell}: it hangs")),
            Err(panic) => {
                let panic = panic.into_panic();
                let words = panic.downcast_ref::<String>().cloned();
                let words = words.or_else(|| panic.downcast_ref::<&str>().map(|&w| w.to_owned()));
                failed.push(format!("{cell}: {}", words.unwrap_or_default().replace('\n', " ")));
            }
        }
    }
    assert!(failed.is_empty(), "{} cells do not hold:\n{}", failed.len(), failed.join("\n"));
}
