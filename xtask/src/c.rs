//! `cargo xtask c` and `cargo xtask install-c`: the library for C and C++, with its header.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use crate::peers::find;
use crate::steps::{Done, Outcome, Report, cargo, run as run_command};
use crate::test::target_folder;
use crate::tools::CBINDGEN;

const FOLDER: &str = "bindings/c";

/// The name that the library is loaded by.
const SONAME: &str = "liblevada_pool.so.0";

/// Holds the header to the source, then installs the library below the target folder and compiles the
/// examples against that. Their behaviour is a promise of the main workspace.
pub(crate) fn test(report: &mut Report) {
    report.step("levada_pool.h", header);
    report.step("library for C", || {
        let prefix = target_folder()?.join("bindings/c");
        install_at(&prefix, "debug")?;
        for (example, packages) in [("starttls", "levada-pool"), ("uv_echo", "levada-pool libuv")] {
            let compile = format!(
                "cc -std=c11 -Wall -Wextra -Werror -pedantic -o '{prefix}/{example}' \
                 {FOLDER}/examples/{example}.c $(pkg-config --cflags --libs {packages})",
                prefix = prefix.display()
            );
            let mut shell = Command::new("sh");
            shell.args(["-c", &compile]);
            run_command(shell.env("PKG_CONFIG_PATH", prefix.join("lib/pkgconfig")))?;
        }
        says_how_it_is_used(&prefix)
    });
}

/// Runs an example with the shared library that was installed.
fn says_how_it_is_used(prefix: &Path) -> Outcome {
    let mut example = Command::new(prefix.join("starttls"));
    let told = example.env("LD_LIBRARY_PATH", prefix.join("lib")).output();
    let told = told.map_err(|error| format!("{}: {error}", prefix.display()))?;
    let words = String::from_utf8_lossy(&told.stderr).into_owned();
    if words.starts_with("usage: ") { Ok(Done::Ran(String::new())) } else { Err(words) }
}

/// Writes the header where `LEVADA_BLESS` is set, else says whether it is what the source says.
fn header() -> Outcome {
    CBINDGEN.ensure()?;
    let mut cbindgen = Command::new("cbindgen");
    cbindgen.args(["--quiet", "--config", "cbindgen.toml", "--output", "include/levada_pool.h"]);
    if std::env::var_os("LEVADA_BLESS").is_none() {
        cbindgen.arg("--verify");
    }
    run_command(cbindgen.current_dir(FOLDER))
        .map(|()| Done::Ran(String::new()))
        .map_err(|error| format!("{error}; LEVADA_BLESS=1 cargo xtask c writes it anew"))
}

/// Builds the library, optimized, and installs it below `prefix`.
pub(crate) fn install(report: &mut Report, prefix: &Path) {
    report.step("library for C", || {
        install_at(prefix, "release")?;
        let is_known = find("ldconfig").is_some() && prefix == Path::new("/usr/local");
        if is_known {
            run_command(&mut Command::new("ldconfig"))?;
        }
        Ok(Done::Ran(format!("levada-pool.pc and its files below {}", prefix.display())))
    });
}

fn install_at(prefix: &Path, profile: &str) -> Result<(), String> {
    let mut build = cargo(["build", "--locked", "--package", "levada-pool-c"]);
    if profile == "release" {
        build.arg("--release");
    }
    run_command(&mut build)?;
    let folder = target_folder()?.join(profile);
    place(&folder, prefix).map_err(|error| format!("below {}: {error}", prefix.display()))
}

/// Copies what was built to where C looks for it.
fn place(built: &Path, prefix: &Path) -> std::io::Result<()> {
    let [lib, include, pkgconfig] =
        ["lib", "include", "lib/pkgconfig"].map(|folder| prefix.join(folder));
    fs::create_dir_all(&include)?;
    fs::create_dir_all(&pkgconfig)?;
    let folder = Path::new(FOLDER);
    fs::copy(folder.join("include/levada_pool.h"), include.join("levada_pool.h"))?;
    fs::copy(built.join("liblevada_pool_c.a"), lib.join("liblevada_pool.a"))?;
    // Aside first: a program that runs goes on with the library that it has.
    let aside = lib.join(format!("{SONAME}.new"));
    fs::copy(built.join("liblevada_pool_c.so"), &aside)?;
    fs::rename(&aside, lib.join(SONAME))?;
    let link = lib.join("liblevada_pool.so");
    if link.symlink_metadata().is_ok() {
        fs::remove_file(&link)?;
    }
    symlink(SONAME, link)?;
    let package = fs::read_to_string(folder.join("levada-pool.pc.in"))?;
    let package = package.replace("@PREFIX@", &prefix.to_string_lossy());
    fs::write(
        pkgconfig.join("levada-pool.pc"),
        package.replace("@VERSION@", env!("CARGO_PKG_VERSION")),
    )
}
