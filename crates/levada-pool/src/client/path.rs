//! Where a pool listens, if nobody says.

use std::path::PathBuf;

use rustix::process::geteuid;

/// The environment variable that names the pool's socket, for whatever runs in it.
pub const VARIABLE: &str = "LEVADA_POOL";

/// The socket of the pool: `$LEVADA_POOL`, else the first that is there of
/// `$XDG_RUNTIME_DIR/levada/pool.sock`, `/run/levada/pool.sock`, `levada/pool.sock` in the state
/// directory (`$XDG_STATE_HOME`, `$HOME/.local/state` or `/var/lib`) and the original's
/// `/var/run/tlspool.sock`. `None` where none is.
pub fn standard_path() -> Option<PathBuf> {
    if let Some(path) = std::env::var_os(VARIABLE).filter(|path| !path.is_empty()) {
        return Some(path.into());
    }
    let runtime = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
    // A directory of somebody else's could hold a socket of somebody else's.
    let runtime = runtime.filter(|path| path.is_absolute() && is_ours(path));
    let mut candidates: Vec<_> =
        runtime.map(|path| path.join("levada/pool.sock")).into_iter().collect();
    candidates.push("/run/levada/pool.sock".into());
    let absolute =
        |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let state = absolute("XDG_STATE_HOME")
        .or_else(|| absolute("HOME").map(|home| home.join(".local/state")))
        .unwrap_or_else(|| "/var/lib".into());
    candidates.extend([state.join("levada/pool.sock"), "/var/run/tlspool.sock".into()]);
    candidates.into_iter().find(|path| path.exists())
}

fn is_ours(path: &std::path::Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    path.metadata().is_ok_and(|metadata| metadata.uid() == geteuid().as_raw())
}
