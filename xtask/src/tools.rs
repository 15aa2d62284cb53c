//! Programs out of the registry that the steps need, at the versions that they are known to work with.

use std::process::Command;

use crate::steps::{cargo, run, succeeds};

pub(crate) struct Tool {
    /// Its package, and the program in it.
    package: &'static str,
    version: &'static str,
}

pub(crate) const CBINDGEN: Tool = Tool { package: "cbindgen", version: "0.29.4" };
pub(crate) const DENY: Tool = Tool { package: "cargo-deny", version: "0.20.2" };
pub(crate) const FUZZ: Tool = Tool { package: "cargo-fuzz", version: "0.13.2" };

impl Tool {
    /// Installs the tool if it is missing; one that is there is taken at the version that it has.
    pub(crate) fn ensure(&self) -> Result<(), String> {
        let mut program = match self.package.strip_prefix("cargo-") {
            Some(subcommand) => cargo([subcommand]),
            None => Command::new(self.package),
        };
        if succeeds(program.arg("--version")) {
            return Ok(());
        }
        // Not optimized: they run for a second or two, and their build is what we would wait for.
        let install = ["install", "--locked", "--debug", "--version", self.version, self.package];
        run(&mut cargo(install))
    }
}
