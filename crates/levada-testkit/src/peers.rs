//! Foreign programs that no Debian package holds: `cargo xtask test` installs them in
//! `target/peers`, out of the registries of their languages.

use std::env;
use std::path::PathBuf;

/// Why a test that needs one of them does not run where they are not installed.
pub const MISSING: &str = "its peer is not installed: `cargo xtask test` does that";

/// The folder of this name in `target/peers`, if it is there.
///
/// # Panics
///
/// When the program that runs does not know where it lies.
pub fn folder(name: &str) -> Option<PathBuf> {
    let program = env::current_exe().expect("a running program lies somewhere");
    program.ancestors().map(|above| above.join("peers").join(name)).find(|folder| folder.exists())
}

/// The interpreter of Python with the packages that tests need.
pub fn python() -> Option<PathBuf> {
    folder("python/bin/python")
}

/// The folder in which Node finds the packages that tests need, for its `NODE_PATH`.
pub fn node_modules() -> Option<PathBuf> {
    folder("node/node_modules")
}
