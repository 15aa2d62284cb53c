//! What every load is measured by: time on the wall, and CPU time of the process under load.

use std::io;
use std::time::Duration;

use serde_json::{Map, Value, json};
use tokio::time::Instant;

use crate::options::Options;
use crate::process::Tree;

/// A measurement under way.
pub(crate) struct Run {
    result: Map<String, Value>,
    process: Option<Tree>,
    cpu_before: Duration,
    begun: Instant,
}

impl Run {
    /// Begins; what came before is not measured.
    pub(crate) fn begin(options: &Options) -> io::Result<Self> {
        let mut result = Map::new();
        result.insert("mode".to_owned(), json!(options.mode.name()));
        result.insert("connections".to_owned(), json!(options.connections));
        let process = options.pid.map(Tree::new);
        let cpu_before = process.map_or(Ok(Duration::ZERO), Tree::cpu_time)?;
        Ok(Self { result, process, cpu_before, begun: Instant::now() })
    }

    /// Ends the measurement; what follows only adds to the result.
    pub(crate) fn end(&mut self) -> io::Result<()> {
        let seconds = self.begun.elapsed().as_secs_f64();
        self.result.insert("seconds".to_owned(), json!(seconds));
        if let Some(process) = self.process {
            let cpu = process.cpu_time()?.saturating_sub(self.cpu_before);
            self.result.insert("cpu_seconds".to_owned(), json!(cpu.as_secs_f64()));
        }
        Ok(())
    }

    /// Adds every member of `more`, an object.
    pub(crate) fn add(&mut self, more: Value) {
        if let Value::Object(more) = more {
            self.result.extend(more);
        }
    }

    pub(crate) fn result(self) -> Value {
        Value::Object(self.result)
    }
}
