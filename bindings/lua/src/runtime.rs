//! The thread that all streams of the process live on.

use std::io;
use std::sync::{Mutex, OnceLock, PoisonError};

use tokio::runtime::{Builder, Handle, Runtime};

static RUNTIME: OnceLock<Runtime> = OnceLock::new();

/// The runtime; it is started with the first module that is loaded, and lasts as long as the process.
pub(crate) fn start() -> io::Result<&'static Handle> {
    static STARTING: Mutex<()> = Mutex::new(());
    let _one_at_a_time = STARTING.lock().unwrap_or_else(PoisonError::into_inner);
    if RUNTIME.get().is_none() {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("iomodules")
            .on_thread_start(|| {
                // It fails only for arguments that it does not have.
                let _ = levada_sys::keep_signals_from_this_thread();
            })
            .enable_all()
            .build()?;
        // Nobody else sets it meanwhile.
        let _ = RUNTIME.set(runtime);
    }
    RUNTIME.get().map(Runtime::handle).ok_or_else(|| io::Error::other("the runtime is gone"))
}
