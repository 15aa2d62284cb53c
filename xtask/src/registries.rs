//! The peers of tests that no Debian package holds: packages of Python, Node and Rust, in folders of
//! their own below `target/peers`, where `levada_testkit::peers` looks for them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::steps::{Done, Outcome, cargo, run, succeeds};
use crate::test::target_folder;

/// What Autobahn's testsuite stands on, at the versions of its time. They are built here, by a
/// `setuptools` that still has what they ask of it.
const BUILD: &[&str] = &["setuptools<80", "wheel"];
const AUTOBAHN: &[&str] = &["txaio==2.1.0", "autobahn==0.10.9", "wsaccel==0.6.7"];
const TESTSUITE: &str = "autobahntestsuite==25.10.1";
const PORT: &str = "crates/levada-ws/tests/autobahn/port.py";

const PYTHON: &[&str] =
    &["Twisted==26.10.0", "jinja2==3.1.6", "h2==4.4.1", "websockets==17.4", "wsproto==1.3.2"];
const NODE: &[&str] = &["@novnc/novnc@1.7.0", "typescript@5.9.3", "ws@8.23.0"];
const WEBSOCAT: &str = "1.14.0";

/// Interpreters to look for: 3.12 is the last one with lib2to3, which ports the testsuite.
const PYTHONS: [&str; 4] = ["python3", "python3.12", "python3.11", "python3.10"];

/// Python's packages, and Autobahn's testsuite ported to Python 3.
pub(crate) fn python() -> Outcome {
    let port = fs::read_to_string(PORT).map_err(|error| format!("{PORT}: {error}"))?;
    let wanted = [&format!("{BUILD:?} {AUTOBAHN:?} {TESTSUITE} {PYTHON:?}"), &*port].join("\n");
    install("python", &wanted, |folder| {
        let has = |python: &&&str| {
            succeeds(Command::new(python).args(["-c", "import ensurepip, lib2to3"]))
        };
        let Some(python) = PYTHONS.iter().find(has) else {
            return Ok(Some(
                "no Python here has both venv and lib2to3 (in Debian 12: python3-venv, python3-lib2to3)".to_owned(),
            ));
        };
        run(Command::new(python).args(["-m", "venv"]).arg(folder))?;
        let python = folder.join("bin/python");
        let pip = |words: &[&str], more: &[&str]| {
            run(Command::new(&python)
                .args(["-m", "pip", "-q", "--disable-pip-version-check"])
                .args(words)
                .args(more))
        };
        pip(&["install"], BUILD)?;
        pip(&["install"], PYTHON)?;
        pip(&["install", "--no-build-isolation"], AUTOBAHN)?;
        let sdist = folder.join("sdist");
        let to = sdist.display().to_string();
        pip(
            &["download", "--no-deps", "--no-build-isolation", "--no-binary=:all:", "--dest", &to],
            &[TESTSUITE],
        )?;
        let name = TESTSUITE.replace("==", "-");
        let archive = sdist.join(format!("{name}.tar.gz"));
        run(Command::new("tar").arg("-xzf").arg(archive).arg("-C").arg(&sdist))?;
        run(Command::new(&python).arg(PORT).arg(sdist.join(name)).arg(folder.join("autobahn")))?;
        Ok(None)
    })
}

/// Node's packages.
pub(crate) fn node() -> Outcome {
    install("node", &format!("{NODE:?}"), |folder| {
        let mut npm = Command::new("npm");
        npm.args(["install", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix"]);
        run(npm.arg(folder).args(NODE)).map(|()| None)
    })
}

/// What the Node package at this path is developed with, by its lock file; the folder of the modules.
pub(crate) fn node_package(package: &Path) -> Result<PathBuf, String> {
    let lock = package.join("package-lock.json");
    let wanted =
        fs::read_to_string(&lock).map_err(|error| format!("{}: {error}", lock.display()))?;
    install("node-package", &wanted, |folder| {
        for name in ["package.json", "package-lock.json"] {
            fs::copy(package.join(name), folder.join(name))
                .map_err(|error| format!("{name}: {error}"))?;
        }
        let mut npm = Command::new("npm");
        npm.args(["ci", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix"]);
        run(npm.arg(folder)).map(|()| None)
    })?;
    let folder = target_folder()?.join("peers/node-package/node_modules");
    fs::canonicalize(&folder).map_err(|error| format!("{}: {error}", folder.display()))
}

/// websocat, which is built here: a minute or two.
pub(crate) fn websocat() -> Outcome {
    install("websocat", WEBSOCAT, |folder| {
        // Not `--locked`: a dependency that its lock file names is refused by compilers of today.
        let mut build =
            cargo(["install", "--debug", "--no-default-features", "--version", WEBSOCAT]);
        run(build.arg("--root").arg(folder).arg("websocat")).map(|()| None)
    })
}

/// Installs into a fresh folder of this name, unless exactly what is wanted is there. `work` answers
/// with a reason when this machine cannot have it.
fn install(
    name: &str,
    wanted: &str,
    work: impl FnOnce(&Path) -> Result<Option<String>, String>,
) -> Outcome {
    let folder = target_folder()?.join("peers").join(name);
    let stamp = folder.join("installed");
    let note = |what: &Path, error| format!("{}: {error}", what.display());
    if fs::read_to_string(&stamp).is_ok_and(|there| there == wanted) {
        return Ok(Done::Ran("there already".to_owned()));
    }
    if folder.exists() {
        fs::remove_dir_all(&folder).map_err(|error| note(&folder, error))?;
    }
    fs::create_dir_all(&folder).map_err(|error| note(&folder, error))?;
    let folder: PathBuf = fs::canonicalize(&folder).map_err(|error| note(&folder, error))?;
    if let Some(why) = work(&folder)? {
        fs::remove_dir_all(&folder).map_err(|error| note(&folder, error))?;
        return Ok(Done::Skipped(why));
    }
    fs::write(&stamp, wanted).map_err(|error| note(&stamp, error))?;
    Ok(Done::Ran(String::new()))
}
