//! Where a pool listens, if nobody says.

use std::path::PathBuf;

use rustix::process::geteuid;

/// The environment variable that names the pool's socket, for whatever runs in it.
pub const VARIABLE: &str = "LEVADA_POOL";

/// The socket of the pool: `$LEVADA_POOL`, else the first that is there of
/// `$XDG_RUNTIME_DIR/levada/pool.sock`, `/run/levada/pool.sock` and the original's
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
    candidates.extend(["/run/levada/pool.sock", "/var/run/tlspool.sock"].map(PathBuf::from));
    candidates.into_iter().find(|path| path.exists())
}

fn is_ours(path: &std::path::Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    path.metadata().is_ok_and(|metadata| metadata.uid() == geteuid().as_raw())
}
