//! `cargo xtask guest`: tests of kernel TLS inside virtual machines, for kernels that this machine does not
//! run. Everything comes from Debian, and an emulated processor serves: they need seconds, and no rights.
//!
//! Every test target named `kernel_tls`, of whatever crate, runs in each guest, with `LEVADA_KERNEL_TLS=must`,
//! and with `LEVADA_KERNEL_TLS_REKEY=must` where the kernel can change keys: there is no skipping it in
//! there. The command `levada` is there for promises to be shown on, and OpenSSL and GnuTLS to be the peers.

mod boot;
mod image;
mod kernel;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;
use std::{env, fs};

use serde::Deserialize;

use self::boot::boot;
use self::image::Image;
use self::kernel::{KERNELS, Kernel};
use crate::peers::{self, Peer, find};
use crate::steps::{Done, Outcome, Report, cargo, shown, succeeds};
use crate::tally::Tally;
use crate::test::{Extent, SLOW, target_folder};

/// The test targets that run in guests.
const TESTS: &str = "kernel_tls";

/// The command that some of them run.
const COMMAND: &str = "levada";

/// The peers of the tests. They find what they need inside their libraries.
const INSIDE: [&str; 3] = ["openssl", "gnutls-cli", "gnutls-serv"];

/// How long a guest may take for all of its programs: some times what it takes on a machine that is not busy.
const DEADLINE: Duration = Duration::from_secs(1200);

const QEMU: &str = "qemu-system-x86_64";

const PEERS: &[Peer] = &[
    Peer { program: QEMU, package: "qemu-system-x86", purpose: "emulates the guests' machine" },
    Peer {
        program: "busybox",
        package: "busybox-static",
        purpose: "all that a guest has of a system",
    },
    Peer { program: "cpio", package: "cpio", purpose: "packs the guests' file systems" },
    Peer { program: "kmod", package: "kmod", purpose: "tells and loads the guests' modules" },
];

/// A program to be run in a guest.
pub(crate) struct Program {
    pub(crate) path: PathBuf,
    pub(crate) words: Vec<String>,
}

/// What guests are made for.
#[derive(Default)]
struct Work {
    /// The programs to be run, one after another.
    programs: Vec<Program>,
    /// The command that these may run.
    command: Option<PathBuf>,
}

/// Runs the tests of kernel TLS in every guest.
pub(crate) fn test(report: &mut Report, extent: Extent) {
    if let Some(why) = prepare(report) {
        return report.skip("kernel TLS", &why);
    }
    let mut work = Work::default();
    report.step("tests for guests", || {
        work = build(extent)?;
        Ok(Done::Ran(format!("{} programs", work.programs.len())))
    });
    if !work.programs.is_empty() {
        run_in_each(report, &work);
    }
}

/// Runs one program in every guest, beside the command as it was built last.
pub(crate) fn run(report: &mut Report, program: &Path, words: &[&str]) {
    if let Some(why) = prepare(report) {
        return report.skip("guests", &why);
    }
    let words = words.iter().map(|&word| word.to_owned()).collect();
    let programs = vec![Program { path: program.to_path_buf(), words }];
    let command = target_folder().ok().map(|target| target.join("debug").join(COMMAND));
    run_in_each(report, &Work { programs, command: command.filter(|path| path.exists()) });
}

/// Installs what guests stand on; why there can be none, if so.
fn prepare(report: &mut Report) -> Option<String> {
    if env::consts::ARCH != "x86_64" {
        return Some(format!("the guests are x86-64, and programs here {}", env::consts::ARCH));
    }
    report.step("peers for guests", || {
        peers::ensure_each(PEERS)?;
        Ok(Done::Ran(PEERS.iter().map(|peer| peer.program).collect::<Vec<_>>().join(", ")))
    });
    let runs = succeeds(Command::new(QEMU).arg("--version"));
    // One that is missing is a failure already.
    (find(QEMU).is_some() && !runs).then(|| format!("`{QEMU} --version` does not run here"))
}

fn run_in_each(report: &mut Report, work: &Work) {
    for kernel in KERNELS {
        let mut tally = Tally::default();
        report.step(&format!("guest of {}", kernel.suite), || one(kernel, work, &mut tally));
        report.count(tally);
    }
}

/// Boots one guest, and has it run the programs.
fn one(wanted: &Kernel, work: &Work, tally: &mut Tally) -> Outcome {
    let Work { programs, command } = work;
    let folder = target_folder()?.join("guest").join(wanted.suite);
    fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let kernel = wanted.fetch(&folder)?;
    let mut image = Image::new(&folder.join("image"))?;
    image.modules(&kernel.modules)?;
    let mut environment = vec!["LEVADA_KERNEL_TLS=must", "RUST_BACKTRACE=1"];
    for peer in INSIDE {
        let path = find(peer).ok_or_else(|| format!("there is no {peer} to be a peer"))?;
        image.program(&path, &Path::new("/usr/bin").join(peer))?;
    }
    if let Some(command) = command {
        image.program(command, Path::new("/usr/bin/levada"))?;
        environment.push("LEVADA_BIN=/usr/bin/levada");
    }
    for (number, program) in programs.iter().enumerate() {
        image.program(&program.path, Path::new(&format!("/programs/{number}")))?;
    }
    if wanted.rekeys {
        environment.push("LEVADA_KERNEL_TLS_REKEY=must");
    }
    image.init(programs, &environment)?;
    let packed = image.pack()?;
    let statuses = boot(&kernel.image, &packed, DEADLINE, |line| tally.read(line))?;

    let failed: Vec<String> = programs
        .iter()
        .enumerate()
        .filter_map(|(number, program)| {
            let name = program.path.display();
            match statuses.get(&number) {
                Some(0) => None,
                Some(status) => Some(format!("{name}: exit status {status}")),
                None => Some(format!("{name}: the guest ended before it did")),
            }
        })
        .collect();
    let what = format!("kernel {}: {tally}", kernel.release);
    if failed.is_empty() {
        Ok(Done::Ran(what))
    } else {
        Err(format!("{what}; {}", failed.join("; ")))
    }
}

/// Builds the tests as the other steps do, so that nothing is built twice.
fn build(extent: Extent) -> Result<Work, String> {
    let mut command = cargo(["test", "--workspace", "--all-features", "--locked", "--no-run"]);
    command.args(["--test", TESTS, "--message-format", "json-render-diagnostics"]);
    if extent == Extent::All {
        command.args(["--profile", SLOW]);
    }
    println!("$ {}", shown(&command));
    let failed = |why: &dyn std::fmt::Display| format!("`{}`: {why}", shown(&command));
    let mut child = Command::new(command.get_program());
    child.args(command.get_args()).stdout(Stdio::piped()).stderr(Stdio::inherit());
    let output = child.output().map_err(|error| failed(&error))?;
    if !output.status.success() {
        return Err(failed(&output.status));
    }
    let mut work = Work::default();
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        let Ok(Built { target, executable: Some(path) }) = serde_json::from_str(line) else {
            continue;
        };
        if target.name == TESTS {
            // Two at a time: each of them emulates what takes the processor.
            let words = vec!["--test-threads=2".to_owned()];
            work.programs.push(Program { path, words });
        } else if target.name == COMMAND {
            work.command = Some(path);
        }
    }
    if work.programs.is_empty() {
        return Err(format!("there is no test target named {TESTS}"));
    }
    Ok(work)
}

/// What Cargo says that it has built.
#[derive(Deserialize)]
struct Built {
    target: Target,
    executable: Option<PathBuf>,
}

#[derive(Deserialize)]
struct Target {
    name: String,
}
