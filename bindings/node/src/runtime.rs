//! The threads on which streams live.

use std::future::Future;
use std::sync::OnceLock;

use napi::bindgen_prelude::{Error, Result};
use tokio::runtime::{Builder, EnterGuard, Runtime};

/// Threads at most, beside JavaScript's own: no more than a few can keep that busy.
const THREADS: usize = 4;

/// The one runtime of this process, for all of Node's threads. Nobody waits for its threads: a process
/// ends when Node does.
fn runtime() -> Result<&'static Runtime> {
    static RUNTIME: OnceLock<std::io::Result<Runtime>> = OnceLock::new();
    let begun = RUNTIME.get_or_init(|| {
        let threads = std::thread::available_parallelism()
            .map_or(1, |count| (count.get() - 1).clamp(1, THREADS));
        Builder::new_multi_thread()
            .worker_threads(threads)
            .thread_name("levada")
            .enable_all()
            .build()
    });
    begun.as_ref().map_err(|error| Error::from_reason(format!("no threads for streams: {error}")))
}

/// Runs a task to its end, or to the end of the process.
pub(crate) fn spawn(task: impl Future<Output = ()> + Send + 'static) -> Result<()> {
    runtime()?.spawn(task);
    Ok(())
}

/// Lets Node's thread do what wants a runtime at hand, until the guard is dropped.
pub(crate) fn enter() -> Result<EnterGuard<'static>> {
    Ok(runtime()?.enter())
}
