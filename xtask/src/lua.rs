//! `cargo xtask lua` and `cargo xtask install-lua`: the module `iomodules`, built for each Lua.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::peers::find;
use crate::steps::{Done, Outcome, Report, cargo, run as run_command};
use crate::tally::Tally;
use crate::test::{build_apart, counted, target_folder};

pub(crate) const MANIFEST: &str = "bindings/lua/Cargo.toml";

/// The file that an interpreter looks for.
const MODULE: &str = "iomodules.so";

struct Lua {
    interpreter: &'static str,
    /// The feature of the crate; each excludes the others.
    feature: &'static str,
    /// The version of its interface: the folder of its modules.
    version: &'static str,
}

const LUAS: [Lua; 2] = [
    Lua { interpreter: "lua5.4", feature: "lua54", version: "5.4" },
    Lua { interpreter: "luajit", feature: "luajit", version: "5.1" },
];

/// Has clippy look at the module for each Lua.
pub(crate) fn lint() -> Result<(), String> {
    for lua in &LUAS {
        let mut clippy = cargo(["clippy", "--locked", "--manifest-path", MANIFEST]);
        clippy.args(["--features", lua.feature]).arg("--target-dir").arg(target_folder()?);
        run_command(clippy.args(["--", "--deny", "warnings"]))?;
    }
    Ok(())
}

/// Builds the module for each interpreter and runs the suite in it.
pub(crate) fn test(report: &mut Report) {
    for lua in &LUAS {
        let mut tally = Tally::default();
        report.step(lua.interpreter, || {
            let module = lua.build("debug")?;
            let folder = target_folder()?.join("bindings/lua").join(lua.version);
            lua.install(&module, &folder)?;
            let mut suite = Command::new(lua.interpreter);
            suite.arg("bindings/lua/tests/all.lua").env("IOMODULES_LUA", lua.interpreter);
            // The two at the end stand for where it looks otherwise.
            suite.env("LUA_CPATH", format!("{}/?.so;;", folder.display()));
            let outcome = counted(&mut suite, &mut tally, Tally::read);
            outcome.map(|()| Done::Ran(tally.to_string()))
        });
        report.count(tally);
    }
}

/// Builds the module, optimized, for each interpreter that is there, and installs it below `folder`.
pub(crate) fn install(report: &mut Report, folder: &Path) {
    for lua in &LUAS {
        if find(lua.interpreter).is_none() {
            report.skip(lua.interpreter, "this interpreter is not here");
            continue;
        }
        report.step(lua.interpreter, || {
            let module = lua.build("release")?;
            lua.install(&module, &folder.join(lua.version))
        });
    }
}

impl Lua {
    fn build(&self, profile: &str) -> Result<PathBuf, String> {
        let built = build_apart(MANIFEST, &["--features", self.feature], profile)?;
        Ok(built.join("libiomodules.so"))
    }

    fn install(&self, module: &Path, folder: &Path) -> Outcome {
        let place = folder.join(MODULE);
        let in_place = |error| format!("{}: {error}", place.display());
        fs::create_dir_all(folder).map_err(in_place)?;
        // Aside first: an interpreter that runs goes on with the module that it has.
        let aside = folder.join(format!("{MODULE}.new"));
        fs::copy(module, &aside).map_err(in_place)?;
        fs::rename(&aside, &place).map_err(in_place)?;
        Ok(Done::Ran(format!("{} for {}", place.display(), self.interpreter)))
    }
}
