//! Foreign programs that no Debian package holds: `cargo xtask peers` installs them in
//! `target/peers`, out of the registries of their languages.

use std::env;
use std::path::PathBuf;

/// Why a test that needs one of them does not run where they are not installed.
pub const MISSING: &str = "its peer is not installed: `cargo xtask peers` does that";

/// The interpreter of Python with the packages that tests need.
pub fn python() -> Option<PathBuf> {
    find("python/bin/python")
}

/// Autobahn's testsuite: the folder to be on Python's path.
pub fn autobahn() -> Option<PathBuf> {
    find("python/autobahn")
}

/// The folder in which Node finds the packages that tests need, for its `NODE_PATH`.
pub fn node_modules() -> Option<PathBuf> {
    find("node/node_modules")
}

/// websocat, which only `cargo xtask peers --all` installs.
pub fn websocat() -> Option<PathBuf> {
    find("websocat/bin/websocat")
}

/// What lies there in `target/peers`.
fn find(name: &str) -> Option<PathBuf> {
    let program = env::current_exe().expect("a running program lies somewhere");
    program.ancestors().map(|above| above.join("peers").join(name)).find(|folder| folder.exists())
}
