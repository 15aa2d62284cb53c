//! The Node package `levada`: built and tested in a copy below the target folder, so that nothing of it
//! lies among the sources.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::registries;
use crate::steps::{Done, Outcome, Report, cargo, run as run_command, shown};
use crate::tally::Tally;
use crate::test::{Extent, build_the_command, target_folder};

/// The workspace of its native half.
pub(crate) const MANIFEST: &str = "bindings/node/Cargo.toml";

const PACKAGE: &str = "bindings/node";

/// What of the package is copied.
const PARTS: [&str; 6] = ["index.js", "index.mjs", "index.d.ts", "package.json", "lib", "test"];

/// Every test of the package, and its types.
pub(crate) fn test(report: &mut Report, extent: Extent) {
    let mut tally = Tally::default();
    report.step("node package", || stage("debug", &PARTS).map(|folder| done(&folder)));
    report.step("node tests", || run_tests(&mut tally, extent));
    report.step("node types", || {
        let folder = folder()?;
        let mut tsc = Command::new(folder.join("node_modules/.bin/tsc"));
        run_command(tsc.arg("-p").arg(folder.join("test/types")))?;
        Ok(Done::Ran(String::new()))
    });
    report.count(tally);
}

fn done(folder: &Path) -> Done {
    Done::Ran(folder.display().to_string())
}

fn folder() -> Result<PathBuf, String> {
    Ok(target_folder()?.join(PACKAGE))
}

/// Puts the package together with a native half of this profile; where it is then.
pub(crate) fn stage(profile: &str, parts: &[&str]) -> Result<PathBuf, String> {
    let (target, folder) = (target_folder()?, folder()?);
    let in_folder = |error| format!("{}: {error}", folder.display());
    let mut build = cargo(["build", "--locked", "--manifest-path", MANIFEST, "--target-dir"]);
    build.arg(&target);
    if profile == "release" {
        build.arg("--release");
    }
    run_command(&mut build)?;

    if folder.exists() {
        fs::remove_dir_all(&folder).map_err(in_folder)?;
    }
    fs::create_dir_all(&folder).map_err(in_folder)?;
    let mut copy = Command::new("cp");
    copy.arg("-R").args(parts.iter().map(|part| Path::new(PACKAGE).join(part)));
    run_command(copy.arg(&folder))?;
    let library = target.join(profile).join("liblevada_node.so");
    fs::copy(&library, folder.join("levada.node"))
        .map_err(|error| format!("{}: {error}", library.display()))?;
    let modules = registries::node_package(Path::new(PACKAGE))?;
    std::os::unix::fs::symlink(modules, folder.join("node_modules")).map_err(in_folder)?;
    Ok(folder)
}

fn run_tests(tally: &mut Tally, extent: Extent) -> Outcome {
    let folder = folder()?;
    let tests = folder.join("test");
    let in_tests = |error| format!("{}: {error}", tests.display());
    let mut files: Vec<PathBuf> = fs::read_dir(&tests)
        .map_err(in_tests)?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<_, _>>()
        .map_err(in_tests)?;
    files.retain(|file| file.to_string_lossy().ends_with(".test.mjs"));
    files.sort();

    let mut node = Command::new("node");
    node.args(["--test", "--test-reporter=tap", "--test-timeout=120000"]).args(files);
    // Where programs that are no file find the package.
    node.current_dir(&folder);
    if let Some(binary) = build_the_command(extent)? {
        node.env("LEVADA_BIN", binary);
    }
    println!("$ {}", shown(&node));
    let in_node = |error| format!("node: {error}");
    let mut child = node.stdout(Stdio::piped()).spawn().map_err(in_node)?;
    if let Some(output) = child.stdout.take() {
        for line in BufReader::new(output).split(b'\n') {
            let line = line.map_err(in_node)?;
            let line = String::from_utf8_lossy(&line);
            println!("{line}");
            tally.read_tap(&line);
        }
    }
    let status = child.wait().map_err(in_node)?;
    if status.success() {
        Ok(Done::Ran(tally.to_string()))
    } else {
        Err(format!("{tally}: {status}"))
    }
}
