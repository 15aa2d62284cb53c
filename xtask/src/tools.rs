//! Cargo's own subcommands that the steps need, at the versions that they are known to work with.

use crate::steps::{cargo, run, succeeds};

pub(crate) struct Tool {
    /// `cargo NAME` runs it, and `cargo-NAME` is its package.
    name: &'static str,
    version: &'static str,
}

pub(crate) const DENY: Tool = Tool { name: "deny", version: "0.20.2" };
pub(crate) const FUZZ: Tool = Tool { name: "fuzz", version: "0.13.2" };

impl Tool {
    /// Installs the tool if it is missing; one that is there is taken at the version that it has.
    pub(crate) fn ensure(&self) -> Result<(), String> {
        if succeeds(&mut cargo([self.name, "--version"])) {
            return Ok(());
        }
        // Not optimized: they run for a second or two, and their build is what we would wait for.
        let package = format!("cargo-{}", self.name);
        run(&mut cargo(["install", "--locked", "--debug", "--version", self.version, &package]))
    }
}
